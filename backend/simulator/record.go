package simulator

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

//go:embed data/*.ndjson
var dataFiles embed.FS

// record is one resource. It is never changed once it was read.
type record struct {
	kind, id string
	// raw is the resource as it was written, or nil for one that was generated.
	raw   json.RawMessage
	value map[string]any
	// patient is the ID of the patient whose record it is part of, or "".
	patient string
	// at is its place among those of its type, which is the order of answers.
	at int
}

// json gives the resource as it is served.
func (r *record) json() json.RawMessage {
	if r.raw != nil {
		return r.raw
	}
	raw, err := json.Marshal(r.value)
	if err != nil {
		panic(fmt.Errorf("%s/%s cannot be written: %w", r.kind, r.id, err)) // the guard answers 500
	}
	return raw
}

// records is every resource of the sandbox, in memory.
type records struct {
	byKind    map[string][]*record
	byID      map[string]*record              // "Type/id"
	byPatient map[string]map[string][]*record // type, patient ID
	byToken   map[tokenKey][]*record

	once    sync.Once // guards choices
	choices []choice
}

// tokenKey is an entry of the index of codes and identifiers.
type tokenKey struct{ kind, parameter, value string }

// indexed are the token parameters that have an index.
var indexed = []string{"code", "identifier"}

func newRecords() *records {
	return &records{byKind: map[string][]*record{}, byID: map[string]*record{}, byPatient: map[string]map[string][]*record{}, byToken: map[tokenKey][]*record{}}
}

// add takes a resource in, in the order of its type.
func (rs *records) add(r *record) { rs.addUnder(r, tokenKeys(r)) }

// tokenKeys gives what a resource stands under in the index.
func tokenKeys(r *record) []tokenKey {
	var out []tokenKey
	params := searchParameters(r.kind)
	for _, name := range indexed {
		if p, ok := params[name]; ok {
			for _, value := range tokenValues(p.found(r.value)) {
				if key := (tokenKey{r.kind, name, value}); !slices.Contains(out, key) {
					out = append(out, key)
				}
			}
		}
	}
	return out
}

func (rs *records) addUnder(r *record, keys []tokenKey) {
	r.at = len(rs.byKind[r.kind])
	rs.byID[r.kind+"/"+r.id] = r
	rs.byKind[r.kind] = append(rs.byKind[r.kind], r)
	if r.patient != "" {
		if rs.byPatient[r.kind] == nil {
			rs.byPatient[r.kind] = map[string][]*record{}
		}
		rs.byPatient[r.kind][r.patient] = append(rs.byPatient[r.kind][r.patient], r)
	}
	for _, key := range keys {
		rs.byToken[key] = append(rs.byToken[key], r)
	}
}

// tokenValues gives the codes and identifiers that tokenTest compares.
func tokenValues(found []any) []string {
	var out []string
	for _, v := range found {
		for _, path := range []string{"", "coding.code", "code", "value"} {
			for _, e := range elements(v, path) {
				if s, ok := e.(string); ok {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// publishedRecords reads the embedded data once for the process: it is the
// same for each server and no one changes it.
var publishedRecords = sync.OnceValues(func() (*records, error) {
	files, err := dataFiles.ReadDir("data")
	if err != nil {
		return nil, err
	}
	rs := newRecords()
	for _, f := range files {
		raw, err := dataFiles.ReadFile("data/" + f.Name())
		if err != nil {
			return nil, err
		}
		if err := rs.read(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return rs, nil
})

// read adds the resources of one NDJSON file.
func (rs *records) read(ndjson []byte) error {
	dec := json.NewDecoder(bytes.NewReader(ndjson))
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r := &record{raw: raw}
		// Numbers stay as they are written, as a decimal's precision means something in FHIR.
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&r.value); err != nil {
			return err
		}
		r.kind, _ = r.value["resourceType"].(string)
		r.id, _ = r.value["id"].(string)
		kind, ok := kindOf(r.kind)
		if !ok || r.id == "" {
			return fmt.Errorf("a resource of type %q with the ID %q cannot be served", r.kind, r.id)
		}
		key := r.kind + "/" + r.id
		if _, twice := rs.byID[key]; twice {
			return fmt.Errorf("%s stands twice", key)
		}
		switch kind.owner {
		case "":
		case "id":
			r.patient = r.id
		default:
			for _, v := range elements(r.value, kind.owner+".reference") {
				if ref, ok := v.(string); ok {
					r.patient, _ = strings.CutPrefix(ref, "Patient/")
				}
			}
			if r.patient == "" {
				return fmt.Errorf("%s names no patient", key)
			}
		}
		rs.add(r)
	}
}

func (rs *records) get(kind, id string) (*record, bool) {
	r, ok := rs.byID[kind+"/"+id]
	return r, ok
}

func (rs *records) of(kind string) []*record { return rs.byKind[kind] }

// elements gives what stands at a dotted path, with every array on the way flattened.
func elements(v any, path string) []any {
	if list, ok := v.([]any); ok {
		var out []any
		for _, item := range list {
			out = append(out, elements(item, path)...)
		}
		return out
	}
	if path == "" {
		if v == nil {
			return nil
		}
		return []any{v}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	head, rest, _ := strings.Cut(path, ".")
	next, ok := object[head]
	if !ok {
		return nil
	}
	return elements(next, rest)
}

// first gives the first string at a path, or "".
func first(v any, path string) string {
	for _, e := range elements(v, path) {
		if s, ok := e.(string); ok {
			return s
		}
	}
	return ""
}

// patientName is a patient's name as the pages show it: the first of the names.
func (rs *records) patientName(id string) string {
	r, ok := rs.get("Patient", id)
	if !ok {
		return id
	}
	names := elements(r.value, "name")
	if len(names) == 0 {
		return id
	}
	if text := first(names[0], "text"); text != "" {
		return text
	}
	var parts []string
	for _, g := range elements(names[0], "given") {
		if s, ok := g.(string); ok {
			parts = append(parts, s)
		}
	}
	return strings.TrimSpace(strings.Join(append(parts, first(names[0], "family")), " "))
}

// patientChoices lists every patient for the picker, by name: those that were
// generated after the others. The list is the caller's to read only.
func (rs *records) patientChoices() []choice {
	rs.once.Do(func() { rs.choices = rs.listPatients() })
	return rs.choices
}

func (rs *records) listPatients() []choice {
	var out []choice
	folded := map[string]string{}
	for _, r := range rs.of("Patient") {
		detail := "born " + first(r.value, "birthDate")
		if mrn := first(r.value, "identifier.value"); mrn != "" {
			detail += ", record number " + mrn
		}
		c := choice{ID: r.id, Title: rs.patientName(r.id), Detail: detail}
		folded[r.id] = fold(c.Title)
		if r.raw == nil {
			folded[r.id] = "\U0010ffff" + folded[r.id]
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b choice) int { return strings.Compare(folded[a.ID], folded[b.ID]) })
	return out
}

// encounters lists a patient's visits for the picker, latest first.
func (rs *records) encounters(patient string) []choice {
	list := slices.Clone(rs.byPatient["Encounter"][patient])
	slices.SortStableFunc(list, func(a, b *record) int {
		return strings.Compare(first(b.value, "period.start"), first(a.value, "period.start"))
	})
	var out []choice
	for _, r := range list {
		title := first(r.value, "type.text")
		if title == "" {
			title = first(r.value, "type.coding.display")
		}
		day, _, _ := strings.Cut(first(r.value, "period.start"), "T")
		out = append(out, choice{ID: r.id, Title: title, Detail: day + ", " + first(r.value, "status")})
	}
	return out
}
