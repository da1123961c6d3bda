package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"chartkey/backend/scope"

	"github.com/go-jose/go-jose/v4"
)

// grantFor makes a grant without any request, so that a fault on the way to
// one does not hide what happens to the next.
func (r running) grantFor() (code, access, refresh string) {
	r.t.Helper()
	account, _ := findAccount("amara", patientPassword)
	g := grant{
		clientID: "chartkey-demo", account: account, scopes: scope.Grammar(strings.Fields("openid fhirUser launch/patient offline_access patient/*.rs")),
		patient: "amara-nwosu", fhirUser: account.FHIRUser, nonce: "nonce-of-the-test", signedIn: r.now(), refreshUntil: r.now().Add(time.Hour),
	}
	allow := func() string {
		return r.ledger.allow(g, authorizationRequest{redirectURI: testRedirect, challenge: testChallenge}, time.Minute)
	}
	out, oerr := r.ledger.redeem(allow(), "chartkey-demo", testRedirect, testVerifier, r.Settings())
	if oerr != nil {
		r.t.Fatal(oerr.description)
	}
	return allow(), out.accessToken, out.refreshToken
}

// probe asks for each thing that the server does and gives what came of it,
// in words that are the same each time while nothing is wrong. Where timed is
// set, they say what came late.
func (r running) probe(client *http.Client, timed bool) map[string]string {
	r.t.Helper()
	code, access, refresh := r.grantFor()
	plain := func(req *http.Request) string {
		began := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			return "no answer"
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return "broken off"
		}
		words := resp.Status
		if timed && time.Since(began) > slowness {
			words += " late"
		}
		if date, err := http.ParseTime(resp.Header.Get("Date")); err != nil || date.Sub(r.now()).Abs() > time.Minute {
			words += " with the clock off"
		}
		var members map[string]any
		if json.Unmarshal(body, &members) != nil {
			return words + " no JSON"
		}
		for name, value := range members {
			switch text := word(value); {
			case name == "id_token":
				members[name] = r.readIDToken(text)
			case name == "keys":
				keys, _ := value.([]any)
				members[name] = len(keys)
			case strings.HasSuffix(name, "_token") && text != "":
				members[name] = fmt.Sprint("a token, long: ", len(text) == longToken)
			}
		}
		return words + " " + encode(r.t, members)
	}
	get := func(address string) *http.Request { return mustRequest(r.t, address) }
	token := func(form url.Values) *http.Request {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.Origin()+"/auth/token", strings.NewReader(form.Encode()))
		must(r.t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req
	}
	read := get(r.FHIRBaseURL() + "/Patient/amara-nwosu")
	read.Header.Set("Authorization", "Bearer "+access)
	callback := r.signIn(nil, Choice{})
	if callback.Has("code") {
		callback.Set("code", "a code")
	}
	// A sign-in that was cut down shows in the verdict of the page that granted it.
	granted := "no grant"
	for _, q := range r.Requests() {
		if q.Path == "/auth/consent" && strings.Contains(q.Verdict, "a code was sent") {
			granted, _, _ = strings.Cut(q.Verdict, " (fault")
		}
	}
	out := map[string]string{
		"callback": callback.Encode(), "consent": granted,
		"discovery": plain(get(r.FHIRBaseURL() + "/.well-known/smart-configuration")), "metadata": plain(get(r.FHIRBaseURL() + "/metadata")),
		"read": plain(read), "page": plain(get(r.Origin() + "/")), "control": plain(get(r.Origin() + "/control/traits")),
	}
	// One after the other, as the token endpoint's keys are published afterwards.
	out["token"] = plain(token(exchangeForm(code)))
	out["refresh"] = plain(token(refreshForm(refresh)))
	out["keys"] = plain(get(r.Origin() + "/auth/jwks"))
	return out
}

