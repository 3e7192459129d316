"""Locks of the Conch peer on this machine. Needs Python 3.9 and nothing else.

    with Conch().lock("nightly", wait=10) as hold:
        save(report, token=hold.token)  # what is written to can refuse an older token
        hold.check()                    # raises Lost before the lease can end
"""
import http.client, json, os, socket, tempfile, threading, time, uuid
def now_ns():  # by a clock that counts the time asleep
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
class ConchError(Exception): code = None  # as in docs/service.md; None if no peer answered
class NotAcquired(ConchError): """The lock was not to be had in that time."""
class Lost(ConchError): """The hold has ended, or is about to: stop."""

def default_addr():
    mine = "/run/conch" if os.getuid() == 0 else f"{tempfile.gettempdir()}/conch-{os.getuid()}"
    run = os.environ.get("XDG_RUNTIME_DIR")
    return os.environ.get("CONCH_ADDR") or f"unix:{run + '/conch' if run else mine}/conch.sock"

class Conch:
    def __init__(self, addr=None, ttl=15.0, label="python"):
        self.addr, self.ttl = addr or default_addr(), ttl
        self.holds, self.untold, self.news, self.closed = {}, [], threading.Event(), False
        self.session = self.call("Open", ttl=f"{ttl}s", label=label)["session"]
        threading.Thread(target=self.keep_alive, daemon=True).start()
    def call(self, name, timeout=5.0, **fields):  # over a connection of its own
        unix = self.addr.startswith("unix:")
        conn = http.client.HTTPConnection("localhost" if unix else self.addr, timeout=timeout)
        try:
            if unix:
                conn.sock = socket.socket(socket.AF_UNIX)
                conn.sock.settimeout(timeout)
                conn.sock.connect(self.addr[len("unix:"):])
            conn.request("POST", "/conch.v1.Locks/" + name, json.dumps(fields), {"Content-Type": "application/json"})
            answer = conn.getresponse()
            said = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException) as e:
            raise ConchError(f"no peer answers at {self.addr}: {e}") from e
        finally:
            conn.close()
        if answer.status != 200:
            error = (NotAcquired if said["code"] == "deadline_exceeded" else ConchError)(said.get("message", said["code"]))
            error.code = said["code"]
            raise error
        return said
    def tell(self, name, **fields):  # now, or else as soon as the peer answers again
        try: return self.call(name, session=self.session, **fields)
        except ConchError as e:
            if e.code is None: self.untold.append((name, fields))
            return {}
    def keep_alive(self):  # three times in the TTL, and in each lease
        while not self.closed:
            self.news.wait(min([self.ttl] + [max(h.left(), 0.05) for h in list(self.holds.values())]) / 3)
            self.news.clear()
            holds = dict(self.holds)
            for _ in range(len(self.untold)): self.tell(self.untold[0][0], **self.untold.pop(0)[1])
            try: leases = self.call("KeepAlive", timeout=self.ttl / 3, session=self.session, askedNs=now_ns()).get("leases", [])
            except ConchError as e:
                if e.code is None: continue  # each hold sees when its time is over
                leases, self.closed = [], True  # the session has ended
            leases = {(l["lock"], l["token"]): l for l in leases}
            for key, hold in holds.items(): hold.renew(leases.get(key))
    def lock(self, name, wait=None, label=""):  # for ever, or so many seconds
        wish, until = {"requestId": uuid.uuid4().hex, "lock": name, "label": label}, time.monotonic() + (wait or 0)
        while True:
            if wait is not None: wish["wait"] = f"{max(0, until - time.monotonic()):.3f}s"
            try: return Hold(self, self.call("Acquire", None if wait is None else wait + 5, session=self.session, askedNs=now_ns(), **wish)["lease"], wish["requestId"])
            except BaseException as e:
                if isinstance(e, ConchError) and not (e.code or self.closed) and (wait is None or time.monotonic() < until):
                    time.sleep(0.1)
                    continue  # the same request id has the same place in the queue
                self.tell("Cancel", requestId=wish["requestId"])
                raise
    def close(self):
        self.closed = True
        self.tell("Close")

class Hold:
    def __init__(self, conch, lease, wish):
        self.conch, self.lock, self.token, self.end_ns, self.wish = conch, lease["lock"], int(lease["token"]), 0, wish
        self.renew(lease)
        conch.holds[lease["lock"], lease["token"]] = self
        conch.news.set()
    def renew(self, lease):  # None: the peer does not hold it any more
        self.end_ns = int(lease["askedNs"]) + int(float(lease["length"][:-1]) * 0.998e9) if lease else 0
    def left(self):  # the seconds in which it is certainly held, less a margin to stop in
        return max(0.0, (self.end_ns - now_ns()) / 1e9 - min(self.conch.ttl / 16, 0.1))
    def check(self):
        if self.left() == 0: raise Lost(f"lock {self.lock!r} is lost")
    def release(self):  # if lost, too: others get in the sooner
        held = self.conch.holds.pop((self.lock, str(self.token)), None) and self.left() > 0
        ends = ("Release", {"lock": self.lock, "token": str(self.token), "lost": not held}), ("Cancel", {"requestId": self.wish})  # no Acquire that is late counts
        if not held: self.conch.untold.extend(ends), self.conch.news.set()  # in the background
        if not held or [self.conch.tell(name, **fields) for name, fields in ends][0].get("lost"):
            raise Lost(f"lock {self.lock!r} was lost while it was held")
    def __enter__(self): return self
    def __exit__(self, kind, *_):
        try: self.release()
        except Lost:
            if kind is None: raise
