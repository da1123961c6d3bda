package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func everything(t testing.TB, r running) string {
	t.Helper()
	return word(r.connect(map[string]string{"scope": "user/*.rs"}, Choice{Username: "dr.okafor", Password: practitionerPassword})["access_token"])
}

func TestSearch(t *testing.T) {
	r := start(t, Options{})
	token := everything(t, r)
	for query, want := range map[string]int{
		"Patient":                                              15,
		"Patient?_id=amara-nwosu":                              1,
		"Patient?_id=amara-nwosu,luca-marchetti":               2,
		"Patient?name=mar":                                     3, // María, and Marchetti twice
		"Patient?family=marchetti":                             2,
		"Patient?family:exact=marchetti":                       0,
		"Patient?family:contains=CHETT":                        2,
		"Patient?family=zielinski":                             1,
		"Patient?given=MARIA":                                  1,
		"Patient?name=%E7%94%B0%E8%BE%BA":                      1,
		"Patient?birthdate=1986-04-17":                         1,
		"Patient?birthdate=1986":                               1,
		"Patient?birthdate=ge2000":                             2,
		"Patient?birthdate=lt1950-01-01":                       3,
		"Patient?birthdate=ge1980&birthdate=lt1990":            2,
		"Patient?gender=male":                                  8,
		"Patient?gender:not=male":                              7,
		"Patient?gender=other,male":                            9,
		"Patient?death-date:missing=false":                     1,
		"Patient?general-practitioner=samuel-reyes":            1,
		"Observation?patient=amara-nwosu&category=vital-signs": 32,
		"Observation?patient=Patient/amara-nwosu&code=8867-4":  4,
		"Observation?subject=Patient/amara-nwosu&code=8867-4":  4,
		"Observation?subject:Patient=amara-nwosu&code=8867-4":  4,
		"Observation?patient=" + url.QueryEscape(r.FHIRBaseURL()+"/Patient/amara-nwosu") + "&code=8867-4": 4,
		"Observation?patient=amara-nwosu&code=http://loinc.org|8867-4":                                    4,
		"Observation?patient=amara-nwosu&code=http://loinc.org|8867-4,http://loinc.org|9279-1":            8,
		"Observation?patient=amara-nwosu&code=http://snomed.info/sct|8867-4":                              0,
		"Observation?patient=amara-nwosu&code=http://snomed.info/sct|":                                    0,
		"Observation?patient=amara-nwosu&component-code=8480-6":                                           4,
		"Observation?patient=amara-nwosu&combo-code=8480-6,8867-4":                                        8,
		"Observation?patient=amara-nwosu&code=8867-4&date=2024-03-12":                                     1,
		"Observation?patient=amara-nwosu&code=8867-4&date=ge2025-01-01":                                   3,
		"Observation?patient=amara-nwosu&code=8867-4&date=gt2025-02-10&date=lt2026":                       1,
		"Observation?patient=amara-nwosu&code=8867-4&date=le2024-03-12T09:34:00-08:00":                    1,
		"Observation?patient=amara-nwosu&code=8867-4&date=ge2026-06-16T18:04:00+01:00":                    1,
		"Observation?patient=amara-nwosu&encounter=amara-nwosu-visit-2&category=vital-signs":              8,
		"Observation?patient=amara-nwosu&status=cancelled":                                                0,
		"Observation?patient=amara-nwosu&_count=0":                                                        65,
		"Observation?patient=amara-nwosu&_summary=count":                                                  65,
		"Encounter?patient=daniel-whitlock&date=2025":                                                     1,
		"Encounter?class=IMP": 2,
		"MedicationRequest?patient=daniel-whitlock&status=active":                         3,
		"MedicationRequest?status=active,completed&intent=order&code=314076":              1,
		"Condition?patient=amara-nwosu&clinical-status=resolved":                          1,
		"Condition?code=http://hl7.org/fhir/sid/icd-10-cm|I10":                            2,
		"AllergyIntolerance?criticality=high&category=food":                               3,
		"Immunization?patient=luca-marchetti&vaccine-code=http://hl7.org/fhir/sid/cvx|03": 1,
		"DocumentReference?patient=walter-eriksen&type=18842-5":                           1,
		"DiagnosticReport?patient=priya-raghunathan&category=LAB&date=2025-01":            3,
		"RelatedPerson?patient=luca-marchetti":                                            1,
		"Practitioner?name=oka":                                                           1,
		"Organization?type=prov":                                                          1,
		"Patient?name=":                                                                   15,
		"Patient?_format=json&_pretty=true":                                               15,
	} {
		t.Run(query, func(t *testing.T) {
			in := r
			in.t = t
			strict := func(q *http.Request) { q.Header.Set("Prefer", "handling=strict") }
			resp, body := in.get(query, token, strict)
			if resp.StatusCode != 200 || body["type"] != "searchset" || body["total"] != float64(want) {
				t.Fatalf("%d, total %v, want %d: %v", resp.StatusCode, body["total"], want, first(body, "issue.diagnostics"))
			}
			// The same by POST.
			path, form, _ := strings.Cut(query, "?")
			values, err := url.ParseQuery(strings.ReplaceAll(form, "+", "%2B"))
			if err != nil {
				t.Fatal(err)
			}
			resp, posted := in.post("/fhir/"+path+"/_search", values, func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+token) })
			if resp.StatusCode != 200 || posted["total"] != body["total"] {
				t.Errorf("by POST: %d, total %v", resp.StatusCode, posted["total"])
			}
		})
	}
}

