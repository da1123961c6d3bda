package smart_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const everyScope = "openid fhirUser launch/patient offline_access patient/*.rs"

// TestAsymmetricClientsLive goes through a whole life with each kind of key:
// sign-in, renewals, revocation, against a server that holds each request to
// SMART's rules.
func TestAsymmetricClientsLive(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	s.knows(t, "chartkey-asymmetric", rsaKey(t), ecKey(t))
	if got := s.cfg.TokenEndpointAuthSigningAlgValuesSupported; !slices.Equal(got, []string{"RS384", "ES384"}) {
		t.Errorf("the server takes %v", got)
	}
	for _, key := range []smart.ClientKey{rsaKey(t), ecKey(t)} {
		t.Run(string(key.Algorithm()), func(t *testing.T) {
			auth := asymmetric("chartkey-asymmetric", key)
			a, code := s.authorize(t, auth.ClientID, everyScope)
			s.wire.take()
			first, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
			if err != nil {
				t.Fatal(err, s.verdict())
			}
			if first.Context.Patient != "amara-nwosu" || first.IDToken.IsEmpty() || first.RefreshToken.IsEmpty() || first.AuthMethod != smart.AuthPrivateKeyJWT || len(first.Warnings) != 0 {
				t.Errorf("%+v", first)
			}
			second, err := s.client.Refresh(t.Context(), s.cfg, auth, first.RefreshToken, first.Scopes)
			if err != nil || second.AuthMethod != smart.AuthPrivateKeyJWT {
				t.Fatal(err, s.verdict())
			}
			third, err := s.client.Refresh(t.Context(), s.cfg, auth, second.RefreshToken, second.Scopes)
			if err != nil {
				t.Fatal(err, s.verdict())
			}
			if err := s.client.Revoke(t.Context(), s.cfg, auth, third.RefreshToken, third.AccessToken); err != nil {
				t.Fatal(err, s.verdict())
			}
			if _, err := s.client.Refresh(t.Context(), s.cfg, auth, third.RefreshToken, third.Scopes); fault.Code(err) != smart.CodeGrantEnded {
				t.Errorf("after the revocation: %v", err)
			}

			requests := s.wire.take()
			if len(requests) != 6 { // revocation is of both tokens
				t.Errorf("%d requests", len(requests))
			}
			ids := map[any]bool{}
			for _, r := range requests {
				// SMART requirements 63 to 66 and 317 to 334.
				if r.form.Has("client_id") || r.form.Has("client_secret") || r.header.Get("Authorization") != "" ||
					r.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || r.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
					t.Errorf("%s sent %v", r.path, r.form)
				}
				header, claims := readAssertion(t, r.form.Get("client_assertion"), key)
				if header.Algorithm != string(key.Algorithm()) || header.KeyID != key.ID() || header.ExtraHeaders[jose.HeaderType] != "JWT" || len(header.ExtraHeaders) != 1 {
					t.Errorf("header %+v", header)
				}
				now := float64(time.Now().Unix())
				exp, iat, nbf := claims["exp"].(float64), claims["iat"].(float64), claims["nbf"].(float64)
				if len(claims) != 7 || claims["iss"] != auth.ClientID || claims["sub"] != auth.ClientID || claims["aud"] != s.cfg.TokenEndpoint ||
					exp <= now+60 || exp > now+300 || iat > now || nbf > now || exp-iat > 300 || exp-nbf > 300 {
					t.Errorf("claims %v at %v", claims, now)
				}
				id, _ := claims["jti"].(string)
				if len(id) < 22 || len(id) > 151 || ids[id] {
					t.Errorf("jti %q", id)
				}
				ids[id] = true
			}
		})
	}
}

