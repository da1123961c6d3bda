package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"chartkey/backend/network"
)

// The bounds of a summary, in characters and lines.
const (
	maxValue = 200
	maxLines = 200
)

// Field is one line of a summary.
type Field struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// Summary is a resource in a few lines for a person. It holds what the
// resource says, made fit to show, and interprets nothing.
type Summary struct {
	ResourceType string  `json:"resource_type"`
	ID           string  `json:"id,omitempty"`
	Title        string  `json:"title"`
	Lines        []Field `json:"lines,omitempty"`
}

// Summarize puts a resource into a few lines: a Patient with name, birth date,
// gender and how many identifiers; a Bundle with its total and one line an
// entry; the usual clinical types by what they are about, when and in what
// state. What is no resource gives the zero Summary.
func Summarize(raw json.RawMessage) Summary {
	return summarize(parse(raw))
}

// PatientName gives the name of a Patient (or Practitioner, RelatedPerson,
// Person) as it is to be shown, or "".
func PatientName(raw json.RawMessage) string {
	return humanName(parse(raw))
}

// parse reads a resource with its numbers as written: a laboratory value of
// 4.10 is not shown as 4.1.
func parse(raw json.RawMessage) node {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var r map[string]any
	if d.Decode(&r) != nil {
		return node{}
	}
	return node{r}
}

func summarize(r node) Summary {
	s := Summary{ResourceType: r.text("resourceType"), ID: r.text("id")}
	if s.ResourceType == "" {
		return Summary{}
	}
	line := func(label, value string) {
		if value != "" && len(s.Lines) < maxLines {
			s.Lines = append(s.Lines, Field{label, value})
		}
	}
	switch s.ResourceType {
	case "Patient", "Practitioner", "RelatedPerson", "Person":
		s.Title = humanName(r)
		line("Name", s.Title)
		line("Born", r.text("birthDate"))
		line("Gender", r.text("gender"))
		line("Identifiers", strconv.Itoa(len(r.list("identifier"))))
		if died := r.text("deceasedDateTime"); died != "" || r.text("deceasedBoolean") == "true" {
			line("Deceased", first(died, "yes"))
		}
	case "Bundle":
		entries := r.list("entry")
		s.Title = fmt.Sprintf("%d entries", len(entries))
		if len(entries) == 1 {
			s.Title = "1 entry"
		}
		line("Total", r.text("total"))
		for _, e := range entries {
			if one := summarize(e.at("resource")); one.ResourceType != "" {
				line(one.ResourceType, one.oneLine())
			}
		}
	case "OperationOutcome":
		b, _ := json.Marshal(r.value) // it came from JSON
		issues := Outcome(b)
		for _, i := range issues {
			line(first(i.Severity, "issue"), first(i.Text, i.Code))
		}
		if len(issues) > 0 {
			s.Title = first(issues[0].Text, issues[0].Code)
		}
	case "CapabilityStatement":
		s.Title = network.Clean(r.at("software").text("name")+" "+r.at("software").text("version"), maxValue)
		line("FHIR version", r.text("fhirVersion"))
		line("Server", r.at("implementation").text("description"))
	default:
		s.Title = first(r.concept("code"), r.concept("medicationCodeableConcept"), r.at("medicationReference").text("display"),
			r.concept("vaccineCode"), r.concept("type"), r.text("name"), r.text("title"), r.text("description"), r.at("class").text("display"))
		line("What", s.Title)
		line("Value", observed(r))
		for _, component := range r.list("component") {
			line(first(component.concept("code"), "Component"), observed(component))
		}
		line("Status", first(r.text("status"), r.concept("clinicalStatus")))
		line("Date", first(r.text("effectiveDateTime"), r.text("occurrenceDateTime"), r.text("performedDateTime"), r.text("onsetDateTime"),
			r.text("authoredOn"), r.text("recordedDate"), r.text("date"), r.text("issued"),
			r.at("period").text("start"), r.at("effectivePeriod").text("start"), r.at("performedPeriod").text("start")))
	}
	if s.Title == "" {
		s.Title = strings.TrimSpace(s.ResourceType + " " + s.ID)
	}
	return s
}

// oneLine gives a resource as one line of a list.
func (s Summary) oneLine() string {
	parts := []string{s.Title}
	for _, f := range s.Lines {
		switch f.Label {
		case "Born", "Value", "Date", "Status":
			parts = append(parts, f.Value)
		}
	}
	return network.Clean(strings.Join(parts, ", "), maxValue)
}

// observed gives the value of an Observation or of a component.
func observed(r node) string {
	if q := r.at("valueQuantity"); q.value != nil {
		return strings.TrimSpace(q.text("comparator") + q.text("value") + " " + first(q.text("unit"), q.text("code")))
	}
	return first(r.concept("valueCodeableConcept"), r.text("valueString"), r.text("valueInteger"), r.text("valueBoolean"),
		r.text("valueDateTime"), r.text("valueTime"), r.concept("dataAbsentReason"))
}

// humanName gives the official name, else the usual, else the first.
func humanName(r node) string {
	var best node
	rank := 0
	for _, n := range r.list("name") {
		score := map[string]int{"official": 4, "usual": 3, "": 2}[n.text("use")]
		if score = max(score, 1); score > rank {
			best, rank = n, score
		}
	}
	if text := best.text("text"); text != "" {
		return text
	}
	var parts []string
	for _, member := range []string{"prefix", "given", "family", "suffix"} {
		for _, part := range best.list(member) {
			parts = append(parts, part.plain())
		}
		if one := best.text(member); one != "" {
			parts = append(parts, one)
		}
	}
	return network.Clean(strings.Join(parts, " "), maxValue)
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// node is a place in a resource. Whatever is missing or of another type reads
// as nothing, so that no odd resource breaks a summary.
type node struct{ value any }

func (n node) at(member string) node {
	m, _ := n.value.(map[string]any)
	return node{m[member]}
}

func (n node) list(member string) []node {
	values, _ := n.at(member).value.([]any)
	out := make([]node, len(values))
	for i, v := range values {
		out[i] = node{v}
	}
	return out
}

func (n node) text(member string) string { return n.at(member).plain() }

// plain gives a string, number or boolean as text fit to show.
func (n node) plain() string {
	switch v := n.value.(type) {
	case string:
		return network.Clean(v, maxValue)
	case json.Number:
		return network.Clean(v.String(), maxValue)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// concept gives the words of a CodeableConcept, or of the first of a list.
func (n node) concept(member string) string {
	c := n.at(member)
	if list := n.list(member); len(list) > 0 {
		c = list[0]
	}
	if text := c.text("text"); text != "" {
		return text
	}
	for _, coding := range c.list("coding") {
		if words := first(coding.text("display"), coding.text("code")); words != "" {
			return words
		}
	}
	return ""
}
