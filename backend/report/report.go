// Package report writes a test of a connection as a document for others: an
// EHR's integration team, an auditor, a pipeline. It owns the forms (HTML to
// print, Markdown, JSON, JUnit XML) and nothing else: what was tested and found
// is given to it. No document names a patient, a token or a secret.
package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/workstation"
)

// The formats.
const (
	HTML     = "html"
	Markdown = "markdown"
	JSON     = "json"
	JUnit    = "junit"
)

// Formats are those that Write knows.
func Formats() []string { return []string{HTML, Markdown, JSON, JUnit} }

// Document is what a report tells.
type Document struct {
	// Chartkey is the version that tested.
	Chartkey  string    `json:"chartkey"`
	WrittenAt time.Time `json:"written_at"`
	Result    string    `json:"result"` // passed | failed
	// Registration is against what it was tested.
	Registration Registration         `json:"registration"`
	StartedAt    time.Time            `json:"started_at"`
	Layer        workstation.Layer    `json:"layer"`
	Checks       []workstation.Check  `json:"checks"`
	Counts       map[string]int       `json:"counts"`
	Connection   *workstation.Outline `json:"connection,omitempty"`
}

// Registration is what a report tells of a registration.
type Registration struct {
	Name         string   `json:"name"`
	Environment  string   `json:"environment"`
	FHIRBaseURL  string   `json:"fhir_base_url"`
	ClientID     string   `json:"client_id"`
	ClientType   string   `json:"client_type"`
	Audience     string   `json:"audience"`
	Scopes       []string `json:"scopes"`
	RedirectURIs []string `json:"redirect_uris"`
	LaunchURL    string   `json:"launch_url"`
}

// New makes the document of a test. status, where given, adds how the
// connection stands; whom it concerns is left out, of the checks too.
func New(version string, now time.Time, reg workstation.Registration, test workstation.TestReport, status *workstation.Status) Document {
	d := Document{
		Chartkey: version, WrittenAt: now.UTC().Truncate(time.Second), Result: "passed", StartedAt: test.StartedAt, Layer: test.Layer,
		Registration: Registration{
			Name: reg.Name, Environment: reg.Environment, FHIRBaseURL: reg.FHIRBaseURL, ClientID: reg.ClientID, ClientType: reg.ClientType,
			Audience: reg.Audience, Scopes: reg.Scopes, RedirectURIs: reg.RedirectURIs, LaunchURL: reg.LaunchURL,
		},
		Checks: test.WithoutPatient().Checks, Counts: map[string]int{"pass": 0, "fail": 0, "warning": 0, "skipped": 0},
	}
	if !test.OK {
		d.Result = "failed"
	}
	for _, c := range d.Checks {
		d.Counts[string(c.Result)]++
	}
	if status != nil && status.ConnectionID != nil {
		outline := status.Outline()
		d.Connection = &outline
	}
	return d
}

// Write writes d in a format. Fault: invalid-format.
func Write(w io.Writer, format string, d Document) error {
	switch format {
	case HTML:
		return page.Execute(w, d)
	case Markdown:
		return markdown(w, d)
	case JSON:
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(d)
	case JUnit:
		return junit(w, d)
	}
	return fault.Newf("invalid-format", "Choose "+strings.Join(Formats(), ", ")+".", "%q is no format of a report.", format)
}

func layerTitle(l workstation.Layer) string {
	return map[workstation.Layer]string{workstation.LayerConfiguration: "Configuration", workstation.LayerLive: "Live", workstation.LayerAll: "Configuration and live"}[l]
}

func mark(r workstation.Result) string {
	return map[workstation.Result]string{workstation.Pass: "✓", workstation.Fail: "✗", workstation.Warning: "!", workstation.Skipped: "–"}[r]
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// cell makes text fit for a cell of a Markdown table: nothing in it is markup.
func cell(text string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "\r", " ", "<", "&lt;", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]").Replace(text)
}

func markdown(w io.Writer, d Document) error {
	var b strings.Builder
	r := d.Registration
	fmt.Fprintf(&b, "# Connection report: %s\n\n", cell(r.Name))
	fmt.Fprintf(&b, "The test **%s**: %d passed, %d failed, %d with a warning, %d skipped.\n\n", d.Result, d.Counts["pass"], d.Counts["fail"], d.Counts["warning"], d.Counts["skipped"])
	b.WriteString("| what | value |\n|---|---|\n")
	for _, row := range rows(d) {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], cell(row[1]))
	}
	layer := workstation.Layer("")
	for _, c := range d.Checks {
		if c.Layer != layer {
			layer = c.Layer
			fmt.Fprintf(&b, "\n## %s\n\n| | check | found | advice |\n|---|---|---|---|\n", layerTitle(layer))
		}
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s |\n", mark(c.Result), c.Result, cell(c.Title), cell(c.Detail), cell(advice(c)))
	}
	fmt.Fprintf(&b, "\nWritten by Chartkey %s on %s. No patient, token or secret is in this report.\n", d.Chartkey, stamp(d.WrittenAt))
	_, err := io.WriteString(w, b.String())
	return err
}

