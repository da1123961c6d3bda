package smart

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

// Problem is one thing wrong with a value that a person entered.
type Problem struct {
	// Code is a stable kebab-case word.
	Code string `json:"code"`
	// Message says what is wrong, Advice what to enter instead.
	Message string `json:"message"`
	Advice  string `json:"advice"`
}

// Fault gives the problem as a fault.
func (p Problem) Fault() *fault.Error { return fault.New(p.Code, p.Message, p.Advice) }

const exampleBase = "https://fhir.example.org/api/FHIR/R4"

// IsLoopbackHost tells whether host (no port) is this machine: localhost,
// 127.0.0.0/8 or ::1.
func IsLoopbackHost(host string) bool { return network.IsLoopback(host) }

// CheckBaseURL checks what was entered as a FHIR base URL, without asking the
// network. No problems means that it can be saved, and it is to be saved
// exactly as it is: servers compare aud as a string.
func CheckBaseURL(raw string) []Problem {
	if raw == "" {
		return []Problem{{"base-url-missing", "The FHIR base URL is empty.", "Enter the R4 base URL of the health system, like " + exampleBase + "."}}
	}
	if p, bad := hiddenCharacter(raw); bad {
		return []Problem{p}
	}
	scheme, _, found := strings.Cut(raw, "://")
	if !found {
		return []Problem{{"base-url-no-scheme", "The FHIR base URL does not begin with https://.", "Enter the whole address, like " + exampleBase + "."}}
	}
	u, err := url.Parse(raw)
	if err != nil || !plainHost(u) || u.Opaque != "" || strings.Contains(raw, `\`) {
		return []Problem{{"base-url-not-a-url", "The FHIR base URL is not an address that can be used.", "Check it for missing or wrong characters; it looks like " + exampleBase + "."}}
	}

	var problems []Problem
	add := func(code, message, advice string) { problems = append(problems, Problem{code, message, advice}) }
	switch strings.ToLower(scheme) {
	case "https":
	case "http":
		if !IsLoopbackHost(u.Hostname()) {
			add("base-url-not-https", "The FHIR base URL begins with http, which would send patient data unprotected.",
				"Enter the https address. Plain http is accepted only for a server on this workstation (localhost).")
		}
	default:
		add("base-url-scheme", fmt.Sprintf("The FHIR base URL begins with %s://.", network.Clean(scheme, 20)), "Enter an address that begins with https://.")
	}
	if u.User != nil {
		add("base-url-user-info", "The FHIR base URL has a user name or password before the host.", "Remove everything between // and @. Sign-in happens in the browser.")
	}
	if u.Fragment != "" || strings.Contains(raw, "#") {
		add("base-url-fragment", "The FHIR base URL has a part after #.", "Remove the # and what follows it.")
	}
	if u.RawQuery != "" || u.ForceQuery {
		add("base-url-query", "The FHIR base URL has a part after ?.", "Remove the ? and what follows it.")
	}
	if hasDotSegments(u) {
		add("base-url-dot-segments", "The FHIR base URL has a . or .. step in its path.", "Enter the address without such steps.")
	}
	return append(problems, wrongAddress(u)...)
}

// wrongAddress finds the addresses that people mistake for the base.
func wrongAddress(u *url.URL) []Problem {
	var segments []string
	for _, s := range strings.Split(strings.ToLower(u.Path), "/") {
		if s != "" {
			segments = append(segments, s)
		}
	}
	if i := slices.Index(segments, ".well-known"); i >= 0 {
		return []Problem{{"base-url-well-known", "This is the address of the discovery document, not the FHIR base URL.", "Remove /.well-known and what follows it."}}
	}
	if len(segments) == 0 {
		return nil
	}
	last := segments[len(segments)-1]
	switch {
	case last == "metadata":
		return []Problem{{"base-url-metadata", "This is the address of the server's CapabilityStatement, not the FHIR base URL.", "Remove /metadata from the end."}}
	case slices.Contains([]string{"authorize", "token", "oauth2", "introspect", "revoke"}, last):
		return []Problem{{"base-url-oauth", "This is an address of the sign-in service (OAuth), not the FHIR base URL.",
			"Enter the FHIR R4 base URL. At Epic it ends in /api/FHIR/R4; Chartkey finds the sign-in addresses from it."}}
	}
	for version, name := range map[string]string{"dstu2": "DSTU2", "stu3": "STU3"} {
		if slices.Contains(segments, version) {
			return []Problem{{"base-url-version", "This is the base URL of an older FHIR version (" + name + ").",
				"Enter the R4 base URL. At Epic it is the same address with R4 in place of " + name + "."}}
		}
	}
	return nil
}

// hiddenCharacter finds white space, control and invisible characters, and
// letters outside ASCII, which can pass for others (a Cyrillic а for an a).
func hiddenCharacter(raw string) (Problem, bool) {
	if strings.TrimSpace(raw) != raw {
		return Problem{"base-url-white-space", "The FHIR base URL has white space at its beginning or end.", "Remove it; copying often adds some."}, true
	}
	at := 0
	for _, r := range raw {
		at++
		switch {
		case unicode.IsSpace(r):
			return Problem{"base-url-white-space", fmt.Sprintf("The FHIR base URL has white space at position %d.", at), "Remove it, or check whether two addresses were pasted."}, true
		case r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.Is(unicode.Mn, r):
			return Problem{"base-url-invisible-character", fmt.Sprintf("The FHIR base URL has an invisible character (U+%04X) at position %d.", r, at), "Type the address instead of pasting it, or remove that character."}, true
		case r > unicode.MaxASCII:
			return Problem{"base-url-not-ascii", fmt.Sprintf("The FHIR base URL has the character %c (U+%04X) at position %d, which may pass for another.", r, r, at), "Type that character again on an English keyboard."}, true
		}
	}
	return Problem{}, false
}

// plainHost tells whether u names a host in plain ASCII: neither what was
// percent-encoded nor an IPv6 zone, which can pass for something else.
func plainHost(u *url.URL) bool {
	return u.Hostname() != "" && !strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII || r == '%' || r <= ' ' })
}

func hasDotSegments(u *url.URL) bool {
	return slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// NormalizeBaseURL gives the form in which two base URLs or issuers are
// compared: scheme and host in lower case, no default port, no trailing
// slash. Paths are case-sensitive and stay as they are. What could hide
// another address (user-info, query, fragment, dot segments) is an error.
func NormalizeBaseURL(raw string) (string, error) {
	if p, bad := hiddenCharacter(raw); bad {
		return "", errors.New(p.Message)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("not a URL")
	}
	scheme := strings.ToLower(u.Scheme)
	switch {
	case scheme != "https" && scheme != "http":
		return "", errors.New("neither https nor http")
	case !plainHost(u) || u.Opaque != "":
		return "", errors.New("no host that can be compared")
	case u.User != nil:
		return "", errors.New("user-info before the host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return "", errors.New("a query or fragment")
	case hasDotSegments(u) || strings.Contains(u.Path, `\`):
		return "", errors.New("dot segments in the path")
	}
	host := strings.ToLower(u.Host)
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + strings.TrimSuffix(host, ":") + strings.TrimSuffix(u.EscapedPath(), "/"), nil
}
