package trace

import "fmt"

// valid says what is wrong with an event in itself: a field that its kind
// needs, or a message that cannot be where it is.
func (e *Event) valid(hasToken bool) error {
	if err := e.Peer.Check(); err != nil {
		return err
	}
	switch {
	case e.Lock == "" && (e.Kind.hasToken() || e.Kind == Request || e.Kind == Cancel):
		return fmt.Errorf("%s without a lock", e.Kind)
	case e.Kind.hasToken() && !hasToken:
		return fmt.Errorf("%s without a token", e.Kind)
	case e.Lease != 0 && !e.Kind.hasLease():
		return fmt.Errorf("%s with a lease", e.Kind)
	case e.Lease == 0 && e.Kind == Extend:
		return fmt.Errorf("%s without a lease", e.Kind)
	case e.Algorithm != "" && e.Kind != Start:
		return fmt.Errorf("%s with an algorithm", e.Kind)
	case e.Other == "" && (e.Kind == LinkUp || e.Kind == LinkDown):
		return fmt.Errorf("%s without the other peer", e.Kind)
	case e.Message == nil && e.Kind.hasMessage():
		return fmt.Errorf("%s without a message", e.Kind)
	case e.Message != nil && !e.Kind.hasMessage():
		return fmt.Errorf("%s with a message", e.Kind)
	}
	if e.Other != "" {
		if err := e.Other.Check(); err != nil {
			return fmt.Errorf("other: %w", err)
		}
	}
	if e.Message != nil {
		return e.validMessage()
	}
	return nil
}

func (e *Event) validMessage() error {
	m := e.Message
	if err := m.From.Check(); err != nil {
		return fmt.Errorf("message from: %w", err)
	}
	if err := m.To.Check(); err != nil {
		return fmt.Errorf("message to: %w", err)
	}
	switch {
	case m.Kind == "":
		return fmt.Errorf("a message without a kind")
	case m.ID.From != m.From:
		return fmt.Errorf("message %s is said to be from %s", m.ID, m.From)
	case m.ID.Number == 0:
		return fmt.Errorf("message %s: numbers begin with 1", m.ID)
	case m.From == m.To:
		return fmt.Errorf("message %s goes from %s to itself", m.ID, m.From)
	case e.Kind == Send && m.From != e.Peer:
		return fmt.Errorf("%s sends message %s of %s", e.Peer, m.ID, m.From)
	case e.Kind == Send && m.ID.Incarnation != e.Incarnation:
		return fmt.Errorf("incarnation %d sends message %s", e.Incarnation, m.ID)
	case e.Kind == Send && m.Clock != e.Clock:
		return fmt.Errorf("message %s says clock %d, and is sent at %d", m.ID, m.Clock, e.Clock)
	case e.Kind == Receive && m.To != e.Peer:
		return fmt.Errorf("%s receives message %s, which goes to %s", e.Peer, m.ID, m.To)
	case e.Kind == Receive && m.Clock >= e.Clock:
		return fmt.Errorf("message %s of clock %d is received at %d: a clock goes ahead of what it hears", m.ID, m.Clock, e.Clock)
	case e.Kind == Drop && m.From != e.Peer && m.To != e.Peer:
		return fmt.Errorf("%s drops message %s, which goes from %s to %s", e.Peer, m.ID, m.From, m.To)
	}
	return nil
}
