package trace_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/trace"
)

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

func TestTheLimitsHold(t *testing.T) {
	t.Run("exchanges", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{Limits: trace.Limits{Exchanges: 6}})
		for i := range 10 {
			r.Note(fmt.Sprintf("step-%d", i), "", nil)
		}
		tr := r.Trace()
		var steps []string
		for _, n := range tr.Notes {
			steps = append(steps, n.Step)
		}
		// The first half and the latest.
		if got := strings.Join(steps, " "); got != "step-0 step-1 step-2 step-7 step-8 step-9" || len(tr.LeftOut) != 1 || tr.LeftOut[0] != "4 steps in the middle are left out, as the trace is long." {
			t.Error(got, tr.LeftOut)
		}
	})
	t.Run("a body", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{Limits: trace.Limits{Body: 200}})
		list := `{"capabilities":["` + strings.Repeat(`launch-ehr","`, 100) + `x"]}`
		send(t, r, get(t, "/fhir/.well-known/smart-configuration"), says(list))
		b := r.Trace().Exchanges[0].Response.Body
		if len(b.Text) > 200 || len(b.Text) < 150 || b.LeftOut != fmt.Sprintf("It is longer: of 1.3 kB, the first %d bytes are kept.", len(b.Text)) || !strings.HasSuffix(b.Text, `"launch-ehr",`) {
			t.Errorf("%d %q %q", len(b.Text), b.Text, b.LeftOut)
		}
	})
	t.Run("a form", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{Limits: trace.Limits{Body: 200}})
		send(t, r, post(t, "/token", url.Values{"scope": {strings.Repeat("patient/Observation.rs ", 50)}}), says(`{}`))
		if b := r.Trace().Exchanges[0].Request.Body; b.Text != "a form, 1.3 kB" || b.LeftOut == "" || len(b.Form) != 0 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("what is looked into", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{Limits: trace.Limits{Capture: 1000}})
		long := `{"resourceType":"Bundle","entry":[` + strings.Repeat(`{"a":"Amara"},`, 200) + `0]}`
		send(t, r, get(t, "/fhir/Patient"), says(long))
		// A secret of which half was seen is known by that half.
		send(t, r, post(t, "/token", url.Values{"refresh_token": {"start-0123456789-ABCDEFGHIJ" + strings.Repeat("x7", 1000)}}), says(`{"error":"x","error_description":"bad start-0123456789-ABCDEFGHIJx7x7"}`))
		tr := r.Trace()
		if b := tr.Exchanges[0].Response.Body; b.Text != "Bundle, 2.8 kB" || b.LeftOut == "" {
			t.Errorf("%+v", b)
		}
		if b := tr.Exchanges[1]; !strings.HasPrefix(b.Request.Body.Text, "a form, ") || strings.Contains(b.Response.Body.Text, "ABCDEF") {
			t.Errorf("%+v", b)
		}
	})
	t.Run("a trace", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{Limits: trace.Limits{Total: 40 << 10}})
		list := `{"capabilities":["` + strings.Repeat(`launch-ehr","`, 900) + `x"]}`
		for range 12 {
			send(t, r, get(t, "/fhir/.well-known/smart-configuration"), says(list))
		}
		tr := r.Trace()
		b, err := json.Marshal(tr)
		if err != nil || len(b) > 48<<10 || len(tr.Exchanges) < 2 || len(tr.LeftOut) == 0 || tr.Exchanges[0].Seq != 1 || tr.Exchanges[len(tr.Exchanges)-1].Seq != 12 {
			t.Errorf("%d bytes, %d exchanges, %q, %v", len(b), len(tr.Exchanges), tr.LeftOut, err)
		}
		r = trace.NewRecorder(trace.Options{Limits: trace.Limits{Total: 4 << 10}})
		send(t, r, get(t, "/fhir/.well-known/smart-configuration"), says(list))
		if tr := r.Trace(); tr.Exchanges[0].Response.Body.Text != "" || tr.Exchanges[0].Response.Body.LeftOut == "" || len(tr.LeftOut) != 1 {
			t.Errorf("%+v", tr)
		}
	})
	t.Run("headers and parameters", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{})
		query := url.Values{}
		for i := range 130 {
			query.Set(fmt.Sprintf("p%d", i), strings.Repeat("x", 50))
		}
		q := get(t, "/fhir/Patient?"+query.Encode())
		send(t, r, q, func(w http.ResponseWriter, _ *http.Request) {
			for i := range 500 {
				w.Header().Set(fmt.Sprintf("X-Many-%d", i), strings.Repeat("y", 90))
			}
		})
		e := r.Trace().Exchanges[0]
		if len(e.Query) != 101 || len(e.Response.Headers) != 101 || len([]rune(e.URL)) > 4001 {
			t.Error(len(e.Query), len(e.Response.Headers), len(e.URL))
		}
	})
	t.Run("secrets", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{})
		for i := range 9000 {
			r.Know(trace.AccessToken, secret.New(fmt.Sprintf("token-number-%d-of-many", i)))
		}
		send(t, r, get(t, "/x"), says(`{"error":"x","error_description":"this is a sentence"}`))
		if tr := r.Trace(); strings.Contains(exports(t, tr)["JSON"], "sentence") || len(tr.LeftOut) != 1 {
			t.Errorf("%+v", tr)
		}
	})
}

