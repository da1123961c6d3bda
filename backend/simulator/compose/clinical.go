package main

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

const hospital = "alder-creek-health"

// staff are the organizations and clinicians that every record refers to.
func staff() []object {
	address := object{"use": "work", "line": []string{"1 Hospital Drive"}, "city": "Alder Creek", "state": "OR", "postalCode": "97001", "country": "US"}
	organization := func(id, name, kind, display string) object {
		return object{"resourceType": "Organization", "id": id, "active": true, "name": name, "address": []object{address},
			"identifier": []object{{"system": ours + "organizations", "value": id}},
			"type":       []object{concept("", coding(hl7+"organization-type", kind, display))},
			"telecom":    []object{{"system": "phone", "value": "+1 555 0100", "use": "work"}}}
	}
	practitioner := func(id, number, family, given, prefix, gender, code, display, specialty string) object {
		return object{"resourceType": "Practitioner", "id": id, "active": true, "gender": gender,
			"identifier": []object{{"system": ours + "clinicians", "value": number}},
			"name":       []object{{"use": "official", "family": family, "given": []string{given}, "prefix": []string{prefix}}},
			"telecom":    []object{{"system": "email", "value": strings.ReplaceAll(id, "-", ".") + "@alder-creek.example", "use": "work"}},
			"address":    []object{address},
			"qualification": []object{{
				"code":   concept(specialty, coding(hl7+"v2-0360", code, display)),
				"issuer": object{"reference": "Organization/" + hospital},
			}}}
	}
	return []object{
		organization(hospital, "Alder Creek Health", "prov", "Healthcare Provider"),
		organization("alder-creek-laboratory", "Alder Creek Laboratory", "dept", "Hospital Department"),
		practitioner("nneka-okafor", "C-1001", "Okafor", "Nneka", "Dr.", "female", "MD", "Doctor of Medicine", "Internal medicine"),
		practitioner("henrik-lindqvist", "C-1002", "Lindqvist", "Henrik", "Dr.", "male", "MD", "Doctor of Medicine", "Cardiology"),
		practitioner("june-calloway", "C-1003", "Calloway", "June", "Ms.", "female", "NP", "Nurse Practitioner", "Family medicine"),
		practitioner("samuel-reyes", "C-1004", "Reyes", "Samuel", "Dr.", "male", "MD", "Doctor of Medicine", "Pediatrics"),
	}
}

var clinicianNames = map[string]string{
	"nneka-okafor": "Dr. Nneka Okafor", "henrik-lindqvist": "Dr. Henrik Lindqvist", "june-calloway": "June Calloway, NP", "samuel-reyes": "Dr. Samuel Reyes",
}

func clinician(id string) object {
	return object{"reference": "Practitioner/" + id, "display": clinicianNames[id]}
}

// visitKinds are encounter class, type and length.
var visitKinds = map[string]struct {
	class, classDisplay string
	code, display       string
	length              time.Duration
}{
	"checkup":   {"AMB", "ambulatory", "185349003", "Encounter for check up", 40 * time.Minute},
	"followup":  {"AMB", "ambulatory", "390906007", "Follow-up encounter", 25 * time.Minute},
	"problem":   {"AMB", "ambulatory", "185345009", "Encounter for symptom", 20 * time.Minute},
	"emergency": {"EMER", "emergency", "50849002", "Emergency room admission", 5 * time.Hour},
	"inpatient": {"IMP", "inpatient encounter", "183452005", "Emergency hospital admission", 8*24*time.Hour + 9*time.Hour},
}

var smokingStatus = map[string][2]string{
	"never": {"266919005", "Never smoked tobacco"}, "former": {"8517006", "Ex-smoker"}, "current": {"77176002", "Smoker"},
}

// composer writes one patient's record.
type composer struct {
	scenario
	rnd *rand.Rand
	out []object
}

