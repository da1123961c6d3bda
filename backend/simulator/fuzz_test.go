package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"chartkey/backend/scope"
)

// fuzzServer is a server without a listener, under its published address.
func fuzzServer(f *testing.F) *Server {
	f.Helper()
	s, err := New(Options{Port: DefaultPort})
	if err != nil {
		f.Fatal(err)
	}
	return s
}

func ask(s *Server, method, target, body string, header map[string]string) *httptest.ResponseRecorder {
	req := &http.Request{Method: method, Host: "localhost:18340", Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	path, query, _ := strings.Cut(target, "?")
	req.URL = &url.URL{Path: path, RawQuery: query}
	if body != "" {
		req = httptest.NewRequest(method, "http://localhost:18340"+path, bytes.NewReader([]byte(body)))
		req.URL.RawQuery = query
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	return w
}

// FuzzAuthorize: whatever the query, the browser is sent to a registered
// callback, to the sign-in page or nowhere, and the server never fails.
func FuzzAuthorize(f *testing.F) {
	s := fuzzServer(f)
	r := running{Server: s, t: f}
	f.Add(r.request(nil).Encode())
	f.Add(r.request(map[string]string{"scope": "patient/*.rs launch"}).Encode())
	f.Add(r.request(map[string]string{"redirect_uri": "https://evil.example"}).Encode())
	f.Add(r.request(map[string]string{"state": "\r\nLocation: https://evil.example"}).Encode())
	f.Add("client_id=chartkey-demo&client_id=x&%zz")
	callbacks := presetRedirects()
	f.Fuzz(func(t *testing.T, query string) {
		w := ask(s, http.MethodGet, "/auth/authorize?"+query, "", nil)
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestURITooLong:
			if to := w.Header().Get("Location"); to != "" {
				t.Fatalf("an error page that leads to %q", to)
			}
		case http.StatusSeeOther:
			to := w.Header().Get("Location")
			place, answer, _ := strings.Cut(to, "?")
			known := place == "/auth/signin"
			for _, c := range callbacks {
				known = known || place == c
			}
			if !known {
				t.Fatalf("led to %q", to)
			}
			if values, err := url.ParseQuery(answer); err != nil || (place != "/auth/signin" && values.Get("error") == "") {
				t.Fatalf("led to %q", to)
			}
		default:
			t.Fatalf("status %d", w.Code)
		}
	})
}

// FuzzToken: no body is worth a token without a code, and every answer is JSON.
func FuzzToken(f *testing.F) {
	s := fuzzServer(f)
	f.Add(exchangeForm("x").Encode(), "")
	f.Add(refreshForm("x").Encode(), "")
	f.Add("grant_type=authorization_code&code=x", "Basic Y2hhcnRrZXktY29uZmlkZW50aWFsOnNhbmRib3gtc2VjcmV0")
	f.Add("grant_type=refresh_token&client_id=%zz;", "Basic ???")
	f.Add("a=1", "Basic "+strings.Repeat("A", 400))
	f.Add("grant_type=client_credentials&scope=system/*.rs&client_assertion_type="+url.QueryEscape(assertionType)+"&client_assertion=eyJhbGciOiJSUzM4NCJ9.eyJpc3MiOiJjaGFydGtleS1iYWNrZW5kIn0.AA", "")
	f.Add("grant_type="+url.QueryEscape(grantInstance)+"&client_id=chartkey-demo&assertion=x", "")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		w := ask(s, http.MethodPost, "/auth/token", body, map[string]string{"Authorization": authorization})
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer["error"] == nil || answer["access_token"] != nil || (w.Code != 400 && w.Code != 401) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzSearch: any query is answered with a page of the one patient's resources
// or an OperationOutcome.
func FuzzSearch(f *testing.F) {
	s := fuzzServer(f)
	code := s.ledger.allow(grant{clientID: "x", account: publishedAccounts()[0], patient: "amara-nwosu", scopes: scope.Grammar([]string{"patient/*.rs"})},
		authorizationRequest{redirectURI: "r", challenge: testChallenge}, s.Settings().CodeLife)
	out, oerr := s.ledger.redeem(code, "x", "r", testVerifier, s.Settings())
	if oerr != nil {
		f.Fatal(oerr.description)
	}
	bearer := map[string]string{"Authorization": "Bearer " + out.accessToken}
	for _, query := range []string{
		"", "code=http://loinc.org|8867-4&date=ge2024-01&_count=3&_sort=-date", "patient=walter-eriksen", "category:not=laboratory,vital-signs",
		`code=a\,b\|c\`, "date=ge2024-01-01T00:00:00+01:00", "_offset=9999999999999", "_count=0&_summary=count", "subject:Patient=amara-nwosu&date:missing=true", "%zz",
	} {
		f.Add("Observation", query)
		f.Add("Patient", query)
	}
	f.Fuzz(func(t *testing.T, kind, query string) {
		if strings.ContainsAny(kind, "/?") {
			return
		}
		w := ask(s, http.MethodGet, "/fhir/"+kind+"?"+query, "", bearer)
		if !strings.HasPrefix(w.Header().Get("Content-Type"), fhirJSON) {
			// The router cleans paths such as "..", which leads out of FHIR.
			if _, served := kindOf(kind); served && w.Code != http.StatusRequestURITooLong {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return
		}
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, e := range elements(body, "entry.resource") {
			for _, path := range []string{"subject.reference", "patient.reference"} {
				if ref := first(e, path); ref != "" && ref != "Patient/amara-nwosu" {
					t.Fatalf("%q shows %s", query, ref)
				}
			}
			if first(e, "resourceType") == "Patient" && first(e, "id") != "amara-nwosu" {
				t.Fatalf("%q shows %s", query, first(e, "id"))
			}
		}
	})
}

// FuzzClients: what is read is a list that New takes.
func FuzzClients(f *testing.F) {
	f.Add([]byte(`[{"client_id":"mine","client_type":"public","redirect_uris":["http://localhost:9/cb"]}]`))
	f.Add([]byte(`[{"client_id":"mine","client_type":"confidential-symmetric","client_secret":"s","redirect_uris":["app:/x"],"scopes":"openid"}]`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		clients, err := parseClients(raw)
		if err != nil {
			return
		}
		if _, err := newClientList(clients); err != nil {
			t.Fatalf("read and then refused: %v", err)
		}
		for _, c := range clients {
			for _, uri := range c.RedirectURIs {
				if policy := pagePolicy(uri); strings.Count(policy, ";") != 4 || strings.ContainsAny(policy, "\r\n") {
					t.Fatalf("the redirect URI %q breaks the page policy %q", uri, policy)
				}
			}
		}
	})
}
