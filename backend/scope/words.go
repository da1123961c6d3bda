package scope

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// verbs and gerunds are the five accesses in words, in the order of the bits.
var (
	verbs   = []string{"create", "read", "update", "delete", "search"}
	gerunds = []string{"creating", "reading", "updating", "deleting", "searching"}
)

func (p Permission) words(table []string) string {
	var out []string
	for i, w := range table {
		if p&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	return and(out)
}

// and joins words as a sentence does.
func and(words []string) string { return series(words, " and ") }

func series(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + last + words[len(words)-1]
}

// plain are the resource types whose plural says less than another word.
var plain = map[string]string{
	"*": "every kind of data", "AllergyIntolerance": "allergies", "Basic": "other data", "Binary": "attached files", "Coverage": "insurance coverage",
	"DocumentReference": "documents", "Media": "media", "Patient": "demographics", "Provenance": "provenance",
}

// glosses say what a type holds, where its name alone does not.
var glosses = map[string]string{
	"Binary": "such as the text of a note", "Condition": "such as diagnoses and problems", "DiagnosticReport": "such as laboratory and imaging reports",
	"DocumentReference": "such as clinical notes", "Encounter": "such as visits and hospital stays", "MedicationRequest": "such as prescriptions",
	"Observation": "such as laboratory results and vital signs", "Patient": "such as name, birth date and address", "ServiceRequest": "such as orders and referrals",
}

// categories are the codes that servers narrow a type by, from the value sets
// that US Core binds to category.
var categories = map[string]map[string]string{
	"Observation": {
		"laboratory": "laboratory results", "vital-signs": "vital signs", "social-history": "social history", "imaging": "imaging results", "survey": "survey answers",
		"exam": "examination findings", "procedure": "results of procedures", "therapy": "results of therapies", "activity": "activity measurements",
		"sdoh": "social determinants of health", "functional-status": "functional status", "disability-status": "disability status", "cognitive-status": "cognitive status",
	},
	"Condition":         {"problem-list-item": "problem list items", "encounter-diagnosis": "encounter diagnoses", "health-concern": "health concerns"},
	"DocumentReference": {"clinical-note": "clinical notes"},
	"DiagnosticReport": {
		"LAB": "laboratory reports", "RAD": "radiology reports", "LP29684-5": "radiology reports", "LP29708-2": "cardiology reports", "LP7839-6": "pathology reports",
	},
	"CarePlan": {"assess-plan": "assessments and plans of treatment"},
}

// nouns gives a resource type in plain words, in the plural.
func nouns(typ string) string {
	if w, ok := plain[typ]; ok {
		return w
	}
	var b strings.Builder
	for i, r := range typ {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	w := b.String()
	switch {
	case strings.HasSuffix(w, "y") && !strings.HasSuffix(w, "ay"):
		return strings.TrimSuffix(w, "y") + "ies"
	case strings.HasSuffix(w, "s"), strings.HasSuffix(w, "ch"), strings.HasSuffix(w, "x"):
		return w + "es"
	}
	return w + "s"
}

// what gives in words what a resource scope reaches of its type: "laboratory
// results" for a category that is known, else "observations with code 4548-4".
func what(typ string, query url.Values) string {
	out := nouns(typ)
	var limits []string
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range query[name] {
			codes := codesOf(value)
			if words, known := inWords(typ, codes); name == "category" && known && len(query[name]) == 1 {
				out = words
				continue
			}
			limits = append(limits, visible(name)+" "+series(codes, " or "))
		}
	}
	if len(limits) > 0 {
		out += " with " + and(limits)
	}
	return out
}

func inWords(typ string, codes []string) (string, bool) {
	var out []string
	for _, c := range codes {
		w, ok := categories[typ][c]
		if !ok {
			return "", false
		}
		out = append(out, w)
	}
	return and(out), true
}

// codesOf splits a search value at its commas, and leaves the code systems
// away (FHIR R4, "token" search parameters).
func codesOf(value string) []string {
	var out []string
	for part := range strings.SplitSeq(value, ",") {
		system, code, tokened := strings.Cut(part, "|")
		switch {
		case tokened && code == "":
			part = "any code of " + system
		case tokened:
			part = code
		}
		out = append(out, visible(part))
	}
	return out
}

// visible drops what cannot be seen: a query may have hidden it in percent signs.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