// advice is shown where something is to be done.
func advice(c workstation.Check) string {
	if c.Result == workstation.Pass || c.Result == workstation.Skipped {
		return ""
	}
	return c.Advice
}

// rows are what was tested, when, and against what.
func rows(d Document) [][2]string {
	r := d.Registration
	out := [][2]string{
		{"Tested", stamp(d.StartedAt) + ", " + strings.ToLower(layerTitle(d.Layer))},
		{"FHIR base URL", r.FHIRBaseURL}, {"Environment", r.Environment}, {"Client ID", r.ClientID}, {"Client type", r.ClientType}, {"Audience", r.Audience},
		{"Scopes asked", strings.Join(r.Scopes, " ")}, {"Redirect URIs", strings.Join(r.RedirectURIs, " ")}, {"Launch URL", r.LaunchURL},
	}
	if c := d.Connection; c != nil {
		out = append(out, [2]string{"Connection", string(c.State)}, [2]string{"Scopes granted", strings.Join(c.ScopesGranted, " ")}, [2]string{"Access ends", c.AccessEnds})
		if c.ScopesNote != "" {
			out = append(out, [2]string{"Asked and granted", c.ScopesNote})
		}
	}
	return slices.DeleteFunc(out, func(row [2]string) bool { return row[1] == "" })
}

// The JUnit form that CI systems read.
type (
	testSuites struct {
		XMLName  xml.Name    `xml:"testsuites"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Suites   []testSuite `xml:"testsuite"`
	}
	testSuite struct {
		Name       string     `xml:"name,attr"`
		Tests      int        `xml:"tests,attr"`
		Failures   int        `xml:"failures,attr"`
		Skipped    int        `xml:"skipped,attr"`
		Timestamp  string     `xml:"timestamp,attr"`
		Properties []property `xml:"properties>property"`
		Cases      []testCase `xml:"testcase"`
	}
	property struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	testCase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Time    string   `xml:"time,attr"`
		Failure *outcome `xml:"failure"`
		Skipped *outcome `xml:"skipped"`
		Out     string   `xml:"system-out,omitempty"`
	}
	outcome struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func junit(w io.Writer, d Document) error {
	all := testSuites{Name: "Chartkey: " + d.Registration.Name}
	for _, layer := range []workstation.Layer{workstation.LayerConfiguration, workstation.LayerLive} {
		s := testSuite{Name: d.Registration.Name + ": " + strings.ToLower(layerTitle(layer)), Timestamp: d.StartedAt.UTC().Format("2006-01-02T15:04:05")}
		for _, row := range rows(d) {
			s.Properties = append(s.Properties, property{row[0], row[1]})
		}
		for _, c := range d.Checks {
			if c.Layer != layer {
				continue
			}
			t := testCase{Class: "chartkey." + string(layer), Name: c.ID, Time: fmt.Sprintf("%.3f", float64(c.DurationMS)/1000)}
			switch c.Result {
			case workstation.Fail:
				s.Failures++
				t.Failure = &outcome{c.Detail, c.Advice}
			case workstation.Skipped:
				s.Skipped++
				t.Skipped = &outcome{Message: c.Detail}
			default:
				t.Out = strings.TrimSpace(c.Title + ": " + c.Detail + " " + advice(c))
			}
			s.Tests++
			s.Cases = append(s.Cases, t)
		}
		if s.Tests == 0 {
			continue
		}
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

var page = template.Must(template.New("report").Funcs(template.FuncMap{"mark": mark, "layer": layerTitle, "stamp": stamp, "rows": rows, "advice": advice}).Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Connection report: {{.Registration.Name}}</title>
<style>
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.1rem;margin:1.5rem 0 .25rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-top:1px solid #8886;overflow-wrap:anywhere}
th{font-weight:600}
thead th{border-top:0}
.result{white-space:nowrap}
.advice{display:block}
footer{margin-top:2rem;opacity:.8}
@media print{body{margin:0;max-width:none;font-size:10pt}tr{break-inside:avoid}}
</style>
</head>
<body>
<h1>Connection report: {{.Registration.Name}}</h1>
<p>The test <strong>{{.Result}}</strong>: {{index .Counts "pass"}} passed, {{index .Counts "fail"}} failed, {{index .Counts "warning"}} with a warning, {{index .Counts "skipped"}} skipped.</p>
<table><tbody>{{range rows .}}
<tr><th scope="row">{{index . 0}}</th><td>{{index . 1}}</td></tr>{{end}}
</tbody></table>
<h2>Checks</h2>
<table><thead><tr><th scope="col">Result</th><th scope="col">Check</th><th scope="col">Found</th></tr></thead><tbody>{{range .Checks}}
<tr><td class="result"><span aria-hidden="true">{{mark .Result}}</span> {{.Result}}</td><td>{{.Title}} ({{.Layer}})</td><td>{{.Detail}}{{with advice .}}<span class="advice">{{.}}</span>{{end}}</td></tr>{{end}}
</tbody></table>
<footer>Written by Chartkey {{.Chartkey}} on {{stamp .WrittenAt}}. No patient, token or secret is in this report.</footer>
</body>
</html>
`))
