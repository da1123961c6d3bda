package simulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keyPair is a key that a client of the test has made for itself.
type keyPair struct {
	algorithm jose.SignatureAlgorithm
	private   any
	public    jose.JSONWebKey
}

func newKeyPair(t testing.TB, algorithm jose.SignatureAlgorithm, kid string) keyPair {
	t.Helper()
	if algorithm == jose.ES384 {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return keyPair{algorithm, key, jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: string(algorithm)}}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{algorithm, key, jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: string(algorithm)}}
}

func (k keyPair) sign(t testing.TB, claims map[string]any, header map[jose.HeaderKey]any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.public.KeyID)
	for name, value := range header {
		opts.WithHeader(name, value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: k.private}, opts)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

var nextID atomic.Int64

// claims are those of a good assertion of a client.
func (r running) claims(client string) map[string]any {
	now := r.now()
	return map[string]any{"iss": client, "sub": client, "aud": r.tokenEndpoint(), "exp": now.Add(4 * time.Minute).Unix(), "iat": now.Unix(), "jti": fmt.Sprint("id-", nextID.Add(1))}
}

func withAssertion(form url.Values, assertion string) url.Values {
	form = maps.Clone(form)
	form.Del("client_id")
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	return form
}

func serviceForm(scopes string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "scope": {scopes}}
}

func asymmetric(id string, grants []string, keys ...keyPair) Client {
	c := Client{ID: id, Type: ConfidentialAsymmetric, RedirectURIs: []string{testRedirect}, GrantTypes: grants, JWKS: &jose.JSONWebKeySet{}}
	for _, k := range keys {
		c.JWKS.Keys = append(c.JWKS.Keys, k.public)
	}
	return c
}

func TestAsymmetricClientSignsIn(t *testing.T) {
	rsaKey, ecKey := newKeyPair(t, jose.RS384, "rsa"), newKeyPair(t, jose.ES384, "ec")
	r := start(t, Options{Clients: []Client{asymmetric("app", nil, rsaKey, ecKey)}})
	for _, key := range []keyPair{rsaKey, ecKey} {
		code := r.signIn(map[string]string{"client_id": "app"}, Choice{}).Get("code")
		_, body := r.post("/auth/token", withAssertion(exchangeForm(code), key.sign(t, r.claims("app"), nil)), nil)
		refresh := word(body["refresh_token"])
		if body["patient"] != "amara-nwosu" || refresh == "" {
			t.Fatalf("%s: %v", key.algorithm, body)
		}
		resp, body := r.post("/auth/token", withAssertion(refreshForm(refresh), key.sign(t, r.claims("app"), nil)), nil)
		if resp.StatusCode != 200 {
			t.Errorf("%s, refresh: %d %v", key.algorithm, resp.StatusCode, body)
		}
		form := withAssertion(url.Values{"token": {word(body["refresh_token"])}}, key.sign(t, r.claims("app"), nil))
		if resp, _ := r.post("/auth/revoke", form, nil); resp.StatusCode != 200 || !strings.Contains(r.lastVerdict(), "were revoked") {
			t.Errorf("%s, revoke: %d %q", key.algorithm, resp.StatusCode, r.lastVerdict())
		}
	}
}

