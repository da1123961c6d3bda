package workstation_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/scope"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// otherServer is an EHR whose authorization server was not written for
// Chartkey: github.com/zitadel/oidc's, with the storage of its example. What
// that library is not told by OAuth and OpenID Connect (SMART's discovery, aud,
// the patient beside the tokens, the fhirUser) is added here, around it. The
// FHIR half is in otherserver_fhir_test.go.
type otherServer struct {
	*httptest.Server
	provider *op.Provider
	storage  *otherStorage
	keys     *otherKeys
	// configuration changes what smart-configuration says.
	configuration func(doc map[string]any)

	mu      sync.Mutex // protects those below
	issued  []map[string]any
	methods map[string][]string // how clients proved themselves, by path
	seen    []string            // bearer tokens at the FHIR server
	meddle  func(answer map[string]any)
	// introspected changes what introspection says of a token to its own client.
	introspected func(told map[string]any)
}

type otherOptions struct {
	// asServer puts the library's newer routes before the provider in place of its own.
	asServer      bool
	configuration func(doc map[string]any)
}

// The secrets of the other server's clients. The first needs its form encoding in a Basic header.
const (
	otherSecret  = secretOfTest
	postedSecret = "posted-secret+of%the/test"
	fhirSecret   = "secret-of-the-fhir-server"
)

// The clients that the other server knows.
const (
	nativeClient   = "native-app"
	basicClient    = "web:app" // the colon would end the ID in a Basic header that is not encoded
	postClient     = "posting-app"
	plainClient    = "app-without-smart"
	lateClient     = "app-with-late-id-tokens"
	resourceServer = "fhir-server"
)

// person is who can sign in.
type person struct {
	storage.User
	fhirUser string // %s is the FHIR base URL
	patient  string // whom the record is about that the person opens, or ""
}

var people = map[string]person{
	"4711": {storage.User{ID: "4711", Username: amara.Username, Password: amara.Password}, "%s/Patient/amara-nwosu", "amara-nwosu"},
	"4712": {storage.User{ID: "4712", Username: "dr.okafor", Password: "clinician-pass1"}, "Practitioner/nneka-okafor", ""},
}

type accounts struct{}

func (accounts) GetUserByID(id string) *storage.User {
	p, ok := people[id]
	if !ok && (id == serviceClient || strings.HasPrefix(id, copyPrefix)) {
		return &storage.User{ID: id} // the example asks of each token's subject
	}
	if !ok {
		return nil
	}
	return &p.User
}

func (accounts) GetUserByUsername(name string) *storage.User {
	for _, p := range people {
		if p.Username == name {
			return &p.User
		}
	}
	return nil
}

func (accounts) ExampleClientID() string { return "" }

// otherClient is a client of the example with what SMART needs of it.
type otherClient struct {
	op.Client
	method  oidc.AuthMethod
	tokens  op.AccessTokenType
	idLife  time.Duration
	allowed func(scope string) bool
}

func (c otherClient) AuthMethod() oidc.AuthMethod         { return c.method }
func (c otherClient) AccessTokenType() op.AccessTokenType { return c.tokens }
func (c otherClient) IDTokenLifetime() time.Duration      { return c.idLife }
func (c otherClient) IsScopeAllowed(s string) bool        { return c.allowed(s) }
func (c otherClient) LoginURL(id string) string           { return "/auth/login?id=" + url.QueryEscape(id) }

// otherStorage is the example's storage, told of fhirUser and of a resource
// server that asks about other clients' tokens.
type otherStorage struct {
	*storage.Storage
	clients map[string]otherClient
	base    string
	keys    *otherKeys
}

func (s *otherStorage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c, ok := s.clients[id]
	if !ok {
		return nil, errors.New("no such client")
	}
	return c, nil
}

func (s *otherStorage) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	if err := s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes); err != nil {
		return err
	}
	if slices.Contains(scopes, "fhirUser") {
		info.AppendClaims("fhirUser", strings.Replace(people[request.GetSubject()].fhirUser, "%s", s.base, 1))
	}
	return nil
}

