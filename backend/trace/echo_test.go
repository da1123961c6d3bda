package trace_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/trace"
)

// send has a server answer one request through a recorder.
func send(t testing.TB, r *trace.Recorder, q *http.Request, answer http.HandlerFunc) (*http.Response, []byte) {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	u, err := url.Parse(server.URL + q.URL.String())
	if err != nil {
		t.Fatal(err)
	}
	q.URL, q.Host = u, ""
	inner := &http.Transport{}
	defer inner.CloseIdleConnections()
	resp, err := r.Transport(inner).RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

func post(t testing.TB, path string, form url.Values) *http.Request {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return q
}

func get(t testing.TB, path string) *http.Request {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestAServerThatEchoesGivesNothingAway sends secrets to servers that quote
// them in each place of an answer of which something is kept, in each form.
func TestAServerThatEchoesGivesNothingAway(t *testing.T) {
	secrets := map[string]string{
		"refresh_token": "rt-7Qm2xVb9+Zk/4tLw8=NcJpE1rYs6", "client_secret": "Passwort & mehr % \"quoted\" 2024", "code": "c0de.WzEyMzQ1Njc4OTAiXQ", "client_assertion": "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4IiwianRpIjoiajEyMzQ1NiJ9.c2lnbmF0dXJlLW9mLWl0",
		"password": "correct-horse & battery", "sid": "fnord-illuminatus",
		"code_verifier": "verifier~with.all-of_RFC7636~0123456789abcdefghij",
	}
	writings := map[string]func(string) string{
		"raw": func(s string) string { return s }, "query": url.QueryEscape, "path": url.PathEscape, "twice": func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
		"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, "base64url": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("x:" + s)) },
		"base64 of base64": func(s string) string {
			return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("ab" + s))))
		},
		"hex": func(s string) string { return hex.EncodeToString([]byte(s)) }, "html": html.EscapeString, "upper": strings.ToUpper,
		"json": func(s string) string { b, _ := json.Marshal(s); return strings.Trim(string(b), `"`) },
		"json in full": func(s string) string {
			var b strings.Builder
			for _, r := range s {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
			return b.String()
		},
		"broken": func(s string) string { return s[:len(s)/2] + "\r\n\t" + s[len(s)/2:] }, "invisible": func(s string) string { return s[:5] + "\u200b\u00ad" + s[5:] },
		"backwards": func(s string) string { b := []byte(s); slices.Reverse(b); return string(b) },
		"half":      func(s string) string { return s[:len(s)*3/4] + "…" }, "end": func(s string) string { return "…" + s[len(s)/4:] },
		"in a mark": func(s string) string { return "‹" + s + "›" }, "after a sign": func(s string) string { return "‹" + s },
	}
	oneLine := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '_'
			}
			return r
		}, s)
	}
	places := map[string]func(http.ResponseWriter, string){
		"error_description": func(w http.ResponseWriter, s string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_grant", "error_description": "Not good: " + s + " (sorry)", "error_uri": "https://ehr.example/e?what=" + s})
		},
		"error": func(w http.ResponseWriter, s string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": s, "scope": s, "token_type": s, "client_id": s, "iss": s, "message": "m " + s, "nested": []any{map[string]any{"detail": s, s: s}}})
		},
		"page": func(w http.ResponseWriter, s string) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprintf(w, "<title>Oops %s</title><body>%s", html.EscapeString(s), s)
		},
		"headers": func(w http.ResponseWriter, s string) {
			s = oneLine(s)
			w.Header().Set("X-Request-Id", s)
			w.Header().Set("Server", "nginx "+s)
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s+`", error="invalid_token", error_description="the token `+s+`", x=`+s)
			w.Header().Set("X-Debug", s)
			w.Header().Add("Set-Cookie", "last="+s)
			w.Header().Set("Content-Type", "text/plain; boundary="+s)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"redirect": func(w http.ResponseWriter, s string) {
			w.Header().Set("Location", "https://login.example/"+url.PathEscape(s)+"/x?code="+url.QueryEscape(s)+"&scope="+url.QueryEscape(s)+"#"+url.QueryEscape(s))
			w.WriteHeader(http.StatusFound)
		},
		"outcome": func(w http.ResponseWriter, s string) {
			w.Header().Set("Content-Type", "application/fhir+json")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"resourceType": "OperationOutcome", "issue": []any{map[string]any{"severity": "error", "code": s, "diagnostics": "At " + s, "location": []string{s},
				"details": map[string]any{"text": s, "coding": []any{map[string]string{"system": "urn:x:" + s, "code": s, "display": s}}}}}})
		},
	}
	for place, answer := range places {
		for writing, write := range writings {
			r := trace.NewRecorder(trace.Options{Operation: "refresh"})
			c := &canaries{}
			form := url.Values{"grant_type": {"refresh_token"}}
			for name, s := range secrets {
				form.Set(name, s)
				c.add(name+" in the "+place+", "+writing, s)
			}
			for _, s := range secrets {
				send(t, r, post(t, "/token", form), func(w http.ResponseWriter, _ *http.Request) { answer(w, write(s)) })
			}
			// An exchange later, it is known all the same.
			for _, s := range secrets {
				send(t, r, get(t, "/anything"), func(w http.ResponseWriter, _ *http.Request) { answer(w, write(s)) })
			}
			tr := r.Trace()
			c.check(t, tr)
			for name, s := range secrets {
				if name == "sid" && (writing == "half" || writing == "end") {
					continue // parts of what is made of words are words
				}
				if all := exports(t, tr)["JSON"]; strings.Contains(all, write(s)) && len(write(s)) > 12 {
					t.Errorf("%s, %s: what was echoed is there as it was: %s", place, writing, write(s))
				}
			}
		}
	}
}

