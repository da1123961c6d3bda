package fhir_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/network"
)

const patient = `{"resourceType":"Patient","id":"p1","meta":{"versionId":"7","lastUpdated":"2026-01-02T03:04:05Z"}}`

func token(text string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return text, nil }
}

func client(t *testing.T, handler http.HandlerFunc) (*fhir.Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &fhir.Client{BaseURL: server.URL + "/fhir/", Token: token("at-canary")}, server
}

// sends answers with FHIR JSON.
func sends(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestGet(t *testing.T) {
	var got *http.Request
	c, server := client(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		sends(200, patient)(w, r)
	})
	for path, want := range map[string]string{
		"Patient/p1": "/fhir/Patient/p1",
		"Observation?patient=p1&category=http://x|lab": "/fhir/Observation?patient=p1&category=http://x%7Clab",
		"Observation?code=a b%20c%":                    "/fhir/Observation?code=a%20b%20c%25",
		"Patient/p1/_history/2":                        "/fhir/Patient/p1/_history/2",
		"Patient/p1/$everything":                       "/fhir/Patient/p1/$everything",
		"metadata":                                     "/fhir/metadata",
		"?_type=Patient":                               "/fhir?_type=Patient",
		server.URL + "/fhir/Practitioner/x.-1":         "/fhir/Practitioner/x.-1",
	} {
		r, err := c.Get(context.Background(), path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got.RequestURI != want || got.Header.Get("Authorization") != "Bearer at-canary" || got.Header.Get("Accept") != "application/fhir+json" {
			t.Errorf("%s asked for %s with %v", path, got.RequestURI, got.Header)
		}
		if r.Type != "Patient" || r.ID != "p1" || r.VersionID != "7" || r.LastUpdated == "" || string(r.Raw) != patient {
			t.Errorf("%+v", r)
		}
	}
}

func TestGetRefusesPathsThatLeadElsewhere(t *testing.T) {
	c, server := client(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked for", r.URL) })
	for path, want := range map[string]string{
		"":                                  "fhir-path-invalid",
		"/Patient/1":                        "fhir-path-invalid",
		"//evil.example/Patient/1":          "fhir-path-invalid",
		"../admin":                          "fhir-path-invalid",
		"Patient/..":                        "fhir-path-invalid",
		"Patient/./1":                       "fhir-path-invalid",
		"Patient/%2e%2e/x":                  "fhir-path-invalid",
		"Patient/%2e%2e%2fx":                "fhir-path-invalid",
		"Patient/..%5cx":                    "fhir-path-invalid",
		`Patient\1`:                         "fhir-path-invalid",
		"Patient//1":                        "fhir-path-invalid",
		"Patient/1#x":                       "fhir-path-invalid",
		"Patient/1\r\nX: y":                 "fhir-path-invalid",
		"Patient/%0d%0a":                    "fhir-path-invalid",
		"Patient/%zz":                       "fhir-path-invalid",
		"Patient /1":                        "fhir-path-invalid",
		"javascript:alert(1)":               "fhir-path-invalid",
		"https://evil.example/fhir/x":       "fhir-other-server",
		"https://u@evil.example/fhir/x":     "fhir-other-server",
		server.URL + "/admin":               "fhir-other-server",
		server.URL + "/fhirother/x":         "fhir-other-server",
		server.URL + "/fhir/../admin":       "fhir-path-invalid",
		server.URL + ".evil.example/fhir/x": "fhir-path-invalid",
		strings.Replace(server.URL, "http:", "https:", 1) + "/fhir/Patient/1":      "fhir-other-server",
		strings.Replace(server.URL, "http://", "http://u@", 1) + "/fhir/Patient/1": "fhir-other-server",
	} {
		if _, err := c.Get(context.Background(), path); fault.Code(err) != want {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
		if err := c.Pages(context.Background(), path, 0, nil); fault.Code(err) != want {
			t.Errorf("pages of %q: %v, want %s", path, err, want)
		}
	}
}

func TestGetFaults(t *testing.T) {
	outcome := func(code, text string) string {
		return `{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"x","diagnostics":"also"},{"severity":"fatal","code":"forbidden","details":{"coding":[{"system":"` +
			fhir.EpicCodes + `","code":"` + code + `","display":"` + text + `"}],"text":"` + text + `"}}]}`
	}
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>"))
		}
	}
	elsewhere := atomic.Int32{}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, c := range []struct {
		name, code, says string
		answer           http.HandlerFunc
		retryable        bool
	}{
		{"401", "fhir-unauthorized", "", page(401), false},
		{"403", "fhir-forbidden", "It says: User not authorized for request (code 4118); also", sends(403, outcome("4118", "User not authorized for request")), false},
		{"404", "fhir-not-found", "", sends(404, `{"resourceType":"OperationOutcome"}`), false},
		{"410", "fhir-not-found", "", sends(410, outcome("4103", "Deleted")), false},
		{"400", "fhir-request-refused", "(code 4100)", sends(400, outcome("4100", "Invalid parameter")), false},
		{"429", "fhir-rate-limited", "it asks to wait 2m0s", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "120"); w.WriteHeader(429) }, true},
		{"500", "fhir-server-error", "(code 59177)", sends(500, outcome("59177", "An unexpected internal error has occurred.")), true},
		{"503 with a page", "fhir-server-error", "", page(503), true},
		{"a page", "fhir-bad-answer", "text/html", page(200), false},
		{"JSON of another kind", "fhir-bad-answer", "", sends(200, `{"a":1}`), false},
		{"a list", "fhir-bad-answer", "", sends(200, `[]`), false},
		{"XML", "fhir-bad-answer", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+xml")
			_, _ = w.Write([]byte(patient))
		}, false},
		{"broken", "fhir-bad-answer", "", sends(200, patient[:40]), false},
		{"nothing", "fhir-bad-answer", "", sends(204, ``), false},
		{"too large", network.CodeTooLarge, "", sends(200, `{"resourceType":"`+strings.Repeat("x", 16<<20)+`"}`), false},
		{"redirect elsewhere", network.CodeRedirect, "", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, false},
		{"cut", network.CodeConnectionFailed, "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, _ := client(t, c.answer)
			_, err := cl.Get(context.Background(), "Patient/p1")
			f := fault.From(err)
			if err == nil || f.Code != c.code || f.Retryable != c.retryable || f.Advice == "" || !strings.Contains(f.Message, c.says) {
				t.Errorf("%+v", f)
			}
			if strings.Contains(f.Message, "at-canary") {
				t.Error(f.Message)
			}
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect to another origin was followed")
	}

	t.Run("the codes are kept", func(t *testing.T) {
		cl, _ := client(t, sends(403, outcome("4131", "Restricted")))
		_, err := cl.Get(context.Background(), "Patient/p1")
		var status *fhir.StatusError
		if !errors.As(err, &status) || status.Status != 403 || len(status.Issues) != 2 || status.Issues[1].EpicCode() != "4131" || status.Issues[0].EpicCode() != "" {
			t.Errorf("%+v", status)
		}
		if !strings.Contains(fault.From(err).Advice, "Break-the-Glass") {
			t.Error(fault.From(err).Advice)
		}
	})
	t.Run("the wait is kept", func(t *testing.T) {
		cl, _ := client(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "9"); w.WriteHeader(429) })
		_, err := cl.Get(context.Background(), "Patient/p1")
		var status *fhir.StatusError
		if !errors.As(err, &status) || status.RetryAfter != 9*time.Second {
			t.Errorf("%+v", status)
		}
	})
	t.Run("no token, no request", func(t *testing.T) {
		cl, _ := client(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
		locked := fault.New("vault-locked", "m", "a")
		cl.Token = func(context.Context) (string, error) { return "", locked }
		if _, err := cl.Get(context.Background(), "Patient/p1"); !errors.Is(err, locked) {
			t.Error(err)
		}
	})
	t.Run("plain http elsewhere", func(t *testing.T) {
		cl := &fhir.Client{BaseURL: "http://ehr.example/fhir", Token: func(context.Context) (string, error) { t.Error("the token was taken"); return "", nil }}
		if _, err := cl.Get(context.Background(), "Patient/p1"); fault.Code(err) != "fhir-insecure" {
			t.Error(err)
		}
	})
	t.Run("a base that is none", func(t *testing.T) {
		for _, base := range []string{"", "fhir", "https://u:p@ehr.example/", "https://ehr.example/?x", "https:ehr"} {
			if _, err := (&fhir.Client{BaseURL: base}).Get(context.Background(), "Patient/p1"); fault.Code(err) != "base-url-not-a-url" {
				t.Errorf("%q: %v", base, err)
			}
		}
	})
	t.Run("no answer", func(t *testing.T) {
		cl, _ := client(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, err := cl.Get(ctx, "Patient/p1"); fault.Code(err) != network.CodeTimeout {
			t.Error(err)
		}
	})
}

// Epic redirects a read of a merged patient to the one that remains.
func TestARedirectAtHomeIsFollowedWithTheToken(t *testing.T) {
	c, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fhir/Patient/old" {
			http.Redirect(w, r, "p1", http.StatusFound)
			return
		}
		if r.Header.Get("Authorization") == "" {
			t.Error("the token is lost")
		}
		sends(200, patient)(w, r)
	})
	if r, err := c.Get(context.Background(), "Patient/old"); err != nil || r.ID != "p1" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOverTLS(t *testing.T) {
	server := httptest.NewTLSServer(sends(200, patient))
	defer server.Close()
	if _, err := (&fhir.Client{BaseURL: server.URL}).Get(context.Background(), "Patient/p1"); fault.Code(err) != network.CodeTLSUntrusted {
		t.Error(err)
	}
	if r, err := (&fhir.Client{BaseURL: server.URL, HTTP: server.Client(), Token: token("at")}).Get(context.Background(), "Patient/p1"); err != nil || r.ID != "p1" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWarningsInsideASearchAreKept(t *testing.T) {
	c, _ := client(t, sends(200, `{"resourceType":"Bundle","entry":[{"resource":`+patient+`},{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"incomplete",
		"details":{"coding":[{"system":"urn:oid:1.2.840.114350.1.13.0.1.7.2.657369","code":"4119"}]},"diagnostics":"More\r\nmay exist"}]}}]}`))
	r, err := c.Get(context.Background(), "Patient?name=x")
	if err != nil || len(r.Issues) != 1 || r.Issues[0].EpicCode() != "4119" || r.Issues[0].Text != "More may exist" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCapability(t *testing.T) {
	b, err := os.ReadFile("testdata/epic-r4-capabilitystatement.json")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/fhir/metadata" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		sends(200, string(b))(w, r)
	})
	got, err := c.Capability(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.FHIRVersion != "4.0.1" || !got.IsR4() || got.Software != "Epic" || got.SoftwareVersion != "May 2026" || !got.Can("Patient", "read") || got.Can("Patient", "delete") || got.Can("Task", "read") ||
		!slices.Equal(got.Formats, []string{"xml", "json"}) {
		t.Errorf("%+v", got)
	}
	got, err = fhir.ParseCapability([]byte(`{"resourceType":"CapabilityStatement","rest":[{"mode":"client","resource":[{"type":"Task"}]},{"mode":"server","resource":[{"type":"Patient","searchParam":[{"name":"name"},{"name":"birthdate"}]}]}]}`))
	if err != nil || len(got.Resources) != 1 || !slices.Equal(got.SearchParams["Patient"], []string{"name", "birthdate"}) {
		t.Errorf("%+v, %v", got, err)
	}
	c, _ = client(t, sends(200, patient))
	if _, err := c.Capability(context.Background()); fault.Code(err) != "fhir-bad-answer" {
		t.Error(err)
	}
	if (fhir.Capability{FHIRVersion: "3.0.1"}).IsR4() {
		t.Error("STU3 passes for R4")
	}
}

func FuzzParseCapability(f *testing.F) {
	b, err := os.ReadFile("testdata/epic-r4-capabilitystatement.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(b), `{"resourceType":"CapabilityStatement","format":[null],"rest":[{"mode":"server","resource":[null,{"searchParam":[{}]}]}]}`, `{"resourceType":"Patient"}`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := fhir.ParseCapability(body)
		if err != nil {
			if fault.Code(err) != "fhir-bad-answer" {
				t.Errorf("%v", err)
			}
			return
		}
		if c.Resources == nil || c.SearchParams == nil || len([]rune(c.FHIRVersion)) > 21 {
			t.Errorf("%+v", c)
		}
	})
}

func TestEpicsCodesCountAtEachInstallation(t *testing.T) {
	for system, want := range map[string]string{
		fhir.EpicCodes: "4119",
		// As a site's server wrote it: issue 278 of the ONC's certification test kit.
		"urn:oid:1.2.840.114350.1.13.1.1.7.2.657369":   "4119",
		"urn:oid:1.2.840.114350.1.13.412.2.7.2.657369": "4119",
		"urn:oid:1.2.840.114350.1.13.1.1.7.2.1":        "",
		"https://other.example/1.13.1.1.7.2.657369":    "",
	} {
		issues := fhir.Outcome([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"suppressed","details":{"coding":[{"system":"` + system + `","code":"4119"}]}}]}`))
		if len(issues) != 1 || issues[0].EpicCode() != want {
			t.Errorf("%s: %+v", system, issues)
		}
	}
}
