package workstation_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/smart"
	"chartkey/backend/workstation"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The other server's clients that sign, and one that may register copies of itself.
const (
	keyedClient    = "keyed-app"
	serviceClient  = "nightly-service"
	patientsClient = "patients-app"
	registerScope  = smart.RegisterScope
	copyPrefix     = "copy-"
)

// otherKeys lets the other server's library take assertions as SMART has them.
// Three things it does otherwise, which are mended before it: it expects its
// issuer as their audience, where SMART has the token endpoint; it knows RS256 and
// not RS384 or ES384; and from a backend service it takes only a secret. So an
// assertion is verified here by go-jose with the published keys, held to its
// audience, and signed anew with its claims otherwise unchanged: who, until when
// and how old are the library's to judge. It knows no dynamic registration, which is added.
type otherKeys struct {
	t      *testing.T
	server *otherServer
	own    *rsa.PrivateKey
	// published is where the clients' keys are.
	published string

	mu     sync.Mutex // protects the rest
	copies map[string]copyOfApp
	dead   []string // access tokens that were used up by a registration
	algs   []string // of the assertions that were taken
}

// copyOfApp is a client that registered itself.
type copyOfApp struct {
	person string
	scopes []string
	keys   jose.JSONWebKeySet
}

func newOtherKeys(t *testing.T, s *otherServer) *otherKeys {
	t.Helper()
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &otherKeys{t: t, server: s, own: own, copies: map[string]copyOfApp{}}
}

func (k *otherKeys) personOf(subject string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := k.copies[subject]; ok {
		return c.person
	}
	return subject
}

func (k *otherKeys) scopesOf(clientID string) ([]string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.copies[clientID]
	return c.scopes, ok
}

func (k *otherKeys) ended(token string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(k.dead, token)
}

// keysOf gives the keys of a client: those that it publishes, or those of a copy.
func (k *otherKeys) keysOf(ctx context.Context, clientID string) (jose.JSONWebKeySet, error) {
	k.mu.Lock()
	c, isCopy := k.copies[clientID]
	k.mu.Unlock()
	if isCopy {
		return c.keys, nil
	}
	var set jose.JSONWebKeySet
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.published, nil)
	if err != nil {
		return set, err
	}
	resp, err := k.server.Client().Do(req)
	if err != nil {
		return set, err
	}
	defer resp.Body.Close()
	return set, json.NewDecoder(resp.Body).Decode(&set)
}

// signAnew verifies an assertion and gives it with a signature and audience that the library knows.
func (k *otherKeys) signAnew(ctx context.Context, assertion string) (string, error) {
	parsed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil {
		return "", err
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return "", err
	}
	set, err := k.keysOf(ctx, claims.Issuer)
	if err != nil {
		return "", err
	}
	found := set.Key(parsed.Headers[0].KeyID)
	if len(found) != 1 {
		return "", fmt.Errorf("%d keys are called %s", len(found), parsed.Headers[0].KeyID)
	}
	if err := parsed.Claims(found[0].Key, &claims); err != nil {
		return "", err
	}
	if want := k.server.URL + "/auth/oauth/token"; !slices.Equal(claims.Audience, []string{want}) || claims.ID == "" {
		return "", fmt.Errorf("made out to %q, jti %q", claims.Audience, claims.ID)
	}
	claims.Audience = []string{k.server.URL + "/auth"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.own, KeyID: "anew"}}, nil)
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	k.algs = append(k.algs, parsed.Headers[0].Algorithm)
	k.mu.Unlock()
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func (k *otherKeys) taking(library http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.ParseForm() != nil {
			library.ServeHTTP(w, r)
			return
		}
		for _, name := range []string{"client_assertion", "assertion"} {
			if !r.Form.Has(name) {
				continue
			}
			anew, err := k.signAnew(r.Context(), r.Form.Get(name))
			if err != nil {
				writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "the assertion: " + err.Error()})
				return
			}
			r.Form.Set(name, anew)
			r.PostForm.Set(name, anew)
		}
		if r.Form.Get("grant_type") == "client_credentials" {
			id, err := op.ClientJWTAuth(r.Context(), oidc.ClientAssertionParams{ClientAssertion: r.Form.Get("client_assertion"), ClientAssertionType: r.Form.Get("client_assertion_type")}, inIssuer{k.server})
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
}

// inIssuer verifies by the library, for its issuer.
type inIssuer struct{ s *otherServer }

func (i inIssuer) JWTProfileVerifier(context.Context) *op.JWTProfileVerifier {
	return op.NewJWTProfileVerifier(i.s.storage, i.s.URL+"/auth", time.Hour, time.Second)
}

