package trace_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
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

	"github.com/go-jose/go-jose/v4"
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
		"upper case": strings.ToUpper(value), "HTML": html.EscapeString(value),
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

func key(t testing.TB, alg smart.KeyAlgorithm) smart.ClientKey {
	t.Helper()
	k, err := smart.GenerateClientKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// knows registers a key for a preset client.
func (e *ehr) knows(t testing.TB, id string, k smart.ClientKey) {
	t.Helper()
	b, err := smart.PublicKeySet(k)
	if err != nil {
		t.Fatal(err)
	}
	c := simulator.Client{ID: id, Type: simulator.ConfidentialAsymmetric, RedirectURIs: []string{redirectURI}, JWKS: &jose.JSONWebKeySet{}}
	if err := json.Unmarshal(b, c.JWKS); err != nil {
		t.Fatal(err)
	}
	if id == "chartkey-backend" {
		c.RedirectURIs, c.GrantTypes, c.Scopes = nil, []string{"client_credentials"}, "system/*.rs"
	}
	if err := e.Register(c); err != nil {
		t.Fatal(err)
	}
}

func words(t testing.TB, text string) scope.Set {
	t.Helper()
	set, errs := scope.ParseList(text)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return set
}

// of gives the exchanges of a kind.
func of(tr trace.Trace, kind string) []trace.Exchange {
	return slices.DeleteFunc(slices.Clone(tr.Exchanges), func(e trace.Exchange) bool { return e.Kind != kind })
}

func field(list []trace.Field, name string) string {
	for _, f := range list {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func TestASignInAndItsLifeAreTracedWithoutASecret(t *testing.T) {
	k := key(t, smart.ES384)
	for _, c := range []struct {
		name string
		auth smart.ClientAuth
	}{
		{"public", smart.ClientAuth{Type: smart.Public, ClientID: "chartkey-demo"}},
		{"symmetric", smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "chartkey-confidential", Secret: secret.New(simulator.SandboxSecret)}},
		{"symmetric, in the body", smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "chartkey-confidential", Secret: secret.New(simulator.SandboxSecret), Method: smart.AuthPost}},
		{"asymmetric", smart.ClientAuth{Type: smart.ConfidentialAsymmetric, ClientID: "chartkey-asymmetric", Key: k}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEHR(t, simulator.Options{})
			if c.auth.Type == smart.ConfidentialAsymmetric {
				e.knows(t, c.auth.ClientID, k)
			}
			first := e.signIn(t, c.auth, allScopes)
			if _, err := e.fhir.Get(t.Context(), "Patient/"+first.Context.Patient); err != nil {
				t.Fatal(err)
			}
			search := "Observation?category=laboratory&_count=5&_sort=-date&code=http://loinc.org|4548-4&patient=" + first.Context.Patient
			if err := e.fhir.Pages(t.Context(), search, 0, func(json.RawMessage) error { return nil }); err != nil {
				t.Fatal(err)
			}
			e.canaries.add("searched code", "loinc.org|4548-4")
			if _, err := e.fhir.Get(t.Context(), "Patient?family=Nwosu-Adeyemi"); err != nil {
				t.Fatal(err)
			}
			e.canaries.add("searched name", "Nwosu-Adeyemi")
			if _, err := e.fhir.Get(t.Context(), "Patient/somebody-else"); err == nil {
				t.Fatal("a stranger is read")
			}
			e.canaries.add("another patient", "somebody-else")
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
			if _, err := e.client.Refresh(t.Context(), e.cfg, c.auth, second.RefreshToken, first.Scopes); err == nil {
				t.Fatal("a revoked token is renewed")
			}
			e.recorder.End(nil)
			tr := e.recorder.Trace()
			e.canaries.check(t, tr)

			tokens := of(tr, trace.KindToken)
			var titles []string
			for _, x := range tr.Exchanges {
				titles = append(titles, x.Title)
			}
			if len(tokens) != 3 || len(of(tr, trace.KindIntrospection)) != 1 || len(of(tr, trace.KindRevocation)) != 2 || len(of(tr, trace.KindKeys)) != 1 || len(of(tr, trace.KindFHIR)) != 4 || len(of(tr, trace.KindOther)) != 0 {
				t.Errorf("the exchanges are %q", titles)
			}
			// The same value has the same mark, from its first answer to its end.
			got, used := tokens[0].Response.Body.Text, tokens[1].Request.Body.Form
			if field(used, "refresh_token") != "‹refresh token 1›" || !strings.Contains(got, `"refresh_token": "‹refresh token 1›"`) || field(used, "grant_type") != "refresh_token" ||
				field(of(tr, trace.KindIntrospection)[0].Request.Body.Form, "token") != "‹access token 2›" || field(of(tr, trace.KindRevocation)[0].Request.Body.Form, "token") != "‹refresh token 2›" {
				t.Errorf("%s\n%v", got, used)
			}
			read := of(tr, trace.KindFHIR)
			if bearer := field(read[0].Request.Headers, "Authorization"); bearer != "Bearer ‹access token 1›" {
				t.Errorf("the read shows %q", bearer)
			}
			if !strings.HasSuffix(read[0].URL, "/fhir/Patient/‹patient 1›") || !strings.HasPrefix(read[0].Response.Body.Text, "Patient, ") ||
				!strings.HasSuffix(read[1].URL, "/fhir/Observation?category=laboratory&_count=5&_sort=-date&code=‹text, 23 characters›&patient=‹patient 1›") {
				t.Errorf("%s %q, %s", read[0].URL, read[0].Response.Body.Text, read[1].URL)
			}
			if !strings.Contains(got, `"scope": "openid`) || !strings.Contains(got, `"patient": "‹patient 1›"`) || !strings.Contains(got, `"expires_in": 3600`) {
				t.Errorf("%s", got)
			}
			if refused := tokens[2]; refused.Status != http.StatusBadRequest || !strings.Contains(refused.Response.Body.Text, `"error": "invalid_grant"`) || !strings.Contains(refused.Response.Body.Text, `"error_description": "`) {
				t.Errorf("%d %s", refused.Status, refused.Response.Body.Text)
			}
			if c.auth.Type == smart.ConfidentialSymmetric && c.auth.Method != smart.AuthPost {
				if basic := field(tokens[0].Request.Headers, "Authorization"); basic != "Basic chartkey-confidential:‹client secret 1›" {
					t.Errorf("Basic is %q", basic)
				}
			}
			jwts := tokens[0].JWTs
			if c.auth.Type == smart.ConfidentialAsymmetric {
				if len(jwts) != 2 || jwts[0].Where != "assertion" || claim(jwts[0], "sub") != "chartkey-asymmetric" || claim(jwts[0], "jti") != "‹token id 1›" {
					t.Errorf("%+v", jwts)
				}
				jwts = jwts[1:]
			}
			if len(jwts) != 1 || jwts[0].Where != "id_token" || claim(jwts[0], "aud") != c.auth.ClientID || claim(jwts[0], "sub") != "‹subject 1›" || !strings.HasSuffix(claim(jwts[0], "fhirUser"), "/Patient/‹patient 1›") {
				t.Errorf("%+v", jwts)
			}
		})
	}
}

