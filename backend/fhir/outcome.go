package fhir

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

// EpicCodes is the system of the error codes that Epic publishes for its FHIR
// interfaces, as its sandbox writes it. A site's has the number of its own
// installation in it (seen: …1.13.1.1.7.2.657369).
const EpicCodes = "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369"

// IsEpics tells whether a system is that of Epic's error codes, whoever's installation it is.
func IsEpics(system string) bool {
	return strings.HasPrefix(system, "urn:oid:1.2.840.114350.1.13.") && strings.HasSuffix(system, ".7.2.657369")
}

// The bounds on what is shown of an OperationOutcome.
const (
	maxIssues    = 20
	maxIssueText = 300
)

// Issue is one issue of an OperationOutcome.
type Issue struct {
	// Severity is fatal, error, warning or information; Code is the issue type of FHIR.
	Severity string `json:"severity"`
	Code     string `json:"code"`
	// Text is what the server says, made fit to show.
	Text string `json:"text,omitempty"`
	// Codings are the server's own codes, as "system|code".
	Codings []string `json:"codings,omitempty"`
}

// EpicCode gives the code of Epic's own list, or "".
func (i Issue) EpicCode() string {
	for _, c := range i.Codings {
		if system, code, _ := strings.Cut(c, "|"); IsEpics(system) {
			return code
		}
	}
	return ""
}

// StatusError is the cause of a fault that an HTTP status led to.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0 where not told
	Issues     []Issue
}

func (e *StatusError) Error() string { return fmt.Sprintf("HTTP %d", e.Status) }

// Outcome reads an OperationOutcome. It gives nothing for anything else.
func Outcome(raw json.RawMessage) []Issue {
	type coding struct {
		System  string `json:"system"`
		Code    string `json:"code"`
		Display string `json:"display"`
	}
	var o struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct {
			Severity string `json:"severity"`
			Code     string `json:"code"`
			Details  struct {
				Text   string   `json:"text"`
				Coding []coding `json:"coding"`
			} `json:"details"`
			Diagnostics string `json:"diagnostics"`
		} `json:"issue"`
	}
	if json.Unmarshal(raw, &o) != nil || o.ResourceType != "OperationOutcome" {
		return nil
	}
	var issues []Issue
	for _, i := range o.Issue {
		if len(issues) == maxIssues {
			break
		}
		issue := Issue{Severity: network.Clean(i.Severity, 20), Code: network.Clean(i.Code, 40)}
		texts := []string{i.Details.Text}
		for _, c := range i.Details.Coding {
			if c.Code != "" && len(issue.Codings) < maxIssues {
				issue.Codings = append(issue.Codings, network.Clean(c.System, 200)+"|"+network.Clean(c.Code, 60))
			}
			texts = append(texts, c.Display)
		}
		texts = append(texts, i.Diagnostics)
		var said []string
		for _, t := range texts {
			if t = network.Clean(t, maxIssueText); t != "" && !slices.Contains(said, t) {
				said = append(said, t)
			}
		}
		issue.Text = network.Clean(strings.Join(said, "; "), maxIssueText)
		issues = append(issues, issue)
	}
	return issues
}

// bundleIssues gives the issues of the OperationOutcome entries of a Bundle.
func bundleIssues(raw json.RawMessage) []Issue {
	var b bundle
	if json.Unmarshal(raw, &b) != nil {
		return nil
	}
	var issues []Issue
	for _, e := range b.Entry {
		issues = append(issues, Outcome(e.Resource)...)
	}
	return issues[:min(len(issues), maxIssues)]
}

// statusFault turns a failed read into a fault, with the words and codes of
// the server's OperationOutcome where it sent one.
func statusFault(resp *http.Response, body []byte, now time.Time) *fault.Error {
	issues := Outcome(body)
	wait := network.RetryAfter(resp.Header, now)
	host := network.Clean(resp.Request.URL.Host, 200)
	var f *fault.Error
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized:
		f = fault.New("fhir-unauthorized", "The server no longer accepts the access token", "Refresh the connection, or sign in again.")
	case s == http.StatusForbidden:
		f = fault.New("fhir-forbidden", "The server does not allow this read", "Check that the granted scopes include this kind of resource, and that the person who signed in may see it in the EHR.")
	case s == http.StatusNotFound, s == http.StatusGone:
		f = fault.New("fhir-not-found", "The server has no such resource", "Check the resource type and id. At Epic this can also mean a patient whom this user may not see.")
	case s == http.StatusTooManyRequests:
		f = fault.New("fhir-rate-limited", "The server was asked too often", "Wait and try again.").CanRetry()
	case s >= 500:
		f = fault.New("fhir-server-error", fmt.Sprintf("%s had a problem of its own (HTTP %d)", host, s), "Try again in a few minutes. If it lasts, tell the health system.").CanRetry()
	case s >= 300 && s < 400:
		f = fault.New("fhir-bad-answer", fmt.Sprintf("%s answered with a redirect that leads nowhere (HTTP %d)", host, s), "Check the FHIR base URL.")
	case s >= 400:
		f = fault.New("fhir-request-refused", fmt.Sprintf("The server refused the request as wrong (HTTP %d)", s), "Check the path and its search parameters.")
	default:
		f = fault.New("fhir-bad-answer", fmt.Sprintf("%s answered with HTTP %d and no resource", host, s), "Check the FHIR base URL.")
	}
	if wait > 0 {
		f.Message += fmt.Sprintf("; it asks to wait %s", wait)
	}
	f.Message += "." + said(issues)
	if advice := epicAdvice(issues); advice != "" {
		f.Advice = advice
	}
	return f.Because(&StatusError{Status: resp.StatusCode, RetryAfter: wait, Issues: issues})
}

// said puts the gravest issues into a sentence.
func said(issues []Issue) string {
	var parts []string
	for _, severe := range []bool{true, false} {
		for _, i := range issues {
			if (i.Severity == "fatal" || i.Severity == "error") != severe || len(parts) == 2 {
				continue
			}
			text := i.Text
			if text == "" {
				text = i.Code
			}
			if code := i.EpicCode(); code != "" {
				text = fmt.Sprintf("%s (code %s)", text, code)
			}
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " It says: " + strings.Join(parts, "; ")
}

// epicAdvice gives what Epic's own codes tell to do (its published list of error codes).
func epicAdvice(issues []Issue) string {
	for _, i := range issues {
		switch i.EpicCode() {
		case "4118":
			return "The person who signed in may not see this in the EHR. Ask the health system's Epic team about their security."
		case "4130", "4131", "4134":
			return "This record is protected (Break-the-Glass). Open it in the EHR first and give the reason there."
		case "4135":
			return "The day's limit for documents is reached. Try again tomorrow."
		case "4113":
			return "The search results have run out on the server. Start the search again."
		case "4103":
			return "The record was deleted in the EHR; there is nothing to read."
		case "4107":
			return "The record was merged into another. Search for the patient again."
		}
	}
	return ""
}
