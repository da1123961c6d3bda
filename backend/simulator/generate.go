package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// maxPatients bounds how many patients can be generated: each takes about 30 KB.
const maxPatients = 50_000

// A generated patient's record is a small one: one visit or two and what
// happened there.
var generatedPerKind = map[string]int{
	"AllergyIntolerance": 1, "Condition": 2, "DiagnosticReport": 1, "DocumentReference": 1, "Encounter": 2,
	"Immunization": 1, "MedicationRequest": 1, "Observation": 8, "Procedure": 1,
}

var (
	generatedFamilies = strings.Fields("Abbot Acheson Adeyemi Albrecht Amundsen Arkwright Baptiste Bellamy Bjornstad Bramble Calder Castellano Chaudhry Corrigan Dalgaard Devereux Dimitrov Ekwueme Ellingham Fairweather Farrow Ferreira Galloway Gantt Greaves Haverford Hollis Ibekwe Ingram Jankowski Jessop Kaminski Kelleher Kowalczyk Lachance Lindgren Lomax Maddox Marchbanks Mbeki Moorcroft Nakagawa Norwood Oduya Ostrander Palmgren Pemberton Quigley Ravenscroft Rosales Sandoval Sinclair Stavros Takahashi Thackeray Trevino Underhill Vasquez Vandermeer Wainwright Westbrook Yamada Yarrow Zielinski")
	generatedFemale   = strings.Fields("Ada Beatriz Carmen Delia Esther Farida Greta Hana Imogen Joan Keiko Leila Marta Nadia Olive Petra Rhea Sunniva Thea Ursula Vera Wanda Yara Zora")
	generatedMale     = strings.Fields("Abel Bruno Cedric Dario Emil Farid Gustav Hugo Idris Jonas Kenji Leon Mateo Nils Omar Pavel Rafael Silas Tomas Uwe Viktor Wendell Yusuf Zeno")
	generatedStreets  = strings.Fields("Alder Birch Chapel Depot Elm Foundry Garden Harbor Juniper Kiln Ledge Mill Orchard Quarry River Spruce")
)

// pattern is what generated patients are made after: a part of one published record.
type pattern struct {
	patient *record
	parts   []patternPart
	kept    map[string]bool // "Type/id" of the parts
}

type patternPart struct {
	*record
	owner string
	// inner are the members that refer to the patient's own record and so must be written anew.
	inner []string
	// keys are what it stands under in the index, the same for all that are made after it.
	keys []tokenKey
}

// generated gives the published records and, beside them, as many made-up
// patients as asked for. The same seed makes the same patients, each by itself,
// so that a larger number only adds to a smaller one.
func generated(published *records, patients int, seed uint64) *records {
	rs := newRecords()
	for kind, list := range published.byKind {
		rs.byKind[kind] = slices.Clone(list)
	}
	rs.byID = maps.Clone(published.byID)
	for kind, byPatient := range published.byPatient {
		rs.byPatient[kind] = maps.Clone(byPatient)
	}
	for key, list := range published.byToken {
		rs.byToken[key] = slices.Clone(list)
	}
	patterns := patternsOf(published)
	for i := range patients {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		patterns[rng.IntN(len(patterns))].repeat(rs, i+1, rng)
	}
	return rs
}

func patternsOf(rs *records) []pattern {
	var out []pattern
	for _, patient := range rs.of("Patient") {
		p := pattern{patient: patient, kept: map[string]bool{}}
		keep := func(r *record, owner string) {
			if key := r.kind + "/" + r.id; !p.kept[key] && strings.HasPrefix(r.id, patient.id) {
				p.kept[key] = true
				p.parts = append(p.parts, patternPart{record: r, owner: owner})
			}
		}
		// A report's results are kept with it.
		for _, kind := range resourceKinds {
			list := rs.byPatient[kind.name][patient.id]
			limit := min(generatedPerKind[kind.name], len(list))
			for i := range limit {
				r := list[i*len(list)/limit]
				keep(r, kind.owner)
				for _, ref := range elements(r.value, "result.reference") {
					if target, ok := rs.byID[fmt.Sprint(ref)]; ok && kind.name == "DiagnosticReport" {
						keep(target, "subject")
					}
				}
			}
		}
		for i := range p.parts {
			for _, key := range tokenKeys(p.parts[i].record) {
				if key.parameter != "identifier" {
					p.parts[i].keys = append(p.parts[i].keys, key)
				}
			}
			for name, member := range p.parts[i].value {
				if name != p.parts[i].owner && refersTo(member, patient.id) {
					p.parts[i].inner = append(p.parts[i].inner, name)
				}
			}
		}
		out = append(out, p)
	}
	return out
}

// ownReference tells whether a reference leads into the record of a patient.
func ownReference(ref, patient string) bool {
	_, id, _ := strings.Cut(ref, "/")
	return id == patient || strings.HasPrefix(id, patient+"-")
}