func TestATraceSurvivesStorage(t *testing.T) {
	r := trace.NewRecorder(trace.Options{Operation: "connect"})
	send(t, r, post(t, "/token", url.Values{"client_assertion": {"eyJhbGciOiJSUzM4NCJ9.eyJpc3MiOiJjIiwic3ViIjoiYyIsImV4cCI6MTc3MjM2NjQwMH0.c2ln"}}), says(`{"access_token":"abcdefgh12345678"}`))
	r.Note(trace.StepCallback, "", url.Values{"code": {"abcdefgh"}})
	r.End(fault.New("token-refused", "No.", "Try."))
	tr := r.Trace()
	if tr.Outcome != "token-refused" || tr.Ended.IsZero() {
		t.Errorf("%+v", tr)
	}
	b, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "null,") && strings.Contains(string(b), `"exchanges":null`) {
		t.Errorf("%s", b)
	}
	var back trace.Trace
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, tr) {
		t.Errorf("%v\n%+v\n%+v", err, back, tr)
	}
	// What is given is a copy.
	tr.Exchanges[0].Request.Body.Form[0].Value = "changed"
	tr.Exchanges[0].JWTs[0].Claims[0].Value = "changed"
	if got := r.Trace(); reflect.DeepEqual(got, tr) || !reflect.DeepEqual(got, back) {
		t.Error("the trace can be changed from outside")
	}
	r.End(nil)
	if r.Trace().Outcome != "token-refused" {
		t.Error("a later end counts")
	}
}

func TestAnEmptyTraceIsWhole(t *testing.T) {
	r := trace.NewRecorder(trace.Options{Operation: "test"})
	b, err := json.Marshal(r.Trace())
	if err != nil || strings.Contains(string(b), "null") {
		t.Errorf("%s %v", b, err)
	}
	for name, text := range exports(t, r.Trace()) {
		if text == "" {
			t.Error(name)
		}
	}
	for name, text := range exports(t, trace.Trace{}) {
		if text == "" {
			t.Error(name)
		}
	}
}

func TestWhatIsKnownBeforehandHasItsName(t *testing.T) {
	r := trace.NewRecorder(trace.Options{})
	r.Know(trace.RefreshToken, secret.New("a refresh token of words"))
	r.Know(trace.RefreshToken, secret.Value{})
	r.Note("renew", "It is A Refresh Token of Words, or a+refresh+token+of+words.", url.Values{"token": {"a refresh token of words"}, "x": {"a refresh token of words"}})
	n := r.Trace().Notes[0]
	if field(n.Values, "token") != "‹refresh token 1›" || field(n.Values, "x") != "‹refresh token 1›" || n.Detail != "It is ‹refresh token 1›, or ‹text, 24 characters, with refresh token 1 in it›" && !strings.Contains(n.Detail, "with refresh token 1 in it›") {
		t.Errorf("%+v", n)
	}
}

func TestMarksOfTwoRecordersHaveNothingInCommon(t *testing.T) {
	// The hashes have a key of each recorder's own; what shows is a number in the order of appearance.
	for range 3 {
		r := trace.NewRecorder(trace.Options{})
		r.Note("a", "", url.Values{"state": {"first-" + time.Now().String()}})
		r.Note("b", "", url.Values{"state": {"second-" + time.Now().String()}})
		if n := r.Trace().Notes; field(n[0].Values, "state") != "‹state 1›" || field(n[1].Values, "state") != "‹state 2›" {
			t.Errorf("%+v", n)
		}
	}
}