// compose gives every resource of a scenario. The chance in it comes from the
// patient's ID, so that a change to one patient leaves the others alone.
func (s scenario) compose() []object {
	h := fnv.New64a()
	h.Write([]byte(s.id))
	c := &composer{scenario: s, rnd: rand.New(rand.NewPCG(h.Sum64(), 4))}
	c.add(c.patient())
	if s.id == "luca-marchetti" {
		c.add(object{
			"resourceType": "RelatedPerson", "id": "sofia-for-luca", "active": true, "patient": c.ref("Patient", s.id), "gender": "female", "birthDate": "1991-01-29",
			"relationship": []object{concept("Mother", coding(hl7+"v3-RoleCode", "MTH", "mother"))},
			"name":         []object{{"use": "official", "family": "Marchetti", "given": []string{"Sofia"}}},
		})
	}
	c.record()
	return c.out
}

// record writes all but the patient itself.
func (c *composer) record() {
	for i := range c.visits {
		c.encounter(i)
	}
	for i, x := range c.conditions {
		c.condition(i, x)
	}
	for i, x := range c.meds {
		c.medication(i, x)
	}
	for i, x := range c.allergies {
		c.allergy(i, x)
	}
	for i, x := range c.doses {
		c.dose(i, x)
	}
	for i, x := range c.procedures {
		c.procedure(i, x)
	}
	for i, v := range c.visits {
		c.vitals(i)
		c.laboratory(i, v.labs)
		c.note(i)
	}
	if c.smoker != "" {
		s := smokingStatus[c.smoker]
		c.add(object{"resourceType": "Observation", "id": c.id + "-smoking", "status": "final", "category": []object{observationCategory("social-history", "Social History")},
			"code": concept("Tobacco smoking status", coding(loinc, "72166-2", "Tobacco smoking status")), "subject": c.subject(), "encounter": c.at(0),
			"effectiveDateTime": c.when(0, 5), "performer": []object{clinician(c.visits[0].clinician)}, "valueCodeableConcept": concept("", coding(snomed, s[0], s[1]))})
	}
}

func (c *composer) add(r object) {
	r["meta"] = object{"versionId": "1", "lastUpdated": "2026-09-01T00:00:00Z"}
	c.out = append(c.out, r)
}

func (c *composer) ref(kind, id string) object { return object{"reference": kind + "/" + id} }

func (c *composer) subject() object {
	return object{"reference": "Patient/" + c.id, "display": strings.Join(c.given[:1], " ") + " " + c.family}
}

func (c *composer) encounterID(i int) string { return fmt.Sprintf("%s-visit-%d", c.id, i+1) }

func (c *composer) at(i int) object { return c.ref("Encounter", c.encounterID(i)) }

// when gives the time some minutes into a visit. The clinic keeps Pacific time.
func (c *composer) when(i, minutes int) string {
	return c.begin(i).Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339)
}

func (c *composer) begin(i int) time.Time {
	zone := time.FixedZone("", -8*3600)
	t, err := time.ParseInLocation("2006-01-02T15:04", c.visits[i].start, zone)
	if err != nil {
		panic(err)
	}
	return t
}

func (c *composer) patient() object {
	name := object{"use": "official", "family": c.family, "given": c.given}
	if c.prefix != "" {
		name["prefix"] = []string{c.prefix}
	}
	if c.text != "" {
		name["text"] = c.text
	}
	names := []object{name}
	if c.other != nil {
		names = append(names, c.other)
	}
	h := fnv.New32a()
	h.Write([]byte(c.id))
	p := object{"resourceType": "Patient", "id": c.id, "active": true, "name": names, "gender": c.gender, "birthDate": c.birth,
		"identifier": []object{{"use": "usual", "type": concept("Medical record number", coding(hl7+"v2-0203", "MR", "Medical record number")), "system": ours + "mrn", "value": fmt.Sprintf("%07d", h.Sum32()%10_000_000)}},
		"telecom": []object{{"system": "phone", "value": fmt.Sprintf("+1 555 01%02d", h.Sum32()%100), "use": "mobile"},
			{"system": "email", "value": c.id + "@mail.example", "use": "home"}},
		"address":              []object{{"use": "home", "line": []string{c.street}, "city": c.city, "state": c.state, "postalCode": c.zip, "country": "US"}},
		"communication":        []object{{"language": concept(c.lang[1], coding("urn:ietf:bcp:47", c.lang[0], c.lang[1])), "preferred": true}},
		"generalPractitioner":  []object{clinician(c.visits[0].clinician)},
		"managingOrganization": object{"reference": "Organization/" + hospital, "display": "Alder Creek Health"},
	}
	if c.died != "" {
		p["deceasedDateTime"] = c.died
	}
	return p
}