func refersTo(v any, patient string) bool {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["reference"].(string); ok && ownReference(ref, patient) {
			return true
		}
		for _, item := range v {
			if refersTo(item, patient) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return refersTo(item, patient) })
	}
	return false
}

// repeat adds one patient made after the pattern.
func (p pattern) repeat(rs *records, number int, rng *rand.Rand) {
	id := fmt.Sprintf("generated-%05d", number)
	person, name := p.person(id, number, rng)
	rs.add(&record{kind: "Patient", id: id, value: person, patient: id})
	subject := map[string]any{"reference": "Patient/" + id, "display": name}
	for _, part := range p.parts {
		value := maps.Clone(part.value)
		value["id"] = p.renamed(part.id, id)
		value[part.owner] = subject
		delete(value, "identifier") // it names the resource that this was made after
		for _, member := range part.inner {
			if rewritten := p.rewritten(value[member], id, subject); rewritten != nil {
				value[member] = rewritten
			} else {
				delete(value, member)
			}
		}
		switch part.kind {
		case "Observation":
			vary(value, rng)
		case "DocumentReference":
			value["content"] = note(value, name)
		}
		rs.addUnder(&record{kind: part.kind, id: value["id"].(string), value: value, patient: id}, part.keys)
	}
}

func (p pattern) renamed(old, id string) string { return id + strings.TrimPrefix(old, p.patient.id) }

// rewritten leads references into the new record, and leaves out those to what is not repeated.
func (p pattern) rewritten(v any, id string, subject map[string]any) any {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["reference"].(string); ok && ownReference(ref, p.patient.id) {
			kind, old, _ := strings.Cut(ref, "/")
			if old == p.patient.id && kind == "Patient" {
				return subject
			}
			if !p.kept[ref] {
				return nil
			}
			out := maps.Clone(v)
			out["reference"] = kind + "/" + p.renamed(old, id)
			return out
		}
		out := make(map[string]any, len(v))
		for name, item := range v {
			if item = p.rewritten(item, id, subject); item != nil {
				out[name] = item
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			if item = p.rewritten(item, id, subject); item != nil {
				out = append(out, item)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}

// person makes the Patient. Who it is made after gives sex and time of life,
// as the rest of the record fits these.
func (p pattern) person(id string, number int, rng *rand.Rand) (value map[string]any, name string) {
	given := generatedFemale
	if first(p.patient.value, "gender") == "male" {
		given = generatedMale
	}
	firstName, family := given[rng.IntN(len(given))], generatedFamilies[rng.IntN(len(generatedFamilies))]
	year, err := strconv.Atoi(first(p.patient.value, "birthDate")[:4])
	if err != nil {
		year = 1980
	}
	value = map[string]any{
		"resourceType": "Patient", "id": id, "meta": p.patient.value["meta"], "active": true, "gender": p.patient.value["gender"],
		"birthDate":  fmt.Sprintf("%04d-%02d-%02d", year-rng.IntN(5), 1+rng.IntN(12), 1+rng.IntN(28)),
		"name":       []any{map[string]any{"use": "official", "family": family, "given": []any{firstName}}},
		"identifier": []any{map[string]any{"use": "usual", "system": "https://sandbox.chartkey.example/mrn", "value": strconv.Itoa(90_000_000 + number)}},
		"address":    []any{map[string]any{"use": "home", "line": []any{strconv.Itoa(1+rng.IntN(400)) + " " + generatedStreets[rng.IntN(len(generatedStreets))] + " Street"}, "city": "Alder Creek", "state": "OR", "postalCode": "97001", "country": "US"}},
	}
	for _, member := range []string{"generalPractitioner", "managingOrganization", "communication"} {
		if v, ok := p.patient.value[member]; ok {
			value[member] = v
		}
	}
	return value, firstName + " " + family
}

// vary moves a measured value by up to a tenth, with as many decimals as it had.
func vary(value map[string]any, rng *rand.Rand) {
	quantity, ok := value["valueQuantity"].(map[string]any)
	if !ok {
		return
	}
	written := fmt.Sprint(quantity["value"])
	v, err := strconv.ParseFloat(written, 64)
	if err != nil {
		return
	}
	_, decimals, _ := strings.Cut(written, ".")
	quantity = maps.Clone(quantity)
	quantity["value"] = json.Number(strconv.FormatFloat(v*(0.9+0.2*rng.Float64()), 'f', len(decimals), 64))
	value["valueQuantity"] = quantity
}

// note writes a document for the new patient, as the old one names another person.
func note(value map[string]any, name string) any {
	text := "Alder Creek Health\n" + name + "\n\n" + first(value, "description") + "\n"
	return []any{map[string]any{"attachment": map[string]any{
		"contentType": "text/plain; charset=utf-8", "title": first(value, "type.text"), "size": json.Number(strconv.Itoa(len(text))),
		"data": base64.StdEncoding.EncodeToString([]byte(text)),
	}}}
}
