package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// example is one resource of HL7's package and what becomes of it.
type example struct {
	// file is its name there, such as "Condition-f001".
	file string
	// id is its name here, after the patient's.
	id string
	// years are added to every date in it.
	years int
	// more is written over it: what the example leaves out and a record needs.
	more object
}

// adapted is one patient of HL7's examples. The scenario adds what the
// examples do not have, so that every record holds every type.
type adapted struct {
	scenario
	// patient is the ID in the examples.
	patient  string
	by       string // the clinician who stands for all of the examples'
	examples []example
}

func period(start, end string) object {
	return object{"period": object{"start": start, "end": end}}
}

var laboratory = object{"category": []object{observationCategory("laboratory", "Laboratory")}}

var fromExamples = []adapted{
	{
		patient: "example", by: "june-calloway",
		scenario: scenario{
			person: person{id: "peter-chalmers", family: "Chalmers", given: []string{"Peter", "James"}, lang: english},
			height: 181, weight: 83, pressure: [2]float64{122, 78}, smoker: "former",
			meds:  []medication{albuterol("2024-03-19", -1), acetaminophen("2025-03-25")},
			doses: []dose{{"140", "2024-10-10"}, {"115", "2025-03-25"}},
			visits: []visit{
				{"2024-03-19T08:30", "checkup", "june-calloway", "Yearly check-up", -1, []string{"metabolic", "lipids", "blood"}, "Well. Asthma quiet. Carries epinephrine for the cashew allergy."},
				{"2025-03-25T08:30", "checkup", "june-calloway", "Yearly check-up", -1, []string{"metabolic", "lipids"}, "Tdap given. Colonoscopy discussed because of the family history."},
				{"2026-03-24T08:30", "checkup", "june-calloway", "Yearly check-up", -1, []string{"blood", "hba1c"}, "No complaints."},
			},
		},
		examples: []example{
			{"Encounter-home", "home-visit", 9, object{"type": []object{concept("Home visit", coding(snomed, "439708006", "Home visit"))}}},
			{"Condition-example", "burn", 12, nil},
			{"Condition-example2", "asthma", 0, nil},
			{"Condition-family-history", "family-history", 0, object{"recordedDate": "2025-03-25"}},
			{"AllergyIntolerance-example", "cashew", 0, nil},
			{"AllergyIntolerance-medication", "penicillin", 0, nil},
			{"AllergyIntolerance-fishallergy", "fish", 0, nil},
			{"Procedure-example", "appendectomy", 11, nil},
			{"Procedure-colonoscopy", "colonoscopy", 11, object{"performedDateTime": "2025-05-13"}},
			{"DiagnosticReport-ultrasound", "ultrasound", 12, nil},
			{"Observation-blood-pressure", "hl7-blood-pressure", 12, nil},
			{"Observation-heart-rate", "hl7-heart-rate", 25, nil},
			{"Observation-respiratory-rate", "hl7-respiratory-rate", 25, nil},
			{"Observation-body-temperature", "hl7-temperature", 25, nil},
			{"Observation-satO2", "hl7-oxygen", 10, nil},
			{"Observation-example", "hl7-weight", 8, nil},
			{"Observation-bmi", "hl7-bmi", 25, nil},
			{"RelatedPerson-benedicte", "benedicte", 0, nil},
		},
	},
	{
		patient: "f001", by: "henrik-lindqvist",
		scenario: scenario{
			person: person{id: "pieter-van-de-heuvel", family: "van de Heuvel", given: []string{"Pieter"}, lang: [2]string{"nl", "Dutch"}},
			height: 177, weight: 79, pressure: [2]float64{136, 82}, smoker: "former",
			meds:      []medication{atorvastatin("2024-09-10", -1)},
			allergies: []allergy{noKnown},
			doses:     []dose{{"140", "2024-10-17"}, {"33", "2024-09-10"}},
			visits: []visit{
				{"2024-09-10T11:00", "followup", "henrik-lindqvist", "Review after valve replacement", -1, []string{"blood", "bnp"}, "Valve sounds crisp. No dyspnea on the stairs."},
				{"2026-05-05T11:00", "followup", "henrik-lindqvist", "Valve review", -1, []string{"blood", "metabolic", "bnp"}, "Stable."},
			},
		},
		examples: []example{
			{"Encounter-f001", "encounter-1", 13, period("2024-06-26T08:00:00-08:00", "2024-06-27T10:20:00-08:00")},
			{"Encounter-f002", "encounter-2", 13, period("2025-01-07T09:00:00-08:00", "2025-01-07T13:00:00-08:00")},
			{"Encounter-f003", "encounter-3", 13, period("2025-11-18T09:00:00-08:00", "2025-11-18T10:30:00-08:00")},
			{"Condition-f001", "valve", 13, nil},
			{"Condition-f002", "lung-cancer", 13, nil},
			{"Condition-f003", "abscess", 13, nil},
			{"Procedure-f001", "valve-replacement", 13, nil},
			{"Procedure-f002", "lobectomy", 12, nil},
			{"Procedure-f003", "incision", 12, nil},
			{"Observation-f001", "hl7-glucose", 12, laboratory},
			{"Observation-f002", "hl7-base-excess", 12, laboratory},
			{"Observation-f003", "hl7-carbon-dioxide", 12, laboratory},
			{"Observation-f004", "hl7-erythrocytes", 12, laboratory},
			{"Observation-f005", "hl7-hemoglobin", 12, laboratory},
			{"RelatedPerson-f001", "sarah-abels", 0, nil},
		},
	},
	{
		patient: "f201", by: "nneka-okafor",
		scenario: scenario{
			person: person{id: "roelof-bor", family: "Bor", given: []string{"Roelof", "Olaf"}, lang: [2]string{"nl", "Dutch"}},
			height: 186, weight: 77, pressure: [2]float64{118, 70}, smoker: "never",
			meds:      []medication{acetaminophen("2025-06-24")},
			allergies: []allergy{penicillin("1999-08-02")},
			doses:     []dose{{"140", "2025-10-09"}},
			visits: []visit{
				{"2025-06-24T09:40", "followup", "nneka-okafor", "After the admission", -1, []string{"blood", "metabolic", "egfr"}, "Kidney function recovering. Oncology follows separately."},
				{"2026-04-21T09:40", "followup", "nneka-okafor", "Half-yearly review", -1, []string{"blood", "metabolic", "egfr"}, "Stable, working half days."},
			},
		},
		examples: []example{
			{"Encounter-f201", "encounter-1", 12, period("2025-04-04T10:00:00-08:00", "2025-04-04T10:30:00-08:00")},
			{"Encounter-f202", "encounter-2", 12, period("2025-01-28T09:00:00-08:00", "2025-01-28T15:00:00-08:00")},
			{"Encounter-f203", "encounter-3", 12, nil},
			{"Condition-f201", "fever", 12, nil},
			{"Condition-f202", "tumor", 12, nil},
			{"Condition-f203", "sepsis", 12, nil},
			{"Condition-f204", "kidney", 12, nil},
			{"Condition-f205", "infection", 12, nil},
			{"Procedure-f201", "chemotherapy", 12, object{"reasonCode": []object{concept("Tumor of the sphenoid")}}},
			{"DiagnosticReport-f201", "ct", 12, nil},
			{"Observation-f202", "hl7-temperature", 12, object{"category": []object{observationCategory("vital-signs", "Vital Signs")}}},
			{"Observation-f203", "hl7-bicarbonate", 12, laboratory},
			{"Observation-f204", "hl7-creatinine", 12, laboratory},
			{"Observation-f206", "hl7-culture", 12, laboratory},
		},
	},
}