func (s *otherStorage) SetIntrospectionFromToken(ctx context.Context, answer *oidc.IntrospectionResponse, tokenID, subject, asker string) error {
	if asker != resourceServer {
		return s.Storage.SetIntrospectionFromToken(ctx, answer, tokenID, subject, asker)
	}
	if scopes, ok := s.keys.scopesOf(subject); ok { // the example knows tokens by their client's audience, and a copy's have none
		answer.Subject, answer.ClientID, answer.Scope = subject, subject, scopes
		return nil
	}
	err := errors.New("no clients")
	for id := range s.clients { // the example gives a token to its own client's audience only
		if err = s.Storage.SetIntrospectionFromToken(ctx, answer, tokenID, subject, id); err == nil {
			return nil
		}
	}
	return err
}

func newOtherServer(t *testing.T, redirect string, o otherOptions) *otherServer {
	t.Helper()
	s := &otherServer{configuration: o.configuration, methods: map[string][]string{}}
	mux := http.NewServeMux()
	s.Server = httptest.NewUnstartedServer(mux)
	s.URL = "http://" + s.Listener.Addr().String() // the issuer is needed before the server runs
	issuer := s.URL + "/auth"

	standard := func(audience string) []string {
		return scope.Choices{Audience: audience, OfflineAccess: true, Version: scope.V2}.Default().Strings()
	}
	smartScopes := append(slices.Concat(standard("patient"), standard("provider")), registerScope)
	smart := func(text string) bool { return text != registerScope && slices.Contains(smartScopes, text) }
	kept := map[string]*storage.Client{}
	s.storage = &otherStorage{Storage: storage.NewStorageWithClients(accounts{}, kept), base: s.FHIRBaseURL(), clients: map[string]otherClient{}}
	add := func(c *storage.Client, method oidc.AuthMethod, tokens op.AccessTokenType, idLife time.Duration, allowed func(string) bool) {
		kept[c.GetID()] = c
		s.storage.clients[c.GetID()] = otherClient{c, method, tokens, idLife, allowed}
	}
	add(storage.NativeClient(nativeClient, redirect), oidc.AuthMethodNone, op.AccessTokenTypeBearer, time.Hour, smart)
	add(storage.WebClient(basicClient, otherSecret, redirect), oidc.AuthMethodBasic, op.AccessTokenTypeJWT, time.Hour, smart)
	add(storage.WebClient(postClient, postedSecret, redirect), oidc.AuthMethodPost, op.AccessTokenTypeBearer, time.Hour, smart)
	add(storage.NativeClient(plainClient, redirect), oidc.AuthMethodNone, op.AccessTokenTypeBearer, time.Hour, func(text string) bool { return text == "patient/Patient.rs" })
	add(storage.NativeClient(lateClient, redirect), oidc.AuthMethodNone, op.AccessTokenTypeBearer, -10*time.Minute, smart)
	add(storage.WebClient(keyedClient, "", redirect), oidc.AuthMethodPrivateKeyJWT, op.AccessTokenTypeBearer, time.Hour, smart)
	add(storage.WebClient(serviceClient, "", "https://unused.example"), oidc.AuthMethodPrivateKeyJWT, op.AccessTokenTypeBearer, time.Hour, smart)
	add(storage.NativeClient(patientsClient, redirect), oidc.AuthMethodNone, op.AccessTokenTypeBearer, time.Hour, func(text string) bool { return smart(text) || text == registerScope })
	add(storage.WebClient(resourceServer, fhirSecret, "https://unused.example"), oidc.AuthMethodBasic, op.AccessTokenTypeBearer, time.Hour, smart)

	var err error
	s.provider, err = op.NewProvider(&op.Config{
		CryptoKey:      sha256.Sum256([]byte(t.Name())),
		CodeMethodS256: true, AuthMethodPost: true, AuthMethodPrivateKeyJWT: true, GrantTypeRefreshToken: true,
		SupportedScopes: smartScopes,
	}, s.storage, op.StaticIssuer(issuer), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	var library http.Handler = s.provider
	if o.asServer {
		library = op.RegisterLegacyServer(op.NewLegacyServer(s.provider, *op.DefaultEndpoints), op.AuthorizeCallbackHandler(s.provider))
	}
	s.keys = newOtherKeys(t, s)
	s.storage.keys = s.keys
	library = s.keys.taking(http.StripPrefix("/auth", library))

	mux.Handle("/auth/", library)
	mux.HandleFunc("/auth/authorize", s.authorize(library))
	mux.HandleFunc("GET /auth/login", s.loginPage)
	mux.HandleFunc("POST /auth/login", s.login)
	mux.HandleFunc("POST /auth/consent", s.consent)
	mux.HandleFunc("/auth/oauth/token", s.token(library))
	mux.HandleFunc("/auth/revoke", s.watched(library))
	mux.HandleFunc("POST /auth/register", s.keys.register)
	mux.HandleFunc("/auth/oauth/introspect", s.introspection(library))
	mux.HandleFunc("GET /fhir/.well-known/smart-configuration", s.smartConfiguration)
	mux.HandleFunc("GET /fhir/metadata", s.metadata)
	mux.HandleFunc("GET /fhir/{type}", s.fhir)
	mux.HandleFunc("GET /fhir/{type}/{id}", s.fhir)
	s.URL = "" // Start wants to set it itself
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// FHIRBaseURL is what the app is configured with.
func (s *otherServer) FHIRBaseURL() string { return s.URL + "/fhir" }

// smartConfiguration says what the library says of itself, and what SMART adds.
func (s *otherServer) smartConfiguration(w http.ResponseWriter, r *http.Request) {
	doc, err := s.getJSON(r.Context(), s.URL+"/auth/.well-known/openid-configuration")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	doc["capabilities"] = []string{
		"launch-standalone", "client-public", "client-confidential-symmetric", "sso-openid-connect", "context-standalone-patient",
		"permission-offline", "permission-patient", "permission-user", "permission-v2",
	}
	if s.configuration != nil {
		s.configuration(doc)
	}
	writeJSON(w, http.StatusOK, doc)
}

// authorize refuses a request that is not for this FHIR server (SMART, aud).
func (s *otherServer) authorize(library http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if aud := r.FormValue("aud"); aud != s.FHIRBaseURL() {
			http.Error(w, fmt.Sprintf("aud is %q", aud), http.StatusBadRequest)
			return
		}
		library.ServeHTTP(w, r)
	}
}

// The pages have the ids that simulator.SignIn, the scripted person, knows pages by.
var otherPages = template.Must(template.New("").Parse(`<!DOCTYPE html><title>{{.Title}}</title>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form id="{{.Page}}" method="post" action="/auth/{{.Action}}">
<input type="hidden" name="id" value="{{.ID}}">
{{if eq .Page "signin"}}<input name="username"><input name="password" type="password"><button>Sign in</button>
{{else}}<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button>{{end}}
</form>`))

type otherPage struct{ Title, Problem, Page, Action, ID string }

const otherCookie = "other-server-sign-in"

func (s *otherServer) show(w http.ResponseWriter, p otherPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = otherPages.Execute(w, p) // a browser that hung up
}

func (s *otherServer) loginPage(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	http.SetCookie(w, &http.Cookie{Name: otherCookie, Value: id, Path: "/auth/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	s.show(w, otherPage{"Sign in", "", "signin", "login", id})
}

// sameBrowser tells whether a form comes from the browser that was shown the first page.
func sameBrowser(w http.ResponseWriter, r *http.Request) bool {
	c, err := r.Cookie(otherCookie)
	if err != nil || c.Value == "" || c.Value != r.FormValue("id") {
		http.Error(w, "this sign-in was begun in another browser", http.StatusForbidden)
		return false
	}
	return true
}

func (s *otherServer) login(w http.ResponseWriter, r *http.Request) {
	if !sameBrowser(w, r) {
		return
	}
	id := r.FormValue("id")
	if err := s.storage.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), id); err != nil {
		s.show(w, otherPage{"Sign in", err.Error(), "signin", "login", id})
		return
	}
	s.show(w, otherPage{"Allow access", "", "consent", "consent", id})
}

func (s *otherServer) consent(w http.ResponseWriter, r *http.Request) {
	if !sameBrowser(w, r) {
		return
	}
	id := r.FormValue("id")
	if r.FormValue("decision") == "allow" {
		ctx := op.ContextWithIssuer(r.Context(), s.URL+"/auth")
		http.Redirect(w, r, op.AuthCallbackURL(s.provider)(ctx, id), http.StatusSeeOther)
		return
	}
	request, err := s.storage.AuthRequestByID(r.Context(), id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	op.AuthRequestError(w, r, request, oidc.ErrAccessDenied().WithDescription("The user said no."), s.provider)
}

// watched keeps how the client proved itself.
func (s *otherServer) watched(library http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		method := "none"
		if _, _, ok := r.BasicAuth(); ok {
			method = "client_secret_basic"
		}
		if r.PostFormValue("client_assertion") != "" {
			method = "private_key_jwt"
		}
		if r.PostFormValue("client_secret") != "" {
			method = strings.TrimPrefix(method+"+client_secret_post", "none+")
		}
		s.mu.Lock()
		s.methods[r.URL.Path] = append(s.methods[r.URL.Path], method)
		s.mu.Unlock()
		library.ServeHTTP(w, r)
	}
}

// token adds the launch context to the library's answer to a sign-in. A
// refresh says nothing of it, as SMART allows.
func (s *otherServer) token(library http.Handler) http.HandlerFunc {
	watched := s.watched(library)
	return func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		watched(rec, r)
		maps.Copy(w.Header(), rec.Header())
		var answer map[string]any
		if rec.Code != http.StatusOK || json.Unmarshal(rec.Body.Bytes(), &answer) != nil {
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
			return
		}
		if r.PostFormValue("grant_type") == "authorization_code" {
			token, _ := answer["access_token"].(string)
			who, err := s.introspect(r.Context(), token)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			if patient := people[who.Subject].patient; patient != "" && slices.Contains(strings.Fields(who.Scope), "launch/patient") {
				answer["patient"] = patient
			}
		}
		s.mu.Lock()
		s.issued = append(s.issued, maps.Clone(answer))
		if s.meddle != nil {
			s.meddle(answer)
		}
		s.mu.Unlock()
		writeJSON(w, rec.Code, answer)
	}
}

