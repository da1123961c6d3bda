package fhir

import (
	"bytes"
	"encoding/json"
)

// maxIndented is how deep a resource may be nested and still be indented.
// Each level costs a line of its own depth, so a small answer that is nested
// thousands deep would fill the memory. Real resources stay below 30.
const maxIndented = 100

// Indent gives a resource as text with two spaces a level, or as it came where
// it is nested deeper than any resource is.
func Indent(raw json.RawMessage) []byte {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	var b bytes.Buffer
	if deepest > maxIndented || json.Indent(&b, raw, "", "  ") != nil {
		return raw
	}
	return b.Bytes()
}