// readIDToken says all about an id_token that a client checks.
func (r running) readIDToken(token string) string {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "not signed as promised"
	}
	own, err := r.keys.key()
	must(r.t, err)
	by := "an unknown key"
	r.rotation.mu.Lock()
	defer r.rotation.mu.Unlock()
	for _, key := range append([]jose.JSONWebKey{own.Public()}, r.rotation.old...) {
		if key.KeyID != signed.Signatures[0].Header.KeyID {
			continue
		}
		by = "a replaced key"
		if key.KeyID == own.KeyID {
			by = "its own key"
		}
		if _, err := signed.Verify(key); err != nil {
			by = "nobody"
		}
	}
	var claims struct {
		Iss, Aud, Nonce string
		Iat, Exp        int64
	}
	must(r.t, json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims))
	minutes := func(at int64) string { return time.Unix(at, 0).Sub(r.now()).Round(time.Minute).String() }
	return fmt.Sprintf("signed by %s for %s by %s with %s from %s to %s", by, claims.Aud, strings.TrimPrefix(claims.Iss, r.Origin()), claims.Nonce, minutes(claims.Iat), minutes(claims.Exp))
}

// faultsShow says in which probes each fault is to be seen, and nowhere else.
var faultsShow = map[string]string{
	"discovery": "discovery metadata", "token": "token refresh", "fhir": "read",
	"no-smart-configuration": "discovery",
	"wrong-state":            "callback", "missing-state": "callback", "wrong-iss": "callback", "missing-iss": "callback", "missing-code": "callback",
	"expired-code": "token", "error-with-200": "token refresh", "token-redirect": "token refresh",
	"refresh-answer-lost": "refresh", "revoked-grant": "refresh read",
	"missing-patient": "token refresh", "fewer-scopes": "consent", "no-scope": "token refresh",
	"token-type-lowercase": "token refresh", "token-type-missing": "token refresh", "token-type-mac": "token refresh",
	"expires-in-string": "token refresh", "expires-in-missing": "token refresh", "refresh-token-empty": "token refresh", "access-token-missing": "token refresh",
	"long-tokens": "token refresh",
	"clock-ahead": "discovery metadata token refresh keys read page", "clock-behind": "discovery metadata token refresh keys read page",
	"id-token-missing": "token refresh", "id-token-signature": "token refresh", "id-token-alg-none": "token refresh", "id-token-issuer": "token refresh",
	"id-token-audience": "token refresh", "id-token-nonce": "token refresh", "id-token-expired": "token refresh",
	"unknown-key": "token refresh", "rotated-keys": "token refresh keys", "late-keys": "token refresh", "keys-500": "keys",
	"fhir-token-refused": "read",
}

func TestEachFaultActsWhereItSaysAndNowhereElse(t *testing.T) {
	r := start(t, Options{})
	_, err := r.keys.key() // takes its time, once
	must(t, err)
	want := r.probe(r.http, false)
	differ := func(got map[string]string) string {
		var out []string
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				out = append(out, name)
			}
		}
		return strings.Join(out, " ")
	}
	for _, f := range Faults() {
		t.Run(f.Name, func(t *testing.T) {
			at, _, _ := strings.Cut(f.Name, "-")
			show, ok := faultsShow[f.Name]
			if !ok {
				show, ok = faultsShow[at]
			}
			if !ok {
				t.Fatal("nothing says where the fault is to be seen")
			}
			if !strings.HasSuffix(f.Sentence, ".") {
				t.Errorf("%q is no sentence", f.Sentence)
			}
			client := r.http
			if strings.HasSuffix(f.Name, "-hangs") {
				hurried := *r.http
				hurried.Timeout = 300 * time.Millisecond
				client = &hurried
			}
			before := r.Requests()
			must(t, r.SetFaults(f.Name))
			got := r.probe(client, strings.HasSuffix(f.Name, "-slow"))
			must(t, r.SetFaults())
			expected := strings.Fields(show)
			slices.Sort(expected)
			if d := differ(got); d != strings.Join(expected, " ") {
				t.Errorf("seen in %q, want %q: %v", d, expected, got)
			}
			if !slices.ContainsFunc(r.Requests(), func(q Request) bool {
				return q.Number > before[len(before)-1].Number && strings.Contains(q.Verdict, "(fault: "+f.Name+")")
			}) {
				t.Error("the log does not say that the fault acted")
			}
			// Keys that were published stay so.
			r.rotation.mu.Lock()
			r.rotation.old = nil
			r.rotation.mu.Unlock()
			if d := differ(r.probe(r.http, false)); d != "" {
				t.Errorf("when it is over, still seen in %s", d)
			}
		})
	}
	for name := range faultsShow {
		if !slices.Contains(faultNames(), name) && !slices.Contains([]string{"discovery", "token", "fhir"}, name) {
			t.Errorf("there is no fault %s any more", name)
		}
	}
}

