package algotest_test

// classicsMistakes are the rules of lamport and suzuki-kasami, each broken on
// purpose.
var classicsMistakes = []mistake{
	{
		what: "who is first in its queue does not wait to hear from everybody",
		file: "lamport/machine.go",
		old:  "\tif slices.Contains(m.heard, false) {",
		new:  "\tif false {",
		by:   "explorer random scenario paper",
	},
	{
		what: "an older request does not keep anybody out",
		file: "lamport/machine.go",
		old:  "return !queued.IsZero() && queued.Compare(m.own) < 0",
		new:  "return false",
		by:   "explorer random scenario paper",
	},
	{
		what: "an ack counts whenever it was sent",
		file: "lamport/machine.go",
		old:  "sent <= m.own.Time",
		new:  "false",
		by:   "random scenario",
	},
	{
		what: "whom a peer has heard from is kept from request to request",
		file: "lamport/machine.go",
		old:  "clear(m.heard)",
		new:  "_ = m.heard",
		by:   "explorer random paper",
	},
	{
		what: "a release does not empty the place in the queue",
		file: "lamport/machine.go",
		old:  "m.queue[from] = algo.Stamp{}",
		new:  "_ = m.queue[from]",
		by:   "explorer random scenario paper",
	},
	{
		what: "who gives up tells nobody",
		file: "lamport/machine.go",
		old:  "return m.leave(in.Time, whyCancelled, out)",
		new:  "m.phase, m.own = idle, algo.Stamp{}\n\t\treturn out",
		by:   "explorer random scenario paper",
	},
	{
		what: "a request is acknowledged by who wants nothing only",
		file: "lamport/machine.go",
		old:  "\tm.queue[from] = req.Stamp\n",
		new:  "\tm.queue[from] = req.Stamp\n\tif m.phase != idle {\n\t\treturn out\n\t}\n",
		by:   "explorer random paper",
	},
	{
		what: "others' requests are forgotten by who wants nothing",
		file: "lamport/machine.go",
		old:  "return m.phase == idle && !slices.ContainsFunc(m.queue, func(s algo.Stamp) bool { return !s.IsZero() })",
		new:  "return m.phase == idle",
		by:   "explorer random",
	},

	{
		what: "the token is kept as well as sent",
		file: "suzukikasami/machine.go",
		old:  "m.token, m.queue = false, nil",
		new:  "m.queue = nil",
		by:   "explorer random scenario paper",
	},
	{
		what: "a token that comes in vain does not count as served",
		file: "suzukikasami/machine.go",
		old:  "\tm.ln[m.me] = m.rn[m.me]\n",
		new:  "\tif why != whyGaveUp {\n\t\tm.ln[m.me] = m.rn[m.me]\n\t}\n",
		by:   "explorer random scenario paper",
	},
	{
		what: "a token that comes in vain stays",
		file: "suzukikasami/machine.go",
		old:  "\tif out = m.handOn(whyGaveUp, out); m.token {",
		new:  "\tif m.ln[m.me] = m.rn[m.me]; m.token {",
		by:   "explorer random scenario paper",
	},
	{
		what: "who leaves does not queue those who have asked",
		file: "suzukikasami/machine.go",
		old:  "if i != m.me && m.open(i) && !slices.Contains(m.queue, i) {",
		new:  "if why == whyWantsNothing && m.open(i) {",
		by:   "explorer random scenario paper",
	},
	{
		what: "the token's queue is left behind",
		file: "suzukikasami/machine.go",
		old:  "for _, i := range m.queue {\n\t\tt.Queue",
		new:  "for _, i := range m.queue[:0] {\n\t\tt.Queue",
		by:   "scenario paper", // those in it are queued again, in another order
	},
	{
		what: "an outdated request brings the token",
		file: "suzukikasami/machine.go",
		old:  "return m.rn[i] == m.ln[i]+1",
		new:  "return m.rn[i] > 0 && m.rn[i] >= m.ln[i]",
		by:   "explorer random scenario paper",
	},
	{
		what: "the token travels without what was served",
		file: "suzukikasami/machine.go",
		old:  "\t\tif n > 0 {\n",
		new:  "\t\tif n > 9 {\n",
		by:   "explorer random scenario paper",
	},
	{
		what: "a request to who has no token is forgotten",
		file: "suzukikasami/machine.go",
		old:  "m.rn[from] = max(m.rn[from], req.Number)",
		new:  "if m.token {\n\t\tm.rn[from] = max(m.rn[from], req.Number)\n\t}",
		by:   "explorer random",
	},
	{
		what: "who gave up asks with a new number",
		file: "suzukikasami/machine.go",
		old:  "\tif m.asked { // and given up",
		new:  "\tif false { // and given up",
		by:   "explorer random scenario paper",
	},
	{
		what: "who has heard of a request forgets it when it wants nothing",
		file: "suzukikasami/machine.go",
		old:  "!slices.ContainsFunc(m.rn, used) && ",
		new:  "",
		by:   "explorer random",
	},
	{
		what: "the first that has lost the token is forgotten",
		file: "suzukikasami/machine.go",
		old:  "return m.phase == idle && m.token == (m.me == 0) && !m.asked && len(m.queue) == 0 &&\n\t\t!slices.ContainsFunc(m.rn, used) && !slices.ContainsFunc(m.ln, used)",
		new:  "return m.phase == idle && used(1)",
		by:   "explorer random scenario",
	},
	{
		what: "a token is accepted by who has not asked for it",
		file: "suzukikasami/machine.go",
		old:  "if !m.asked || !m.take(t) {",
		new:  "if !m.take(t) {",
		by:   "unit", // nobody sends one
	},
}
