package smart_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// otherServer is an authorization server that was not written for Chartkey:
// github.com/zitadel/oidc's, with the storage of its example. The grants, the
// forms and the claims of assertions are held to that library's rules. Three
// things it does otherwise than SMART, and they are mended around it: it expects
// its issuer as the audience of assertions, where SMART has the token endpoint;
// it takes them signed with RS256, ES256 and PS256 only, so one with RS384 or
// ES384 is verified and signed anew with its claims unchanged; and it takes only
// a secret from backend services, so its own check of assertions comes before.
type otherServer struct {
	*httptest.Server
	storage *otherStorage
	client  *smart.Client
	cfg     smart.Configuration
}

const otherUser = "4711"

type otherAccounts struct{}

func (otherAccounts) GetUserByID(id string) *storage.User {
	if id != otherUser {
		return nil
	}
	return &storage.User{ID: otherUser, Username: "amara", Password: "patient-pass1"}
}

func (a otherAccounts) GetUserByUsername(name string) *storage.User {
	if name != "amara" {
		return nil
	}
	return a.GetUserByID(otherUser)
}

func (otherAccounts) ExampleClientID() string { return "" }

// otherClient is a client of the example that shows who it is with a key.
type otherClient struct{ op.Client }

func (otherClient) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodPrivateKeyJWT }
func (otherClient) IsScopeAllowed(s string) bool {
	return strings.HasPrefix(s, "patient/") || strings.HasPrefix(s, "system/")
}
func (otherClient) LoginURL(id string) string { return "/login?id=" + url.QueryEscape(id) }
func (c otherClient) GrantTypes() []oidc.GrantType {
	return append(c.Client.GrantTypes(), oidc.GrantTypeClientCredentials)
}

type otherStorage struct {
	*storage.Storage
	client op.Client
	keys   *jose.JSONWebKeySet
	own    signer // signs anew
}

// signAnew gives an assertion that a registered key has signed with a signature that the library knows.
func (s *otherStorage) signAnew(t *testing.T, assertion string) string {
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil {
		return assertion
	}
	for _, key := range s.keys.Key(jws.Signatures[0].Header.KeyID) {
		var claims map[string]any
		if payload, err := jws.Verify(key); err == nil && json.Unmarshal(payload, &claims) == nil {
			return s.own.sign(t, claims)
		}
	}
	return assertion
}

func (s *otherStorage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.client.GetID() {
		return nil, errors.New("no such client")
	}
	return s.client, nil
}

func (s *otherStorage) GetKeyByIDAndClientID(_ context.Context, kid, id string) (*jose.JSONWebKey, error) {
	if kid == s.own.kid && id == s.client.GetID() {
		return &jose.JSONWebKey{Key: s.own.publics, KeyID: kid, Use: "sig"}, nil
	}
	return nil, errors.New("no such key")
}

func (s *otherStorage) ClientCredentials(_ context.Context, id, _ string) (op.Client, error) {
	return s.GetClientByClientID(context.Background(), id)
}

func (s *otherStorage) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{id}, Scopes: scopes}, nil
}

func (s *otherStorage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return []string{"patient/Patient.rs"}, nil
}

// smartProvider verifies assertions as made out to the token endpoint.
type smartProvider struct {
	*op.Provider
	token string
}

func (p smartProvider) JWTProfileVerifier(context.Context) *op.JWTProfileVerifier {
	return op.NewJWTProfileVerifier(p.Storage(), p.token, 10*time.Minute, time.Second)
}

func newOtherServer(t *testing.T, keys ...smart.ClientKey) *otherServer {
	t.Helper()
	s := &otherServer{client: &smart.Client{}}
	mux := http.NewServeMux()
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c := storage.WebClient("keyed-app", "", sandboxRedirect)
	s.storage = &otherStorage{Storage: storage.NewStorageWithClients(otherAccounts{}, map[string]*storage.Client{"keyed-app": c}), client: otherClient{c}, keys: keySet(t, keys...), own: newSigner(t, jose.RS256, "signed-anew")}
	provider, err := op.NewProvider(&op.Config{
		CodeMethodS256: true, AuthMethodPrivateKeyJWT: true, GrantTypeRefreshToken: true, SupportedScopes: []string{"openid", "offline_access", "patient/Patient.rs"},
	}, s.storage, op.StaticIssuer(s.URL), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	p := smartProvider{provider, s.URL + "/oauth/token"}
	library := op.RegisterLegacyServer(op.NewLegacyServer(p, *op.DefaultEndpoints), op.AuthorizeCallbackHandler(provider))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, name := range []string{"assertion", "client_assertion"} {
			if r.Form.Has(name) {
				r.Form.Set(name, s.storage.signAnew(t, r.Form.Get(name)))
			}
		}
		if r.Form.Get("grant_type") == "client_credentials" {
			id, err := op.ClientJWTAuth(r.Context(), oidc.ClientAssertionParams{ClientAssertion: r.Form.Get("client_assertion"), ClientAssertionType: r.Form.Get("client_assertion_type")}, p)
			if err != nil {
				op.RequestError(w, r, oidc.ErrInvalidClient().WithParent(err), nil)
				return
			}
			r.Form.Del("client_assertion")
			r.Form.Del("client_assertion_type")
			r.Form.Set("client_id", id)
			r.Form.Set("client_secret", "shown by its key")
		}
		library.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /fhir/.well-known/smart-configuration", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/.well-known/openid-configuration"
		library.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("id")
		if err := s.storage.CheckUsernamePassword("amara", "patient-pass1", id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, op.AuthCallbackURL(provider)(op.ContextWithIssuer(r.Context(), s.URL), id), http.StatusSeeOther)
	})
	if s.cfg, err = s.client.Discover(t.Context(), s.URL+"/fhir"); err != nil {
		t.Fatal(err)
	}
	return s
}

