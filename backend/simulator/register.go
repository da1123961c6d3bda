package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"chartkey/backend/scope"
)

const (
	// grantInstance is RFC 7523's grant, by which a registered copy of an app
	// takes up what its person allowed.
	grantInstance = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	// registerScope lets a token register a copy of its app (Epic's dynamic registration).
	registerScope = "system/DynamicClient.register"
	// maxDynamic bounds the clients that registered themselves; the oldest goes first.
	maxDynamic = 1_000
)

// clientMetadata is RFC 7591 section 2, as far as it means something here.
type clientMetadata struct {
	ClientID              string              `json:"client_id,omitempty"`
	ClientIDIssuedAt      int64               `json:"client_id_issued_at,omitempty"`
	ClientSecret          string              `json:"client_secret,omitempty"`
	ClientSecretExpiresAt *int64              `json:"client_secret_expires_at,omitempty"`
	ClientName            string              `json:"client_name,omitempty"`
	SoftwareID            string              `json:"software_id,omitempty"`
	RedirectURIs          []string            `json:"redirect_uris,omitempty"`
	LaunchURL             string              `json:"launch_url,omitempty"`
	AuthMethod            string              `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes            []string            `json:"grant_types,omitempty"`
	ResponseTypes         []string            `json:"response_types,omitempty"`
	Scope                 string              `json:"scope,omitempty"`
	JWKS                  *jose.JSONWebKeySet `json:"jwks,omitempty"`
	JWKSURI               string              `json:"jwks_uri,omitempty"`
}

// register is the registration endpoint. Without a token it is RFC 7591 for
// anyone; with one it registers a copy of the app that the token is for, as Epic does.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		s.refuseToken(w, r, refuse("invalid_client_metadata", "the request must be JSON (application/json)"))
		return
	}
	raw, err := io.ReadAll(r.Body)
	var asked clientMetadata
	if err == nil {
		// What is not known is ignored (RFC 7591 section 2).
		err = json.Unmarshal(raw, &asked)
	}
	if err != nil {
		s.refuseToken(w, r, refuse("invalid_client_metadata", "the JSON cannot be read: %s", ascii(err.Error())))
		return
	}
	if r.Header.Get("Authorization") != "" {
		s.registerInstance(w, r, asked)
		return
	}
	client, oerr := s.newClient(asked)
	if oerr != nil {
		s.refuseToken(w, r, oerr)
		return
	}
	s.clients.register(client)
	identify(r, client.ID)
	judge(r, "%s registered itself as %s", client.display(), client.ID)
	asked.ClientID, asked.ClientIDIssuedAt, asked.ClientSecret = client.ID, s.now().Unix(), client.Secret
	if client.Secret != "" {
		never := int64(0)
		asked.ClientSecretExpiresAt = &never
	}
	asked.GrantTypes, asked.ResponseTypes = client.GrantTypes, nil
	if client.may(grantCode) {
		asked.ResponseTypes = []string{"code"}
	}
	writeJSON(w, http.StatusCreated, asked)
}

// newClient makes a client of what was asked for, with RFC 7591's defaults.
func (s *Server) newClient(asked clientMetadata) (Client, *oauthError) {
	bad := func(format string, args ...any) (Client, *oauthError) {
		return Client{}, refuse("invalid_client_metadata", "%s", ascii(fmt.Sprintf(format, args...)))
	}
	if len(asked.RedirectURIs) > 50 || len(asked.GrantTypes) > 10 || len(asked.ClientName) > 200 || len(asked.Scope) > 4096 {
		return bad("the registration is too long")
	}
	for _, t := range asked.ResponseTypes {
		if t != "code" {
			return bad("the response type %q is not served here", clip(t, 40))
		}
	}
	c := Client{
		ID: "registered-" + s.random()[:22], Name: asked.ClientName, RedirectURIs: asked.RedirectURIs, LaunchURL: asked.LaunchURL,
		Scopes: asked.Scope, JWKS: asked.JWKS, JWKSURI: asked.JWKSURI, GrantTypes: asked.GrantTypes,
	}
	switch asked.AuthMethod {
	case "none":
		c.Type = Public
	case "", "client_secret_basic", "client_secret_post":
		c.Type, c.Secret = ConfidentialSymmetric, s.random()
	case "private_key_jwt":
		c.Type = ConfidentialAsymmetric
	default:
		return bad("the authentication method %q is not served here", clip(asked.AuthMethod, 40))
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{grantCode}
	}
	if err := c.checkRedirectURIs(); err != nil {
		return Client{}, refuse("invalid_redirect_uri", "%s", ascii(err.Error()))
	}
	if err := c.check(); err != nil {
		return bad("%v", err)
	}
	return c, nil
}

// registerInstance is Epic's dynamic registration: a person signed in with
// registerScope, and the app trades that token for a client of its own whose
// key it alone holds. The token ends with it.
func (s *Server) registerInstance(w http.ResponseWriter, r *http.Request, asked clientMetadata) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	known, problem := s.ledger.look(secret)
	if !strings.EqualFold(scheme, "Bearer") || (problem == "" && known.kind != "Bearer") {
		problem = "the Authorization header has no access token"
	}
	if problem != "" {
		judge(r, "refused: %s", problem)
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.issuer()+`", error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token", "error_description": problem})
		return
	}
	identify(r, known.grant.clientID)
	if !known.scopes.Has(registerScope) {
		judge(r, "refused: the token was not granted %s", registerScope)
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.issuer()+`", error="insufficient_scope", scope="`+registerScope+`"`)
		writeJSON(w, http.StatusForbidden, map[string]string{"error": "insufficient_scope", "error_description": "the token was not granted " + registerScope})
		return
	}
	parent, ok := s.client(known.grant.clientID)
	if err := checkInstance(asked, parent, ok); err != nil {
		s.refuseToken(w, r, refuse("invalid_client_metadata", "%s", ascii(err.Error())))
		return
	}
	standing := known.grant
	standing.codes, standing.access, standing.spent, standing.nonce = nil, nil, nil, ""
	standing.scopes = slices.DeleteFunc(slices.Clone(known.scopes), func(sc scope.Scope) bool { return sc.Text == registerScope })
	if standing.refreshUntil.IsZero() {
		standing.refreshUntil = standing.signedIn.Add(s.Settings().RefreshTokenLife)
	}
	client := Client{
		ID: "registered-" + s.random()[:22], Name: parent.display() + " (registered copy)", Type: Public, RedirectURIs: parent.RedirectURIs,
		JWKS: asked.JWKS, GrantTypes: []string{grantInstance}, standing: &standing,
	}
	// The token can register once: whoever ends it is the one.
	if verdict := s.ledger.end(secret, parent.ID); !strings.Contains(verdict, "was revoked") {
		s.refuseToken(w, r, refuse("invalid_client_metadata", "the token was used for a registration before"))
		return
	}
	standing.clientID = client.ID
	s.clients.register(client)
	judge(r, "a copy of %s registered itself as %s; the token that allowed it is revoked", parent.ID, client.ID)
	writeJSON(w, http.StatusCreated, clientMetadata{
		ClientID: client.ID, ClientIDIssuedAt: s.now().Unix(), SoftwareID: asked.SoftwareID, RedirectURIs: client.RedirectURIs,
		AuthMethod: "none", GrantTypes: client.GrantTypes, JWKS: client.JWKS,
	})
}