// TestAnEarlierExchangeIsGoneThrough has a secret come after a place where it
// could not be known.
func TestAnEarlierExchangeIsGoneThroughAgain(t *testing.T) {
	r := trace.NewRecorder(trace.Options{Operation: "connect"})
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "gate hunter2hunter")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"error":"x","error_description":"Hunter2Hunter is not good","iss":"https://hunter2hunter.example"}`)
	}
	send(t, r, get(t, "/first"), answer)
	if before := exports(t, r.Trace())["JSON"]; !strings.Contains(before, "hunter2hunter") {
		t.Fatalf("the test sees nothing: %s", before)
	}
	send(t, r, post(t, "/token", url.Values{"client_secret": {"hunter2hunter"}}), answer)
	for name, text := range exports(t, r.Trace()) {
		if strings.Contains(strings.ToLower(text), "hunter2hunter") || name == "JSON" && strings.Count(text, "‹client secret 1›") < 6 {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestHeadersWithSecrets(t *testing.T) {
	r := trace.NewRecorder(trace.Options{})
	q := get(t, "/x")
	q.Header.Set("Cookie", `session=abc-123-def; theme="dark-and-cold"`)
	q.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("app%20one:p%26ss-word-1")))
	q.Header.Set("X-Api-Key", "key-0123")
	q.Header.Set("DPoP", "proof-0123")
	send(t, r, q, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "session=abc-123-def; Path=/; HttpOnly; Domain=secret-domain")
		w.Header().Add("Set-Cookie", "other")
		w.Header().Set("Authentication-Info", "nextnonce=n-0123")
		w.Header().Set("WWW-Authenticate", `Negotiate YIIZzzzzzzzzzzzzzzzzzzzzzz==, Digest nonce="n-0123456", qop="auth", realm="a \"b\""`)
	})
	for _, q := range []string{"Bearer", "weird", "Digest username=amara", "Basic ???", "Basic bm9jb2xvbg=="} {
		q2 := get(t, "/x")
		q2.Header.Set("Authorization", q)
		send(t, r, q2, func(http.ResponseWriter, *http.Request) {})
	}
	all := r.Trace().Exchanges
	for name, want := range map[string]string{
		"Cookie": "session=‹cookie 1›; theme=‹cookie 2›", "Authorization": "Basic app one:‹client secret 2›", "X-Api-Key": "‹text, 8 characters›", "Dpop": "‹text, 10 characters›",
	} {
		if got := field(all[0].Request.Headers, name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, want := range map[string]string{
		"Set-Cookie": "session=‹cookie 1›", "Authentication-Info": "‹text, 16 characters›",
		"Www-Authenticate": `Negotiate ‹credentials 2› Digest nonce="‹text, 9 characters›" qop="auth" realm="a "b""`,
	} {
		if got := field(all[0].Response.Headers, name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	var others []string
	for _, e := range all[1:] {
		others = append(others, field(e.Request.Headers, "Authorization"))
	}
	if got := strings.Join(others, "|"); got != "‹credentials 3›|‹credentials 4›|Digest ‹credentials 5›|Basic ‹credentials 6›|Basic ‹credentials 7›" {
		t.Error(got)
	}
}

func TestAShortIdentifierIsNoPartOfAWord(t *testing.T) {
	r := trace.NewRecorder(trace.Options{})
	r.Note("read", "https://ehr.example/fhir/Patient/p7", nil)
	r.Note("read", "https://ehr.example/fhir/Patient/Smit", nil)
	r.Note("said", "p7 and P7, not p77, xp7 or ép7; Smit, not Smithy", url.Values{"redirect_uri": {"https://smit.example/smithy"}})
	n := r.Trace().Notes[2]
	if n.Detail != "‹patient 1› and ‹patient 1›, not p77, xp7 or ép7; ‹patient 2›, not Smithy" || n.Values[0].Value != "https://‹patient 2›.example/smithy" {
		t.Errorf("%+v", n)
	}
}

func TestWhatIsHarmlessStays(t *testing.T) {
	r := trace.NewRecorder(trace.Options{Operation: "refresh"})
	q := post(t, "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"rt-0123456789abcdef"}, "client_id": {"b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69"}})
	q.Header.Set("Epic-Client-ID", "b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69")
	send(t, r, q, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json;charset=UTF-8")
		h.Set("Retry-After", "120")
		h.Set("X-Request-Id", "7f3c1d2e-0a1b-4c5d-8e9f-001122334455")
		h.Set("WWW-Authenticate", `Basic realm="Alder Creek", Bearer error="invalid_client", error_description="The client b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69 is not active"`)
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"Client b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69 is not active. See https://ehr.example/help/errors?id=12.",
			"error_uri":"https://ehr.example/help","trace_number":12345678,"patientName":"Amara Nwosu","ok":false,"nothing":null}`)
	})
	e := r.Trace().Exchanges[0]
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=UTF-8", "Retry-After": "120", "X-Request-Id": "7f3c1d2e-0a1b-4c5d-8e9f-001122334455", "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
		"Www-Authenticate": `Basic realm="Alder Creek" Bearer error="invalid_client" error_description="The client b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69 is not active"`,
	} {
		if got := field(e.Response.Headers, name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := field(e.Request.Headers, "Epic-Client-Id"); got != "b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69" {
		t.Errorf("%q", got)
	}
	want := `{
  "error": "invalid_client",
  "error_description": "Client b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69 is not active. See https://ehr.example/help/errors?id=‹text, 2 characters›.",
  "error_uri": "https://ehr.example/help",
  "trace_number": "‹number›",
  "patientName": "‹text, 11 characters›",
  "ok": false,
  "nothing": null
}`
	if e.Response.Body.Text != want {
		t.Errorf("%s", e.Response.Body.Text)
	}
	if e.Kind != trace.KindToken || e.Title != "Refresh" || e.Server != trace.AuthorizationServer || e.Status != 401 || e.Open || e.Error != "" || e.Protocol != "HTTP/1.1" {
		t.Errorf("%+v", e)
	}
}

// TestWordsOfAServer holds sentences against what is kept of them.
func TestWordsOfAServer(t *testing.T) {
	for said, want := range map[string]string{
		"The code has expired.": "The code has expired.",
		"No such patient: Amara Nwosu, born 1987-03-14, MRN 0012345678, amara@example.org": "No such patient: Amara Nwosu, born ‹date›, MRN ‹number›, ‹mail address›",
		"Patient/e1b2c3 is not in the compartment of Practitioner/dr.who.":                 "Patient/‹patient 1› is not in the compartment of Practitioner/‹practitioner 1›.",
		"java.lang.IllegalStateException: org.example.fhir.server.TokenValidator failed":   "java.lang.IllegalStateException: org.example.fhir.server.TokenValidator failed",
		"bad token 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b":                               "bad token ‹text, 40 characters›",
		"see https://u:pw@ehr.example/fhir/Patient/77?name=Li&_count=5, please":            "see https://‹credentials 1›@ehr.example/fhir/Patient/‹patient 1›?name=‹text, 2 characters›&_count=5, please",
		"line one\r\n\x1b[31mline two\u202e":                                               "line one [31mline two",
		"‹patient 1› was spoofed":                                                          "<patient 1> was spoofed",
		"Scope patient/Patient.rs is not allowed; Observation/Condition reads are":         "Scope patient/Patient.rs is not allowed; Observation/Condition reads are",
	} {
		r := trace.NewRecorder(trace.Options{})
		r.Note("x", said, nil)
		if got := r.Trace().Notes[0].Detail; got != want {
			t.Errorf("%q\n got %q\nwant %q", said, got, want)
		}
	}
}

// TestAFHIRServerNamesNobody holds what a FHIR server says against what is kept of it.
func TestAFHIRServerNamesNobody(t *testing.T) {
	for said, want := range map[string]string{
		"Resource Patient/p1 is not known":                           "Resource Patient/‹patient 1› is not known",
		"No records of Amara Nwosu. John Smith was asked for":        "No records of ‹word› ‹word›. ‹word› ‹word› was asked for",
		"Access denied: SMITH, JOHN has left; Dr. O'Neil knows":      "Access denied: ‹word›, ‹word› has left; ‹word›. ‹word› knows",
		"HTTP 404 Not Found: The Observation was deleted by Müller":  "HTTP 404 Not Found: The Observation was deleted by ‹word›",
		"ca.uhn.fhir.rest.server.exceptions.InvalidRequestException": "ca.uhn.fhir.rest.server.exceptions.InvalidRequestException",
		"Search by McCoy failed. Internal Server Error":              "Search by ‹word› failed. Internal Server Error",
	} {
		r := trace.NewRecorder(trace.Options{})
		send(t, r, get(t, "/fhir/Patient/p1"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+json")
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(map[string]any{"resourceType": "OperationOutcome", "issue": []any{map[string]any{"severity": "error", "code": "not-found", "diagnostics": said}}})
		})
		var got struct {
			Issue []struct{ Diagnostics string }
		}
		if err := json.Unmarshal([]byte(r.Trace().Exchanges[0].Response.Body.Text), &got); err != nil {
			t.Fatal(err)
		}
		if got.Issue[0].Diagnostics != want {
			t.Errorf("%q\n got %q\nwant %q", said, got.Issue[0].Diagnostics, want)
		}
	}
}

// TestFHIRIsKeptAsShapes looks for anything of a record.
func TestFHIRIsKeptAsShapes(t *testing.T) {
	patient := `{"resourceType":"Patient","id":"erXuFYUfucBZaryVksYEcMg3","meta":{"versionId":"7"},"name":[{"family":"Nwosu","given":["Amara"]}],"birthDate":"1987-03-14","identifier":[{"value":"MRN-202-303"}]}`
	bundle := `{"resourceType":"Bundle","type":"searchset","total":2,"link":[{"relation":"self","url":"https://ehr.example/api/FHIR/R4/Patient?family=Nwosu&birthdate=1987-03-14"},
		{"relation":"next","url":"Patient?_page=erXuFYUfucBZ&patient=erXuFYUfucBZaryVksYEcMg3"}],"entry":[{"resource":` + patient + `},{"resource":` + patient + `},
		{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"suppressed","diagnostics":"Records of Nwosu are withheld",
		"details":{"coding":[{"system":"urn:oid:1.2.840.114350.1.13.0.1.7.2.657369","code":"59177","display":"An element for Nwosu"}]}}]}},{"resource":{"resourceType":"Nwosu"}}]}`
	for name, c := range map[string]struct{ media, body, want string }{
		"a patient": {"application/fhir+json", patient, "Patient, 193 bytes"},
		"a bundle": {"application/fhir+json", bundle, `{
  "resourceType": "Bundle",
  "type": "searchset",
  "total": 2,
  "link": [
    {
      "relation": "self",
      "url": "https://ehr.example/api/FHIR/R4/Patient?family=‹text, 5 characters›&birthdate=‹text, 10 characters›"
    },
    {
      "relation": "next",
      "url": "Patient?_page=‹text, 12 characters›&patient=‹patient 1›"
    }
  ],
  "‹entries›": {
    "Patient": 2,
    "OperationOutcome": 1,
    "of another kind": 1
  },
  "‹outcomes›": [
    {
      "resourceType": "OperationOutcome",
      "issue": [
        {
          "severity": "warning",
          "code": "suppressed",
          "details": {
            "coding": [
              {
                "system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369",
                "code": "59177",
                "display": "‹text, 20 characters›"
              }
            ]
          },
          "diagnostics": "‹text, 29 characters›"
        }
      ]
    }
  ]
}`},
		"a made-up type": {"application/json", `{"resourceType":"Nwosu","x":1}`, "a resource of an unknown type, 30 bytes"},
		"XML":            {"application/fhir+xml", "<Patient><name value='Nwosu'/></Patient>", "application/fhir+xml, 40 bytes"},
		"lines":          {"application/fhir+ndjson", patient + "\n" + patient, "application/fhir+ndjson, 387 bytes"},
		"text":           {"text/plain", "Nwosu, Amara", "text/plain, 12 bytes"},
		"broken JSON":    {"application/json", `Nwosu{`, "not readable as JSON, 6 bytes"},
		"a cut resource": {"application/fhir+json", patient[:len(patient)-20], "Patient, 173 bytes"},
	} {
		r := trace.NewRecorder(trace.Options{FHIRBaseURL: "https://ehr.example/api/FHIR/R4"})
		send(t, r, get(t, "/fhir/Patient/erXuFYUfucBZaryVksYEcMg3"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.media)
			w.Header().Set("Content-Location", "/fhir/Patient/erXuFYUfucBZaryVksYEcMg3/_history/7")
			w.Header().Set("ETag", `W/"7"`)
			w.Header().Set("Last-Modified", "Sat, 14 Mar 1987 10:00:00 GMT")
			_, _ = io.WriteString(w, c.body)
		})
		tr := r.Trace()
		if got := tr.Exchanges[0].Response.Body.Text; got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		if got := field(tr.Exchanges[0].Response.Headers, "Content-Location"); got != "/fhir/Patient/‹patient 1›/_history/‹text, 1 character›" {
			t.Errorf("%s: %s", name, got)
		}
		for export, text := range exports(t, tr) {
			for _, private := range []string{"Nwosu", "Amara", "1987", "erXuFY", "MRN-"} {
				if strings.Contains(text, private) {
					t.Errorf("%s: %s has %s", name, export, private)
				}
			}
		}
	}
}

