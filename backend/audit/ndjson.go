package audit

import (
	"encoding/json"
	"io"
	"iter"
)

// NDJSON writes the record as one JSON object a line: each entry, and at the
// end {"verification":…} with what Verify found, whose anchor makes the export
// an outside witness of the record. Control characters in names cannot make a
// line, since JSON escapes them and Append replaced them.
func NDJSON(w io.Writer, entries iter.Seq2[Entry, error], found Result) error {
	out := json.NewEncoder(w)
	for e, err := range entries {
		if err != nil {
			return err
		}
		if err := out.Encode(e); err != nil {
			return err
		}
	}
	return out.Encode(map[string]Result{"verification": found})
}
