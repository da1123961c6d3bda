package smart

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"chartkey/backend/network"
)

// LaunchContext is what a token answer says beside the tokens (SMART App
// Launch 2.2, "Launch context arrives with your access_token").
type LaunchContext struct {
	// Patient and Encounter are the ids of the resources in context.
	Patient   string `json:"patient,omitempty"`
	Encounter string `json:"encounter,omitempty"`
	// FHIRUser is the absolute or relative URL of who signed in, and Subject
	// the id of the account; both from a verified id_token.
	FHIRUser string `json:"fhir_user,omitempty"`
	Subject  string `json:"sub,omitempty"`
	// Intent is what the user means to do; unknown ones mean the default view.
	Intent        string `json:"intent,omitempty"`
	SmartStyleURL string `json:"smart_style_url,omitempty"`
	Tenant        string `json:"tenant,omitempty"`
	// NeedPatientBanner tells whether the app must show whose chart is open; nil where not told.
	NeedPatientBanner *bool             `json:"need_patient_banner,omitempty"`
	FHIRContext       []FHIRContextItem `json:"fhir_context,omitempty"`
	// Extra are the members that SMART does not define, as they came.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
}

// FHIRContextItem is one further resource in context.
type FHIRContextItem struct {
	Reference  string          `json:"reference,omitempty"`
	Canonical  string          `json:"canonical,omitempty"`
	Identifier json.RawMessage `json:"identifier,omitempty"`
	Type       string          `json:"type,omitempty"`
	// Role is "launch" where the server names none (SMART 2.2).
	Role string `json:"role"`
}

// The bounds on what is kept of unknown members.
const (
	maxExtra     = 64
	maxExtraSize = 16 << 10
)

// known are the members of a token answer that have their own field.
var known = []string{
	"access_token", "refresh_token", "id_token", "token_type", "expires_in", "scope", "patient", "encounter", "intent",
	"smart_style_url", "tenant", "need_patient_banner", "fhirContext", "error", "error_description", "error_uri",
}

// launchContext reads the context members. What has an unexpected form is
// left out with a warning, never a reason to fail.
func launchContext(raw map[string]json.RawMessage) (LaunchContext, []string) {
	var warnings []string
	id := func(name, typ string) string {
		value := text(raw[name])
		if value == "" {
			var n json.Number // seen as a number where a server's ids are numbers
			if json.Unmarshal(raw[name], &n) == nil {
				value = n.String()
			}
		}
		value = strings.TrimPrefix(value, typ+"/")
		// It becomes part of an address: nothing that would lead elsewhere.
		if value == "." || value == ".." || len(value) > 256 || strings.ContainsFunc(value, func(r rune) bool {
			return r <= 0x20 || r >= 0x7f || strings.ContainsRune(`/\?#%`, r)
		}) {
			warnings = append(warnings, "The server named a "+name+" whose id cannot be one; it is left out.")
			return ""
		}
		return value
	}
	c := LaunchContext{
		Patient:           id("patient", "Patient"),
		Encounter:         id("encounter", "Encounter"),
		Intent:            network.Clean(text(raw["intent"]), 200),
		SmartStyleURL:     network.Clean(text(raw["smart_style_url"]), 2000),
		Tenant:            network.Clean(text(raw["tenant"]), 200),
		NeedPatientBanner: optionalFlag(raw["need_patient_banner"]),
	}
	var items []json.RawMessage
	if len(raw["fhirContext"]) > 0 && json.Unmarshal(raw["fhirContext"], &items) != nil {
		warnings = append(warnings, "The server's fhirContext is not a list; it is left out.")
	}
	for _, item := range items {
		var i FHIRContextItem
		if json.Unmarshal(item, &i) != nil {
			if i = (FHIRContextItem{Reference: text(item)}); i.Reference == "" { // SMART 1 drafts had plain references
				continue
			}
		}
		if i.Role == "" {
			i.Role = "launch"
		}
		c.FHIRContext = append(c.FHIRContext, i)
	}
	for name, value := range raw {
		if slices.Contains(known, name) || looksSecret(name) || bytes.Equal(value, []byte("null")) || repeatsToken(value, raw) {
			continue
		}
		if len(c.Extra) >= maxExtra || len(value) > maxExtraSize {
			warnings = append(warnings, "The server sent more beside the tokens than Chartkey keeps.")
			break
		}
		if c.Extra == nil {
			c.Extra = map[string]json.RawMessage{}
		}
		c.Extra[name] = value
	}
	return c, warnings
}

// repeatsToken tells whether a member holds one of the answer's tokens again,
// under whatever name and however deep.
func repeatsToken(value json.RawMessage, raw map[string]json.RawMessage) bool {
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		if token := text(raw[name]); len(token) > 7 && holds(value, token) {
			return true
		}
	}
	return false
}

// holds tells whether a text stands anywhere in a JSON value, however its
// characters are escaped there.
func holds(value json.RawMessage, words string) bool {
	var any any
	if json.Unmarshal(value, &any) != nil {
		return true // it is none, and nobody knows what is in it
	}
	plain, err := json.Marshal(any)
	if err != nil {
		return true
	}
	needle, err := json.Marshal(words)
	return err != nil || bytes.Contains(plain, bytes.Trim(needle, `"`))
}

// looksSecret tells whether a member's name speaks of something that must not
// be kept in the open.
func looksSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"token", "secret", "password", "assertion", "code"}, func(w string) bool { return strings.Contains(name, w) })
}
