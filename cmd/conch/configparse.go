package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/pflag"

	"github.com/conchlock/conch/discovery"
)

// peersTable is the one key that is no flag's name: a table of the peers, for which
// the command line has --peer, again and again.
const peersTable = "peers"

// parse reads the text of a file, as read does.
func (c *config) parse(text []byte, flags *pflag.FlagSet) []error {
	c.lines, c.wrong = make(map[string]int), make(map[string]bool)
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		line := 1
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ = at.Position()
		}
		return []error{fmt.Errorf("%s:%d: %s", c.path, line, strings.TrimPrefix(err.Error(), "toml: "))}
	}
	at := placesIn(text)
	keys := slices.SortedFunc(maps.Keys(values), func(a, b string) int { return at.keys[a] - at.keys[b] })
	var wrong []error
	for _, key := range keys {
		report := func(line int, err error) {
			wrong = append(wrong, fmt.Errorf("%s:%d: %s: %w", c.path, line, key, err))
		}
		name := key
		if key == peersTable {
			name = "peer"
			if _, both := values[name]; both {
				report(at.keys[key], fmt.Errorf("peer in line %d gives peers, too: leave one of them out", at.keys[name]))
				continue
			}
		}
		flag := flags.Lookup(name)
		if flag == nil || notInFile(name) {
			report(at.keys[key], unknownKey(key, flags))
			continue
		}
		if flag.Changed {
			continue // the command line wins
		}
		c.lines[name] = at.keys[key]
		flag.Changed = true // even if it is wrong: then it is not missing, too
		if key == peersTable {
			c.readPeers(values[key], flag, at, func(line int, err error) { c.wrong[name] = true; report(line, err) })
		} else if err := setFlag(flag, values[key]); err != nil {
			c.wrong[name] = true
			report(at.keys[key], err)
		}
	}
	return wrong
}

// readPeers reads the table of peers.
func (c *config) readPeers(value any, flag *pflag.Flag, at places, report func(line int, err error)) {
	table, ok := value.(map[string]any)
	if !ok {
		report(at.keys[peersTable], errors.New(`write a table, as in [peers] and below it a = "10.0.0.1:7400"`))
		return
	}
	if len(table) == 0 {
		report(at.keys[peersTable], errors.New(`no peers; write one a line, as in a = "10.0.0.1:7400"`))
		return
	}
	var list []string
	for _, peer := range slices.Sorted(maps.Keys(table)) {
		line := at.peers[peer]
		addr, ok := table[peer].(string)
		if !ok {
			report(line, fmt.Errorf(`%s: write the address in quotes, as in "10.0.0.1:7400"; a name with dots needs quotes, too`, peer))
			continue
		}
		if _, err := discovery.Static(discovery.Peers{peer: addr}).Peers(); err != nil {
			report(line, err)
			continue
		}
		c.lines[peersTable+"."+peer] = line
		list = append(list, peer+"="+addr)
	}
	if err := flag.Value.(pflag.SliceValue).Replace(list); err != nil {
		report(at.keys[peersTable], err)
	}
}

// setFlag gives a flag a value of the file.
func setFlag(flag *pflag.Flag, value any) error {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		var texts []string
		elements, ok := value.([]any)
		for _, element := range elements {
			text, isText := element.(string)
			texts, ok = append(texts, text), ok && isText
		}
		if !ok || list.Replace(texts) != nil {
			return fmt.Errorf("write %s", wanted(flag))
		}
		return nil
	}
	var right bool
	switch value.(type) {
	case string:
		right = flag.Value.Type() == "string" || flag.Value.Type() == "duration"
	case bool:
		right = flag.Value.Type() == "bool"
	case int64:
		right = strings.Contains(flag.Value.Type(), "int")
	}
	if !right {
		return fmt.Errorf("write %s", wanted(flag))
	}
	if text := fmt.Sprint(value); flag.Value.Set(text) != nil {
		return fmt.Errorf("%q: write %s", text, wanted(flag))
	}
	return nil
}

// wanted says how the values of a flag are written in a file.
func wanted(flag *pflag.Flag) string {
	if _, ok := flag.Value.(pflag.SliceValue); ok {
		return `a list of texts, as in ["a", "b"]`
	}
	switch kind := flag.Value.Type(); kind {
	case "bool":
		return "true or false, without quotes"
	case "duration":
		return `a time with its unit, in quotes, as in "5s"`
	case "string":
		return "a text in quotes"
	case "uint64":
		return "a whole number that is not negative, without quotes"
	default:
		return "a whole number, without quotes"
	}
}

// places are the lines in which a text has its keys, and the names in its table of
// peers.
type places struct{ keys, peers map[string]int }

// placesIn finds them in a text that can be read. The library's decoder does not tell.
func placesIn(text []byte) places {
	at := places{make(map[string]int), make(map[string]int)}
	line, counted := 1, 0
	note := func(lines map[string]int, name string, key *unstable.Node) {
		if lines[name] == 0 {
			offset := int(key.Raw.Offset) // keys come in order: no line is counted twice
			line, counted = line+bytes.Count(text[counted:offset], []byte("\n")), offset
			lines[name] = line
		}
	}
	// walk notes a key below a path, and returns what its path begins with.
	walk := func(path []string, key unstable.Iterator) []string {
		for key.Next() && len(path) < 2 {
			name := string(key.Node().Data)
			switch {
			case len(path) == 0:
				note(at.keys, name, key.Node())
			case path[0] == peersTable:
				note(at.peers, name, key.Node())
			}
			path = append(slices.Clone(path), name)
		}
		return path
	}
	var parser unstable.Parser
	parser.Reset(text)
	var table []string
	for parser.NextExpression() {
		expression := parser.Expression()
		if expression.Kind != unstable.KeyValue {
			table = walk(nil, expression.Key())
			continue
		}
		path := walk(table, expression.Key())
		if value := expression.Value(); value.Kind == unstable.InlineTable {
			for pairs := value.Children(); pairs.Next(); {
				walk(path, pairs.Node().Key())
			}
		}
	}
	return at
}

// unknownKey says what may have been meant.
func unknownKey(key string, flags *pflag.FlagSet) error {
	if notInFile(key) && flags.Lookup(key) != nil {
		return errors.New("it can be given on the command line only")
	}
	nearest, least := "", 1+max(2, len(key)/3)
	consider := func(name string) {
		if d := distance(key, name); d < least && !notInFile(name) {
			nearest, least = name, d
		}
	}
	flags.VisitAll(func(flag *pflag.Flag) { consider(flag.Name) })
	consider(peersTable)
	if nearest == "" {
		return errors.New("there is no such key; conch config print shows all")
	}
	return fmt.Errorf("there is no such key; did you mean %s?", nearest)
}

// distance is how many letters have to be put in, taken out or changed to make b of
// a, at most.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
