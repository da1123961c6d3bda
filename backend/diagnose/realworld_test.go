package diagnose_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"chartkey/backend/diagnose"
)

// recorded is an error as a public thread shows it.
type recorded struct {
	Server string `json:"server"`
	Source string `json:"source"`
	// One of these is how it reached the app.
	Pasted   string    `json:"pasted"`
	Callback string    `json:"callback"`
	Token    *exchange `json:"token"`
	Refresh  *exchange `json:"refresh"`
	FHIR     *exchange `json:"fhir"`
	// Registration and AgeHours are what was known of the app, where it matters.
	Registration diagnose.RegistrationFacts `json:"registration"`
	AgeHours     int                        `json:"age_hours"`
	First        string                     `json:"first"`
	// Among is how far down the cause may be; 0 means that it must be first.
	Among int    `json:"among"`
	Why   string `json:"why"`
}

type exchange struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// diagnose gives what the app would make of it.
func (r recorded) diagnose(t *testing.T) diagnose.Diagnosis {
	t.Helper()
	f := diagnose.Facts{Registration: r.Registration, History: diagnose.HistoryFacts{Age: time.Duration(r.AgeHours) * time.Hour}}
	oauth := func(stage diagnose.Stage, e *exchange) diagnose.Facts {
		f.Stage = stage
		f.HTTP = diagnose.HTTPFacts{Status: e.Status, ContentType: "application/json", Body: diagnose.Excerpt([]byte(e.Body))}
		var body struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
			URI         string `json:"error_uri"`
		}
		if err := json.Unmarshal([]byte(e.Body), &body); err != nil {
			t.Fatal(err)
		}
		f.OAuth = diagnose.OAuthFacts{Error: body.Error, Description: body.Description, URI: body.URI}
		return f
	}
	switch {
	case r.Pasted != "":
		return diagnose.Recognize(r.Pasted, f)
	case r.Callback != "":
		q, err := url.ParseQuery(r.Callback)
		if err != nil {
			t.Fatal(err)
		}
		f.Stage = diagnose.Authorize
		f.OAuth = diagnose.OAuthFacts{Error: q.Get("error"), Description: q.Get("error_description"), URI: q.Get("error_uri")}
		f.Fault.Code = "authorization-refused"
	case r.Token != nil:
		f = oauth(diagnose.Token, r.Token)
	case r.Refresh != nil:
		f = oauth(diagnose.Refresh, r.Refresh)
		f.History.Connected = true
	case r.FHIR != nil:
		f.Stage = diagnose.FHIR
		f.HTTP = diagnose.HTTPFacts{Status: r.FHIR.Status, ContentType: "application/fhir+json", Body: diagnose.Excerpt([]byte(r.FHIR.Body))}
		var outcome struct {
			Issue []struct {
				Severity, Code, Diagnostics string
				Details                     struct{ Text string }
			}
		}
		if err := json.Unmarshal([]byte(r.FHIR.Body), &outcome); err != nil {
			t.Fatal(err)
		}
		for _, i := range outcome.Issue {
			f.Outcome = append(f.Outcome, diagnose.IssueFacts{Severity: i.Severity, Code: i.Code, Text: i.Details.Text + i.Diagnostics})
		}
	}
	return diagnose.Diagnose(f)
}

func recordings(t *testing.T) []recorded {
	t.Helper()
	text, err := os.ReadFile("testdata/real-world.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []recorded
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestErrorsThatPeopleHaveReportedAreRecognised(t *testing.T) {
	list := recordings(t)
	if len(list) < 30 {
		t.Errorf("only %d are recorded", len(list))
	}
	for _, r := range list {
		if !strings.HasPrefix(r.Source, "https://github.com/") {
			t.Errorf("%q cites no thread", r.Source)
		}
		d := r.diagnose(t)
		if at := place(d, r.First); at < 0 || at >= max(r.Among, 1) {
			t.Errorf("%s (%s): %s is number %d of %v", r.Source, r.Server, r.First, at+1, ids(d))
		}
	}
}