func claim(j trace.JWT, name string) string {
	for _, c := range j.Claims {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func TestRegistrationsAreTracedWithoutASecret(t *testing.T) {
	e := newEHR(t, simulator.Options{})
	k := key(t, smart.RS384)
	private, err := k.Private()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(private.Bytes(), &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "p", "q"} {
		e.canaries.add("private key", members[name].(string))
	}
	confidential, err := e.client.Register(t.Context(), e.cfg, smart.ClientMetadata{ClientName: "Reader", RedirectURIs: []string{redirectURI}, AuthMethod: smart.AuthBasic, Scopes: words(t, allScopes)}, secret.Value{})
	if err != nil {
		t.Fatal(err)
	}
	e.canaries.add("client secret", confidential.Secret.Reveal())
	auth := smart.ClientAuth{Type: confidential.Type, ClientID: confidential.ClientID, Secret: confidential.Secret}
	e.signIn(t, auth, allScopes)

	app := smart.ClientAuth{Type: smart.Public, ClientID: "chartkey-demo"}
	first := e.signIn(t, app, "openid fhirUser launch/patient patient/*.rs "+smart.RegisterScope)
	instance, err := e.client.RegisterInstance(t.Context(), e.cfg, app.ClientID, k, first.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	token, err := e.client.JWTBearer(t.Context(), e.cfg, smart.ClientAuth{Type: instance.Type, ClientID: instance.ClientID, Key: k}, first.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	e.took(token)

	e.knows(t, "chartkey-backend", k)
	service, err := e.client.ClientCredentials(t.Context(), e.cfg, smart.ClientAuth{Type: smart.ConfidentialAsymmetric, ClientID: "chartkey-backend", Key: k}, words(t, "system/Patient.rs"))
	if err != nil {
		t.Fatal(err)
	}
	e.took(service)
	tr := e.recorder.Trace()
	e.canaries.check(t, tr)
	registrations := of(tr, trace.KindRegistration)
	if len(registrations) != 2 {
		t.Fatalf("%d registrations", len(registrations))
	}
	if text := registrations[0].Response.Body.Text; !strings.Contains(text, `"client_secret": "‹client secret 1›"`) || !strings.Contains(text, `"client_id": "`+confidential.ClientID+`"`) || !strings.Contains(text, redirectURI) {
		t.Errorf("%s", text)
	}
	if text := registrations[1].Request.Body.Text; !strings.Contains(text, `"kid": "`+k.ID()+`"`) || !strings.Contains(text, `"software_id": "chartkey-demo"`) {
		t.Errorf("%s", text)
	}
	var titles []string
	for _, x := range of(tr, trace.KindToken) {
		titles = append(titles, x.Title)
	}
	if want := []string{"Code for tokens", "Code for tokens", "Token for a registered copy", "Token for a backend service"}; !slices.Equal(titles, want) {
		t.Errorf("%q", titles)
	}
}

func TestAnEHRLaunchIsTracedWithoutItsValue(t *testing.T) {
	e := newEHR(t, simulator.Options{})
	launched, err := e.Launch(simulator.LaunchRequest{Patient: "amara-nwosu", LaunchURL: "http://localhost:18330/launch"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(launched)
	if err != nil {
		t.Fatal(err)
	}
	e.canaries.add("launch", u.Query().Get("launch"))
	e.recorder.Note(trace.StepLaunch, launched, nil)
	a, err := e.client.Authorization(e.cfg, smart.AuthorizationParams{ClientID: "chartkey-provider", RedirectURI: redirectURI, Scopes: words(t, "launch openid user/*.rs"), Launch: u.Query().Get("launch")})
	if err != nil {
		t.Fatal(err)
	}
	e.canaries.add("state", a.State)
	e.recorder.Note(trace.StepAuthorize, a.URL, nil)
	tr := e.recorder.Trace()
	e.canaries.check(t, tr)
	if got := tr.Notes[0].Detail; got != "http://localhost:18330/launch?iss="+e.FHIRBaseURL()+"&launch=‹launch 1›" {
		t.Errorf("%s", got)
	}
	if got := tr.Notes[1].Detail; !strings.Contains(got, "&launch=‹launch 1›&") || !strings.Contains(got, "&scope=launch openid user/*.rs&") {
		t.Errorf("%s", got)
	}
}

// TestWhatFailsIsTracedWithoutASecret has the server fail in each way that it
// has for tokens and for reads.
func TestWhatFailsIsTracedWithoutASecret(t *testing.T) {
	e := newEHR(t, simulator.Options{})
	auth := smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "chartkey-confidential", Secret: secret.New(simulator.SandboxSecret)}
	for _, f := range simulator.Faults() {
		if strings.HasSuffix(f.Name, "-slow") || strings.HasSuffix(f.Name, "-hangs") || strings.HasPrefix(f.Name, "discovery-") || strings.Contains(f.Name, "state") || strings.Contains(f.Name, "iss") || f.Name == "missing-code" {
			continue
		}
		if err := e.SetFaults(); err != nil {
			t.Fatal(err)
		}
		a, err := e.client.Authorization(e.cfg, smart.AuthorizationParams{ClientID: auth.ClientID, RedirectURI: redirectURI, Scopes: words(t, allScopes)})
		if err != nil {
			t.Fatal(err)
		}
		callback, err := simulator.SignIn(t.Context(), a.URL, simulator.Choice{Username: "amara", Password: "patient-pass1", Hold: true})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		code := u.Query().Get("code")
		e.canaries.add("state", a.State)
		e.canaries.add("nonce", a.Nonce)
		e.canaries.add("code", code)
		if err := e.SetFaults(f.Name); err != nil {
			t.Fatal(err)
		}
		// What becomes of it is tested elsewhere; here counts what is kept of it.
		r, _ := e.client.Exchange(t.Context(), e.cfg, auth, a, secret.New(code))
		e.took(r)
		if !r.RefreshToken.IsEmpty() {
			r, _ = e.client.Refresh(t.Context(), e.cfg, auth, r.RefreshToken, r.Scopes)
			e.took(r)
		}
		if e.token != "" {
			_, _ = e.fhir.Get(t.Context(), "Patient/amara-nwosu")
		}
		e.canaries.add("patient", "amara-nwosu")
		if f.Name == "fhir-html" {
			all := e.recorder.Trace().Exchanges
			if last := all[len(all)-1]; !strings.Contains(last.Response.Body.Text, "a web page, ") || !strings.HasSuffix(last.Response.Body.Text, "with the title: Guest network") {
				t.Errorf("%+v", last.Response.Body)
			}
		}
		if f.Name == "token-truncated" || f.Name == "token-reset" {
			all := of(e.recorder.Trace(), trace.KindToken)
			if last := all[len(all)-1]; last.Error != "failed" || last.Open {
				t.Errorf("%s: %+v", f.Name, last)
			}
		}
	}
	tr := e.recorder.Trace()
	e.canaries.check(t, tr)
	if len(tr.Exchanges) != 50 || len(tr.LeftOut) != 1 || !strings.Contains(tr.LeftOut[0], "steps in the middle") {
		t.Errorf("%d exchanges, %q", len(tr.Exchanges), tr.LeftOut)
	}
}
