// Package chaos puts real peers under fire: processes that are killed, stopped,
// cut off from each other and given full disks, and whose holds are ended by
// order, while each of them enters critical sections all the time and writes to
// a resource that checks fencing tokens. Afterwards it judges the run four times over: by what the resource
// saw, by the traces, by how long it took until somebody was inside again, and
// by whether what the clients saw is linearizable.
//
//	go test ./internal/chaos                              a few seconds
//	go test ./internal/chaos -run Chaos -v -chaos 1m      longer, with a report; at most 9m
//	go test ./internal/chaos -run Chaos -v -chaos 1m -seed 7
//	go test ./internal/chaos -run Chaos -v -chaos 1m -serf   peers find each other by gossip, which is under fire, too; one has no vote
//
// The seed decides the number of peers and the order and details of the faults.
// The moments at which messages meet are the machine's, so a seed repeats a
// schedule, not a run.
//
// Every peer lives in a network namespace of its own, and a router in another
// one; a link is cut in one direction by a rule in the router. That needs root
// and the command ip (iproute2) on Linux. Without them peers share the loopback
// and only kills and stops are tried, and the test says so; with -cuts it fails. On other systems the
// package has only its histories to test.
package chaos
