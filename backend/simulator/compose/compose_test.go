package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestTheDataIsWhatIsComposed finds data that was edited by hand, or tables
// that were changed without writing the data again.
func TestTheDataIsWhatIsComposed(t *testing.T) {
	resources := staff()
	for _, s := range scenarios {
		resources = append(resources, s.compose()...)
	}
	files := map[string][]byte{}
	for _, r := range resources {
		kind := r["resourceType"].(string)
		if files[kind] == nil {
			raw, err := os.ReadFile("../data/" + kind + ".ndjson")
			if err != nil {
				t.Fatal(err)
			}
			files[kind] = raw
		}
		var line bytes.Buffer
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(files[kind], line.Bytes()) {
			t.Errorf("%s/%s is not in the data as it is composed", kind, r["id"])
		}
	}
	if len(resources) < 800 {
		t.Errorf("only %d resources are composed", len(resources))
	}
}

func TestCleaningAnExample(t *testing.T) {
	a := adapted{scenario: scenario{person: person{id: "mine", given: []string{"A"}, family: "B"}}, by: "nneka-okafor"}
	refs := map[string]string{"Patient/theirs": "Patient/mine", "Encounter/1": "Encounter/mine-1"}
	in := object{
		"_birthDate": object{"x": 1}, "extension": []any{object{"url": "x"}},
		"subject": object{"reference": "Patient/theirs"}, "encounter": object{"reference": "Encounter/1"}, "focus": object{"reference": "Patient/someone"},
		"performer": []any{object{"reference": "Practitioner/7"}, object{"reference": "Device/1"}},
		"date":      "2012-03-04", "code": object{"coding": []any{object{"system": "http://acme.org/x", "code": "y"}, object{"system": hl7 + "condition-clinical", "code": "active"}}},
		"note": []any{object{"text": "2012"}},
	}
	out, keep := a.clean(in, refs, 12)
	got, err := json.Marshal(out)
	if err != nil || !keep {
		t.Fatal(err)
	}
	want := `{"code":{"coding":[{"code":"active","display":"Active","system":"http://terminology.hl7.org/CodeSystem/condition-clinical"}]},` +
		`"date":"2024-03-04","encounter":{"reference":"Encounter/mine-1"},"note":[{"text":"2012"}],` +
		`"performer":[{"display":"Dr. Nneka Okafor","reference":"Practitioner/nneka-okafor"}],"subject":{"display":"A B","reference":"Patient/mine"}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
