package memory

// Ways returns how many ways the network knows of that are used or not as new.
func Ways(n *Network) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ways)
}
