package smart_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"

	"github.com/go-jose/go-jose/v4"
)

// signIn makes an exchange whose answer holds the id_token that make gives.
func signIn(t *testing.T, e *ehr, cfg smart.Configuration, words string, idToken func(a smart.Authorization) string) (smart.TokenResponse, error) {
	t.Helper()
	c := &smart.Client{}
	a := begin(t, c, cfg, words)
	body, _ := json.Marshal(map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 60, "scope": words, "id_token": idToken(a)})
	e.token = says(200, string(body))
	return c.Exchange(context.Background(), cfg, public, a, secret.New("c0de"))
}

func TestIDTokensThatVerify(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.ES256, jose.ES384} {
		t.Run(string(alg), func(t *testing.T) {
			e, s := newEHR(t), newSigner(t, alg, "k1")
			e.jwks = serveKeys(newSigner(t, jose.ES256, "other"), s)
			r, err := signIn(t, e, e.cfg(), "openid fhirUser", func(a smart.Authorization) string { return s.sign(t, claimsFor(e, a, time.Now())) })
			if err != nil {
				t.Fatal(err)
			}
			if r.Context.Subject != "subject-1" || r.Context.FHIRUser != e.URL+"/fhir/Practitioner/p1" || r.IDToken.IsEmpty() || len(r.Warnings) != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// atHash is OpenID Connect Core 3.1.3.6 for a token signed with ES384.
func atHash(accessToken string) string {
	sum := sha512.Sum384([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

func TestIDTokenClaims(t *testing.T) {
	now := time.Now()
	s := newSigner(t, jose.ES384, "k1")
	for _, c := range []struct {
		name string
		edit func(m map[string]any)
		code string
		user string
	}{
		{"relative fhirUser", func(m map[string]any) { m["fhirUser"] = "Patient/p.2" }, "", "Patient/p.2"},
		{"profile in place of fhirUser", func(m map[string]any) { delete(m, "fhirUser"); m["profile"] = "Person/1" }, "", "Person/1"},
		{"a web page as profile", func(m map[string]any) { delete(m, "fhirUser"); m["profile"] = "https://ehr.example/me" }, "", ""},
		{"fhirUser of another type", func(m map[string]any) { m["fhirUser"] = "Organization/1" }, "", ""},
		{"fhirUser no text", func(m map[string]any) { m["fhirUser"] = 7 }, "", ""},
		{"two audiences and azp", func(m map[string]any) { m["aud"] = []string{"other", "my-app"}; m["azp"] = "my-app" }, "", "SAME"},
		{"ran out within the leeway", func(m map[string]any) { m["exp"] = now.Add(-100 * time.Second).Unix() }, "", "SAME"},
		{"issued ahead within the leeway", func(m map[string]any) { m["iat"] = now.Add(100 * time.Second).Unix() }, "", "SAME"},
		{"no iat", func(m map[string]any) { delete(m, "iat") }, "", "SAME"},
		{"ran out", func(m map[string]any) { m["exp"] = now.Add(-140 * time.Second).Unix() }, "id-token-expired", ""},
		{"no exp", func(m map[string]any) { delete(m, "exp") }, "id-token-expired", ""},
		{"issued in the future", func(m map[string]any) { m["iat"] = now.Add(140 * time.Second).Unix() }, "id-token-issued-later", ""},
		{"other issuer", func(m map[string]any) { m["iss"] = "https://evil.example" }, "id-token-issuer", ""},
		{"issuer with a slash", func(m map[string]any) { m["iss"] = m["iss"].(string) + "/" }, "id-token-issuer", ""},
		{"other audience", func(m map[string]any) { m["aud"] = "other-app" }, "id-token-audience", ""},
		{"no audience", func(m map[string]any) { delete(m, "aud") }, "id-token-audience", ""},
		{"other nonce", func(m map[string]any) { m["nonce"] = "n" }, "id-token-nonce", ""},
		{"no nonce", func(m map[string]any) { delete(m, "nonce") }, "id-token-nonce", ""},
		{"two audiences and no azp", func(m map[string]any) { m["aud"] = []string{"my-app", "other"} }, "id-token-azp", ""},
		{"other azp", func(m map[string]any) { m["azp"] = "other" }, "id-token-azp", ""},
		{"no sub", func(m map[string]any) { delete(m, "sub") }, "id-token-subject", ""},
		{"in force within the leeway", func(m map[string]any) { m["nbf"] = now.Add(100 * time.Second).Unix() }, "", "SAME"},
		{"not in force yet", func(m map[string]any) { m["nbf"] = now.Add(10 * time.Minute).Unix() }, "id-token-not-yet", ""},
		{"at_hash of another access token", func(m map[string]any) { m["at_hash"] = atHash("another") }, "id-token-access-token", ""},
		{"at_hash of another length", func(m map[string]any) { m["at_hash"] = atHash("at")[:20] }, "id-token-access-token", ""},
		{"at_hash", func(m map[string]any) { m["at_hash"] = atHash("at") }, "", "SAME"},
		{"at_hash no text", func(m map[string]any) { m["at_hash"] = 7 }, "id-token-malformed", ""},
		{"claims of wrong types", func(m map[string]any) { m["exp"] = "soon" }, "id-token-malformed", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEHR(t)
			e.jwks = serveKeys(s)
			r, err := signIn(t, e, e.cfg(), "openid fhirUser", func(a smart.Authorization) string {
				m := claimsFor(e, a, now)
				c.edit(m)
				return s.sign(t, m)
			})
			if fault.Code(err) != c.code {
				t.Fatalf("%v, want %q", err, c.code)
			}
			if err != nil {
				if c.name == "no exp" && !strings.Contains(err.Error(), "does not say when") {
					t.Error(err)
				}
				if !strings.HasPrefix(err.Error(), "The sign-in is refused: ") || !r.IDToken.IsEmpty() || r.Context.Subject != "" || r.AccessToken.Reveal() != "at" {
					t.Errorf("%v, %+v", err, r) // the tokens are given to be revoked, and nothing that the id_token said
				}
				return
			}
			want := c.user
			if want == "SAME" {
				want = e.URL + "/fhir/Practitioner/p1"
			}
			if r.Context.FHIRUser != want || (want == "") != (len(r.Warnings) == 1) {
				t.Errorf("user %q, warnings %q", r.Context.FHIRUser, r.Warnings)
			}
		})
	}
}

func TestForgedIDTokensAreRefused(t *testing.T) {
	good := newSigner(t, jose.RS256, "k1")
	forged := newSigner(t, jose.RS256, "k1") // the same kid, another key
	stranger := newSigner(t, jose.RS256, "k2")
	b64 := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for _, c := range []struct {
		name, code string
		make       func(e *ehr, a smart.Authorization) string
	}{
		{"none", "id-token-algorithm", func(e *ehr, a smart.Authorization) string {
			return b64(map[string]string{"alg": "none"}) + "." + b64(claimsFor(e, a, time.Now())) + "."
		}},
		{"None", "id-token-algorithm", func(e *ehr, a smart.Authorization) string {
			return b64(map[string]string{"alg": "None"}) + "." + b64(claimsFor(e, a, time.Now())) + "."
		}},
		{"HS256 with the public client ID as key", "id-token-algorithm", func(e *ehr, a smart.Authorization) string {
			return signer{alg: jose.HS256, key: []byte("my-app-padded-to-the-32-bytes-it-needs")}.sign(t, claimsFor(e, a, time.Now()))
		}},
		{"HS256 with the public key as key", "id-token-algorithm", func(e *ehr, a smart.Authorization) string {
			public, err := x509.MarshalPKIXPublicKey(good.publics)
			if err != nil {
				t.Fatal(err)
			}
			return signer{alg: jose.HS256, key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), kid: "k1"}.sign(t, claimsFor(e, a, time.Now()))
		}},
		{"HS256 with the modulus as key", "id-token-algorithm", func(e *ehr, a smart.Authorization) string {
			return signer{alg: jose.HS256, key: good.publics.(*rsa.PublicKey).N.Bytes(), kid: "k1"}.sign(t, claimsFor(e, a, time.Now()))
		}},
		{"PS256", "id-token-algorithm", func(e *ehr, a smart.Authorization) string {
			return signer{alg: jose.PS256, key: good.key, kid: "k1"}.sign(t, claimsFor(e, a, time.Now()))
		}},
		{"a key that it brings along", "id-token-signature", func(e *ehr, a smart.Authorization) string {
			return signer{alg: jose.RS256, key: jose.JSONWebKey{Key: stranger.key, KeyID: "k1"}, kid: "k1", embed: true}.sign(t, claimsFor(e, a, time.Now()))
		}},
		{"RS512", "id-token-algorithm", func(e *ehr, a smart.Authorization) string {
			return signer{alg: jose.RS512, key: good.key, kid: "k1"}.sign(t, claimsFor(e, a, time.Now()))
		}},
		{"another key under the same kid", "id-token-signature", func(e *ehr, a smart.Authorization) string { return forged.sign(t, claimsFor(e, a, time.Now())) }},
		{"an unknown kid", "id-token-signature", func(e *ehr, a smart.Authorization) string { return stranger.sign(t, claimsFor(e, a, time.Now())) }},
		{"changed claims", "id-token-signature", func(e *ehr, a smart.Authorization) string {
			parts := strings.Split(good.sign(t, claimsFor(e, a, time.Now())), ".")
			m := claimsFor(e, a, time.Now())
			m["sub"] = "someone-else"
			return parts[0] + "." + b64(m) + "." + parts[2]
		}},
		{"not a token", "id-token-malformed", func(*ehr, smart.Authorization) string { return "abc" }},
		{"five parts (encrypted)", "id-token-malformed", func(*ehr, smart.Authorization) string { return "a.b.c.d.e" }},
		{"no signature", "id-token-signature", func(e *ehr, a smart.Authorization) string {
			return good.sign(t, claimsFor(e, a, time.Now()))[:20] + "!"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEHR(t)
			e.jwks = serveKeys(good)
			want := c.code
			if c.name == "no signature" {
				want = "id-token-malformed"
			}
			_, err := signIn(t, e, e.cfg(), "openid", func(a smart.Authorization) string { return c.make(e, a) })
			if fault.Code(err) != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

func TestTheKeysOfTheServer(t *testing.T) {
	s := newSigner(t, jose.ES256, "")
	good := func(e *ehr) func(a smart.Authorization) string {
		return func(a smart.Authorization) string { return s.sign(t, claimsFor(e, a, time.Now())) }
	}
	elsewhere := atomic.Int32{}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"missing": http.NotFound,
		"page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`))
		},
		"cut":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"elsewhere":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"broken keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[{"kty":"RSA"}]}`)) },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEHR(t)
			e.jwks = handler
			_, err := signIn(t, e, e.cfg(), "openid", good(e))
			if f := fault.From(err); err == nil || f.Code != "id-token-keys" || !f.Retryable {
				t.Errorf("%+v", f)
			}
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("keys were fetched from elsewhere")
	}
	t.Run("key without kid, token without kid, one key of an unknown kind", func(t *testing.T) {
		e := newEHR(t)
		e.jwks = func(w http.ResponseWriter, _ *http.Request) {
			b, _ := json.Marshal(jose.JSONWebKey{Key: s.publics})
			_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"XYZ","alg":"ES256K"},%s]}`, b)
		}
		if _, err := signIn(t, e, e.cfg(), "openid", good(e)); err != nil {
			t.Error(err)
		}
	})
}

// Keys rotate. Each sign-in reads the set anew, and once, whatever the kid.
func TestKeysThatRotate(t *testing.T) {
	e := newEHR(t)
	old, fresh, stranger := newSigner(t, jose.ES384, "old"), newSigner(t, jose.RS256, "fresh"), newSigner(t, jose.ES256, "stranger")
	c, fetches := &smart.Client{}, atomic.Int32{}
	publish := func(signers ...signer) {
		e.jwks = func(w http.ResponseWriter, r *http.Request) {
			fetches.Add(1)
			w.Header().Set("Cache-Control", "max-age=3600")
			serveKeys(signers...)(w, r)
		}
	}
	for _, step := range []struct {
		published []signer
		signs     signer
		code      string
	}{
		{[]signer{old}, old, ""},
		{[]signer{old}, fresh, "id-token-signature"},
		{[]signer{old, fresh}, fresh, ""},
		{[]signer{old, fresh}, old, ""},
		{[]signer{fresh}, old, "id-token-signature"},
		{[]signer{fresh}, stranger, "id-token-signature"},
		{[]signer{fresh}, fresh, ""},
	} {
		publish(step.published...)
		before := fetches.Load()
		a := begin(t, c, e.cfg(), "openid")
		body, _ := json.Marshal(map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": step.signs.sign(t, claimsFor(e, a, time.Now()))})
		e.token = says(200, string(body))
		_, err := c.Exchange(t.Context(), e.cfg(), public, a, secret.New("c"))
		if fault.Code(err) != step.code || fetches.Load() != before+1 {
			t.Errorf("%s among %d keys: %v after %d fetches", step.signs.kid, len(step.published), err, fetches.Load()-before)
		}
	}
}

func TestIDTokensThatAreNotRead(t *testing.T) {
	never := func(smart.Authorization) string { return "x.y.z" }
	for name, c := range map[string]struct {
		words string
		edit  func(*smart.Configuration)
		token func(smart.Authorization) string
	}{
		"no keys named":       {"openid", func(c *smart.Configuration) { c.JWKSURI = "" }, never},
		"no issuer named":     {"openid", func(c *smart.Configuration) { c.Issuer = "" }, never},
		"openid not asked":    {"user/Patient.rs", func(*smart.Configuration) {}, never},
		"asked, and not sent": {"openid", func(*smart.Configuration) {}, func(smart.Authorization) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEHR(t)
			e.jwks = func(http.ResponseWriter, *http.Request) { t.Error("the keys were fetched") }
			cfg := e.cfg()
			c.edit(&cfg)
			r, err := signIn(t, e, cfg, c.words, c.token)
			if err != nil || len(r.Warnings) != 1 || !r.IDToken.IsEmpty() || r.Context.Subject != "" || r.AccessToken.IsEmpty() {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A key server that does not answer must not keep a cancelled sign-in, nor a goroutine.
func TestACancelledSignInEndsTheFetchOfKeys(t *testing.T) {
	e, c, s := newEHR(t), &smart.Client{}, newSigner(t, jose.ES256, "k")
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	e.jwks = func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		close(ended)
	}
	a := begin(t, c, e.cfg(), "openid")
	e.token = says(200, `{"access_token":"at","token_type":"Bearer","id_token":"`+s.sign(t, claimsFor(e, a, time.Now()))+`"}`)
	if _, err := c.Exchange(ctx, e.cfg(), public, a, secret.New("c")); err == nil {
		t.Error("no error")
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the fetch goes on")
	}
}

// FuzzIDToken changes a good id_token in any way: nothing but the good one may be accepted.
func FuzzIDToken(f *testing.F) {
	s := newSigner(f, jose.ES256, "k1")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	keys := httptest.NewRecorder()
	serveKeys(s)(keys, nil)
	for _, seed := range []string{"GOOD", "HEADER.CLAIMS.", "eyJhbGciOiJub25lIn0.CLAIMS.", "eyJhbGciOiJIUzI1NiJ9.CLAIMS.SIGNATURE", "HEADER.e30.SIGNATURE", "a.b.c", "", "....", "GOOD.", "GOOD\n", "{\"payload\":\"CLAIMS\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, shape string) {
		var body string
		c := &smart.Client{Now: func() time.Time { return now }, HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			if strings.HasSuffix(r.URL.Path, "/jwks") {
				_, _ = w.Write(keys.Body.Bytes())
			} else {
				_, _ = w.Write([]byte(body))
			}
			return w
		})}}
		cfg := smart.Configuration{Issuer: "https://ehr.example", AuthorizationEndpoint: "https://ehr.example/a", TokenEndpoint: "https://ehr.example/t", JWKSURI: "https://ehr.example/jwks"}
		a := begin(t, c, cfg, "openid")
		good := s.sign(t, map[string]any{"iss": cfg.Issuer, "aud": "my-app", "sub": "s", "nonce": a.Nonce, "exp": now.Add(time.Minute).Unix()})
		parts := strings.Split(good, ".")
		idToken := strings.NewReplacer("GOOD", good, "HEADER", parts[0], "CLAIMS", parts[1], "SIGNATURE", parts[2]).Replace(shape)
		b, err := json.Marshal(map[string]string{"access_token": "at", "token_type": "Bearer", "id_token": idToken})
		if err != nil {
			return
		}
		body = string(b)
		r, err := c.Exchange(context.Background(), cfg, public, a, secret.New("c0de"))
		switch {
		case err == nil && idToken == "":
		case err == nil && (idToken != good || r.Context.Subject != "s"):
			t.Errorf("accepted %q", idToken)
		case err != nil && (idToken == good || !strings.HasPrefix(fault.Code(err), "id-token-")):
			t.Errorf("%q: %v", shape, err)
		}
	})
}
