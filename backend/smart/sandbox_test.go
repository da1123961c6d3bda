package smart_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// sandbox is the simulator over HTTP, and a client whose requests are kept.
type sandbox struct {
	*simulator.Server
	client *smart.Client
	cfg    smart.Configuration
	wire   *wire
}

// wire keeps the forms that a client sends.
type wire struct {
	next http.RoundTripper

	mu   sync.Mutex // protects sent
	sent []sent
}

type sent struct {
	path   string
	header http.Header
	form   url.Values
	body   string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, _ := url.ParseQuery(string(b))
		w.mu.Lock()
		w.sent = append(w.sent, sent{r.URL.Path, r.Header.Clone(), form, string(b)})
		w.mu.Unlock()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(strings.NewReader(string(b)))
	}
	return w.next.RoundTrip(r)
}

// take gives what was sent since the last time.
func (w *wire) take() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.sent
	w.sent = nil
	return out
}

func newWire(t testing.TB) *wire {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &wire{next: transport}
}

const sandboxRedirect = "http://localhost:18320/callback"

func newSandbox(t testing.TB, opts simulator.Options) *sandbox {
	t.Helper()
	server, err := simulator.New(opts)
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
	s := &sandbox{Server: server, wire: newWire(t)}
	s.client = &smart.Client{HTTP: &http.Client{Transport: s.wire, Timeout: 20 * time.Second}}
	if s.cfg, err = s.client.Discover(t.Context(), server.FHIRBaseURL()); err != nil {
		t.Fatal(err)
	}
	return s
}

// keySet gives the public halves as the simulator takes them.
func keySet(t testing.TB, keys ...smart.ClientKey) *jose.JSONWebKeySet {
	t.Helper()
	b, err := smart.PublicKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	set := &jose.JSONWebKeySet{}
	if err := json.Unmarshal(b, set); err != nil {
		t.Fatal(err)
	}
	return set
}

// knows registers keys for a preset client.
func (s *sandbox) knows(t testing.TB, id string, keys ...smart.ClientKey) {
	t.Helper()
	c := simulator.Client{ID: id, Type: simulator.ConfidentialAsymmetric, RedirectURIs: []string{sandboxRedirect}, JWKS: keySet(t, keys...)}
	if id == "chartkey-backend" {
		c.RedirectURIs, c.GrantTypes, c.Scopes = nil, []string{"client_credentials"}, "system/*.rs"
	}
	if err := s.Register(c); err != nil {
		t.Fatal(err)
	}
}

// authorize signs Amara Nwosu in, up to the code.
func (s *sandbox) authorize(t testing.TB, clientID, words string) (smart.Authorization, secret.Value) {
	t.Helper()
	a, err := s.client.Authorization(s.cfg, smart.AuthorizationParams{ClientID: clientID, RedirectURI: sandboxRedirect, Scopes: scopes(t, words)})
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
	code, err := s.client.CheckCallback(s.cfg, a, u.Query())
	if err != nil {
		t.Fatal(err)
	}
	return a, code
}

// verdict is what the simulator says of its latest request.
func (s *sandbox) verdict() string {
	all := s.Requests()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Verdict
}

// asymmetric is a client with a key.
func asymmetric(id string, k smart.ClientKey) smart.ClientAuth {
	return smart.ClientAuth{Type: smart.ConfidentialAsymmetric, ClientID: id, Key: k}
}

// readAssertion verifies an assertion by a key, and gives its header and claims.
func readAssertion(t testing.TB, text string, k smart.ClientKey) (jose.Header, map[string]any) {
	t.Helper()
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := token.Claims(publicOf(t, k).Key, &claims); err != nil {
		t.Fatal(err)
	}
	return token.Headers[0], claims
}