// register is Epic's dynamic registration: a token of a sign-in with the scope for it makes a client, and ends with that.
func (k *otherKeys) register(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	who, err := k.server.introspect(r.Context(), token)
	var asked struct {
		SoftwareID string             `json:"software_id"`
		JWKS       jose.JSONWebKeySet `json:"jwks"`
	}
	switch {
	case err != nil || !who.Active || k.ended(token) || !slices.Contains(strings.Fields(who.Scope), registerScope):
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	case json.NewDecoder(r.Body).Decode(&asked) != nil || asked.SoftwareID != patientsClient || len(asked.JWKS.Keys) != 1 || !asked.JWKS.Keys[0].IsPublic():
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_client_metadata"})
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	id := fmt.Sprintf("%s%d", copyPrefix, len(k.copies)+1)
	k.dead = append(k.dead, token)
	k.copies[id] = copyOfApp{who.Subject, slices.DeleteFunc(strings.Fields(who.Scope), func(s string) bool { return s == registerScope || s == "openid" || s == "fhirUser" }), asked.JWKS}
	writeJSON(w, http.StatusCreated, map[string]any{"client_id": id, "grant_types": []string{byKey}, "token_endpoint_auth_method": "none"})
}

func (c otherClient) GrantTypes() []oidc.GrantType {
	if c.GetID() == serviceClient {
		return []oidc.GrantType{oidc.GrantTypeClientCredentials}
	}
	return c.Client.GrantTypes()
}

func (s *otherStorage) GetKeyByIDAndClientID(_ context.Context, kid, _ string) (*jose.JSONWebKey, error) {
	if kid == "anew" {
		return &jose.JSONWebKey{Key: s.keys.own.Public(), KeyID: kid, Use: "sig"}, nil
	}
	return nil, errors.New("no such key")
}

func (s *otherStorage) ClientCredentials(ctx context.Context, id, _ string) (op.Client, error) {
	return s.GetClientByClientID(ctx, id)
}

func (s *otherStorage) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{id}, Scopes: scopes}, nil
}

func (s *otherStorage) ValidateJWTProfileScopes(_ context.Context, id string, _ []string) ([]string, error) {
	scopes, ok := s.keys.scopesOf(id)
	if !ok {
		return nil, oidc.ErrInvalidGrant().WithDescription("no such copy")
	}
	return scopes, nil
}

// newOtherKeyBench is an otherBench whose server reads the workstation's keys.
func newOtherKeyBench(t *testing.T, o otherOptions) *otherBench {
	t.Helper()
	configure := o.configuration
	o.configuration = func(doc map[string]any) {
		// The library names the algorithms that it knows itself.
		doc["token_endpoint_auth_signing_alg_values_supported"] = []string{"RS384", "ES384"}
		doc["grant_types_supported"] = []string{"authorization_code", "refresh_token", "client_credentials", byKey}
		doc["capabilities"] = append(doc["capabilities"].([]string), "client-confidential-asymmetric")
		if configure != nil {
			configure(doc)
		}
	}
	b := &otherBench{bench: bench{home: filepath.Join(t.TempDir(), "data"), clock: &clock{}, redirect: freeRedirect(t)}}
	b.server = newOtherServer(t, b.redirect, o)
	b.server.keys.published = strings.Replace(freeRedirect(t), "/callback", "/jwks.json", 1)
	b.Workstation = openDesk(t, b.home, b.clock, func(o *workstation.Options) { o.KeySetURL = b.server.keys.published })
	return b
}