func TestAssertionErrors(t *testing.T) {
	c := newClock()
	key, other := newKeyPair(t, jose.ES384, "1"), newKeyPair(t, jose.ES384, "1")
	weak, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Now: c.Now, Clients: []Client{asymmetric("app", []string{grantService}, key), asymmetric("second", []string{grantService}, key)}})
	with := func(name string, value any) map[string]any {
		claims := r.claims("app")
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
		return claims
	}
	replayed := r.claims("app")
	if resp, body := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, replayed, nil)), nil); resp.StatusCode != 200 {
		t.Fatalf("a good one: %d %v", resp.StatusCode, body)
	}
	at := func(d time.Duration) int64 { return c.Now().Add(d).Unix() }
	for name, test := range map[string]struct{ assertion, verdict string }{
		"a replay":              {key.sign(t, replayed, nil), "jti of the assertion was used before"},
		"another key":           {other.sign(t, r.claims("app"), nil), "signature"},
		"an unknown kid":        {key.sign(t, r.claims("app"), map[jose.HeaderKey]any{"kid": "2"}), "kid"},
		"an empty kid":          {key.sign(t, r.claims("app"), map[jose.HeaderKey]any{"kid": ""}), "kid"},
		"another typ":           {key.sign(t, r.claims("app"), map[jose.HeaderKey]any{"typ": "at+jwt"}), "typ"},
		"a jku":                 {key.sign(t, r.claims("app"), map[jose.HeaderKey]any{"jku": "https://evil.example/jwks"}), "jku"},
		"an unknown client":     {key.sign(t, r.claims("nobody"), nil), "no such client"},
		"a public client":       {key.sign(t, r.claims("chartkey-demo"), nil), "public client"},
		"a client with secret":  {key.sign(t, r.claims("chartkey-confidential"), nil), "with a secret"},
		"a preset, unpublished": {key.sign(t, r.claims("chartkey-backend"), nil), "the key set at http://localhost:18331/jwks.json"},
		"another sub":           {key.sign(t, with("sub", "second"), nil), "iss and sub"},
		"no aud":                {key.sign(t, with("aud", nil), nil), "aud"},
		"the issuer as aud":     {key.sign(t, with("aud", r.issuer()), nil), "aud"},
		"no exp":                {key.sign(t, with("exp", nil), nil), "exp"},
		"expired":               {key.sign(t, with("exp", at(-11*time.Second)), nil), "expired"},
		"too long a life":       {key.sign(t, with("exp", at(6*time.Minute)), nil), "five minutes"},
		"nbf ahead":             {key.sign(t, with("nbf", at(time.Minute)), nil), "nbf"},
		"iat ahead":             {key.sign(t, with("iat", at(time.Minute)), nil), "iat"},
		"no jti":                {key.sign(t, with("jti", nil), nil), "jti"},
		"another algorithm":     {keyPair{jose.ES256, weak, jose.JSONWebKey{KeyID: "1"}}.sign(t, r.claims("app"), nil), "RS384 or ES384"},
		"a secret as the key":   {keyPair{jose.HS384, []byte(strings.Repeat("k", 48)), jose.JSONWebKey{KeyID: "1"}}.sign(t, r.claims("app"), nil), "RS384 or ES384"},
		"no signature":          {"eyJhbGciOiJub25lIn0.eyJpc3MiOiJhcHAifQ.", "RS384 or ES384"},
		"nonsense":              {"x", "RS384 or ES384"},
		"endless":               {strings.Repeat("x", maxAssertion+1), "bytes"},
	} {
		resp, body := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), test.assertion), nil)
		if resp.StatusCode != 401 || body["error"] != "invalid_client" || !strings.Contains(r.lastVerdict(), test.verdict) {
			t.Errorf("%s: %d %v, %q", name, resp.StatusCode, body, r.lastVerdict())
		}
	}

	good := func() string { return key.sign(t, r.claims("app"), nil) }
	for name, test := range map[string]struct {
		change func(url.Values)
		edit   func(*http.Request)
		code   string
	}{
		"another assertion type": {func(f url.Values) { f.Set("client_assertion_type", "jwt") }, nil, "invalid_request"},
		"a type alone":           {func(f url.Values) { f.Del("client_assertion") }, nil, "invalid_client"},
		"a secret beside it":     {func(f url.Values) { f.Set("client_secret", "x") }, nil, "invalid_request"},
		"Basic beside it":        {func(url.Values) {}, basic("app", "x"), "invalid_request"},
		"another client's ID":    {func(f url.Values) { f.Set("client_id", "second") }, nil, "invalid_request"},
		"two assertions":         {func(f url.Values) { f.Add("client_assertion", "x") }, nil, "invalid_request"},
		"no assertion": {func(f url.Values) {
			f.Del("client_assertion")
			f.Del("client_assertion_type")
			f.Set("client_id", "app")
		}, nil, "invalid_client"},
		"a secret in its place": {func(f url.Values) {
			f.Del("client_assertion")
			f.Del("client_assertion_type")
			f.Set("client_id", "app")
			f.Set("client_secret", "x")
		}, nil, "invalid_client"},
		"its own ID, which is ok": {func(f url.Values) { f.Set("client_id", "app") }, nil, ""},
	} {
		form := withAssertion(serviceForm("system/*.rs"), good())
		test.change(form)
		if _, body := r.post("/auth/token", form, test.edit); word(body["error"]) != test.code {
			t.Errorf("%s: %v", name, body)
		}
	}
	// Another client may use the same jti, and the clocks of two computers may differ a little.
	if resp, body := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, func() map[string]any { c := r.claims("second"); c["jti"] = replayed["jti"]; return c }(), nil)), nil); resp.StatusCode != 200 {
		t.Errorf("another client's jti: %v", body)
	}
	if resp, body := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, with("exp", at(5*time.Minute+9*time.Second)), nil)), nil); resp.StatusCode != 200 {
		t.Errorf("a clock that is nine seconds ahead: %v", body)
	}
}