// TestTheServerHoldsAssertionsToTheRules sends what the client never would, so
// that the tests around it mean something.
func TestTheServerHoldsAssertionsToTheRules(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	key := rsaKey(t)
	s.knows(t, "chartkey-asymmetric", key)
	auth := asymmetric("chartkey-asymmetric", key)
	a, code := s.authorize(t, auth.ClientID, everyScope)
	s.wire.take()
	tokens, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
	if err != nil {
		t.Fatal(err)
	}
	used := s.wire.take()[0].form.Get("client_assertion")

	var raw jose.JSONWebKey
	private, err := key.Private()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(private.Bytes(), &raw); err != nil {
		t.Fatal(err)
	}
	forge := func(edit func(map[string]any)) string {
		now := time.Now()
		claims := map[string]any{"iss": auth.ClientID, "sub": auth.ClientID, "aud": s.cfg.TokenEndpoint, "exp": now.Add(4 * time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano())}
		edit(claims)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS384, Key: raw}, (&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, c := range map[string]struct{ assertion, verdict string }{
		"none of these":   {forge(func(map[string]any) {}), "access renewed"},
		"a used one":      {used, "jti of the assertion was used before"},
		"one that lasts":  {forge(func(m map[string]any) { m["exp"] = time.Now().Add(6 * time.Minute).Unix() }), "five minutes"},
		"one for another": {forge(func(m map[string]any) { m["aud"] = "https://other.example/token" }), "aud"},
		"one of later":    {forge(func(m map[string]any) { m["iat"] = time.Now().Add(time.Minute).Unix() }), "iat"},
	} {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken.Reveal()}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {c.assertion}}
		if name == "none of these" {
			defer func() { // last, as it spends the refresh token
				resp, err := http.PostForm(s.cfg.TokenEndpoint, form)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %v %s", name, err, s.verdict())
				}
			}()
			continue
		}
		resp, err := http.PostForm(s.cfg.TokenEndpoint, form)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(s.verdict(), c.verdict) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, s.verdict())
		}
	}
}

func TestAClockThatIsOffIsCorrectedOnce(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	key := ecKey(t)
	s.knows(t, "chartkey-asymmetric", key)
	auth := asymmetric("chartkey-asymmetric", key)
	for _, c := range []struct {
		off      time.Duration // of the workstation's clock
		told     bool          // the caller knows it already
		requests int
	}{
		{0, false, 1}, {110 * time.Second, false, 1}, {-110 * time.Second, false, 1},
		{10 * time.Minute, false, 2}, {-10 * time.Minute, false, 2}, {-72 * time.Hour, false, 2},
		{10 * time.Minute, true, 1}, {-72 * time.Hour, true, 1},
	} {
		t.Run(fmt.Sprint(c.off, " ", c.told), func(t *testing.T) {
			s.client.Now = func() time.Time { return time.Now().Add(c.off) }
			defer func() { s.client.Now = nil }()
			auth := auth
			if c.told {
				auth.ClockOffset = -c.off
			}
			a, code := s.authorize(t, auth.ClientID, "launch/patient patient/*.rs")
			s.wire.take()
			got, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
			if err != nil {
				t.Fatal(err, s.verdict())
			}
			requests := s.wire.take()
			if len(requests) != c.requests || (got.ServerClockOffset+c.off).Abs() > 3*time.Second {
				t.Errorf("%d requests, offset %s", len(requests), got.ServerClockOffset)
			}
			ids := map[any]bool{}
			for _, r := range requests {
				_, claims := readAssertion(t, r.form.Get("client_assertion"), key)
				if ids[claims["jti"]] {
					t.Error("the second request has the jti of the first")
				}
				ids[claims["jti"]] = true
			}
		})
	}
}

// A server whose clock is another one each time is not followed for ever.
func TestAClockIsCorrectedOnceOnly(t *testing.T) {
	e := newEHR(t)
	hours := 0
	e.token = func(w http.ResponseWriter, r *http.Request) {
		hours++
		w.Header().Set("Date", time.Now().Add(time.Duration(hours)*time.Hour).UTC().Format(http.TimeFormat))
		if hours > 5 {
			says(200, `{"access_token":"at","token_type":"Bearer"}`)(w, r)
			return
		}
		says(401, `{"error":"invalid_client"}`)(w, r)
	}
	if _, err := (&smart.Client{}).Refresh(t.Context(), e.cfg(), asymmetric("my-app", ecKey(t)), secret.New("rt"), nil); fault.Code(err) != "client-refused" || len(e.seen()) != 2 {
		t.Errorf("%v after %d requests", err, len(e.seen()))
	}
}

