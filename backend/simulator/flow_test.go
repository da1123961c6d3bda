package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	testVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	testChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	testRedirect  = "http://localhost:18320/callback"
)

// running is a started server and an app that talks to it.
type running struct {
	*Server
	t    testing.TB
	http *http.Client
}

func start(t testing.TB, opts Options) running {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	r := running{s, t, &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// request gives a good authorization request, with changes: a value "-" takes a parameter away.
func (r running) request(changes map[string]string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"chartkey-demo"}, "redirect_uri": {testRedirect}, "state": {"state-of-the-test"}, "aud": {r.FHIRBaseURL()},
		"scope":          {"openid fhirUser launch/patient offline_access patient/*.rs"},
		"code_challenge": {testChallenge}, "code_challenge_method": {"S256"}, "nonce": {"nonce-of-the-test"},
	}
	for k, v := range changes {
		if v == "-" {
			q.Del(k)
		} else {
			q.Set(k, v)
		}
	}
	return q
}

func (r running) authorizeURL(q url.Values) string {
	return r.Origin() + "/auth/authorize?" + q.Encode()
}

// signIn goes through the pages and gives the query of the callback.
func (r running) signIn(changes map[string]string, choice Choice) url.Values {
	r.t.Helper()
	if choice.Username == "" {
		choice.Username, choice.Password = "amara", patientPassword
	}
	choice.Hold = true
	final, err := SignIn(r.t.Context(), r.authorizeURL(r.request(changes)), choice)
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse(final)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := "http://" + u.Host + u.Path; got != testRedirect {
		r.t.Fatalf("sent back to %s", got)
	}
	return u.Query()
}

// post sends a form and reads the JSON that comes back.
func (r running) post(path string, form url.Values, edit func(*http.Request)) (*http.Response, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.Origin()+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if edit != nil {
		edit(req)
	}
	return r.do(req)
}

func (r running) do(req *http.Request) (*http.Response, map[string]any) {
	r.t.Helper()
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var body map[string]any
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &body); err != nil {
			r.t.Fatalf("%s %s: %v in %q", req.Method, req.URL.Path, err, raw)
		}
	} else {
		body = map[string]any{"page": string(raw)}
	}
	return resp, body
}

// get fetches a path below the FHIR base with a token.
func (r running) get(path, token string, edit func(*http.Request)) (*http.Response, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.FHIRBaseURL()+"/"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if edit != nil {
		edit(req)
	}
	return r.do(req)
}

func exchangeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testRedirect}, "code_verifier": {testVerifier}, "client_id": {"chartkey-demo"}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"chartkey-demo"}}
}

// connect signs in and gives the token response.
func (r running) connect(changes map[string]string, choice Choice) map[string]any {
	r.t.Helper()
	code := r.signIn(changes, choice).Get("code")
	if code == "" {
		r.t.Fatal("no code came back")
	}
	form := exchangeForm(code)
	if id, ok := changes["client_id"]; ok {
		form.Set("client_id", id)
	}
	resp, body := r.post("/auth/token", form, nil)
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("token: %d %v", resp.StatusCode, body)
	}
	return body
}

// lastVerdict is what the log says of the latest request.
func (r running) lastVerdict() string {
	all := r.Requests()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Verdict
}

func word(v any) string { s, _ := v.(string); return s }

func TestPatientConnects(t *testing.T) {
	r := start(t, Options{})
	query := r.signIn(nil, Choice{})
	if query.Get("state") != "state-of-the-test" || query.Get("iss") != r.Origin()+"/auth" {
		t.Fatalf("callback query %v", query)
	}
	resp, body := r.post("/auth/token", exchangeForm(query.Get("code")), nil)
	if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("token: %d %v %v", resp.StatusCode, resp.Header, body)
	}
	if body["patient"] != "amara-nwosu" || body["token_type"] != "Bearer" || body["expires_in"] != float64(3600) || body["need_patient_banner"] != true {
		t.Errorf("token response %v", body)
	}
	if body["scope"] != "openid fhirUser launch/patient offline_access patient/*.rs" || word(body["refresh_token"]) == "" {
		t.Errorf("scope %v", body["scope"])
	}
	resp, patient := r.get("Patient/amara-nwosu", word(body["access_token"]), nil)
	if resp.StatusCode != 200 || patient["birthDate"] != "1986-04-17" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/fhir+json") {
		t.Fatalf("patient: %d %v", resp.StatusCode, patient)
	}
	resp, style := r.do(mustRequest(t, word(body["smart_style_url"])))
	if resp.StatusCode != 200 || style["color_background"] == nil {
		t.Errorf("smart_style_url: %d", resp.StatusCode)
	}
}

func mustRequest(t testing.TB, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// newBrowser is a browser that follows nothing by itself.
func newBrowser(t testing.TB, r running) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: r.http.Transport, CheckRedirect: r.http.CheckRedirect, Timeout: 10 * time.Second}
}
