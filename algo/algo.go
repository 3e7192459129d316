// Package algo is the vocabulary in which Conch's algorithms are written.
//
// An algorithm is a [Machine]: one peer's part in one lock's mutual exclusion,
// a function from an input to a list of outputs and nothing else. It has no
// clock, no network, no goroutine and no source of chance, so the same code
// runs in production, in the simulator and in the exhaustive explorer. A
// [Process] is one peer's part in all its locks; it owns the machines and is
// what the three of them drive.
//
// The package is made to be read. It promises no stable API.
package algo

// Machine is one peer's part in one lock's mutual exclusion.
//
// It is deterministic: the same inputs in the same order give the same
// outputs. It has one owner at a time and needs no locking of its own. Inputs
// that break the local contract (a Release by who is not inside, an Acquire by
// who already asks) panic; a message, whatever it says, never does.
type Machine interface {
	// Step takes one input and appends what follows from it to out.
	Step(in Input, out []Output) []Output

	// Idle says that the machine is in the state it was made in, so that it
	// may be dropped and made anew when somebody wants the lock again.
	Idle() bool

	// WaitsFor lists, sorted, the peers whose message would bring this
	// peer's open request further. It is empty without an open request.
	WaitsFor() []PeerName

	// Check returns an error that names the first invariant that does not
	// hold. It is called after every simulated step.
	Check() error

	// Clone returns an independent copy, for the explorer.
	Clone() Machine

	// AppendState appends an encoding of everything that decides future
	// steps: two machines of one algorithm with equal encodings behave alike.
	AppendState(dst []byte) []byte
}

// Process is one peer's part in all its locks. Its rules are those of Machine,
// except that inputs and outputs name the lock they belong to.
type Process interface {
	Step(in Input, out []Output) []Output

	// WaitsFor lists, sorted, the peers whose message would bring this
	// peer's open request for the lock further.
	WaitsFor(lock string) []PeerName

	// Wake returns the instant at which the process wants a Tick; Never if it
	// waits for no time to pass. A later Tick does no harm but to speed, and
	// an earlier one does nothing.
	Wake() Instant

	Check() error
	Clone() Process
	AppendState(dst []byte) []byte
}

// Keeper is a Process whose promises bind the next incarnation.
type Keeper interface {
	// Promises lists, after a Stop, what has to be in the next incarnation's
	// Setup for it to be Kept. It is false if there may be more that binds it.
	Promises() (list []Promise, all bool)
}

// InputKind says what happened.
type InputKind uint8

const (
	// Acquire: this peer wants the lock. At most one request of a peer for a
	// lock is open at a time.
	Acquire InputKind = iota + 1
	// Cancel: this peer gives up its open request.
	Cancel
	// Release: this peer leaves the critical section.
	Release
	// Receive: Message has come from From. Links are FIFO, lose nothing and
	// double nothing between two Contacts.
	Receive
	// Contact: from now on messages go to and come from incarnation
	// Incarnation of From. The first Contact with a peer precedes all its
	// messages. A later one says that it has restarted or, if the incarnation
	// is the one already known, that messages between the two were lost.
	// The handshake says From's Lamport clock, and Time is above it: after a
	// restart of everybody no other message would carry the old times on.
	// A Contact is an Up, too.
	Contact
	// Up: messages reach From and come from it, as far as this peer can tell.
	Up
	// Down: they do not, at least one way. Nothing is lost by that: a link
	// keeps what it has to carry until the next Up or Contact.
	Down
	// Leave: From, which has no vote, is taken for gone. That may be wrong; if it
	// is there after all, it comes back with a Contact. Only in an open cluster.
	Leave
	// Tick: time has passed. It comes at or after each Wake.
	Tick
	// Stop: this peer is about to stop in good order, and is inside nothing and
	// wants nothing any more. The process hands on what it keeps and grants
	// nothing from now on. It is the last input that matters.
	Stop
)

func (k InputKind) String() string {
	switch k {
	case Acquire:
		return "acquire"
	case Cancel:
		return "cancel"
	case Release:
		return "release"
	case Receive:
		return "receive"
	case Contact:
		return "contact"
	case Up:
		return "up"
	case Down:
		return "down"
	case Leave:
		return "leave"
	case Tick:
		return "tick"
	case Stop:
		return "stop"
	}
	return "unknown input"
}

// Input is one thing that happens to a peer.
type Input struct {
	Kind InputKind
	Lock string  // the lock it is about; empty for messages about no single lock and where no lock is meant
	Time Time    // the peer's Lamport clock after this event; larger at every input
	Now  Instant // the peer's clock, read just before this step; never smaller than before

	From        PeerName    // Receive, Contact, Up, Down, Leave
	Message     Message     // Receive
	Incarnation Incarnation // Contact
	KnewMe      bool        // Contact: From has known an earlier incarnation of this peer
}

// OutputKind says what is to be done.
type OutputKind uint8

const (
	// Send: hand Message to the link to To.
	Send OutputKind = iota + 1
	// Enter: this peer is now in the critical section, with Token, until
	// Deadline at the latest.
	Enter
	// Extend: this peer may stay until Deadline.
	Extend
	// Lost: this peer is in the critical section no more, its lease has ended.
	// Its Release, if that is the input, is taken as said.
	Lost
	// Floor: before any output after this one is carried out, it must be
	// certain that the next incarnation's Setup.Floor is at least Token.
	Floor
	// Note: nothing is to be done; Why says why the machine sent nothing.
	Note
)

// Output is one thing that follows from an input. Why is for people: traces
// keep it, so that a run explains itself; no machine ever reads it.
type Output struct {
	Kind OutputKind
	Lock string // set by the Process

	To      PeerName // Send; Note: the peer that was held back, if any
	Message Message  // Send
	Upkeep  bool     // Send: no entry needs it; it keeps a lease or a request alive, or ends one
	Token   Token    // Enter, Lost, Floor
	// Deadline is when the hold ends, by this peer's own clock; Never without
	// leases. Enter, Extend.
	Deadline Instant
	Why      Reason
}