// adaptExamples reads HL7's files and writes our records of those patients.
func adaptExamples(dir string) ([]object, error) {
	var out []object
	for _, a := range fromExamples {
		refs := map[string]string{"Patient/" + a.patient: "Patient/" + a.id}
		for _, e := range a.examples {
			kind, id, _ := strings.Cut(e.file, "-")
			refs[kind+"/"+id] = kind + "/" + a.id + "-" + e.id
		}
		person, err := readExample(dir, "Patient-"+a.patient)
		if err != nil {
			return nil, err
		}
		a.gender, _ = person["gender"].(string)
		a.birth, _ = person["birthDate"].(string)
		resources := a.compose()
		// The patient is ours, with the example's name and address.
		for _, field := range []string{"name", "address", "maritalStatus"} {
			if v, ok := person[field]; ok {
				v, _ = a.clean(v, refs, 0)
				if names, ok := v.([]any); ok && field == "name" {
					// The example's text is a nickname, which is no way to name a record.
					for _, n := range names {
						delete(n.(object), "text")
					}
				}
				resources[0][field] = v
			}
		}
		out = append(out, resources...)
		for _, e := range a.examples {
			r, err := readExample(dir, e.file)
			if err != nil {
				return nil, err
			}
			for _, dropped := range []string{"text", "contained", "identifier", "meta", "partOf", "basedOn", "device", "location", "account", "appointment", "episodeOfCare", "diagnosis", "hospitalization", "photo", "statusHistory", "imagingStudy", "media", "instantiatesCanonical", "telecom"} {
				delete(r, dropped)
			}
			v, _ := a.clean(r, refs, e.years)
			r = v.(object)
			r["id"] = a.id + "-" + e.id
			r["meta"] = object{"versionId": "1", "lastUpdated": "2026-09-01T00:00:00Z"}
			for k, v := range e.more {
				r[k] = v
			}
			if r["resourceType"] == "Observation" && r["effectiveDateTime"] == nil && r["effectivePeriod"] == nil {
				// Without it a search by date would not find the observation.
				r["effectiveDateTime"] = r["issued"]
			}
			out = append(out, r)
		}
	}
	if problems := missingDisplays(out); len(problems) > 0 {
		return nil, fmt.Errorf("codes without a display: %s", strings.Join(problems, ", "))
	}
	return out, nil
}

