package algotest_test

// oneSided keeps a machine from noticing by itself that its two parts disagree, so
// that it has to be found out what comes of it.
var oneSided = []edit{{"maekawa/state.go", "m.arbiter.check(), m.checkOwn()}", "m.arbiter.check()}"}}

// maekawaMistakes are Maekawa's rules, each broken on purpose.
var maekawaMistakes = []mistake{
	{
		what: "a member is locked for two requests",
		file: "maekawa/arbiter.go",
		old:  "	if m.lock.IsZero() {\n		m.lockFor(stamp)",
		new:  "	if m.lock.IsZero() || stamp.Compare(m.lock) < 0 {\n		m.lockFor(stamp)",
		by:   "explorer random",
	},
	{
		what: "no INQUIRE",
		file: "maekawa/arbiter.go",
		old:  "	m.send(m.lock.Peer, Inquire{m.lock}, algo.Reason{Text: whyInquires, About: m.lock})\n",
		new:  "",
		also: oneSided, // it is a deadlock
		by:   "explorer random scenario paper",
	},
	{
		what: "no FAILED to a request that comes behind an older one",
		file: "maekawa/arbiter.go",
		old:  "		m.send(from, Failed{stamp}, algo.Reason{Text: whyYounger, About: oldest})\n",
		new:  "",
		also: oneSided, // it is a deadlock
		by:   "explorer random scenario paper",
	},
	{
		what: "no FAILED to a request that is overtaken while it waits (Sanders)",
		file: "maekawa/arbiter.go",
		old:  "	m.send(first.stamp.Peer, Failed{first.stamp}, algo.Reason{Text: whyOvertaken, About: older})\n",
		new:  "	_ = older\n",
		also: oneSided, // it is a deadlock; the explorer that finds it is among the tests of the paper
		by:   "explorer random scenario paper",
	},
	{
		what: "no RELINQUISH",
		file: "maekawa/candidate.go",
		old:  "	m.send(q.name, Relinquish{m.own}, whyRelinquishes)\n",
		new:  "",
		also: oneSided, // it is a deadlock
		by:   "explorer random scenario paper",
	},
	{
		what: "who has relinquished does not count as failed",
		file: "maekawa/candidate.go",
		old:  "	q.answer, q.inquired = failed, false\n",
		new:  "	q.answer, q.inquired = none, false\n",
		by:   "random",
	},
	{
		what: "who has relinquished a lock counts it still",
		file: "maekawa/candidate.go",
		old:  "	q.answer, q.inquired = failed, false\n",
		new:  "	q.answer, q.inquired = locked, false\n",
		by:   "random scenario paper",
	},
	{
		what: "who is inside relinquishes",
		file: "maekawa/candidate.go",
		old:  "	case m.phase == inside:\n		m.note(\"\", whyInside)\n	case m.hasFailed():",
		new:  "	case m.phase == inside, m.hasFailed():",
		by:   "explorer random scenario paper",
	},
	{
		what: "an INQUIRE whose answer was put off is forgotten",
		file: "maekawa/candidate.go",
		old:  "		from.inquired = true\n",
		new:  "",
		by:   "random scenario paper",
	},
	{
		what: "RELINQUISH is not named",
		file: "maekawa/arbiter.go",
		old:  "from != m.lock.Peer || stamp != m.lock || !m.inquired",
		new:  "from != m.lock.Peer || !m.inquired",
		by:   "unit", // links keep order, so that nobody's comes late
	},
	{
		what: "INQUIRE and RELINQUISH are not named",
		file: "maekawa/arbiter.go",
		old:  "from != m.lock.Peer || stamp != m.lock || !m.inquired",
		new:  "from != m.lock.Peer",
		also: []edit{
			{"maekawa/machine.go", "m.stepInquire(m.member(from, msg.Stamp))", "m.stepInquire(m.member(from, m.own))"},
			{"maekawa/candidate.go", "from == nil || from.answer != locked:", "from == nil:"},
		},
		by: "random scenario",
	},
	{
		what: "LOCKED is not named",
		file: "maekawa/machine.go",
		old:  "m.stepLocked(m.member(from, msg.Stamp))",
		new:  "m.stepLocked(m.member(from, m.own))",
		by:   "random scenario",
	},
	{
		what: "FAILED is not named",
		file: "maekawa/machine.go",
		old:  "m.stepFailed(m.member(from, msg.Stamp))",
		new:  "m.stepFailed(m.member(from, m.own))",
		by:   "unit", // it costs a RELINQUISH too many
	},
	{
		what: "who gives up does not say so",
		file: "maekawa/machine.go",
		old:  "		m.leave(whyCancelled)\n",
		new:  "		m.leave(whyCancelled)\n		m.out, m.toSelf = out, nil\n",
		by:   "explorer random scenario paper",
	},
	{
		what: "a request that was given up while it waited stays",
		file: "maekawa/arbiter.go",
		old:  "		m.queue = slices.Delete(m.queue, waits, waits+1)\n",
		new:  "",
		by:   "explorer random paper",
	},
	{
		what: "the youngest goes next",
		file: "maekawa/arbiter.go",
		old:  "	next := m.queue[0].stamp\n	m.queue = slices.Delete(m.queue, 0, 1)\n",
		new:  "	last := len(m.queue) - 1\n	next := m.queue[last].stamp\n	m.queue = m.queue[:last]\n",
		by:   "explorer random scenario paper",
	},
	{
		what: "two quorums do not meet",
		file: "maekawa/quorum.go",
		old:  "	{0, 1, 3},\n",
		new:  "	{0, 1, 2},\n",
		by:   "random paper",
	},
}
