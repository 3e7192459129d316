package transport

import (
	"google.golang.org/protobuf/proto"

	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/wire"
)

// Size returns how many bytes a packet is on the wire, encoded as one of a
// batch: without the tags of the batch and its frame, and without what gRPC,
// HTTP/2 and TCP put around them.
func Size(p *node.Packet) int {
	var w wire.Packet
	encodePacket(&w, p)
	return proto.Size(&w)
}