func TestPublicDocumentsAreKeptWhole(t *testing.T) {
	smartConfiguration := `{"token_endpoint":"https://ehr.example/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/token","capabilities":["launch-ehr"],"access_token":"not-in-its-place","session_ticket":"0123456789abcdef0123456789abcdef","x":{"y":[1,true]}}`
	statement := `{"resourceType":"CapabilityStatement","software":{"name":"Alder","version":"2024.11"},"rest":[{"mode":"server","resource":[{"type":"Patient","profile":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient","interaction":[{"code":"read"}]}]}]}`
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}
	}
	r := trace.NewRecorder(trace.Options{Endpoints: []string{"https://ehr.example/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/token"}})
	send(t, r, get(t, "/r4/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/.well-known/smart-configuration"), answer(smartConfiguration))
	send(t, r, get(t, "/r4/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/metadata"), answer(statement))
	// Not with a token, and not another resource in its place.
	signed := get(t, "/r4/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/metadata")
	signed.Header.Set("Authorization", "Bearer abcdefghijklmnop")
	send(t, r, signed, answer(`{"foo":"Amara Nwosu"}`))
	send(t, r, get(t, "/r4/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/metadata"), answer(`{"resourceType":"Patient","name":"Amara Nwosu"}`))
	tr := r.Trace()
	text := tr.Exchanges[0].Response.Body.Text
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err, text)
	}
	if got["token_endpoint"] != "https://ehr.example/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/token" || got["access_token"] != "‹access token 1›" || got["session_ticket"] != "‹token 1›" || fmt.Sprint(got["x"]) != "map[y:[1 true]]" {
		t.Errorf("%s", text)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(tr.Exchanges[1].Response.Body.Text)); err != nil || compact.String() != statement {
		t.Errorf("%v %s", err, tr.Exchanges[1].Response.Body.Text)
	}
	if tr.Exchanges[0].Kind != trace.KindDiscovery || tr.Exchanges[1].Kind != trace.KindCapabilities || !strings.HasSuffix(tr.Exchanges[1].URL, "/r4/ec2458f2-1e24-41c8-b71b-0ea8f8d60e03/metadata") {
		t.Errorf("%s %s %s", tr.Exchanges[0].Kind, tr.Exchanges[1].Kind, tr.Exchanges[1].URL)
	}
	for export, text := range exports(t, tr) {
		if strings.Contains(text, "Nwosu") {
			t.Errorf("%s: %s", export, text)
		}
	}
}
