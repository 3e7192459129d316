package transport

// EncodePacket is for tests that play a peer by hand.
var EncodePacket = encodePacket
