package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
)

// Scenario plays a run that somebody wrote down, a command a line:
//
//	algorithm NAME      which algorithm the peers run
//	peers A B ...       start them; nobody has had contact with anybody
//	locks X Y ...       before peers, if there is more than one lock
//	clocks 0 7 ...      before peers, if their Lamport clocks do not start at 0
//	request A [LOCK]    A wants the lock (the first, if none is named)
//	cancel A [LOCK]     it gives up
//	release A [LOCK]    it leaves
//	deliver A B         the oldest message from A reaches B
//	deliver all         deliver until nothing is on its way
//	contact A B         A learns of B's present incarnation
//	contact all         everybody learns of everybody
//	restart A           A dies and comes back
//	wipe A              the same, on another machine: its disk is empty, and its clock reads a quarter
//	                    of a TTL less
//	replace A           A leaves and gives up everything, stops in good order and comes back, with its
//	                    promises if it knows them all; of algorithms that keep promises
//	lose A B            their link breaks and loses what is on it
//	down A B            A believes that the link to B is down
//	up A B              and sees that it is not
//	leave A B           A takes B, which has no vote, for gone; of an open cluster
//	ttl 12s             before peers: leases last so long, and time can pass
//	voters A B ...      before peers, if not everybody votes
//	open cluster        before peers: those without a vote come and go
//	rates 0 -300 ...    before peers: how much faster their clocks run, in parts per million
//	pass 3s             time passes
//	wake A              A looks at its clock
//	wake all            everybody does for whom it is time
//	drift 20000         after ttl: the bound on rates that they are told
//	offsets 0s 7m ...   before peers: what their clocks read at the start
//	load delay=1ms..2ms from now on nothing fails, messages take so long, callers ask again and
//	                    again; whoever waits too long is named (see Calm for what more to say)
//	settle              make contacts, deliver, release, until nothing is left to do
//	status              say where everybody stands and what is on its way
type Scenario struct {
	Algorithms func(name string) (NewProcess, error)
	Invariant  func(peers []View) error // of algorithms that know time; may be nil

	config Config
	net    *Network
	broken error
}

// Exec plays one line and tells what happened. A line that cannot be played is
// an error, and changes nothing; a rule that is broken is told, and ends the
// run.
func (s *Scenario) Exec(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", nil
	}
	if s.broken != nil {
		return "", fmt.Errorf("the run has ended: %w", s.broken)
	}
	switch cmd, args := words[0], words[1:]; cmd {
	case "algorithm", "peers", "locks", "clocks", "ttl", "linger", "voters", "rates", "drift", "offsets", "forget", "open":
		if s.net != nil {
			return "", fmt.Errorf("%s: the peers have started already", cmd)
		}
		return "", s.setUp(cmd, args)
	default:
		if s.net == nil {
			return "", fmt.Errorf("%s: no peers yet; begin with algorithm NAME and peers A B", cmd)
		}
		return s.play(cmd, args)
	}
}

// defaultDrift is the bound that peers are told if a scenario names none.
const defaultDrift = 1000