func checkInstance(asked clientMetadata, parent Client, known bool) error {
	switch {
	case !known || asked.SoftwareID != parent.ID:
		return errors.New("software_id must be the client ID that the token was issued to")
	case asked.JWKS == nil:
		return errors.New("jwks is missing; it holds the public key of this copy")
	}
	set := jose.JSONWebKeySet{Keys: slices.Clone(asked.JWKS.Keys)}
	if len(set.Keys) == 1 && set.Keys[0].KeyID == "" {
		set.Keys[0].KeyID = "only" // a key that is alone needs no name
	}
	return checkKeySet(set)
}

// instanceGrant takes up what a registered copy of an app was allowed (RFC
// 7523 section 2.1). It gives no refresh token: the key renews the access.
func (s *Server) instanceGrant(r *http.Request, client Client, assertion string) (issue, *oauthError) {
	switch {
	case assertion == "":
		return issue{}, invalidRequest("assertion is missing")
	case client.standing == nil:
		return issue{}, refuse("unauthorized_client", "the client is no registered copy of an app")
	}
	if err := s.checkAssertion(r.Context(), client, assertion, s.tokenEndpoint()); err != nil {
		return issue{}, invalidGrant("%s", ascii(err.Error()))
	}
	if !s.now().Before(client.standing.refreshUntil) {
		return issue{}, invalidGrant("the access that the person allowed has ended")
	}
	g := *client.standing
	g.refreshUntil = time.Time{} // the key renews, not a refresh token
	return s.ledger.grantDirectly(g, s.Settings()), nil
}

// register adds a client that registered itself.
func (b *clientBook) register(c Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.dynamic) >= maxDynamic {
		delete(b.list, b.dynamic[0])
		b.dynamic = b.dynamic[1:]
	}
	b.list[c.ID] = c.clone()
	b.dynamic = append(b.dynamic, c.ID)
}

// forget drops the clients that registered themselves.
func (b *clientBook) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.dynamic {
		delete(b.list, id)
	}
	b.dynamic = nil
}