// Servers have many words for an assertion of another time.
func TestWordsForAWrongClock(t *testing.T) {
	for _, c := range []struct {
		status   int
		body     string
		requests int
		code     string
	}{
		{401, `{"error":"invalid_client"}`, 2, ""},
		{401, ``, 2, ""},
		{400, `{"error":"invalid_grant","error_description":"token is expired"}`, 2, ""},    // github.com/zitadel/oidc
		{500, `{"error":"error","error_description":"The error is unrecognizable"}`, 2, ""}, // github.com/ory/fosite
		{400, `{"error":"invalid_request"}`, 2, ""},
		{503, `{"error":"temporarily_unavailable"}`, 1, "server-unavailable"},
		{500, `{"error":"server_error"}`, 1, "server-error"},
		{502, `<html>`, 1, "server-error"},
		{429, ``, 1, "rate-limited"},
		{200, `{"token_type":"Bearer","refresh_token":"rt-2"}`, 1, "token-missing"},
	} {
		e := newEHR(t)
		key := ecKey(t)
		e.token = func(w http.ResponseWriter, r *http.Request) {
			if _, claims := readAssertion(t, r.PostForm.Get("client_assertion"), key); claims["exp"].(float64) < float64(time.Now().Unix()) {
				says(c.status, c.body)(w, r)
				return
			}
			says(200, `{"access_token":"at","token_type":"Bearer"}`)(w, r)
		}
		client := &smart.Client{Now: func() time.Time { return time.Now().Add(-10 * time.Minute) }}
		got, err := client.Refresh(t.Context(), e.cfg(), asymmetric("my-app", key), secret.New("rt-1"), nil)
		if fault.Code(err) != c.code || len(e.seen()) != c.requests || (c.code == "") == got.AccessToken.IsEmpty() {
			t.Errorf("%d %s: %v after %d requests", c.status, c.body, err, len(e.seen()))
		}
	}
}

func TestAnAssertionThatIsRefusedSaysWhichKey(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	key := ecKey(t)
	auth := asymmetric("chartkey-asymmetric", key)
	refuse := func(auth smart.ClientAuth, code string) *fault.Error {
		t.Helper()
		s.wire.take()
		_, err := s.client.Refresh(t.Context(), s.cfg, auth, secret.New("rt-canary"), nil)
		f := fault.From(err)
		if err == nil || f.Code != code || f.Retryable {
			t.Fatalf("%+v, %s", f, s.verdict())
		}
		return f
	}
	// The preset has no key yet, then another one.
	for range 2 {
		f := refuse(auth, "client-refused")
		if !strings.Contains(f.Advice, key.ID()) || !strings.Contains(f.Advice, "JWKS URL") || strings.Contains(f.Advice, "secret") || len(s.wire.take()) != 1 {
			t.Errorf("%+v", f)
		}
		s.knows(t, auth.ClientID, rsaKey(t))
	}
	refuse(asymmetric("chartkey-demo", key), "client-refused") // a public client
	e := newEHR(t)                                             // some servers call a key that they do not know an invalid request
	e.token = says(400, `{"error":"invalid_request"}`)
	if _, err := s.client.Refresh(t.Context(), e.cfg(), auth, secret.New("rt"), nil); fault.Code(err) != "token-request-refused" || !strings.Contains(fault.From(err).Advice, key.ID()) {
		t.Errorf("%+v", fault.From(err))
	}
	refuse(smart.ClientAuth{Type: smart.ConfidentialAsymmetric, ClientID: "chartkey-asymmetric"}, "client-key-missing")
	refuse(asymmetric("", key), "client-id-missing")
	bad := auth
	bad.JWKSURL = "http://app.example/jwks.json"
	refuse(bad, "client-jwks-url")
	if n := len(s.wire.take()); n != 0 {
		t.Errorf("%d requests went out all the same", n)
	}
}

// The simulator fetches the keys from where the client publishes them, and takes jku only if it is that address.
func TestKeysByURL(t *testing.T) {
	old, fresh := rsaKey(t), ecKey(t)
	published := []smart.ClientKey{old}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b, err := smart.PublicKeySet(published...)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write(b)
	}))
	defer site.Close()
	s := newSandbox(t, simulator.Options{Clients: []simulator.Client{{ID: "app", Type: simulator.ConfidentialAsymmetric, RedirectURIs: []string{sandboxRedirect}, JWKSURI: site.URL}}})
	auth := asymmetric("app", old)
	auth.JWKSURL = site.URL
	a, code := s.authorize(t, "app", everyScope)
	tokens, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
	if err != nil {
		t.Fatal(err, s.verdict())
	}
	// Rotation with overlap: the new key beside the old, then the new one signs.
	published = []smart.ClientKey{old, fresh}
	auth.Key = fresh
	time.Sleep(1100 * time.Millisecond) // the server asks again once a second at most
	if tokens, err = s.client.Refresh(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.Scopes); err != nil {
		t.Fatal(err, s.verdict())
	}
	auth.JWKSURL = site.URL + "/elsewhere"
	if _, err = s.client.Refresh(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.Scopes); fault.Code(err) != "client-refused" || !strings.Contains(s.verdict(), "jku") {
		t.Errorf("%v %s", err, s.verdict())
	}
}

