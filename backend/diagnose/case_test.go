package diagnose

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// causeCase is facts that mean one cause above all others.
type causeCase struct {
	First string `json:"first"`
	Facts Facts  `json:"facts"`
}

func readCases(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestEachCauseHasFactsThatMeanIt(t *testing.T) {
	var cases []causeCase
	readCases(t, "testdata/cause-cases.json", &cases)
	met := map[string]bool{}
	for i, c := range cases {
		d := Diagnose(c.Facts)
		if d.First().ID != c.First {
			t.Errorf("case %d: %s comes first with %d (%q), and not %s: %v", i, d.First().ID, d.First().Score, d.First().Evidence, c.First, brief(d))
		}
		met[c.First] = true
	}
	// The other two lists have cases as well.
	var simulated struct {
		Rows []struct {
			First string `json:"first"`
		} `json:"rows"`
	}
	var reported []struct {
		First string `json:"first"`
	}
	for path, into := range map[string]any{"testdata/simulator-causes.json": &simulated, "testdata/real-world.json": &reported} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range simulated.Rows {
		met[r.First] = true
	}
	for _, r := range reported {
		met[r.First] = true
	}
	for _, r := range table() {
		if !met[r.id] {
			t.Errorf("no case means %s", r.id)
		}
		delete(met, r.id)
	}
	delete(met, "nothing-wrong")
	for id := range met {
		t.Errorf("a case means %s, which no rule has", id)
	}
}

func brief(d Diagnosis) map[string]int {
	out := map[string]int{}
	for _, c := range d.Causes {
		out[c.ID] = c.Score
	}
	return out
}