func (s *Scenario) setUp(cmd string, args []string) (err error) {
	if len(args) == 0 {
		return fmt.Errorf("%s what?", cmd)
	}
	switch cmd {
	case "algorithm":
		s.config.New, err = s.Algorithms(args[0])
		s.config.Algorithm = args[0]
	case "locks":
		s.config.Locks = args
	case "clocks":
		s.config.Clock = nil
		for _, a := range args {
			t, err := strconv.ParseUint(a, 10, 32)
			if err != nil {
				return fmt.Errorf("clocks: %q is no time", a)
			}
			s.config.Clock = append(s.config.Clock, algo.Time(t))
		}
	case "ttl", "linger":
		d, err := time.ParseDuration(args[0])
		if err != nil || d < 0 || d > time.Hour {
			return fmt.Errorf("%s: %q is no duration up to an hour", cmd, args[0])
		}
		if cmd == "ttl" {
			s.config.TTL, s.config.Linger = algo.Duration(d), algo.Duration(d)/4
			s.config.Tick, s.config.Drift = s.config.Linger, defaultDrift
		} else {
			s.config.Linger = algo.Duration(d)
		}
	case "forget":
		s.config.Forget = args[0] == "clock"
	case "open":
		s.config.Open = args[0] == "cluster"
	case "voters":
		s.config.Voters = nil
		for _, a := range args {
			s.config.Voters = append(s.config.Voters, algo.PeerName(a))
		}
		slices.Sort(s.config.Voters)
	case "rates":
		s.config.Rates = nil
		for _, a := range args {
			r, err := strconv.ParseInt(a, 10, 16)
			if err != nil {
				return fmt.Errorf("rates: %q is no rate", a)
			}
			s.config.Rates = append(s.config.Rates, r)
		}
	case "drift":
		s.config.Drift, err = strconv.ParseInt(args[0], 10, 16)
		if err != nil || s.config.Drift < 0 {
			return fmt.Errorf("drift: %q is no number of parts per million", args[0])
		}
	case "offsets":
		s.config.Offset = nil
		for _, a := range args {
			d, err := time.ParseDuration(a)
			if err != nil || d < 0 || d > 100_000*time.Hour {
				return fmt.Errorf("offsets: %q is no reading of a clock", a)
			}
			s.config.Offset = append(s.config.Offset, algo.Duration(d))
		}
	case "peers":
		if s.config.New == nil {
			return fmt.Errorf("peers: which algorithm do they run?")
		}
		s.config.Peers = nil
		for _, a := range args {
			s.config.Peers = append(s.config.Peers, algo.PeerName(a))
		}
		if s.config.TTL > 0 {
			s.config.Invariant = s.Invariant
		}
		s.net, err = NewNetwork(s.config)
	}
	return err
}

// play plays a command about peers that have started.
func (s *Scenario) play(cmd string, args []string) (string, error) {
	var b strings.Builder
	tell := func(e Event) { b.WriteString(s.net.Tell(e)) }
	all := len(args) == 1 && args[0] == "all"
	switch {
	case cmd == "status" && len(args) == 0:
		return s.net.Status(), nil
	case cmd == "settle" && len(args) == 0:
		s.broken = s.net.Settle(settleLimit, tell)
	case cmd == "load":
		c, err := s.net.parseCalm(args)
		if err != nil {
			return "", err
		}
		var told string
		told, s.broken = c.tell(s.net)
		b.WriteString(told)
	case cmd == Deliver.String() && all:
		s.broken = s.net.repeat(Op.isDeliver, settleLimit, tell)
	case cmd == Wake.String() && all:
		s.broken = s.net.repeat(Op.isWake, settleLimit, tell)
	case cmd == Contact.String() && all:
		for _, c := range s.net.contacts() {
			if s.do(c, tell); s.broken != nil {
				break
			}
		}
		return broken(&b, s.broken), nil
	default:
		step, err := s.net.parse(cmd, args)
		if err != nil {
			return "", err
		}
		s.do(step, tell)
	}
	return broken(&b, s.broken), nil
}

func (s *Scenario) do(step Step, tell func(Event)) {
	var e Event
	e, s.broken = s.net.Do(step)
	tell(e)
}

// broken adds the rule that was broken, if any.
func broken(b *strings.Builder, err error) string {
	if err != nil {
		fmt.Fprintf(b, "BROKEN: %v\n", err)
	}
	return b.String()
}

// parse reads a step that is possible now.
func (n *Network) parse(cmd string, args []string) (Step, error) {
	op := Op(slices.Index(opNames[:], cmd))
	if op <= 0 || int(op) >= len(opNames) {
		return Step{}, fmt.Errorf("no such command: %s", cmd)
	}
	if n.TTL == 0 && op >= Wipe {
		return Step{}, fmt.Errorf("%s: these peers know no time; begin with ttl 12s", cmd)
	}
	if op == Pass {
		return n.parsePass(args)
	}
	least, most := 1, 1
	switch {
	case op.pairwise():
		least, most = 2, 2
	case op.local():
		most = 2
	}
	if len(args) < least || len(args) > most {
		return Step{}, fmt.Errorf("%s: wrong number of words after it", cmd)
	}
	s := Step{Op: op}
	var err error
	if s.Peer, err = n.peerIndex(args[0]); err != nil {
		return Step{}, err
	}
	switch {
	case op.pairwise():
		s.Other, err = n.peerIndex(args[1])
		if op == Lose && s.Peer > s.Other { // it is the same
			s.Peer, s.Other = s.Other, s.Peer
		}
	case len(args) == 2:
		l := slices.Index(n.locks, args[1])
		if l < 0 {
			err = fmt.Errorf("no such lock: %s", args[1])
		}
		s.Lock = uint8(max(l, 0))
	}
	if err != nil {
		return Step{}, err
	}
	return s, n.Refuse(s)
}

