package serf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/discovery"
)

// What a peer says of itself goes into 512 bytes, so the names are short. Tags
// that are not known are ignored: later versions may add some. One that changes
// what these mean must count version up.
const (
	tagVersion     = "v"
	tagCluster     = "c"
	tagAddr        = "a"
	tagIncarnation = "i"
	tagVoter       = "w" // "1" or "0"
	tagAlgorithm   = "g"

	version = "1"
)

// Bounds, in bytes. All of them together stay below memberlist's 512.
const (
	maxCluster   = 64
	maxAddr      = 261 // a host name of 255, and a port
	maxAlgorithm = 32
)

// about is what a peer says of itself.
type about struct {
	name        string
	cluster     string // as clusterTag gives it
	addr        string
	incarnation uint64
	voter       bool
	algorithm   string
}

// clusterTag is a cluster's name or, if that is long, how it begins and a hash. Of
// one that cannot be printed there is only the hash.
func clusterTag(cluster string) string {
	sum := sha256.Sum256([]byte(cluster))
	switch {
	case checkText("", cluster, len(cluster)) != nil:
		return "~" + hex.EncodeToString(sum[:16])
	case len(cluster) <= maxCluster:
		return cluster
	}
	cut := maxCluster - 1 - 2*16
	for !utf8.RuneStart(cluster[cut]) {
		cut--
	}
	return cluster[:cut] + "~" + hex.EncodeToString(sum[:16])
}

// tagsOf makes the tags of a peer. It refuses what readTags would.
func tagsOf(self discovery.Self) (map[string]string, error) {
	tags := map[string]string{
		tagVersion: version, tagCluster: clusterTag(self.Cluster), tagAddr: self.Addr,
		tagIncarnation: strconv.FormatUint(self.Incarnation, 10), tagVoter: "0", tagAlgorithm: self.Algorithm,
	}
	if self.Voter {
		tags[tagVoter] = "1"
	}
	if _, err := readTags(self.Name, tags); err != nil {
		return nil, fmt.Errorf("what this peer says of itself: %w", err)
	}
	return tags, nil
}

// readTags reads the tags of a peer. They come from outside: the error says what
// is wrong with them, in words that can be printed.
func readTags(name string, tags map[string]string) (about, error) {
	if err := algo.PeerName(name).Check(); err != nil {
		return about{}, err
	}
	if v := tags[tagVersion]; v != version {
		if v == "" {
			return about{}, fmt.Errorf("it has no tags of Conch: is it a peer of Conch at all?")
		}
		return about{}, fmt.Errorf("its tags are of version %.8q, here they are of version %s: bring the older of the two up to date", v, version)
	}
	a := about{name: name, cluster: tags[tagCluster], addr: tags[tagAddr], algorithm: tags[tagAlgorithm]}
	if err := checkText("cluster", a.cluster, maxCluster); err != nil {
		return about{}, err
	}
	if err := checkText("algorithm", a.algorithm, maxAlgorithm); err != nil {
		return about{}, err
	}
	if err := checkText("address", a.addr, maxAddr); err != nil {
		return about{}, err
	}
	if err := discovery.CheckAddr(a.addr); err != nil {
		return about{}, err
	}
	n, err := strconv.ParseUint(tags[tagIncarnation], 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != tags[tagIncarnation] {
		return about{}, fmt.Errorf("incarnation %.24q is not a number", tags[tagIncarnation])
	}
	a.incarnation = n
	switch tags[tagVoter] {
	case "1":
		a.voter = true
	case "0":
	default:
		return about{}, fmt.Errorf("%.8q does not say whether it has a vote", tags[tagVoter])
	}
	return a, nil
}

// checkText refuses what is long or cannot be printed.
func checkText(what, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("its %s %.24q... has %d bytes, at most %d are allowed", what, text, len(text), most)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("its %s %q is not UTF-8 text", what, text)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("its %s %q has a character that cannot be printed", what, text)
		}
	}
	return nil
}