func (c *composer) encounter(i int) {
	v := c.visits[i]
	k := visitKinds[v.kind]
	e := object{"resourceType": "Encounter", "id": c.encounterID(i), "status": "finished",
		"class": coding(hl7+"v3-ActCode", k.class, k.classDisplay), "type": []object{concept(v.reason, coding(snomed, k.code, k.display))},
		"subject": c.subject(), "period": object{"start": c.begin(i).Format(time.RFC3339), "end": c.begin(i).Add(k.length).Format(time.RFC3339)},
		"participant":     []object{{"type": []object{concept("", coding(hl7+"v3-ParticipationType", "PPRF", "primary performer"))}, "individual": clinician(v.clinician)}},
		"serviceProvider": object{"reference": "Organization/" + hospital, "display": "Alder Creek Health"}}
	if v.why >= 0 {
		e["reasonCode"] = []object{concept(v.reason, coding(snomed, c.conditions[v.why].snomed, c.conditions[v.why].display))}
	}
	c.add(e)
}

func (c *composer) conditionID(i int) string { return fmt.Sprintf("%s-condition-%d", c.id, i+1) }

func (c *composer) condition(i int, x condition) {
	status, display := "active", "Active"
	if x.resolved != "" {
		status, display = "resolved", "Resolved"
	}
	r := object{"resourceType": "Condition", "id": c.conditionID(i),
		"clinicalStatus":     concept("", coding(hl7+"condition-clinical", status, display)),
		"verificationStatus": concept("", coding(hl7+"condition-ver-status", "confirmed", "Confirmed")),
		"category":           []object{concept("", coding(hl7+"condition-category", "problem-list-item", "Problem List Item"))},
		"code":               concept(x.display, coding(snomed, x.snomed, x.display), coding(icd10, x.icd, x.icdDisplay)),
		"subject":            c.subject(), "onsetDateTime": x.onset, "recordedDate": x.onset, "recorder": clinician(c.visits[0].clinician)}
	if x.resolved != "" {
		r["abatementDateTime"] = x.resolved
	}
	for v, visit := range c.visits {
		if visit.why == i {
			r["encounter"] = c.at(v)
			break
		}
	}
	c.add(r)
}

// visitOn gives the visit of a day, or -1.
func (c *composer) visitOn(day string) int {
	for i, v := range c.visits {
		if strings.HasPrefix(v.start, day) {
			return i
		}
	}
	return -1
}

func (c *composer) medication(i int, m medication) {
	status := "active"
	if m.stopped {
		status = "completed"
	}
	r := object{"resourceType": "MedicationRequest", "id": fmt.Sprintf("%s-medication-%d", c.id, i+1), "status": status, "intent": "order",
		"category":                  []object{concept("", coding(hl7+"medicationrequest-category", "community", "Community"))},
		"medicationCodeableConcept": concept(m.display, coding(rxnorm, m.code, m.display)),
		"subject":                   c.subject(), "authoredOn": m.since, "dosageInstruction": []object{{"text": m.dosage}}}
	at := max(c.visitOn(m.since), 0)
	r["encounter"], r["requester"] = c.at(at), clinician(c.visits[at].clinician)
	if m.why >= 0 {
		x := c.conditions[m.why]
		r["reasonCode"] = []object{concept("", coding(snomed, x.snomed, x.display))}
		r["reasonReference"] = []object{c.ref("Condition", c.conditionID(m.why))}
	}
	c.add(r)
}

func (c *composer) allergy(i int, a allergy) {
	r := object{"resourceType": "AllergyIntolerance", "id": fmt.Sprintf("%s-allergy-%d", c.id, i+1),
		"clinicalStatus":     concept("", coding(hl7+"allergyintolerance-clinical", "active", "Active")),
		"verificationStatus": concept("", coding(hl7+"allergyintolerance-verification", "confirmed", "Confirmed")),
		"code":               concept(a.display, coding(a.system, a.code, a.display)), "patient": c.subject(), "recordedDate": a.since,
		"recorder": clinician(c.visits[0].clinician)}
	if a.category != "" {
		r["type"], r["category"], r["criticality"] = "allergy", []string{a.category}, a.criticality
		r["reaction"] = []object{{"manifestation": []object{concept(a.reaction[1], coding(snomed, a.reaction[0], a.reaction[1]))}, "severity": a.severity}}
	}
	c.add(r)
}