func TestOtherServerTakesAClientThatSigns(t *testing.T) {
	for name, o := range map[string]otherOptions{"provider": {}, "other routes": {asServer: true}} {
		t.Run(name, func(t *testing.T) {
			b := newOtherKeyBench(t, o)
			reg := b.registered(t, keyedClient, "", func(in *workstation.RegistrationInput) { in.ClientType = "confidential-asymmetric" })
			report, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
			wantPassed(t, report, err)
			if status := b.mustSignIn(t, reg.ID, amara); !status.Refreshable || status.Patient == nil || status.PatientName == nil || len(status.Warnings) != 0 {
				t.Errorf("%+v", status)
			}
			report, err = b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
			wantPassed(t, report, err)
			old, err := b.ClientKeys(t.Context(), reg.ID)
			if err != nil {
				t.Fatal(err)
			}
			// Rotation: the new key beside the old, then in its place, then alone.
			next, err := b.NewClientKey(t.Context(), reg.ID, smart.ES384)
			if err != nil {
				t.Fatal(err)
			}
			steps := []func() error{
				func() error { return nil },
				func() error { return b.UseClientKey(t.Context(), reg.ID, next.ID) },
				func() error { return b.RemoveClientKey(t.Context(), reg.ID, old[0].ID) },
			}
			for _, step := range steps {
				if err := step(); err != nil {
					t.Fatal(err)
				}
				if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
					t.Fatal(err)
				}
			}
			if algs := b.server.keys.algs; !slices.Equal(algs[len(algs)-3:], []string{"RS384", "ES384", "ES384"}) {
				t.Errorf("signed with %v", algs)
			}
			b.clock.pass(10 * time.Minute) // the token runs out; by the server's clock nothing has passed
			if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
				t.Error(err)
			}
			d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
			if err != nil || !d.Revoked {
				t.Errorf("%+v %v", d, err)
			}
			for _, path := range []string{"/auth/oauth/token", "/auth/revoke"} {
				if methods := b.server.methodsAt(path); len(methods) == 0 || slices.ContainsFunc(methods, func(m string) bool { return m != "private_key_jwt" }) {
					t.Errorf("%s: %v", path, methods)
				}
			}
			// A key that is not the registered one is refused.
			b.mustSignIn(t, reg.ID, amara)
			if _, err := b.NewClientKey(t.Context(), reg.ID, smart.ES384); err != nil {
				t.Fatal(err)
			}
			b.server.keys.published += "-elsewhere"
			_, err = b.Refresh(t.Context(), reg.ID)
			wantCode(t, err, "client-refused")
		})
	}
}

func TestOtherServerServesABackendService(t *testing.T) {
	b := newOtherKeyBench(t, otherOptions{asServer: true})
	reg, _, err := b.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Nightly", Kind: workstation.KindBackend, FHIRBaseURL: b.server.FHIRBaseURL(), ClientID: serviceClient})
	if err != nil {
		t.Fatal(err)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	if err != nil || !report.OK {
		t.Fatalf("%+v %v", report, err)
	}
	for _, id := range []string{"support", "key", "token", "read", "introspection"} {
		if c := checkOf(t, report, id); c.Result != workstation.Pass {
			t.Errorf("%+v", c)
		}
	}
	for _, id := range []string{"amara-nwosu", "daniel-whitlock"} {
		if res, err := b.Read(t.Context(), reg.ID, "Patient/"+id); err != nil || res.ID != id {
			t.Errorf("%+v %v", res, err)
		}
	}
	if n := b.server.grants(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
	if status, err := b.Refresh(t.Context(), reg.ID); err != nil || status.State != workstation.Connected || b.server.grants() != 2 {
		t.Errorf("%+v %v", status, err)
	}
	if methods := b.server.methodsAt("/auth/oauth/token"); !slices.Equal(methods, []string{"private_key_jwt", "private_key_jwt"}) {
		t.Errorf("%v", methods)
	}
	// The app that people sign in to is no service there.
	in := reg.Input()
	in.Name, in.ClientID = "App", keyedClient
	app, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Refresh(t.Context(), app.ID)
	wantCode(t, err, "client-not-allowed")
}

func TestOtherServerRegistersAWorkstation(t *testing.T) {
	b := newOtherKeyBench(t, otherOptions{asServer: true, configuration: func(doc map[string]any) {
		doc["registration_endpoint"] = strings.Replace(doc["token_endpoint"].(string), "/oauth/token", "/register", 1)
	}})
	reg := b.registered(t, patientsClient, "", func(in *workstation.RegistrationInput) {
		in.Scopes = []string{"openid", "fhirUser", "launch/patient", "patient/Patient.rs", registerScope}
	})
	status := b.mustSignIn(t, reg.ID, amara)
	if !status.Refreshable || status.ScopesNote != "" || status.Patient == nil || *status.Patient != "amara-nwosu" || status.FHIRUser == nil || status.PatientName == nil {
		t.Fatalf("%+v", status)
	}
	first := b.server.lastIssued(t, "access_token")
	b.clock.pass(10 * time.Minute)
	second := openDesk(t, b.home, b.clock, func(o *workstation.Options) { o.KeySetURL = b.server.keys.published })
	if res, err := second.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil || res.ID != "amara-nwosu" {
		t.Fatalf("%+v %v", res, err)
	}
	if again := b.server.lastIssued(t, "access_token"); again == first {
		t.Error("the token was not renewed")
	}
	report, err := second.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	if err != nil || !report.OK {
		t.Errorf("%+v %v", report, err)
	}
	// Once the server no longer knows the copy, only a sign-in helps.
	b.server.keys.mu.Lock()
	clear(b.server.keys.copies)
	b.server.keys.mu.Unlock()
	_, err = second.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "grant-ended")
	if status, err := second.Status(t.Context(), reg.ID); err != nil || status.State != workstation.NeedsReconnect {
		t.Errorf("%+v %v", status, err)
	}
	b.mustSignIn(t, reg.ID, amara)
}
