package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"chartkey/backend/fault"
	"chartkey/backend/workstation"
)

// printer writes what a command says: NDJSON with --json, else text.
type printer struct {
	*run
	mu sync.Mutex // keeps lines whole: events come from several goroutines
}

// print writes v as one line of JSON, or what text writes.
func (p *printer) print(v any, text func(w io.Writer)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return err
		}
		_, err := p.Out.Write(escapeControls(line.Bytes()))
		return err
	}
	text(plainWriter{p.Out})
	return nil
}

// plainWriter drops what could command a terminal: servers and web pages
// choose some of the words that are printed. It is given whole runes.
type plainWriter struct{ to io.Writer }

func (w plainWriter) Write(b []byte) (int, error) {
	clean := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || (unicode.IsGraphic(r) && !unicode.Is(unicode.Cf, r)) {
			return r
		}
		return -1
	}, string(b))
	if _, err := io.WriteString(w.to, clean); err != nil {
		return 0, err
	}
	return len(b), nil
}

// escapeControls escapes what JSON allows in a string and a terminal obeys:
// DEL, the C1 controls and the marks that turn the direction of text.
func escapeControls(line []byte) []byte {
	return []byte(jsonControls.ReplaceAllStringFunc(string(line), func(s string) string {
		r, _ := utf8.DecodeRuneInString(s)
		return fmt.Sprintf(`\u%04x`, r)
	}))
}

var jsonControls = regexp.MustCompile("[\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

// fault ends the output of a command that failed.
func (p *printer) fault(f *fault.Error) {
	if p.json {
		// Nothing can be said any more where this line cannot be written.
		_ = p.print(map[string]any{"error": f}, nil)
		return
	}
	out := plainWriter{p.Err}
	fmt.Fprintf(out, "error: %s\n", f.Message)
	if f.Advice != "" {
		fmt.Fprintf(out, "advice: %s\n", f.Advice)
	}
}

// note says something beside the result, to people only.
func (p *printer) note(text string) {
	if !p.json {
		fmt.Fprintln(p.Err, text)
	}
}

// table aligns rows under a head. It is written when fill returns.
func table(w io.Writer, head []string, fill func(row func(cells ...string))) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if head != nil {
		fmt.Fprintln(t, strings.Join(head, "\t"))
	}
	fill(func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) })
	t.Flush()
}

// pairs aligns labels and values, leaving out those with nothing to say.
func pairs(w io.Writer, labelsAndValues ...string) {
	table(w, nil, func(row func(cells ...string)) {
		for i := 0; i+1 < len(labelsAndValues); i += 2 {
			if labelsAndValues[i+1] != "" {
				row(labelsAndValues[i]+":", labelsAndValues[i+1])
			}
		}
	})
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func named(id, name *string) string {
	switch {
	case id == nil:
		return ""
	case name == nil:
		return *id
	}
	return *name + " (" + *id + ")"
}

// stateWords are the states as people read them.
var stateWords = map[workstation.State]string{
	workstation.NotConnected: "Not connected", workstation.Connected: "Connected",
	workstation.Expired: "Expired", workstation.NeedsReconnect: "Needs reconnect",
}

// connection tells which of a registration's connections it is.
func connection(s workstation.Status) string {
	switch {
	case s.ConnectionID == nil:
		return ""
	case s.Kind != "launch":
		return *s.ConnectionID
	case !s.Accepted:
		return *s.ConnectionID + ", from an EHR launch that waits to be accepted"
	}
	return *s.ConnectionID + ", from an EHR launch"
}

func (p *printer) status(s workstation.Status) func(io.Writer) {
	return func(w io.Writer) {
		identity := ""
		if s.IdentityLocked {
			identity = "not shown: the vault is locked"
		}
		lastTest, lastError := "", ""
		if s.LastTest != nil {
			lastTest = "failed, " + when(&s.LastTest.At)
			if s.LastTest.OK {
				lastTest = "passed, " + when(&s.LastTest.At)
			}
		}
		if s.LastError != nil {
			lastError = s.LastError.Message + " " + s.LastError.Advice
		}
		refreshable, ends := "", when(s.AccessEndsAt)
		if s.ConnectionID != nil {
			refreshable = yesNo(s.Refreshable)
			if ends == "" && s.State != workstation.NeedsReconnect {
				ends = "not known"
			}
		}
		pairs(w,
			"Registration", s.RegistrationName, "Connection", connection(s), "State", stateWords[s.State], "User", s.User, "FHIR base URL", s.FHIRBaseURL,
			"Patient", named(s.Patient, s.PatientName), "Encounter", value(s.Encounter), "Signed in as", named(s.FHIRUser, s.UserName), "Identity", identity,
			"Access token until", when(s.AccessExpiresAt), "Can be refreshed", refreshable, "Access ends", ends, "Why", s.AccessEndsReason,
			"Scopes granted", strings.Join(s.ScopesGranted, " "), "Scopes", s.ScopesNote, "Warnings", strings.Join(s.Warnings, " "),
			"Connected", when(s.ConnectedAt), "Refreshed", when(s.RefreshedAt), "Last test", lastTest, "Last error", lastError,
		)
	}
}

func (p *printer) registration(r workstation.Registration) func(io.Writer) {
	return func(w io.Writer) {
		patient, kind, offline := "", "", yesNo(r.OfflineAccess)
		if r.Audience == "provider" {
			patient = yesNo(r.PatientNeeded)
		}
		if r.Kind == workstation.KindBackend {
			kind, offline = "backend service", ""
		}
		pairs(w,
			"Name", r.Name, "ID", r.ID, "Kind", kind, "Environment", r.Environment, "FHIR base URL", r.FHIRBaseURL, "Client ID", r.ClientID, "Client type", r.ClientType,
			"Client secret", r.ClientSecret, "Audience", r.Audience, "Patient needed", patient, "Offline access", offline, "Scopes", strings.Join(r.Scopes, " "), "Redirect URIs", strings.Join(r.RedirectURIs, " "),
			"Launch URL", r.LaunchURL,
		)
	}
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// marks stand before a check: a shape as well as a word.
var marks = map[workstation.Result]string{
	workstation.Pass: "✓ pass", workstation.Fail: "✗ fail", workstation.Warning: "! warning", workstation.Skipped: "- skipped",
}

func (p *printer) check(w io.Writer, c workstation.Check) {
	fmt.Fprintf(w, "  %-10s %s\n", marks[c.Result], c.Title)
	if c.Detail != "" {
		fmt.Fprintf(w, "             %s\n", c.Detail)
	}
	if c.Advice != "" && c.Result != workstation.Pass {
		fmt.Fprintf(w, "             → %s\n", c.Advice)
	}
}

func (p *printer) report(r workstation.TestReport) error {
	return p.print(r, func(w io.Writer) {
		layer := workstation.Layer("")
		for _, c := range r.Checks {
			if c.Layer != layer {
				layer = c.Layer
				fmt.Fprintln(w, map[workstation.Layer]string{workstation.LayerConfiguration: "Configuration", workstation.LayerLive: "Live"}[layer])
			}
			p.check(w, c)
		}
		if r.OK {
			fmt.Fprintln(w, "The test passed.")
		} else {
			fmt.Fprintln(w, "The test failed.")
		}
	})
}