func (c *composer) dose(i int, d dose) {
	r := object{"resourceType": "Immunization", "id": fmt.Sprintf("%s-immunization-%d", c.id, i+1), "status": "completed",
		"vaccineCode": concept(vaccines[d.cvx], coding(cvx, d.cvx, vaccines[d.cvx])), "patient": c.subject(), "occurrenceDateTime": d.date,
		"primarySource": true, "lotNumber": fmt.Sprintf("SBX%04d", c.rnd.IntN(10_000)),
		"performer": []object{{"actor": object{"reference": "Organization/" + hospital, "display": "Alder Creek Health"}}}}
	if at := c.visitOn(d.date); at >= 0 {
		r["encounter"] = c.at(at)
	}
	c.add(r)
}

func (c *composer) procedure(i int, p procedure) {
	r := object{"resourceType": "Procedure", "id": fmt.Sprintf("%s-procedure-%d", c.id, i+1), "status": "completed",
		"code": concept(p.display, coding(snomed, p.code, p.display)), "subject": c.subject(), "performedDateTime": p.date,
		"performer": []object{{"actor": clinician(c.visits[max(p.visit, 0)].clinician)}}}
	if p.visit >= 0 {
		r["encounter"], r["performedDateTime"] = c.at(p.visit), c.when(p.visit, 15)
	}
	c.add(r)
}

func observationCategory(code, display string) object {
	return concept("", coding(hl7+"observation-category", code, display))
}

func round(v float64, places int) float64 {
	p := math.Pow10(places)
	return math.Round(v*p) / p
}

// value gives what is measured at a visit: the patient's usual value, a little off.
func (c *composer) value(m measure) float64 {
	usual := m.usual
	if v, ok := c.values[m.key]; ok {
		usual = v
	}
	return round(usual+(c.rnd.Float64()*2-1)*m.spread, m.places)
}

func quantity(v float64, unit, code string) object {
	return object{"value": v, "unit": unit, "system": ucum, "code": code}
}

// observe writes one measured value and says whether it is within its range.
func (c *composer) observe(i int, id, category, categoryDisplay string, m measure, v float64, minutes int) {
	r := object{"resourceType": "Observation", "id": id, "status": "final", "category": []object{observationCategory(category, categoryDisplay)},
		"code": concept(m.display, coding(loinc, m.code, m.display)), "subject": c.subject(), "encounter": c.at(i),
		"effectiveDateTime": c.when(i, minutes), "issued": c.when(i, minutes+1), "valueQuantity": quantity(v, m.unit, m.ucumCode)}
	if category == "laboratory" {
		r["performer"] = []object{{"reference": "Organization/alder-creek-laboratory", "display": "Alder Creek Laboratory"}}
	} else {
		r["performer"] = []object{clinician(c.visits[i].clinician)}
	}
	if m.low > 0 || m.high > 0 {
		within, code, display := object{}, "N", "Normal"
		if m.low > 0 {
			within["low"] = quantity(m.low, m.unit, m.ucumCode)
			if v < m.low {
				code, display = "L", "Low"
			}
		}
		if m.high > 0 {
			within["high"] = quantity(m.high, m.unit, m.ucumCode)
			if v > m.high {
				code, display = "H", "High"
			}
		}
		r["referenceRange"] = []object{within}
		r["interpretation"] = []object{concept("", coding(hl7+"v3-ObservationInterpretation", code, display))}
	}
	c.add(r)
}

