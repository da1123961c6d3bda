package trace_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"chartkey/backend/trace"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sample is a trace with one of everything.
func sample(t testing.TB) trace.Trace {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := trace.NewRecorder(trace.Options{Operation: "connect `x`", Program: "Chartkey 1.2.3", Now: func() time.Time { now = now.Add(10 * time.Millisecond); return now }})
	r.Note(trace.StepLaunch, "http://localhost:18330/launch?iss=https://ehr.example/fhir&launch=xyz12345", nil)
	r.Note(trace.StepAuthorize, "https://ehr.example/authorize?client_id=c&state=abcdefgh", nil)
	r.Note(trace.StepCallback, "", url.Values{"error": {"access_denied"}, "state": {"abcdefgh"}})
	r.Note("decided", "to go on", nil)
	send(t, r, post(t, "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {"abc#;<b>`def"}}), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", "Sun, 01 Mar 2026 12:00:00 GMT")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"`+"```"+` ![x](https://evil.example/x) <script>alert(1)</script> @all | # ; end"}`)
	})
	send(t, r, get(t, "/fhir/Patient/a%20b;c"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	})
	_, _ = r.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.EOF })).RoundTrip(get(t, "https://ehr.example/fhir/Patient?name=x"))
	open, err := r.Transport(roundTrip(func(q *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Proto: "HTTP/2.0", Header: http.Header{}, Body: io.NopCloser(strings.NewReader("x")), Request: q}, nil
	})).RoundTrip(get(t, "https://ehr.example/fhir/metadata"))
	if err != nil {
		t.Fatal(err)
	}
	tr := r.Trace()
	_ = open.Body.Close()
	return tr
}

func TestHARFollowsItsSchema(t *testing.T) {
	f, err := os.Open("testdata/har-1.2.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("har.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("har.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, traces ...trace.Trace) []byte {
		var b bytes.Buffer
		if err := trace.HAR(&b, traces...); err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
		return b.Bytes()
	}
	check("nothing")
	check("an empty trace", trace.Trace{})
	one := sample(t)
	b := check("two traces", one, one)
	var got struct {
		Log struct {
			Creator struct{ Name, Version string }
			Pages   []struct{ ID, Title string }
			Entries []struct {
				Pageref  string
				Request  struct{ URL, Method string }
				Response struct {
					Status      int
					RedirectURL string
				}
				Error string `json:"_error"`
			}
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Log.Creator.Name != "Chartkey" || got.Log.Creator.Version != "1.2.3" || len(got.Log.Pages) != 2 || len(got.Log.Entries) != 8 || got.Log.Pages[1].ID != "trace-2" {
		t.Errorf("%+v", got)
	}
	for _, e := range got.Log.Entries {
		if _, err := url.Parse(e.Request.URL); err != nil || strings.ContainsAny(e.Request.URL, " ‹›") {
			t.Errorf("%q %v", e.Request.URL, err)
		}
	}
	if e := got.Log.Entries[2]; e.Response.RedirectURL != "/elsewhere" || e.Response.Status != 302 || !strings.HasSuffix(e.Request.URL, "/fhir/Patient/%E2%80%B9patient%201%E2%80%BA") {
		t.Errorf("%+v", e)
	}
	if e := got.Log.Entries[4]; e.Error != "failed" || e.Response.Status != 0 {
		t.Errorf("%+v", e)
	}
}

// TestMarkdownOfAServerDoesNothing looks for what a server said outside of code blocks.
func TestMarkdownOfAServerDoesNothing(t *testing.T) {
	var b bytes.Buffer
	if err := trace.Markdown(&b, sample(t)); err != nil {
		t.Fatal(err)
	}
	outside, fence := "", ""
	for line := range strings.SplitSeq(b.String(), "\n") {
		switch {
		case fence == "" && strings.HasPrefix(line, "```"):
			fence = line[:strings.LastIndexByte(line, '`')+1]
		case fence != "" && line == fence:
			fence = ""
		case fence == "":
			outside += line + "\n"
		}
	}
	if fence != "" {
		t.Error("a code block does not end")
	}
	for _, bad := range []string{"evil", "script", "@all", "access_denied", "`x`"} {
		if strings.Contains(outside, bad) {
			t.Errorf("%q is outside of the code:\n%s", bad, outside)
		}
	}
	for _, good := range []string{"# Trace: connect &#96;x&#96;", "| Recorded by | Chartkey 1.2.3 |", "## 5. Code for tokens", "```mermaid\nsequenceDiagram\n", "failed: failed", "````http\nHTTP/1.1 400 Bad Request"} {
		if !strings.Contains(b.String(), good) {
			t.Errorf("%q is missing in\n%s", good, b.String())
		}
	}
	_, diagram, _ := strings.Cut(b.String(), "```mermaid\n")
	diagram, _, _ = strings.Cut(diagram, "```")
	want := `sequenceDiagram
    participant B as Browser
    participant C as Chartkey
    participant A as Authorization server
    participant F as FHIR server
    B->>C: launch from the EHR
    C->>B: opens the sign-in page
    B->>A: sign-in and consent
    A--xB: sends the person back
    B--xC: callback: access_denied
    C->>C: decided
    C->>A: Code for tokens: POST /oauth2/token
    A--xC: 400, 20 ms
    C->>F: Read of Patient: GET /fhir/Patient/‹patient 1›
    F-->>C: 302, 10 ms
    C->>F: Search for Patient: GET /fhir/Patient
    F--xC: failed, 10 ms
    C->>F: Capabilities: GET /fhir/metadata
    F-->>C: 200, not read to its end yet, 10 ms
`
	if diagram != want {
		t.Errorf("%s", diagram)
	}
}

func TestSequence(t *testing.T) {
	arrows := trace.Sequence(sample(t))
	var outcomes []string
	for _, a := range arrows {
		outcomes = append(outcomes, a.Outcome)
		if trace.ParticipantName(a.From) == "" || trace.ParticipantName(a.To) == "" || a.Label == "" || a.Seq == 0 || a.At.IsZero() {
			t.Errorf("%+v", a)
		}
	}
	if got := strings.Join(outcomes, " "); got != "ok ok ok refused refused ok ok refused ok moved ok failed ok open" {
		t.Error(got)
	}
}

func TestTextIsForATerminal(t *testing.T) {
	var b bytes.Buffer
	if err := trace.Text(&b, sample(t)); err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{"\n1. Step: launch\n   http://localhost:18330/launch?iss=https://ehr.example/fhir&launch=‹launch 1›\n", "\n5. Code for tokens (2026-03-01 12:00:00.060 UTC; to the authorization server; 20 ms)\n   POST http://127.0.0.1:",
		"   code=‹code 1›\n", "(2026-03-01 12:00:00.110 UTC; to the FHIR server; 10 ms; failed: failed)", "‹the answer was not read to its end yet›"} {
		if !strings.Contains(b.String(), good) {
			t.Errorf("%q is missing in\n%s", good, b.String())
		}
	}
	if strings.ContainsFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' }) {
		t.Errorf("%q", b.String())
	}
	if err := trace.Text(broken{}, sample(t)); err == nil {
		t.Error("a write that fails is no fault")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
