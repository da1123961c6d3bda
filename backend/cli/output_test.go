package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// hostile has what a terminal would obey: an OSC that sets the title, a C1
// CSI, a carriage return that overwrites the line, and a mark that turns text.
const hostile = "a\x1b]0;owned\x07b\u009b31mc\rd\u202ee\x7f\u200b"

func TestWordsFromOutsideCannotCommandATerminal(t *testing.T) {
	var text, jsonLine bytes.Buffer
	w := plainWriter{&text}
	fmt.Fprintf(w, "Name:\t%s\n", hostile)
	if got := text.String(); got != "Name:\ta]0;ownedb31mcde\n" {
		t.Errorf("%q", got)
	}
	p := &printer{run: &run{Streams: Streams{Out: &jsonLine}, json: true}}
	if err := p.print(map[string]string{"name": hostile + "é<ü>"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range jsonLine.String() {
		if r < 0x20 && r != '\n' || r >= 0x7f && r <= 0x9f || r == 0x202e || r == 0x200b {
			t.Errorf("%U is in the line %q", r, jsonLine.String())
		}
	}
	var back map[string]string
	if err := json.Unmarshal(jsonLine.Bytes(), &back); err != nil || back["name"] != hostile+"é<ü>" {
		t.Errorf("%q %v: the value changed", back["name"], err)
	}
	if !strings.Contains(jsonLine.String(), "é<ü>") {
		t.Error("plain letters were escaped")
	}
}
