package simulator

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// walk calls see for each object in a value, with the path that leads to it.
func walk(v any, path string, see func(path string, object map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		see(path, v)
		for k, item := range v {
			walk(item, path+"."+k, see)
		}
	case []any:
		for _, item := range v {
			walk(item, path, see)
		}
	}
}

func TestRecordsHoldTogether(t *testing.T) {
	rs, err := publishedRecords()
	if err != nil {
		t.Fatal(err)
	}
	holdTogether(t, rs)
}

func holdTogether(t *testing.T, rs *records) {
	t.Helper()
	id := regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
	size := 0
	for key, rec := range rs.byID {
		size += len(rec.json())
		if !id.MatchString(rec.id) {
			t.Errorf("%s: its ID is not one of FHIR's", key)
		}
		walk(rec.value, key, func(path string, o map[string]any) {
			if ref, ok := o["reference"].(string); ok {
				target, found := rs.byID[ref]
				if !found {
					t.Errorf("%s refers to %s, which does not exist", path, ref)
				} else if rec.patient != "" && target.patient != "" && target.patient != rec.patient {
					t.Errorf("%s refers to %s of another patient", path, ref)
				}
			}
			if codings, ok := o["coding"].([]any); ok {
				for _, c := range codings {
					if first(c, "system") == "" || first(c, "code") == "" || first(c, "display") == "" {
						t.Errorf("%s: a coding is incomplete: %v", path, c)
					}
				}
			}
			if q, ok := o["valueQuantity"].(map[string]any); ok {
				if _, number := q["value"].(json.Number); !number || q["unit"] == nil || q["code"] == nil {
					t.Errorf("%s: a quantity is incomplete: %v", path, q)
				}
			}
			if data, ok := o["data"].(string); ok {
				if text, err := base64.StdEncoding.DecodeString(data); err != nil || len(text) == 0 {
					t.Errorf("%s: an attachment cannot be read", path)
				}
			}
			for k, v := range o {
				if s, ok := v.(string); ok && (strings.Contains(k, "Date") || k == "start" || k == "end" || k == "issued" || k == "authoredOn") {
					have, err := parseDate(s)
					if err != nil {
						t.Errorf("%s.%s is no date: %q", path, k, s)
					}
					if have.lo.Year() > 2026 {
						t.Errorf("%s.%s is in the future: %q", path, k, s)
					}
				}
				if k == "text" && path == key {
					t.Errorf("%s has a narrative", path)
				}
			}
			if k, ok := o["extension"]; ok {
				t.Errorf("%s has the extension %v", path, k)
			}
		})
	}
	if published, err := publishedRecords(); err == nil && rs == published && size > 1_500_000 {
		t.Errorf("the records take %d bytes", size)
	}
}

func TestEachPatientHasARecord(t *testing.T) {
	rs, err := publishedRecords()
	if err != nil {
		t.Fatal(err)
	}
	haveRecords(t, rs)
}

func haveRecords(t *testing.T, rs *records) {
	t.Helper()
	if n := len(rs.of("Patient")); n < 12 {
		t.Errorf("%d patients", n)
	}
	if n := len(rs.of("Practitioner")); n < 3 {
		t.Errorf("%d practitioners", n)
	}
	for _, p := range rs.of("Patient") {
		for _, kind := range resourceKinds {
			if kind.owner == "" || kind.name == "RelatedPerson" {
				continue
			}
			if len(rs.byPatient[kind.name][p.id]) == 0 {
				t.Errorf("%s has no %s", p.id, kind.name)
			}
		}
		if rs.patientName(p.id) == "" || first(p.value, "birthDate") == "" {
			t.Errorf("%s has no name or no date of birth", p.id)
		}
		for _, c := range rs.encounters(p.id) {
			if c.Title == "" || strings.HasPrefix(c.Detail, ",") {
				t.Errorf("a visit of %s has no title or no date: %v", p.id, c)
			}
		}
		for _, o := range rs.byPatient["Observation"][p.id] {
			if len(elements(o.value, "category")) == 0 || (len(elements(o.value, "effectiveDateTime")) == 0 && len(elements(o.value, "effectivePeriod")) == 0) {
				t.Errorf("%s has no category or no date", o.id)
			}
		}
	}
}

func TestBadRecordsAreRefused(t *testing.T) {
	for name, ndjson := range map[string]string{
		"no JSON":        "{",
		"unknown type":   `{"resourceType":"Spaceship","id":"1"}`,
		"no ID":          `{"resourceType":"Patient"}`,
		"no patient":     `{"resourceType":"Condition","id":"1"}`,
		"a group's":      `{"resourceType":"Condition","id":"1","subject":{"display":"someone"}}`,
		"the same twice": `{"resourceType":"Patient","id":"1"}` + "\n" + `{"resourceType":"Patient","id":"1"}`,
	} {
		rs := newRecords()
		if err := rs.read([]byte(ndjson)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
