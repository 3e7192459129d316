package fence

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
)

// A sidecar is the file that keeps the highest tokens. It is text, to be read by
// people too: a head, a line for each lock, and the checksum of all before it.
//
//	conch-fence 1
//	33 nightly-report
//	sum c0ffee00
//
// Lines are sorted by lock, so that there is one text for one content, and what
// was read would be written in the same way again: anything else is damage.
const (
	sidecarHead = "conch-fence 1\n"
	sidecarSum  = "sum "
	sumSize     = len(sidecarSum) + 8 + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// formatSidecar writes the tokens as a sidecar.
func formatSidecar(highest map[string]Token) []byte {
	var b bytes.Buffer
	b.WriteString(sidecarHead)
	for _, lock := range slices.Sorted(maps.Keys(highest)) {
		fmt.Fprintf(&b, "%d %s\n", uint64(highest[lock]), lock)
	}
	fmt.Fprintf(&b, "%s%08x\n", sidecarSum, crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
}

// parseSidecar reads a sidecar. Its error says what is wrong, without a mend.
func parseSidecar(text []byte) (map[string]Token, error) {
	if len(text) == 0 {
		return nil, errors.New("it is empty")
	}
	if !bytes.HasPrefix(text, []byte(sidecarHead)) {
		return nil, fmt.Errorf("it does not begin with %q", strings.TrimSpace(sidecarHead))
	}
	if len(text) < len(sidecarHead)+sumSize {
		return nil, errors.New("its end is missing")
	}
	body, sum := text[:len(text)-sumSize], string(text[len(text)-sumSize:])
	if want := fmt.Sprintf("%s%08x\n", sidecarSum, crc32.Checksum(body, castagnoli)); sum != want {
		return nil, errors.New("its checksum is wrong, or its end is missing")
	}
	highest := make(map[string]Token)
	number := 1
	for line := range strings.Lines(string(body[len(sidecarHead):])) {
		number++
		digits, lock, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		token, err := ParseToken(digits)
		if err == nil {
			err = checkLock(lock)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		highest[lock] = token
	}
	if !bytes.Equal(formatSidecar(highest), text) {
		return nil, errors.New("its lines are not in order")
	}
	return highest, nil
}

// damaged is the error for a sidecar that cannot be trusted.
func damaged(path string, why error) error {
	return fmt.Errorf("fence: %s is %w (%v): it knows the highest tokens, so nothing is written without it. "+
		"Put back what it was; or make sure that no program that has ever held its locks is still about to write, "+
		"and remove it: the next write begins it anew", path, ErrDamaged, why)
}
