package trace_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fhir"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
	"chartkey/backend/trace"
)

const redirectURI = "http://localhost:18320/callback"

// ehr is the simulator over HTTP, and clients whose requests are recorded.
type ehr struct {
	*simulator.Server
	recorder *trace.Recorder
	client   *smart.Client
	fhir     *fhir.Client
	cfg      smart.Configuration
	canaries *canaries
	token    string
}

func newEHR(t testing.TB, o simulator.Options) *ehr {
	t.Helper()
	server, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	e := &ehr{Server: server, canaries: &canaries{}}
	e.recorder = trace.NewRecorder(trace.Options{Operation: "connect", Program: "Chartkey 1.2.3"})
	inner := &http.Transport{}
	t.Cleanup(inner.CloseIdleConnections)
	h := &http.Client{Transport: e.recorder.Transport(e.canaries.listen(inner)), Timeout: 20 * time.Second}
	e.client = &smart.Client{HTTP: h}
	e.fhir = &fhir.Client{HTTP: h, BaseURL: server.FHIRBaseURL(), Token: func(context.Context) (string, error) { return e.token, nil }}
	if e.cfg, err = e.client.Discover(t.Context(), server.FHIRBaseURL()); err != nil {
		t.Fatal(err)
	}
	return e
}

// signIn signs a patient in and gives the tokens, with each step noted as the product does.
func (e *ehr) signIn(t testing.TB, auth smart.ClientAuth, words string) smart.TokenResponse {
	t.Helper()
	set, errs := scope.ParseList(words)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	a, err := e.client.Authorization(e.cfg, smart.AuthorizationParams{ClientID: auth.ClientID, RedirectURI: redirectURI, Scopes: set})
	if err != nil {
		t.Fatal(err)
	}
	e.canaries.add("state", a.State)
	e.canaries.add("nonce", a.Nonce)
	e.recorder.Note(trace.StepAuthorize, a.URL, nil)
	callback, err := simulator.SignIn(t.Context(), a.URL, simulator.Choice{Username: "amara", Password: "patient-pass1", Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	e.canaries.add("code", u.Query().Get("code"))
	e.recorder.Note(trace.StepCallback, "", u.Query())
	code, err := e.client.CheckCallback(e.cfg, a, u.Query())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := e.client.Exchange(t.Context(), e.cfg, auth, a, code)
	if err != nil {
		t.Fatal(err)
	}
	e.took(tokens)
	return tokens
}

func (e *ehr) took(r smart.TokenResponse) {
	e.token = r.AccessToken.Reveal()
	e.canaries.add("access token", r.AccessToken.Reveal())
	e.canaries.add("refresh token", r.RefreshToken.Reveal())
	e.canaries.add("id_token", r.IDToken.Reveal())
	e.canaries.add("patient", r.Context.Patient)
	e.canaries.add("subject", r.Context.Subject)
	e.canaries.add("fhirUser", r.Context.FHIRUser)
}

// canaries are secrets that must be found nowhere. They are taken from the
// wire itself, by means that have nothing in common with what is tested.
type canaries struct {
	mu   sync.Mutex // protects the one below
	list map[string]string
}

func (c *canaries) add(name, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list == nil {
		c.list = map[string]string{}
	}
	if value != "" {
		c.list[value] = name
	}
}

// listen takes the secrets of requests.
func (c *canaries) listen(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(q *http.Request) (*http.Response, error) {
		if scheme, credentials, ok := strings.Cut(q.Header.Get("Authorization"), " "); ok {
			c.add(scheme, credentials)
			if raw, err := base64.StdEncoding.DecodeString(credentials); err == nil {
				_, password, _ := strings.Cut(string(raw), ":")
				c.add("client secret", password)
			}
		}
		if q.GetBody != nil {
			body, err := q.GetBody()
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			if _, err := b.ReadFrom(body); err != nil {
				return nil, err
			}
			form, _ := url.ParseQuery(b.String())
			for _, name := range []string{"code", "code_verifier", "refresh_token", "client_secret", "client_assertion", "assertion", "token"} {
				c.add(name, form.Get(name))
				if parts := strings.Split(form.Get(name), "."); len(parts) == 3 {
					c.add("signature of "+name, parts[2])
				}
			}
		}
		return next.RoundTrip(q)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// forms are the ways in which a secret may be written.
func forms(value string) map[string]string {
	quoted, _ := json.Marshal(value)
	escaped := strings.Builder{}
	for _, r := range value {
		fmt.Fprintf(&escaped, `\u%04x`, r)
	}
	every := strings.Builder{}
	for i := range len(value) {
		fmt.Fprintf(&every, "%%%02X", value[i])
	}
	backwards := []byte(value)
	slices.Reverse(backwards)
	return map[string]string{
		"raw": value, "query-escaped": url.QueryEscape(value), "path-escaped": url.PathEscape(value), "every byte escaped": every.String(),
		"Base64": base64.StdEncoding.EncodeToString([]byte(value)), "Base64url": base64.RawURLEncoding.EncodeToString([]byte(value)),
		"JSON": strings.Trim(string(quoted), `"`), "JSON escaped": escaped.String(), "hex": hex.EncodeToString([]byte(value)), "backwards": string(backwards),
		"upper case": strings.ToUpper(value),
	}
}

// exports are all that a trace becomes.
func exports(t testing.TB, tr trace.Trace) map[string]string {
	t.Helper()
	out := map[string]string{}
	b, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	out["JSON"] = string(b)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"HAR":      func(b *bytes.Buffer) error { return trace.HAR(b, tr) },
		"Markdown": func(b *bytes.Buffer) error { return trace.Markdown(b, tr) },
		"text":     func(b *bytes.Buffer) error { return trace.Text(b, tr) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		out[name] = b.String()
	}
	if b, err = json.Marshal(trace.Sequence(tr)); err != nil {
		t.Fatal(err)
	}
	out["sequence"] = string(b)
	return out
}

// check looks for the canaries in everything that a trace becomes.
func (c *canaries) check(t testing.TB, tr trace.Trace) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for export, text := range exports(t, tr) {
		// Line breaks in the middle hide nothing.
		packed := strings.Join(strings.Fields(text), "")
		for value, name := range c.list {
			for how, form := range forms(value) {
				if len(form) < 6 {
					continue
				}
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("the %s is in the %s (%s): …%s…", name, export, how, text[max(0, at-80):min(len(text), at+len(form)+40)])
				} else if strings.Contains(packed, form) {
					t.Errorf("the %s is in the %s, broken by lines (%s)", name, export, how)
				}
			}
			// Neither is a piece of a long one.
			if len(value) >= 40 && !strings.Contains(value, "://") {
				for at := 0; at+16 <= len(value); at += 4 {
					if strings.Contains(text, value[at:at+16]) {
						t.Errorf("a piece of the %s is in the %s: %s", name, export, value[at:at+16])
						break
					}
				}
			}
		}
	}
}

const allScopes = "openid fhirUser launch/patient offline_access patient/*.rs"

func TestASignInIsTracedWithoutASecret(t *testing.T) {
	for _, c := range []struct {
		name string
		auth smart.ClientAuth
	}{
		{"public", smart.ClientAuth{Type: smart.Public, ClientID: "chartkey-demo"}},
		{"confidential", smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "chartkey-confidential", Secret: secret.New(simulator.SandboxSecret)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEHR(t, simulator.Options{})
			first := e.signIn(t, c.auth, allScopes)
			if _, err := e.fhir.Get(t.Context(), "Patient/"+first.Context.Patient); err != nil {
				t.Fatal(err)
			}
			if _, err := e.fhir.Get(t.Context(), "Observation?category=laboratory&_count=5&patient="+first.Context.Patient); err != nil {
				t.Fatal(err)
			}
			second, err := e.client.Refresh(t.Context(), e.cfg, c.auth, first.RefreshToken, first.Scopes)
			if err != nil {
				t.Fatal(err)
			}
			e.took(second)
			if _, err := e.client.Introspect(t.Context(), e.cfg, c.auth, second.AccessToken); err != nil {
				t.Fatal(err)
			}
			if err := e.client.Revoke(t.Context(), e.cfg, c.auth, second.RefreshToken, second.AccessToken); err != nil {
				t.Fatal(err)
			}
			e.recorder.End(nil)
			tr := e.recorder.Trace()
			e.canaries.check(t, tr)
		})
	}
}