func readExample(dir, name string) (object, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var r object
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// displays are the names that the examples leave out.
var displays = map[string]string{
	"active": "Active", "resolved": "Resolved", "confirmed": "Confirmed", "problem-list-item": "Problem List Item", "encounter-diagnosis": "Encounter Diagnosis",
	"RAD": "Radiology", "LAB": "Laboratory", "inactive": "Inactive", "differential": "Differential",
	"N": "Normal", "H": "High", "POS": "Positive", "M": "Married", "WIFE": "wife", "SIGOTHR": "significant other", "PART": "Participation",
	"v2-0131|N": "Next-of-Kin",
}

var datePattern = regexp.MustCompile(`^(\d{4})(-\d{2}(-\d{2}(T\d{2}:.*)?)?)?$`)

// clean copies a value without extensions, foreign code systems and references
// that lead out of the record, with the dates moved. keep is false where
// nothing is left of it.
func (a adapted) clean(v any, refs map[string]string, years int) (out any, keep bool) {
	switch v := v.(type) {
	case object:
		if ref, ok := v["reference"].(string); ok {
			return a.reference(ref, refs)
		}
		if system, ok := v["system"].(string); ok {
			if strings.Contains(system, "acme.org") || strings.Contains(system, "example.org") || strings.HasPrefix(system, "urn:oid:") {
				return nil, false
			}
			if code, ok := v["code"].(string); ok && v["display"] == nil && v["value"] == nil {
				for _, key := range []string{strings.TrimPrefix(system, hl7) + "|" + code, code} {
					if v["display"] == nil && displays[key] != "" {
						v["display"] = displays[key]
					}
				}
			}
		}
		m := object{}
		for k, item := range v {
			if strings.HasPrefix(k, "_") || k == "extension" || k == "modifierExtension" {
				continue
			}
			if k == "display" {
				if s, ok := item.(string); ok {
					item = strings.ReplaceAll(s, "/?", "/")
				}
			}
			if s, ok := item.(string); ok && k == "text" {
				item = strings.ReplaceAll(s, "becasue", "because")
			}
			// A year that stands for a date is moved, a number in a text is not.
			shift := years
			if k == "value" || k == "text" || k == "display" || k == "postalCode" || k == "code" {
				shift = 0
			}
			if c, ok := a.clean(item, refs, shift); ok {
				m[k] = c
			}
		}
		return m, len(m) > 0
	case []any:
		var list []any
		for _, item := range v {
			if c, ok := a.clean(item, refs, years); ok {
				list = append(list, c)
			}
		}
		return list, len(list) > 0
	case string:
		if years != 0 && datePattern.MatchString(v) {
			year, err := strconv.Atoi(v[:4])
			if err == nil {
				return strconv.Itoa(year+years) + v[4:], true
			}
		}
		return v, true
	}
	return v, true
}

func (a adapted) reference(ref string, refs map[string]string) (any, bool) {
	kind, _, _ := strings.Cut(ref, "/")
	switch kind {
	case "Patient":
		if refs[ref] == "" {
			return nil, false
		}
		return object{"reference": refs[ref], "display": a.given[0] + " " + a.family}, true
	case "Practitioner":
		return clinician(a.by), true
	case "Organization":
		return object{"reference": "Organization/" + hospital, "display": "Alder Creek Health"}, true
	}
	if to, ok := refs[ref]; ok {
		return object{"reference": to}, true
	}
	return nil, false
}

// missingDisplays names the codes that a person could not read.
func missingDisplays(v any) []string {
	var out []string
	switch v := v.(type) {
	case []object:
		for _, item := range v {
			out = append(out, missingDisplays(item)...)
		}
	case []any:
		for _, item := range v {
			out = append(out, missingDisplays(item)...)
		}
	case object:
		if codings, ok := v["coding"].([]any); ok {
			for _, c := range codings {
				if m, ok := c.(object); ok && m["display"] == nil {
					out = append(out, fmt.Sprintf("%v|%v", m["system"], m["code"]))
				}
			}
		}
		for _, item := range v {
			out = append(out, missingDisplays(item)...)
		}
	}
	return out
}