func TestSearchRefusals(t *testing.T) {
	r := start(t, Options{})
	token := everything(t, r)
	for _, query := range []string{
		"Patient?birthdate=yesterday", "Patient?birthdate=2024-13", "Patient?_count=-1", "Patient?_count=many", "Patient?_offset=-5",
		"Patient?name:sounds=x", "Patient?gender:text=male", "Observation?subject:Practitioner2=x", "Observation?patient:Device=x",
		"Patient?birthdate:exact=2024", "Patient?death-date:missing=perhaps", "Patient?gender=male,,female",
		"Patient?_id=" + strings.Repeat("x,", maxSearchValues) + "x", "Patient?%zz",
	} {
		resp, body := r.get(query, token, nil)
		if resp.StatusCode != 400 || first(body, "issue.code") != "invalid" {
			t.Errorf("%.60s: %d %v", query, resp.StatusCode, body)
		}
	}
	if resp, _ := r.post("/fhir/Patient/_search", nil, func(q *http.Request) {
		q.Header.Set("Authorization", "Bearer "+token)
		q.Header.Set("Content-Type", "application/json")
	}); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("JSON by POST: %d", resp.StatusCode)
	}
}

func TestUnknownParameters(t *testing.T) {
	r := start(t, Options{})
	token := everything(t, r)
	for _, query := range []string{"Patient?shoe-size=43", "Patient?_include=Patient:organization", "Observation?patient.name=x", "Patient?_sort=shoe-size", "Patient?_summary=true"} {
		resp, body := r.get(query, token, nil)
		entries := body["entry"].([]any)
		last := entries[len(entries)-1]
		if resp.StatusCode != 200 || first(last, "search.mode") != "outcome" || first(last, "resource.issue.severity") != "warning" {
			t.Errorf("%s, lenient: %d %v", query, resp.StatusCode, last)
		}
		if self := first(body, "link.url"); strings.Contains(self, "shoe-size") || strings.Contains(self, "_include") {
			t.Errorf("self link names what was left out: %s", self)
		}
		resp, body = r.get(query, token, func(q *http.Request) { q.Header.Set("Prefer", "return=minimal, handling=strict") })
		if resp.StatusCode != 400 {
			t.Errorf("%s, strict: %d %v", query, resp.StatusCode, body)
		}
	}
}

func link(body map[string]any, relation string) string {
	for _, l := range elements(body, "link") {
		if first(l, "relation") == relation {
			return first(l, "url")
		}
	}
	return ""
}

func TestPaging(t *testing.T) {
	r := start(t, Options{})
	token := everything(t, r)
	for _, count := range []int{1, 7, 64, 65, 66} {
		var ids []string
		pages := 0
		at := fmt.Sprintf("%s/Observation?patient=daniel-whitlock&_count=%d&_sort=-date", r.FHIRBaseURL(), count)
		var dates []string
		for at != "" {
			req := mustRequest(t, at)
			req.Header.Set("Authorization", "Bearer "+token)
			resp, body := r.do(req)
			if resp.StatusCode != 200 || body["total"] != float64(82) {
				t.Fatalf("%d %v", resp.StatusCode, body)
			}
			pages++
			for _, e := range elements(body, "entry") {
				ids = append(ids, first(e, "resource.id"))
				dates = append(dates, first(e, "resource.effectiveDateTime"))
				if full := first(e, "fullUrl"); full != r.FHIRBaseURL()+"/Observation/"+first(e, "resource.id") {
					t.Errorf("fullUrl %q", full)
				}
			}
			if (pages == 1) != (link(body, "previous") == "") {
				t.Errorf("page %d has previous %q", pages, link(body, "previous"))
			}
			at = link(body, "next")
		}
		if want := (82 + count - 1) / count; pages != want {
			t.Errorf("%d at a time: %d pages, want %d", count, pages, want)
		}
		slices.Reverse(dates)
		if !slices.IsSorted(dates) {
			t.Error("not sorted by date")
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) != 82 {
			t.Errorf("%d at a time: %d resources", count, len(slices.Compact(ids)))
		}
	}
	_, body := r.get("Observation?_count=100000", token, nil)
	if n := len(elements(body, "entry")); n != maxCount {
		t.Errorf("%d entries on a page", n)
	}
	if _, body = r.get("Observation?patient=daniel-whitlock&_offset=500", token, nil); len(elements(body, "entry")) != 0 || link(body, "next") != "" {
		t.Error("a page beyond the end has entries")
	}
}
