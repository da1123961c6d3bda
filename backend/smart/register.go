package smart

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/secret"

	"github.com/go-jose/go-jose/v4"
)

// The bounds on what is kept of a registration's answer.
const (
	maxClientID  = 512
	maxListed    = 50
	maxListedURI = 2000
)

// ClientMetadata is what an app says of itself when it registers (RFC 7591 section 2).
type ClientMetadata struct {
	ClientName string
	// RedirectURIs are compared to the letter; at least one where GrantTypes has authorization_code.
	RedirectURIs []string
	// LaunchURL is where the app takes EHR launches, or "".
	LaunchURL string
	// AuthMethod is AuthNone, AuthBasic, AuthPost or AuthPrivateKeyJWT.
	AuthMethod AuthMethod
	// GrantTypes are RFC 7591's names; none stand for authorization_code and refresh_token.
	GrantTypes []string
	Scopes     scope.Set
	// Keys, whose public halves are sent, or JWKSURL, where they are published:
	// one of the two for AuthPrivateKeyJWT (RFC 7591 forbids both).
	Keys    []ClientKey
	JWKSURL string

	SoftwareID, SoftwareVersion             string
	Contacts                                []string
	ClientURI, LogoURI, PolicyURI, TermsURI string
}

// RegisteredClient is what a server registered (RFC 7591 section 3.2.1).
type RegisteredClient struct {
	ClientID string
	Type     ClientType
	// AuthMethod is for ClientAuth.Method.
	AuthMethod AuthMethod
	// Secret is that of a confidential-symmetric client, and shown this once.
	Secret secret.Value
	// SecretExpiresAt is zero where the secret does not run out.
	SecretExpiresAt time.Time
	// IssuedAt is zero where the server did not tell.
	IssuedAt     time.Time
	RedirectURIs []string
	GrantTypes   []string
	// Scopes are those that the client may ask for; those sent, where the server did not tell.
	Scopes scope.Set
	// ManagementURL and ManagementToken change or remove the client (RFC 7592), where the server offers it.
	ManagementURL   string
	ManagementToken secret.Value
	// Warnings are sentences on what is odd and still usable.
	Warnings []string
}

// Register registers an app at a server that lets apps do so themselves (RFC
// 7591). initialAccessToken is zero where the server registers anyone.
//
// What the server registered is held against what was asked for. Where it would
// not serve (another way to authenticate, a missing redirect URI, grant type or
// key, no client ID), that is a fault, and beside it comes what there is, so
// that the client can be told of or removed.
func (c *Client) Register(ctx context.Context, cfg Configuration, m ClientMetadata, initialAccessToken secret.Value) (RegisteredClient, error) {
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{"authorization_code", "refresh_token"}
	}
	if f := m.check(); f != nil {
		return RegisteredClient{}, f
	}
	return c.register(ctx, cfg.RegistrationEndpoint, m, initialAccessToken)
}

// check refuses what no server could use.
func (m ClientMetadata) check() *fault.Error {
	switch {
	case slices.Contains(m.GrantTypes, "authorization_code") && len(m.RedirectURIs) == 0:
		return fault.New("redirect-uri-missing", "The app names no redirect URI.", "Enter the redirect URI that sign-ins come back to.")
	case !slices.Contains([]AuthMethod{AuthNone, AuthBasic, AuthPost, AuthPrivateKeyJWT}, m.AuthMethod):
		return fault.Newf("registration-method-unknown", "Choose none, client_secret_basic, client_secret_post or private_key_jwt.", "No app registers with the method %q.", string(m.AuthMethod))
	case len(m.Keys) > 0 && m.JWKSURL != "":
		return fault.New("registration-keys", "The app gives its public keys and a JWKS URL, and servers take one of the two.", "Leave one of them out; the URL is the better one where there is one.")
	case m.AuthMethod == AuthPrivateKeyJWT && len(m.Keys) == 0 && m.JWKSURL == "":
		return noKey()
	case m.JWKSURL != "" && !maySend(m.JWKSURL):
		return fault.New("client-jwks-url", "The JWKS URL is not an https address.", "Enter the address at which the server finds the public keys.")
	}
	return nil
}