// An assertion that opened the token endpoint of one server must not go to
// another, which discovery may name for something else.
func TestAnAssertionIsForWhomItIsSentTo(t *testing.T) {
	e, other := newEHR(t), newEHR(t)
	e.token = says(200, `{"access_token":"at","token_type":"Bearer","scope":"x"}`)
	e.revoke, other.revoke = says(200, ""), says(200, "")
	key := ecKey(t)
	auth := asymmetric("my-app", key)
	c := &smart.Client{}
	cfg := e.cfg()
	audience := func(q request) any {
		_, claims := readAssertion(t, q.form.Get("client_assertion"), key)
		return claims["aud"]
	}
	if _, err := c.Refresh(t.Context(), cfg, auth, secret.New("rt"), nil); err != nil || audience(e.seen()[0]) != cfg.TokenEndpoint {
		t.Errorf("%v", err)
	}
	if err := c.Revoke(t.Context(), cfg, auth, secret.New("rt"), secret.Value{}); err != nil || audience(e.seen()[1]) != cfg.TokenEndpoint {
		t.Errorf("%v", err)
	}
	cfg.RevocationEndpoint = other.URL + "/revoke"
	if err := c.Revoke(t.Context(), cfg, auth, secret.New("rt"), secret.Value{}); err != nil || audience(other.seen()[0]) != other.URL+"/revoke" {
		t.Errorf("%v, made out to %v", err, audience(other.seen()[0]))
	}
}

// Whatever a server says back, an assertion does not show.
func TestAnAssertionIsNeverQuoted(t *testing.T) {
	key := ecKey(t)
	for _, shape := range []string{`{"error":"invalid_client","error_description":%q}`, `{"error":%q}`, `{"error":"invalid_grant","error_description":%q}`, `{"access_token":"x","token_type":%q}`, `{"x":%q}`, `%q`} {
		for _, status := range []int{200, 400, 401, 500} {
			e := newEHR(t)
			var seen []string
			echo := func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, r.PostForm.Get("client_assertion"))
				says(status, fmt.Sprintf(shape, "bad "+r.PostForm.Get("client_assertion")+" here"))(w, r)
			}
			e.token, e.revoke = echo, echo
			c := &smart.Client{}
			a := begin(t, c, e.cfg(), "launch/patient")
			_, exchanged := c.Exchange(context.Background(), e.cfg(), asymmetric("my-app", key), a, secret.New("c0de"))
			_, refreshed := c.Refresh(context.Background(), e.cfg(), asymmetric("my-app", key), secret.New("rt-1"), nil)
			revoked := c.Revoke(context.Background(), e.cfg(), asymmetric("my-app", key), secret.New("rt-1"), secret.Value{})
			for _, err := range []error{exchanged, refreshed, revoked} {
				if err == nil {
					continue
				}
				f := fault.From(err)
				b, jsonErr := json.Marshal(f)
				if jsonErr != nil {
					t.Fatal(jsonErr)
				}
				out := fmt.Sprintf("%v %+v %#v %v %s", err, f, *f, f.Unwrap(), b)
				for _, assertion := range seen {
					for _, part := range strings.Split(assertion, ".") {
						if len(part) > 30 && strings.Contains(out, part[:30]) {
							t.Fatalf("%s with %d: %s", shape, status, out)
						}
					}
				}
			}
			if len(seen) < 3 {
				t.Errorf("%d requests", len(seen))
			}
		}
	}
}

// RFC 7523 section 2.2 shows a token request; ours has its parameters.
func TestTheFormOfRFC7523(t *testing.T) {
	e := newEHR(t)
	e.token = says(200, `{"access_token":"at","token_type":"Bearer","scope":"launch/patient","patient":"1"}`)
	c := &smart.Client{}
	a := begin(t, c, e.cfg(), "launch/patient")
	if _, err := c.Exchange(t.Context(), e.cfg(), asymmetric("my-app", ecKey(t)), a, secret.New("n0esc3NRze7LTCu7iYzS6a5acc3f0ogp4")); err != nil {
		t.Fatal(err)
	}
	form := e.seen()[0].form
	for _, name := range []string{"grant_type", "code", "client_assertion_type", "client_assertion", "redirect_uri", "code_verifier"} {
		if len(form[name]) != 1 || form.Get(name) == "" {
			t.Errorf("%s is %q", name, form[name])
		}
	}
	if len(form) != 6 || form.Get("grant_type") != "authorization_code" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Errorf("%v", form)
	}
}
