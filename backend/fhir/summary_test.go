package fhir_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"chartkey/backend/fhir"
)

func lines(s fhir.Summary) string {
	var out []string
	for _, f := range s.Lines {
		out = append(out, f.Label+": "+f.Value)
	}
	return strings.Join(out, " | ")
}

func TestSummarize(t *testing.T) {
	for _, c := range []struct{ name, raw, title, lines string }{
		{"patient", `{"resourceType":"Patient","id":"p","name":[{"use":"old","family":"Smith"},{"use":"official","given":["Camila","Maria"],"family":"Lopez","prefix":["Ms."]}],"birthDate":"1987-09-12","gender":"female","identifier":[{},{}]}`,
			"Ms. Camila Maria Lopez", "Name: Ms. Camila Maria Lopez | Born: 1987-09-12 | Gender: female | Identifiers: 2"},
		{"patient with a text name, deceased", `{"resourceType":"Patient","name":[{"text":"Derrick  Lin\u202e","family":"x"}],"deceasedBoolean":true}`, "Derrick Lin", "Name: Derrick Lin | Identifiers: 0 | Deceased: yes"},
		{"patient without a name", `{"resourceType":"Patient","id":"p9"}`, "Patient p9", "Identifiers: 0"},
		{"DSTU2 family list", `{"resourceType":"Practitioner","name":[{"family":["Ro","X"],"given":"Ann"}]}`, "Ann Ro X", "Name: Ann Ro X | Identifiers: 0"},
		{"quantity as written", `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2823-3","display":"Potassium"}]},"valueQuantity":{"value":4.10,"unit":"mmol/L","comparator":"<"},"effectiveDateTime":"2026-01-02"}`,
			"Potassium", "What: Potassium | Value: <4.10 mmol/L | Status: final | Date: 2026-01-02"},
		{"components", `{"resourceType":"Observation","code":{"text":"Blood pressure"},"component":[{"code":{"text":"Systolic"},"valueQuantity":{"value":120,"unit":"mm[Hg]"}},{"code":{"text":"Diastolic"},"valueQuantity":{"value":80}}]}`,
			"Blood pressure", "What: Blood pressure | Systolic: 120 mm[Hg] | Diastolic: 80"},
		{"condition", `{"resourceType":"Condition","code":{"text":"Asthma"},"clinicalStatus":{"coding":[{"code":"active"}]},"onsetDateTime":"2001"}`, "Asthma", "What: Asthma | Status: active | Date: 2001"},
		{"medication by reference", `{"resourceType":"MedicationRequest","medicationReference":{"display":"Aspirin 81 mg"},"status":"active","authoredOn":"2026"}`, "Aspirin 81 mg", "What: Aspirin 81 mg | Status: active | Date: 2026"},
		{"encounter", `{"resourceType":"Encounter","status":"finished","type":[{"text":"Office visit"}],"period":{"start":"2026-01-01"}}`, "Office visit", "What: Office visit | Status: finished | Date: 2026-01-01"},
		{"bundle", `{"resourceType":"Bundle","total":12,"entry":[{"resource":{"resourceType":"Patient","id":"a","name":[{"family":"Lin"}],"birthDate":"1973"}},{"resource":{"resourceType":"Observation","code":{"text":"Pulse"},"valueQuantity":{"value":70,"unit":"/min"}}},{"fullUrl":"x"}]}`,
			"3 entries", "Total: 12 | Patient: Lin, 1973 | Observation: Pulse, 70 /min"},
		{"empty bundle", `{"resourceType":"Bundle","total":0}`, "0 entries", "Total: 0"},
		{"outcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"processing","diagnostics":"Nope"}]}`, "Nope", "fatal: Nope"},
		{"unknown type", `{"resourceType":"Basic","id":"b"}`, "Basic b", ""},
		{"members of odd types", `{"resourceType":"Patient","id":7,"name":"x","birthDate":{},"identifier":"y","gender":[1]}`, "Patient 7", "Identifiers: 0"},
		{"no resource", `{"a":1}`, "", ""},
		{"no object", `[1]`, "", ""},
		{"nothing", ``, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fhir.Summarize(json.RawMessage(c.raw))
			if s.Title != c.title || lines(s) != c.lines {
				t.Errorf("%q\n%s", s.Title, lines(s))
			}
		})
	}
	if got := fhir.PatientName(json.RawMessage(`{"resourceType":"Patient","name":[{"family":"Lin"}]}`)); got != "Lin" {
		t.Error(got)
	}
	if got := fhir.PatientName(nil); got != "" {
		t.Error(got)
	}
}

func FuzzSummarize(f *testing.F) {
	for _, s := range []string{
		patient, `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle","entry":[{}]}},null,1]}`, `{"resourceType":"Observation","valueQuantity":{"value":1e999}}`,
		`{"resourceType":"OperationOutcome","issue":[{"details":{"text":"\u001b[31m"}}]}`, `{"resourceType":"Patient","name":[{"given":[null,{},"a\u0000b"]}]}`, `null`, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := fhir.Summarize(raw)
		if s.ResourceType == "" && (s.Title != "" || len(s.Lines) != 0) || s.ResourceType != "" && s.Title == "" {
			t.Errorf("%+v", s)
		}
		if len(s.Lines) > 200 {
			t.Errorf("%d lines", len(s.Lines))
		}
		shown := []string{s.ResourceType, s.ID, s.Title}
		for _, line := range s.Lines {
			if line.Label == "" || line.Value == "" {
				t.Errorf("%+v", line)
			}
			shown = append(shown, line.Label, line.Value)
		}
		for _, text := range shown {
			if len([]rune(text)) > 600 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || !unicode.IsGraphic(r) }) {
				t.Errorf("%q", text)
			}
		}
		for _, i := range fhir.Outcome(raw) {
			if len([]rune(i.Text)) > 301 {
				t.Errorf("%q", i.Text)
			}
		}
	})
}
