package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/report"
	"chartkey/backend/workstation"

	"golang.org/x/net/html"
)

func example() (workstation.Registration, workstation.TestReport, workstation.Status) {
	reg := workstation.Registration{ID: "r", Name: `Mercy <b> | "one"`, Environment: "production", FHIRBaseURL: "https://ehr.example/fhir", ClientID: "app", ClientType: "public", Audience: "patient", Scopes: []string{"openid"}}
	test := workstation.TestReport{RegistrationID: "r", StartedAt: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC), Layer: workstation.LayerAll, Checks: []workstation.Check{
		{ID: "values", Layer: workstation.LayerConfiguration, Title: "The values are well-formed", Result: workstation.Pass, Detail: "fine", Advice: "nothing", DurationMS: 1500},
		{ID: "server", Layer: workstation.LayerConfiguration, Title: "The server answers", Result: workstation.Warning, Detail: "slow <script>alert(1)</script>", Advice: "Ask its operator."},
		{ID: "grant", Layer: workstation.LayerLive, Title: "There is a stored grant", Result: workstation.Pass, Detail: "Connected."},
		{ID: "token", Layer: workstation.LayerLive, Title: "usable", Result: workstation.Skipped, Detail: "Not tried."},
		{ID: "read", Layer: workstation.LayerLive, Title: "A read works", Result: workstation.Fail, Detail: "GET Patient/amara-nwosu was refused.", Advice: "See Patient/amara-nwosu."},
		{ID: "identity", Layer: workstation.LayerLive, Title: "Who", Result: workstation.Pass, Detail: "The patient is Amara Nwosu (Patient/amara-nwosu), signed in as amara"},
	}}
	id, patient := "g", "amara-nwosu"
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	status := workstation.Status{ConnectionID: &id, State: workstation.Connected, Patient: &patient, ScopesGranted: []string{"openid"}, AccessEndsAt: &end, AccessEndsReason: "By the access period."}
	return reg, test, status
}

func write(t *testing.T, format string) string {
	t.Helper()
	reg, test, status := example()
	var out bytes.Buffer
	if err := report.Write(&out, format, report.New("v1.2.3", time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), reg, test, &status)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEveryFormatTellsTheFailureAndNamesNobody(t *testing.T) {
	for _, format := range report.Formats() {
		t.Run(format, func(t *testing.T) {
			got := write(t, format)
			for _, name := range []string{"amara", "Amara", "Nwosu"} {
				if strings.Contains(got, name) {
					t.Errorf("it names %q:\n%s", name, got)
				}
			}
			if strings.Contains(got, "<script>") && format != report.JSON {
				t.Errorf("what a server said is markup:\n%s", got)
			}
			for _, want := range []string{"https://ehr.example/fhir", "was refused", "2026-11-24"} {
				if !strings.Contains(got, want) {
					t.Errorf("it does not say %q:\n%s", want, got)
				}
			}
		})
	}
}

func TestTheFormsAreWellFormed(t *testing.T) {
	var d report.Document
	if err := json.Unmarshal([]byte(write(t, report.JSON)), &d); err != nil || d.Result != "failed" || d.Counts["fail"] != 1 || d.Connection.State != workstation.Connected {
		t.Errorf("%+v %v", d, err)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Cases []struct {
				Name    string `xml:"name,attr"`
				Time    string `xml:"time,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(write(t, report.JUnit)), &suites); err != nil || suites.Tests != 6 || suites.Failures != 1 || suites.Skipped != 1 || len(suites.Suites) != 2 {
		t.Fatalf("%+v %v", suites, err)
	}
	if c := suites.Suites[0].Cases[0]; c.Name != "values" || c.Time != "1.500" {
		t.Errorf("%+v", c)
	}
	if c := suites.Suites[1].Cases[2]; c.Failure == nil || c.Failure.Message == "" {
		t.Errorf("%+v", c)
	}
	if _, err := html.Parse(strings.NewReader(write(t, report.HTML))); err != nil {
		t.Error(err)
	}
	md := write(t, report.Markdown)
	for _, line := range strings.Split(md, "\n") {
		if strings.HasPrefix(line, "| ") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") < 3 {
			t.Errorf("a broken row: %s", line)
		}
	}
	if !strings.Contains(md, `Mercy &lt;b>`) {
		t.Errorf("the name is markup:\n%s", md)
	}
}

func TestAnotherFormatIsRefused(t *testing.T) {
	if err := report.Write(&bytes.Buffer{}, "pdf", report.Document{}); fault.Code(err) != "invalid-format" {
		t.Error(err)
	}
}
