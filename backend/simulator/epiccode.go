package simulator

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

//go:embed epic/error-codes.json
var epicCodeFile []byte

// epicCodes is Epic's published list of error codes; the file names its source.
type epicCodes struct {
	System string `json:"system"`
	Codes  []struct {
		Code, Severity, Text string
	} `json:"codes"`
}

var publishedEpicCodes = sync.OnceValues(func() (epicCodes, error) {
	var c epicCodes
	err := json.Unmarshal(epicCodeFile, &c)
	return c, err
})

// The codes that this server has a use for.
const (
	epicNoResults        = "4101"
	epicInvalidID        = "4102"
	epicNoParameters     = "4110"
	epicMissingParameter = "4111"
	epicCombination      = "4112"
	epicNotAuthorized    = "4118"
	epicMoreData         = "4119"
	epicUnknownParameter = "4122"
	epicInvalidContent   = "59102"
	epicRequiredMissing  = "59108"
)

type outcomeDetails struct {
	Coding []outcomeCoding `json:"coding"`
	Text   string          `json:"text"`
}

type outcomeCoding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display"`
}

// epicIssue is an issue with one of Epic's codes. code is of the value set
// issue-type. A code that is not on the list leaves the issue without one.
func epicIssue(epicCode, code, diagnostics string) outcomeIssue {
	issue := outcomeIssue{Severity: "fatal", Code: code, Diagnostics: diagnostics}
	list, err := publishedEpicCodes()
	if err != nil {
		return issue
	}
	for _, c := range list.Codes {
		if c.Code == epicCode {
			issue.Severity = c.Severity
			issue.Details = &outcomeDetails{Coding: []outcomeCoding{{list.System, c.Code, c.Text}}, Text: c.Text}
		}
	}
	return issue
}

// epicRefusal finds the code for an error of the FHIR server, or "".
func epicRefusal(status int, code string) string {
	switch {
	case status == http.StatusForbidden:
		return epicNotAuthorized
	case status == http.StatusNotFound && code == "not-found":
		return epicInvalidID
	case status == http.StatusBadRequest:
		return epicInvalidContent
	}
	return ""
}

// refusal makes the OperationOutcome of an error.
func (s *Server) refusal(status int, code, diagnostics string) operationOutcome {
	if epicCode := epicRefusal(status, code); epicCode != "" && s.trait(traitEpicOutcomes) {
		return operationOutcome{ResourceType: "OperationOutcome", Issue: []outcomeIssue{epicIssue(epicCode, code, diagnostics)}}
	}
	return newOutcome("error", code, diagnostics)
}

// picky refuses a search that the specification allows and Epic does not. It
// answers itself and gives true then.
func (s *Server) picky(w http.ResponseWriter, r *http.Request, kind resourceKind, values url.Values) bool {
	epicCode, code, problem := "", "", ""
	named := func(names ...string) []string {
		var out []string
		for name, v := range values {
			plain, _, _ := strings.Cut(name, ":")
			plain, _, _ = strings.Cut(plain, ".")
			if slices.Contains(names, plain) {
				out = append(out, v...)
			}
		}
		return slices.DeleteFunc(out, func(v string) bool { return v == "" })
	}
	var patients []string
	for _, list := range named("patient", "subject") {
		for p := range strings.SplitSeq(list, ",") {
			p = strings.TrimPrefix(p, s.FHIRBaseURL()+"/")
			patients = append(patients, strings.TrimPrefix(p, "Patient/"))
		}
	}
	if s.trait(traitSearchParameters) && kind.owner != "" && len(named("_id")) == 0 {
		slices.Sort(patients)
		switch {
		case len(named(slices.Collect(maps.Keys(kind.params))...)) == 0:
			epicCode, code, problem = epicNoParameters, "required", "no parameters are given"
		case kind.name == "Patient":
		case len(patients) == 0:
			epicCode, code, problem = epicMissingParameter, "required", "the parameter patient is missing"
		case len(slices.Compact(slices.Clone(patients))) > 1:
			epicCode, code, problem = epicCombination, "business-rule", "more than one patient is named"
		case kind.name == "Observation" && len(named("category", "code")) == 0:
			epicCode, code, problem = epicRequiredMissing, "required", "either category or code must be given"
		}
	}
	if s.trait(traitEpicOutcomes) && epicCode == "" && kind.name != "Patient" {
		for _, p := range patients {
			if _, known := s.records.get("Patient", p); !known {
				epicCode, code, problem = epicInvalidContent, "not-found", fmt.Sprintf("there is no patient %q", clip(p, 64))
			}
		}
	}
	if epicCode == "" {
		return false
	}
	judge(r, "refused with Epic's code %s: %s", epicCode, problem)
	o := newOutcome("error", code, problem)
	if s.trait(traitEpicOutcomes) {
		o.Issue = []outcomeIssue{epicIssue(epicCode, code, problem)}
	}
	w.Header().Set("Cache-Control", "no-store")
	writeResource(w, http.StatusBadRequest, o)
	return true
}

// remark puts Epic's entry of remarks in place of this server's own.
func (s *Server) remark(b *bundle, q searchQuery, found int, a access) {
	if !s.trait(traitEpicOutcomes) {
		return
	}
	b.Entry = slices.DeleteFunc(b.Entry, func(e bundleEntry) bool { return e.Search.Mode == "outcome" })
	o := operationOutcome{ResourceType: "OperationOutcome"}
	for _, warning := range q.warnings {
		o.Issue = append(o.Issue, epicIssue(epicUnknownParameter, "informational", warning))
	}
	if found == 0 {
		o.Issue = append(o.Issue, epicIssue(epicNoResults, "processing", ""))
	}
	if a.account.Kind == PatientAccount {
		o.Issue = append(o.Issue, epicIssue(epicMoreData, "suppressed", ""))
	}
	if len(o.Issue) == 0 {
		return
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return
	}
	e := bundleEntry{Resource: raw}
	e.Search.Mode = "outcome"
	b.Entry = append(b.Entry, e)
}