// introspection has a public client ask about a token by showing it, as SMART
// does; the library takes confidential clients only, so the FHIR server asks in its place.
func (s *otherServer) introspection(library http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asker, _, confidential := r.BasicAuth()
		if asker == resourceServer {
			library.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		if posted := r.PostFormValue("client_secret"); posted != "" { // the library takes a Basic header only here
			r.SetBasicAuth(url.QueryEscape(r.PostFormValue("client_id")), url.QueryEscape(posted))
			for _, form := range []url.Values{r.Form, r.PostForm} {
				form.Del("client_secret")
			}
			confidential = true
		}
		if confidential || r.PostFormValue("client_assertion") != "" {
			library.ServeHTTP(answer, r)
		} else {
			shown, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if shown == "" || shown != r.PostFormValue("token") {
				http.Error(w, "no token is shown", http.StatusUnauthorized)
				return
			}
			status, told, err := s.postForm(r.Context(), "/auth/oauth/introspect", url.Values{"token": {shown}}, resourceServer, fhirSecret)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			writeJSON(answer, status, told)
		}
		var told map[string]any
		if answer.Code == http.StatusOK && s.introspected != nil && json.Unmarshal(answer.Body.Bytes(), &told) == nil {
			s.introspected(told)
			writeJSON(w, http.StatusOK, told)
			return
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}
}

// lastIssued gives a member of the latest token answer, before any meddling.
func (s *otherServer) lastIssued(t *testing.T, name string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.issued) == 0 {
		t.Fatal("no tokens were issued")
	}
	value, _ := s.issued[len(s.issued)-1][name].(string)
	if value == "" {
		t.Fatalf("the latest answer has no %s", name)
	}
	return value
}

// grants counts the token answers.
func (s *otherServer) grants() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.issued)
}

func (s *otherServer) methodsAt(path string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.methods[path])
}

func (s *otherServer) meddleWith(f func(answer map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meddle = f
}

// post sends a form as someone who is not Chartkey, and gives status and answer.
func (s *otherServer) post(t *testing.T, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	status, answer, err := s.postForm(t.Context(), path, form, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

func (s *otherServer) postForm(ctx context.Context, path string, form url.Values, user, password string) (int, map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		req.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(password))
	}
	return s.do(req)
}

func (s *otherServer) getJSON(ctx context.Context, address string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	status, answer, err := s.do(req)
	if err == nil && (status != http.StatusOK || answer == nil) {
		err = fmt.Errorf("%s answered %d", address, status)
	}
	return answer, err
}

func (s *otherServer) do(req *http.Request) (int, map[string]any, error) {
	resp, err := s.Client().Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, nil, err
	}
	var answer map[string]any
	if json.Unmarshal(body, &answer) != nil {
		answer = nil // a revocation's answer is empty
	}
	return resp.StatusCode, answer, nil
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	h := w.Header()
	h.Del("Content-Length") // of an answer that was changed
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that hung up
}