func (c *composer) vitals(i int) {
	weight, height := c.weight, c.height
	for _, m := range vitals {
		var v float64
		switch m.key {
		case "weight":
			v = round(weight+(c.rnd.Float64()*2-1)*m.spread, 1)
			weight = v
		case "height":
			v = height
		case "bmi":
			v = round(weight/(height/100)/(height/100), 1)
		default:
			v = c.value(m)
		}
		if m.key == "oxygen" {
			v = min(v, 100)
		}
		c.observe(i, fmt.Sprintf("%s-%s-%d", c.id, m.key, i+1), "vital-signs", "Vital Signs", m, v, 4)
	}
	systolic, diastolic := round(c.pressure[0]+(c.rnd.Float64()*2-1)*6, 0), round(c.pressure[1]+(c.rnd.Float64()*2-1)*4, 0)
	c.add(object{"resourceType": "Observation", "id": fmt.Sprintf("%s-blood-pressure-%d", c.id, i+1), "status": "final",
		"category": []object{observationCategory("vital-signs", "Vital Signs")},
		"code":     concept("Blood pressure", coding(loinc, "85354-9", "Blood pressure panel with all children optional")),
		"subject":  c.subject(), "encounter": c.at(i), "effectiveDateTime": c.when(i, 4), "issued": c.when(i, 5), "performer": []object{clinician(c.visits[i].clinician)},
		"component": []object{
			{"code": concept("", coding(loinc, "8480-6", "Systolic blood pressure")), "valueQuantity": quantity(systolic, "mmHg", "mm[Hg]")},
			{"code": concept("", coding(loinc, "8462-4", "Diastolic blood pressure")), "valueQuantity": quantity(diastolic, "mmHg", "mm[Hg]")},
		}})
}

// laboratory writes the reports of a visit and the results that they hold.
func (c *composer) laboratory(i int, names []string) {
	for _, name := range names {
		p, ok := panels[name]
		if !ok {
			m := single[name]
			p = panel{m.code, m.display, []measure{m}}
		}
		var results []object
		for _, m := range p.tests {
			id := fmt.Sprintf("%s-%s-%d", c.id, m.key, i+1)
			c.observe(i, id, "laboratory", "Laboratory", m, c.value(m), 15)
			results = append(results, object{"reference": "Observation/" + id, "display": m.display})
		}
		c.add(object{"resourceType": "DiagnosticReport", "id": fmt.Sprintf("%s-report-%s-%d", c.id, name, i+1), "status": "final",
			"category": []object{concept("", coding(hl7+"v2-0074", "LAB", "Laboratory"))},
			"code":     concept(p.display, coding(loinc, p.code, p.display)), "subject": c.subject(), "encounter": c.at(i),
			"effectiveDateTime": c.when(i, 15), "issued": c.when(i, 300),
			"performer": []object{{"reference": "Organization/alder-creek-laboratory", "display": "Alder Creek Laboratory"}}, "result": results})
	}
}

// note writes what the clinician wrote down, as a document.
func (c *composer) note(i int) {
	v := c.visits[i]
	body := fmt.Sprintf("Alder Creek Health\n%s, born %s\n%s, %s\n\n%s\n\n%s\n", strings.Join(c.given, " ")+" "+c.family, c.birth,
		v.start[:10], v.reason, v.note, clinicianNames[v.clinician])
	code, display := "11506-3", "Progress note"
	switch v.kind {
	case "inpatient":
		code, display = "18842-5", "Discharge summary"
	case "emergency":
		code, display = "34111-5", "Emergency department Note"
	case "checkup":
		code, display = "34117-2", "History and physical note"
	}
	c.add(object{"resourceType": "DocumentReference", "id": fmt.Sprintf("%s-note-%d", c.id, i+1), "status": "current", "docStatus": "final",
		"type":     concept(display, coding(loinc, code, display)),
		"category": []object{concept("", coding("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note", "Clinical Note"))},
		"subject":  c.subject(), "date": c.when(i, 60), "author": []object{clinician(v.clinician)}, "custodian": c.ref("Organization", hospital),
		"description": v.reason,
		"content": []object{{"attachment": object{"contentType": "text/plain; charset=utf-8", "language": "en", "title": display,
			"creation": c.when(i, 60), "size": len(body), "data": base64.StdEncoding.EncodeToString([]byte(body))}}},
		"context": object{"encounter": []object{c.at(i)}, "period": object{"start": c.when(i, 0), "end": c.when(i, 60)}}})
}