// document is the JSON of the request.
func (m ClientMetadata) document() ([]byte, error) {
	doc := struct {
		ClientName      string          `json:"client_name,omitempty"`
		RedirectURIs    []string        `json:"redirect_uris,omitempty"`
		AuthMethod      AuthMethod      `json:"token_endpoint_auth_method,omitempty"`
		GrantTypes      []string        `json:"grant_types,omitempty"`
		ResponseTypes   []string        `json:"response_types,omitempty"`
		Scope           string          `json:"scope,omitempty"`
		JWKS            json.RawMessage `json:"jwks,omitempty"`
		JWKSURI         string          `json:"jwks_uri,omitempty"`
		SoftwareID      string          `json:"software_id,omitempty"`
		SoftwareVersion string          `json:"software_version,omitempty"`
		Contacts        []string        `json:"contacts,omitempty"`
		ClientURI       string          `json:"client_uri,omitempty"`
		LogoURI         string          `json:"logo_uri,omitempty"`
		PolicyURI       string          `json:"policy_uri,omitempty"`
		TermsURI        string          `json:"tos_uri,omitempty"`
		// Neither RFC 7591 nor SMART names a member for it: the one is OpenID
		// Connect's, the other is seen at SMART servers.
		InitiateLogin string `json:"initiate_login_uri,omitempty"`
		LaunchURL     string `json:"launch_url,omitempty"`
	}{
		ClientName: m.ClientName, RedirectURIs: m.RedirectURIs, AuthMethod: m.AuthMethod, GrantTypes: m.GrantTypes, Scope: strings.Join(m.Scopes.Strings(), " "), JWKSURI: m.JWKSURL,
		SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion, Contacts: m.Contacts, ClientURI: m.ClientURI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TermsURI: m.TermsURI,
		InitiateLogin: m.LaunchURL, LaunchURL: m.LaunchURL,
	}
	if slices.Contains(m.GrantTypes, "authorization_code") {
		doc.ResponseTypes = []string{"code"}
	}
	if len(m.Keys) > 0 {
		set, err := PublicKeySet(m.Keys...)
		if err != nil {
			return nil, err
		}
		doc.JWKS = set
	}
	return json.Marshal(doc)
}

