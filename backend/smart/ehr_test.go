package smart_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"

	"github.com/go-jose/go-jose/v4"
)

// ehr is a server for one test: its token endpoint answers as the test says.
type ehr struct {
	*httptest.Server
	token  http.HandlerFunc
	revoke http.HandlerFunc
	jwks   http.HandlerFunc

	register, introspect http.HandlerFunc

	mu       sync.Mutex // protects requests
	requests []request
}

// request is what reached the token or the revocation endpoint.
type request struct {
	path     string
	header   http.Header
	form     url.Values
	user     string
	password string
	basic    bool
}

func newEHR(t *testing.T) *ehr {
	t.Helper()
	e := &ehr{}
	mux := http.NewServeMux()
	record := func(next func() http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			q := request{path: r.URL.Path, header: r.Header, form: r.PostForm}
			q.user, q.password, q.basic = r.BasicAuth()
			if r.Method != http.MethodPost || r.URL.RawQuery != "" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			e.mu.Lock()
			e.requests = append(e.requests, q)
			e.mu.Unlock()
			next()(w, r)
		}
	}
	mux.HandleFunc("/token", record(func() http.HandlerFunc { return e.token }))
	mux.HandleFunc("/revoke", record(func() http.HandlerFunc { return e.revoke }))
	mux.HandleFunc("/register", func(w http.ResponseWriter, r *http.Request) { e.register(w, r) })
	mux.HandleFunc("/introspect", record(func() http.HandlerFunc { return e.introspect }))
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) { e.jwks(w, r) })
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	return e
}

// seen gives the requests so far.
func (e *ehr) seen() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

func (e *ehr) cfg() smart.Configuration {
	return smart.Configuration{
		FHIRBaseURL: e.URL + "/fhir/", Issuer: e.URL, AuthorizationEndpoint: e.URL + "/authorize", TokenEndpoint: e.URL + "/token",
		JWKSURI: e.URL + "/jwks", RevocationEndpoint: e.URL + "/revoke", RegistrationEndpoint: e.URL + "/register", IntrospectionEndpoint: e.URL + "/introspect",
	}
}

// says answers with a status and a JSON body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

var public = smart.ClientAuth{Type: smart.Public, ClientID: "my-app"}

func scopes(t testing.TB, text string) scope.Set {
	t.Helper()
	s, errs := scope.ParseList(text)
	if errs != nil {
		t.Fatal(errs)
	}
	return s
}

// begin makes an authorization for the scopes.
func begin(t *testing.T, c *smart.Client, cfg smart.Configuration, words string) smart.Authorization {
	t.Helper()
	a, err := c.Authorization(cfg, smart.AuthorizationParams{ClientID: "my-app", RedirectURI: "http://localhost:18341/callback", Scopes: scopes(t, words)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// exchange signs in with a token endpoint that answers body.
func exchange(t *testing.T, body, words string) (smart.TokenResponse, error) {
	t.Helper()
	e, c := newEHR(t), &smart.Client{}
	e.token = says(200, body)
	return c.Exchange(context.Background(), e.cfg(), public, begin(t, c, e.cfg(), words), secret.New("c0de-canary"))
}

// signer signs id_tokens for tests.
type signer struct {
	alg     jose.SignatureAlgorithm
	key     any
	kid     string
	publics any
	embed   bool // puts the public key into the header (jwk)
}

func newSigner(t testing.TB, alg jose.SignatureAlgorithm, kid string) signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer{alg: alg, key: key, kid: kid, publics: key.Public()}
}

func (s signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if s.kid != "" {
		options = options.WithHeader("kid", s.kid)
	}
	options.EmbedJWK = s.embed
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := js.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func serveKeys(signers ...signer) http.HandlerFunc {
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.publics, KeyID: s.kid, Use: "sig"})
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(set)
	}
}

// claimsFor are good claims; a test spoils them.
func claimsFor(e *ehr, a smart.Authorization, now time.Time) map[string]any {
	return map[string]any{
		"iss": e.URL, "aud": a.ClientID, "sub": "subject-1", "nonce": a.Nonce, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"fhirUser": e.URL + "/fhir/Practitioner/p1",
	}
}