func TestSeenIDsAreForgotten(t *testing.T) {
	var s seenIDs
	now := newClock().Now()
	for i := range 1000 {
		if !s.first("app", fmt.Sprint(i), now, now.Add(time.Minute)) {
			t.Fatal("a new one is taken for an old one")
		}
	}
	if s.first("app", "1", now.Add(30*time.Second), now) {
		t.Error("a replay is taken")
	}
	later := now.Add(3 * time.Minute)
	if !s.first("app", "new", later, later) || len(s.until) != 1 {
		t.Errorf("%d are kept", len(s.until))
	}
}

func TestKeySetByURL(t *testing.T) {
	c := newClock()
	first, second := newKeyPair(t, jose.ES384, "first"), newKeyPair(t, jose.ES384, "second")
	var fetches atomic.Int64
	var answer atomic.Pointer[http.HandlerFunc]
	serve := func(h http.HandlerFunc) { answer.Store(&h) }
	publish := func(cache string, keys ...keyPair) {
		var set jose.JSONWebKeySet
		for _, k := range keys {
			set.Keys = append(set.Keys, k.public)
		}
		serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", cache)
			_ = json.NewEncoder(w).Encode(set)
		})
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fetches.Add(1)
		(*answer.Load())(w, q)
	}))
	defer site.Close()
	r := start(t, Options{Now: c.Now, Clients: []Client{{ID: "app", Type: ConfidentialAsymmetric, GrantTypes: []string{grantService}, JWKSURI: site.URL}}})
	try := func(key keyPair) int {
		resp, _ := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, r.claims("app"), map[jose.HeaderKey]any{"jku": site.URL})), nil)
		return resp.StatusCode
	}
	expect := func(name string, status int, key keyPair, times int64) {
		t.Helper()
		if got := try(key); got != status || fetches.Load() != times {
			t.Errorf("%s: %d after %d fetches; %s", name, got, fetches.Load(), r.lastVerdict())
		}
	}
	publish("max-age=60", first)
	expect("first use", 200, first, 1)
	expect("from the cache", 200, first, 1)
	publish("max-age=60", second)
	c.add(2 * time.Second)
	expect("rotated", 200, second, 2)
	expect("the old key, at once", 401, first, 2)
	c.add(2 * time.Second)
	expect("the old key, later", 401, first, 3)
	c.add(time.Minute)
	expect("after max-age", 200, second, 4)
	c.add(2 * time.Hour)
	for name, h := range map[string]http.HandlerFunc{
		"an error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a redirect":   func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/elsewhere", http.StatusFound) },
		"no JSON":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"an empty set": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"an endless one": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(" ", maxKeySet+1) + "{}"))
		},
	} {
		serve(h)
		if got := try(second); got != 401 || !strings.Contains(r.lastVerdict(), "cannot be used") {
			t.Errorf("%s: %d %s", name, got, r.lastVerdict())
		}
	}
	site.Close()
	if got := try(second); got != 401 || strings.Contains(r.lastVerdict(), "panic") {
		t.Errorf("nothing answers: %d %s", got, r.lastVerdict())
	}
}

func TestLifeOf(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": keySetLife, "no-cache": keySetLife, "max-age=60": time.Minute, "public, max-age=120": 2 * time.Minute, "max-age=0": minKeySetLife, "max-age=999999": maxKeySetLife, "s-maxage=60": keySetLife,
	} {
		if got := lifeOf(header); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
