package diagnose_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"chartkey/backend/diagnose"
	"chartkey/backend/simulator"
)

// causeRow is what a fault or a trait of the simulated EHR should be taken for.
// The list is read by the workstation's tests, too, which see the real facts.
type causeRow struct {
	Fault string `json:"fault"`
	Trait string `json:"trait"`
	// During is connect, refresh, read, disconnect or introspect, or "after" for the next refresh.
	During string `json:"during"`
	// First is the cause that is right.
	First string `json:"first"`
	// Facts are put over those of the list's base.
	Facts json.RawMessage `json:"facts"`
	// Why is for those who read the list.
	Why string `json:"why"`
}

type causeList struct {
	Base json.RawMessage `json:"base"`
	Rows []causeRow      `json:"rows"`
}

func causes(t *testing.T) causeList {
	t.Helper()
	text, err := os.ReadFile("testdata/simulator-causes.json")
	if err != nil {
		t.Fatal(err)
	}
	var list causeList
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

func (l causeList) facts(t *testing.T, r causeRow) diagnose.Facts {
	t.Helper()
	var f diagnose.Facts
	for _, part := range []json.RawMessage{l.Base, r.Facts} {
		dec := json.NewDecoder(bytes.NewReader(part))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			t.Fatalf("%s%s: %v", r.Fault, r.Trait, err)
		}
	}
	return f
}

func ids(d diagnose.Diagnosis) []string {
	var out []string
	for _, c := range d.Causes {
		out = append(out, c.ID)
	}
	return out
}

func place(d diagnose.Diagnosis, id string) int { return slices.Index(ids(d), id) }

func TestEverySimulatedFailureIsTakenForWhatItIs(t *testing.T) {
	list := causes(t)
	right := 0
	for _, r := range list.Rows {
		name := r.Fault + r.Trait + " during " + r.During
		d := diagnose.Diagnose(list.facts(t, r))
		switch at := place(d, r.First); {
		case at == 0:
			right++
		case at < 0 || at > 2:
			t.Errorf("%s: %s is not among the first three: %v", name, r.First, ids(d))
		default:
			t.Logf("%s: %s is number %d of %v", name, r.First, at+1, ids(d))
		}
	}
	if share := float64(right) / float64(len(list.Rows)); share < 0.95 {
		t.Errorf("of %d causes %d are first, which is %.1f %%", len(list.Rows), right, share*100)
	} else {
		t.Logf("of %d causes %d are first", len(list.Rows), right)
	}
}

// The facts of a stored failure are its code, its message and the registration.
func TestLittleIsEnoughForTheFirstThree(t *testing.T) {
	list := causes(t)
	for _, r := range list.Rows {
		full := list.facts(t, r)
		if full.Fault.Code == "" || len(full.Callback.Refused) > 0 || full.Pasted.Text != "" || len(full.Outcome) > 0 || full.HTTP.Status >= 429 || full.History.AnswerLost {
			continue
		}
		f := diagnose.Facts{Stage: full.Stage, Fault: full.Fault, Registration: full.Registration, Request: full.Request, History: full.History}
		if d := diagnose.Diagnose(f); place(d, r.First) < 0 || place(d, r.First) > 2 {
			t.Errorf("%s%s during %s: %s is not among the first three: %v", r.Fault, r.Trait, r.During, r.First, ids(d))
		}
	}
}

func TestTheListHasEveryFaultAndTrait(t *testing.T) {
	faults, traits := map[string]bool{}, map[string]bool{}
	for _, r := range causes(t).Rows {
		if (r.Fault == "") == (r.Trait == "") {
			t.Errorf("a row has both or neither of fault and trait: %+v", r)
		}
		faults[r.Fault], traits[r.Trait] = true, true
	}
	for _, f := range simulator.Faults() {
		if !faults[f.Name] {
			t.Errorf("the fault %s is not in the list", f.Name)
		}
		delete(faults, f.Name)
	}
	for _, trait := range simulator.Traits() {
		if !traits[trait.Name] {
			t.Errorf("the trait %s is not in the list", trait.Name)
		}
		delete(traits, trait.Name)
	}
	delete(faults, "")
	delete(traits, "")
	if len(faults)+len(traits) > 0 {
		t.Errorf("the simulated EHR has none of %v %v", faults, traits)
	}
}