func TestUnknownFaults(t *testing.T) {
	s, err := New(Options{Faults: []string{"token-503", "wrong-state"}})
	must(t, err)
	if err := s.SetFaults("no-scope", "teapot"); err == nil || !strings.Contains(err.Error(), `"teapot"`) || !strings.Contains(err.Error(), "late-keys") {
		t.Errorf("%v", err)
	}
	if got := s.Faults(); !slices.Equal(got, []string{"token-503", "wrong-state"}) {
		t.Errorf("after a refusal, %v are on", got)
	}
	if _, err := New(Options{Faults: []string{"teapot"}}); err == nil {
		t.Error("a server was made with an unknown fault")
	}
}

func TestHowTheTransportFails(t *testing.T) {
	r := start(t, Options{})
	address := r.FHIRBaseURL() + "/.well-known/smart-configuration"
	get := func(faults ...string) (*http.Response, []byte, error) {
		must(t, r.SetFaults(faults...))
		resp, err := r.http.Do(mustRequest(t, address))
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp, body, err
	}
	if _, _, err := get("discovery-reset"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	if _, body, err := get("discovery-truncated"); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
		t.Errorf("truncated: %d bytes, %v", len(body), err)
	}
	if resp, body, err := get("discovery-oversized"); err != nil || len(body) < oversize || !json.Valid(body) || resp.StatusCode != 200 {
		t.Errorf("oversized: %d bytes, %v", len(body), err)
	}
	for fault, status := range map[string]int{"discovery-503": 503, "discovery-429": 429} {
		if resp, _, err := get(fault); err != nil || resp.StatusCode != status || resp.Header.Get("Retry-After") != "120" {
			t.Errorf("%s: %v", fault, err)
		}
	}
	// Of two, the first of the table is outermost.
	began := time.Now()
	if resp, _, err := get("discovery-502", "discovery-slow"); err != nil || resp.StatusCode != 502 || time.Since(began) < slowness {
		t.Errorf("slow and 502: %v after %s", err, time.Since(began))
	}
	if v := r.lastVerdict(); !strings.Contains(v, "(fault: discovery-slow, discovery-502)") {
		t.Errorf("the log says %q", v)
	}
}

func TestClosingEndsARequestThatHangs(t *testing.T) {
	r := start(t, Options{Faults: []string{"token-hangs"}})
	done := make(chan error, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Origin()+"/auth/token", strings.NewReader("grant_type=refresh_token"))
	must(t, err)
	go func() {
		resp, err := r.http.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("closed after %s: %v", time.Since(began), err)
	}
	if <-done == nil {
		t.Error("the request was answered")
	}
}

func TestKeysThatArePublishedLate(t *testing.T) {
	r := start(t, Options{Faults: []string{"late-keys"}})
	kids := func() (out []string) {
		_, doc := r.do(mustRequest(t, r.Origin()+"/auth/jwks"))
		list, _ := doc["keys"].([]any)
		for _, k := range list {
			out = append(out, first(k, "kid"))
		}
		return out
	}
	kidOf := func() string {
		signed, err := jose.ParseSignedCompact(word(r.connect(nil, Choice{})["id_token"]), []jose.SignatureAlgorithm{jose.RS256})
		must(t, err)
		return signed.Signatures[0].Header.KeyID
	}
	kid := kidOf()
	if slices.Contains(kids(), kid) {
		t.Error("the first fetch has the new key")
	}
	if !slices.Contains(kids(), kid) || kidOf() != kid {
		t.Error("the second fetch lacks the new key, or it was replaced again")
	}
	must(t, r.SetFaults("rotated-keys"))
	for range maxRotatedKeys + 2 {
		next := kidOf()
		if next == kid || !slices.Contains(kids(), next) {
			t.Error("the key was not replaced, or is not published")
		}
		kid = next
	}
	if n := len(kids()); n != maxRotatedKeys+1 {
		t.Errorf("%d keys are published", n)
	}
	must(t, r.SetFaults())
	if !slices.Contains(kids(), kidOf()) {
		t.Error("the server's own key is not published any more")
	}
}
