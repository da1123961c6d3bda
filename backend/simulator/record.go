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
	raw      json.RawMessage
	value    map[string]any
	// patient is the ID of the patient whose record it is part of, or "".
	patient string
}

// records is every resource of the sandbox, in memory.
type records struct {
	byKind    map[string][]*record
	byID      map[string]*record              // "Type/id"
	byPatient map[string]map[string][]*record // type, patient ID
}

// publishedRecords reads the embedded data once for the process: it is the
// same for each server and no one changes it.
var publishedRecords = sync.OnceValues(func() (*records, error) {
	files, err := dataFiles.ReadDir("data")
	if err != nil {
		return nil, err
	}
	rs := &records{byKind: map[string][]*record{}, byID: map[string]*record{}, byPatient: map[string]map[string][]*record{}}
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
		rs.byID[key] = r
		rs.byKind[r.kind] = append(rs.byKind[r.kind], r)
		if r.patient != "" {
			if rs.byPatient[r.kind] == nil {
				rs.byPatient[r.kind] = map[string][]*record{}
			}
			rs.byPatient[r.kind][r.patient] = append(rs.byPatient[r.kind][r.patient], r)
		}
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

// patientChoices lists every patient for the picker, by name.
func (rs *records) patientChoices() []choice {
	var out []choice
	for _, r := range rs.of("Patient") {
		detail := "born " + first(r.value, "birthDate")
		if mrn := first(r.value, "identifier.value"); mrn != "" {
			detail += ", record number " + mrn
		}
		out = append(out, choice{ID: r.id, Title: rs.patientName(r.id), Detail: detail})
	}
	slices.SortFunc(out, func(a, b choice) int { return strings.Compare(fold(a.Title), fold(b.Title)) })
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