func (c *Client) register(ctx context.Context, endpoint string, m ClientMetadata, initialAccessToken secret.Value) (RegisteredClient, error) {
	if !maySend(endpoint) {
		return RegisteredClient{}, fault.New("registration-unsupported", "The server offers no way for an app to register itself.", "Register the app by hand at the EHR, and enter the client ID here.")
	}
	body, err := m.document()
	if err != nil {
		return RegisteredClient{}, fault.From(err)
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	header := http.Header{"Content-Type": {"application/json"}}
	if !initialAccessToken.IsEmpty() {
		header.Set("Authorization", "Bearer "+initialAccessToken.Reveal())
	}
	a, f := c.send(ctx, endpoint, header, body, []string{initialAccessToken.Reveal()})
	if f == nil {
		f = a.judgeRegistration(!initialAccessToken.IsEmpty())
	}
	if f != nil {
		return RegisteredClient{}, f
	}
	return a.registered(m)
}

// judgeRegistration maps RFC 7591 section 3.2.2, and RFC 6750 section 3.1 where a token was shown.
func (a *answer) judgeRegistration(withToken bool) *fault.Error {
	words := network.Quote(text(a.raw["error_description"]), maxDescription, a.secrets...)
	host := network.Clean(a.host, 200)
	say := func(name, sentence, advice string) *fault.Error {
		return fault.New(name, withWords(sentence, words), advice)
	}
	code := text(a.raw["error"])
	switch {
	case code == "invalid_redirect_uri":
		return say("registration-redirect-uri", "The server does not register one of the redirect URIs", "Some servers take https addresses only. Ask the health system which it takes.")
	case code == "invalid_client_metadata" || code == "invalid_software_statement" || code == "unapproved_software_statement":
		return say("registration-refused", "The server does not register the app with these particulars", "Change what it names, or register the app by hand at the EHR.")
	case withToken && (code == "insufficient_scope" || a.status == http.StatusForbidden):
		return say("registration-not-allowed", "The access token does not allow a registration", "Sign in with the scope "+RegisterScope+", and check that the app may register copies of itself (at Epic, a setting of the app).")
	case withToken && (code == "invalid_token" || a.status == http.StatusUnauthorized):
		return say("registration-token-refused", "The server does not accept the access token that would allow the registration", "Sign in again and register at once: such a token serves once.")
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return say("registration-not-allowed", "The server registers no app that it does not know", "Ask the health system for an initial access token, or register the app by hand at the EHR.")
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
		return fault.Newf("registration-unsupported", "Register the app by hand at the EHR, and enter the client ID here.", "%s takes no registrations at the address that it names for them.", host)
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		return fault.Newf("server-unavailable", "Try again in a few minutes.", "%s could not register the app for now (HTTP %d%s).", host, a.status, waitText(a.header, a.received)).CanRetry()
	case code != "":
		return say("registration-refused", fmt.Sprintf("The server refused the registration, with the error %q", network.Quote(code, 60, a.secrets...)), "Show this message to the health system, or register the app by hand at the EHR.")
	case a.status != http.StatusCreated && a.status != http.StatusOK:
		return fault.Newf("registration-refused", "Register the app by hand at the EHR, and enter the client ID here.", "%s refused the registration (HTTP %d).", host, a.status)
	case a.raw == nil:
		return fault.Newf("registration-invalid", "Open a web page to see whether the network asks you to sign in. If not, register the app by hand at the EHR.", "%s answered with something else than a registration.", host)
	}
	return nil
}

// registered reads the answer and holds it against what was asked for.
func (a *answer) registered(m ClientMetadata) (RegisteredClient, error) {
	r := RegisteredClient{Secret: secret.New(text(a.raw["client_secret"])), ManagementToken: secret.New(text(a.raw["registration_access_token"])), Scopes: m.Scopes}
	warn := func(sentence string) { r.Warnings = append(r.Warnings, sentence) }
	const advice = "Do not use this registration. Tell the health system, or register the app by hand at the EHR."
	refuse := func(code, format string, args ...any) (RegisteredClient, error) {
		return r, fault.Newf(code, advice, format, args...)
	}

	id := text(a.raw["client_id"])
	if id == "" || len(id) > maxClientID || !visible(id) {
		return refuse("registration-invalid", "The server's answer has no client ID that can be one.")
	}
	r.ClientID = id
	if address := text(a.raw["registration_client_uri"]); address != "" {
		if r.ManagementURL = address; !maySend(address) {
			r.ManagementURL, r.ManagementToken = "", secret.Value{}
			warn("The server's address for changing the registration is not an https address; it is left out.")
		}
	}
	var problems int
	r.RedirectURIs, problems = listed(a.raw["redirect_uris"])
	r.GrantTypes, _ = listed(a.raw["grant_types"])
	if problems > 0 {
		warn("The server registered redirect URIs that cannot be some; they are left out.")
	}
	if words := texts(a.raw["scope"]); len(words) > 0 {
		r.Scopes = scope.Grammar(words)
	}
	r.IssuedAt = epoch(a.raw["client_id_issued_at"])
	r.SecretExpiresAt = epoch(a.raw["client_secret_expires_at"])

	told := text(a.raw["token_endpoint_auth_method"])
	var ok bool
	if r.Type, r.AuthMethod, ok = m.method(told); !ok {
		asked := m.AuthMethod
		if asked == "" {
			asked = AuthNone
		}
		return refuse("registration-auth-method", "The server registered the app to show who it is by %q, though %s was asked for.",
			network.Quote(told, 40, append(a.secrets, r.Secret.Reveal(), r.ManagementToken.Reveal())...), asked)
	}
	switch symmetric := r.Type == ConfidentialSymmetric; {
	case symmetric && (r.Secret.IsEmpty() || !visible(r.Secret.Reveal())):
		return refuse("registration-invalid", "The server registered the app as confidential and gave it no client secret that can be one.")
	case !symmetric && !r.Secret.IsEmpty():
		r.Secret = secret.Value{}
		warn("The server gave a client secret that was not asked for; it is not kept.")
	case symmetric && !r.SecretExpiresAt.IsZero() && !r.SecretExpiresAt.After(a.received):
		return refuse("registration-invalid", "The client secret that the server gave has run out already.")
	}
	if told == "" && m.AuthMethod != "" {
		warn("The server did not say how the app is to show who it is; what was asked for is assumed.")
	}

	for _, uri := range m.RedirectURIs {
		if len(r.RedirectURIs) > 0 && !slices.Contains(r.RedirectURIs, uri) {
			return refuse("registration-redirect-uri", "The server registered other redirect URIs than those asked for, and sign-ins could not come back.")
		}
	}
	switch {
	case len(m.RedirectURIs) > 0 && len(r.RedirectURIs) == 0:
		warn("The server did not say which redirect URIs it registered.")
	case len(m.RedirectURIs) > 0 && len(r.RedirectURIs) > len(m.RedirectURIs):
		warn("The server registered more redirect URIs than those asked for.")
	}
	needed := m.GrantTypes
	if m.AuthMethod == "" { // it is not asked for: Epic's request has two members
		needed = []string{grantJWTBearer}
	}
	for _, g := range needed {
		switch {
		case len(r.GrantTypes) == 0 || slices.Contains(r.GrantTypes, g):
		case g == "refresh_token":
			warn("The server registered the app without refresh tokens: sign-ins will not last.")
		default:
			return refuse("registration-grant-type", "The server registered the app without the grant type %s, which it needs.", g)
		}
	}
	if f := m.checkKeys(a.raw); f != nil {
		return r, f
	}
	if id := strings.TrimSpace(text(a.raw["software_id"])); id != "" && m.SoftwareID != "" && id != m.SoftwareID {
		warn("The server registered the app under another software_id.")
	}
	return r, nil
}

// method reads how the registered client is to authenticate. Anything but what
// was asked for will not do, as a server or who stands before it could weaken a
// client that way; the two forms of a secret are as good as each other.
func (m ClientMetadata) method(told string) (ClientType, AuthMethod, bool) {
	types := map[AuthMethod]ClientType{AuthNone: Public, AuthBasic: ConfidentialSymmetric, AuthPost: ConfidentialSymmetric, AuthPrivateKeyJWT: ConfidentialAsymmetric}
	got := AuthMethod(told)
	if m.AuthMethod == "" { // a copy of an app, whose key stands for the grant
		if got == "" {
			got = AuthNone
		}
		return types[got], got, got == AuthNone || got == AuthPrivateKeyJWT
	}
	if got == "" {
		got = m.AuthMethod
	}
	return types[got], got, types[got] == types[m.AuthMethod]
}

// checkKeys tells whether the server registered the keys that were sent, and
// no others: who holds one of those could act as the app.
func (m ClientMetadata) checkKeys(raw map[string]json.RawMessage) *fault.Error {
	refused := fault.New("registration-keys", "The server registered other keys for the app than those it was sent.", "Do not use this registration. Tell the health system, or register the app by hand at the EHR.")
	if told := text(raw["jwks_uri"]); told != "" && told != m.JWKSURL {
		return refused
	}
	if len(raw["jwks"]) == 0 || string(raw["jwks"]) == "null" {
		return nil // not told
	}
	var set jose.JSONWebKeySet
	if json.Unmarshal(raw["jwks"], &set) != nil {
		return refused
	}
	var sent, told []string
	for _, k := range m.Keys {
		sent = append(sent, k.Thumbprint())
	}
	for _, k := range set.Keys {
		told = append(told, thumbprint(k))
	}
	slices.Sort(sent)
	slices.Sort(told)
	if !slices.Equal(slices.Compact(sent), slices.Compact(told)) {
		return refused
	}
	return nil
}

// listed reads a list of URIs or words, without what cannot be one, and counts
// what it leaves out.
func listed(raw json.RawMessage) (out []string, dropped int) {
	for _, value := range texts(raw) {
		value = strings.TrimSpace(value) // Epic's own example has spaces before them
		if _, bad := hiddenCharacter(value); bad || value == "" || len(value) > maxListedURI || len(out) >= maxListed {
			dropped++
			continue
		}
		out = append(out, value)
	}
	return out, dropped
}

// lastEpoch is the end of the year 9999, the last that time can be written with.
const lastEpoch = 253402300799

// epoch reads seconds since 1970, a number or text of one. Zero, which stands
// for never, and what is no such number give the zero time.
func epoch(raw json.RawMessage) time.Time {
	seconds, told := seconds(raw)
	if !told || seconds > lastEpoch {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