func (n *Network) parsePass(args []string) (Step, error) {
	if len(args) != 1 {
		return Step{}, fmt.Errorf("pass: how long?")
	}
	d, err := time.ParseDuration(args[0])
	if err != nil || d <= 0 || d > time.Hour {
		return Step{}, fmt.Errorf("pass: %q is no duration up to an hour", args[0])
	}
	return Step{Op: Pass, Time: algo.Duration(d)}, nil
}

func (n *Network) peerIndex(name string) (uint8, error) {
	i := slices.Index(n.names, algo.PeerName(name))
	if i < 0 {
		return 0, fmt.Errorf("no such peer: %s", name)
	}
	return uint8(i), nil
}

// Play plays a whole text, up to the first rule that is broken. Empty lines and
// lines that begin with # are passed over. Errors begin with the line's number.
func (s *Scenario) Play(text string) (string, error) {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		told, err := s.Exec(line)
		if err != nil {
			return b.String(), fmt.Errorf("line %d: %w", i+1, err)
		}
		b.WriteString(told)
		if s.broken != nil {
			break
		}
	}
	return b.String(), nil
}

// Scenario writes the failing run as a scenario file, with what each step did.
func (f *Failure) Scenario() string {
	var b strings.Builder
	fmt.Fprintf(&b, "algorithm %s\n", f.Config.Algorithm)
	if len(f.Config.Locks) > 0 {
		fmt.Fprintf(&b, "locks %s\n", strings.Join(f.Config.Locks, " "))
	}
	if f.Config.TTL > 0 {
		fmt.Fprintf(&b, "ttl %v\nlinger %v\n", time.Duration(f.Config.TTL), time.Duration(f.Config.Linger))
	}
	if f.Config.TTL > 0 && f.Config.Drift != defaultDrift {
		fmt.Fprintf(&b, "drift %d\n", f.Config.Drift)
	}
	if f.Config.Forget {
		b.WriteString("forget clock\n")
	}
	if len(f.Config.Voters) > 0 {
		fmt.Fprintf(&b, "voters %s\n", strings.Trim(fmt.Sprint(f.Config.Voters), "[]"))
	}
	if f.Config.Open {
		b.WriteString("open cluster\n")
	}
	if len(f.Config.Rates) > 0 {
		fmt.Fprintf(&b, "rates %s\n", strings.Trim(fmt.Sprint(f.Config.Rates), "[]"))
	}
	if len(f.Config.Offset) > 0 {
		b.WriteString("offsets")
		for _, d := range f.Config.Offset {
			fmt.Fprintf(&b, " %v", time.Duration(d))
		}
		b.WriteByte('\n')
	}
	if len(f.Config.Clock) > 0 {
		fmt.Fprintf(&b, "clocks %s\n", strings.Trim(fmt.Sprint(f.Config.Clock), "[]"))
	}
	fmt.Fprintf(&b, "peers %s\n----\n", strings.Trim(fmt.Sprint(f.Config.Peers), "[]"))
	n, err := NewNetwork(f.Config)
	if err != nil {
		return b.String() + "BROKEN: " + err.Error() + "\n"
	}
	for _, s := range f.Steps {
		e, err := n.Do(s)
		fmt.Fprintf(&b, "\n%s\n----\n%s", n.Format(s), n.Tell(e))
		if err != nil {
			return broken(&b, err)
		}
	}
	if f.Settle {
		if f.Calm != nil {
			told, err := f.Calm.tell(n)
			fmt.Fprintf(&b, "\n%s\n----\n%s", f.Calm, told)
			return broken(&b, err)
		}
		b.WriteString("\nsettle\n----\n")
		err := n.Settle(settleLimit, func(e Event) { b.WriteString(n.Tell(e)) })
		return broken(&b, err)
	}
	return broken(&b, f.Reason)
}