// signIn goes through the library's pages up to the callback.
func (s *otherServer) signIn(t *testing.T, words string) (smart.Authorization, secret.Value) {
	t.Helper()
	a, err := s.client.Authorization(s.cfg, smart.AuthorizationParams{ClientID: "keyed-app", RedirectURI: sandboxRedirect, Scopes: scopes(t, words)})
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	at := a.URL
	for range 10 {
		resp, err := browser.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		next, err := resp.Location()
		if err != nil {
			t.Fatalf("%s answered %d and leads nowhere", at, resp.StatusCode)
		}
		if strings.HasPrefix(next.String(), sandboxRedirect) {
			code, err := s.client.CheckCallback(s.cfg, a, next.Query())
			if err != nil {
				t.Fatal(err)
			}
			return a, code
		}
		at = next.String()
	}
	t.Fatal("the sign-in goes in circles")
	return a, secret.Value{}
}

func TestAnotherServerTakesTheAssertions(t *testing.T) {
	s := newOtherServer(t, rsaKey(t), ecKey(t))
	for _, key := range []smart.ClientKey{rsaKey(t), ecKey(t)} {
		t.Run(string(key.Algorithm()), func(t *testing.T) {
			auth := asymmetric("keyed-app", key)
			a, code := s.signIn(t, "openid offline_access patient/Patient.rs")
			tokens, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
			if err != nil || tokens.RefreshToken.IsEmpty() || tokens.Context.Subject != otherUser || tokens.AuthMethod != smart.AuthPrivateKeyJWT {
				t.Fatalf("%+v %v", tokens, err)
			}
			renewed, err := s.client.Refresh(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.Scopes)
			if err != nil {
				t.Fatal(err)
			}
			told, err := s.client.Introspect(t.Context(), s.cfg, auth, renewed.AccessToken)
			if err != nil || !told.Active || told.ClientID != "keyed-app" || !slices.Contains(told.Scopes.Strings(), "patient/Patient.rs") || told.Subject != otherUser {
				t.Errorf("%+v %v", told, err)
			}
			if err := s.client.Revoke(t.Context(), s.cfg, auth, renewed.RefreshToken, renewed.AccessToken); err != nil {
				t.Fatal(err)
			}
			if told, err := s.client.Introspect(t.Context(), s.cfg, auth, renewed.AccessToken); err != nil || told.Active {
				t.Errorf("after the revocation: %+v %v", told, err)
			}
			if _, err := s.client.Refresh(t.Context(), s.cfg, auth, renewed.RefreshToken, nil); err == nil {
				t.Error("access is renewed after the revocation")
			}

			service, err := s.client.ClientCredentials(t.Context(), s.cfg, auth, scopes(t, "system/Patient.rs"))
			if err != nil || service.AccessToken.IsEmpty() || service.Scopes.String() != "system/Patient.rs" {
				t.Errorf("%+v %v", service, err)
			}
			instance, err := s.client.JWTBearer(t.Context(), s.cfg, auth, scopes(t, "patient/Patient.rs"))
			if err != nil || instance.AccessToken.IsEmpty() || instance.Scopes.String() != "patient/Patient.rs" {
				t.Errorf("%+v %v", instance, err)
			}
		})
	}
}

// This server answers an assertion of another time with invalid_grant: that
// must not be taken for the end of the connection.
func TestAnotherServersWordForAWrongClock(t *testing.T) {
	s := newOtherServer(t, ecKey(t))
	auth := asymmetric("keyed-app", ecKey(t))
	s.client.Now = func() time.Time { return time.Now().Add(-30 * time.Minute) }
	a, code := s.signIn(t, "offline_access patient/Patient.rs")
	tokens, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err = s.client.Refresh(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.Scopes)
	if err != nil || tokens.RefreshToken.IsEmpty() {
		t.Fatal(err)
	}
	auth.ClockOffset = tokens.ServerClockOffset
	if _, err = s.client.Refresh(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.Scopes); err != nil {
		t.Error(err)
	}
	if _, err = s.client.Refresh(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.Scopes); fault.Code(err) != smart.CodeGrantEnded {
		t.Errorf("a replaced refresh token: %v", err)
	}
}

func TestAnotherServerRefusesOtherKeys(t *testing.T) {
	s := newOtherServer(t, rsaKey(t))
	auth := asymmetric("keyed-app", ecKey(t))
	a, code := s.signIn(t, "openid patient/Patient.rs")
	if _, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code); err == nil {
		t.Error("a key that is not registered signs in")
	}
	if _, err := s.client.ClientCredentials(t.Context(), s.cfg, auth, scopes(t, "system/Patient.rs")); fault.Code(err) != "client-refused" {
		t.Errorf("%v", err)
	}
	if _, err := s.client.JWTBearer(t.Context(), s.cfg, auth, nil); err == nil {
		t.Error("a key that is not registered gets a token")
	}
	if _, err := s.client.Introspect(t.Context(), s.cfg, auth, secret.New("token")); err == nil {
		t.Error("a key that is not registered may ask about tokens")
	}
	// The refusal did not use the code up, and the right key still redeems it.
	if _, err := s.client.Exchange(t.Context(), s.cfg, asymmetric("keyed-app", rsaKey(t)), a, code); err != nil {
		t.Error(err)
	}
}
