package smart

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/secret"

	"golang.org/x/oauth2"
)

// authorizationLifetime is how long a sign-in may take in the browser.
const authorizationLifetime = 10 * time.Minute

// maxCodeLength bounds an authorization code; Epic's are signed tokens of one or two KiB.
const maxCodeLength = 16 << 10

// maxDescription bounds what is shown of a server's own words, in characters.
const maxDescription = 300

// AuthorizationParams is what an authorization request is made of.
type AuthorizationParams struct {
	ClientID string
	// RedirectURI is one of the registered, to the letter.
	RedirectURI string
	Scopes      scope.Set
	// Aud is the FHIR base URL exactly as saved, or the iss of an EHR launch.
	// Empty means the configuration's base.
	Aud string
	// Launch is the launch value of an EHR launch, decoded once and otherwise
	// as received; empty for a standalone launch.
	Launch string
}

// Authorization is one sign-in under way. The caller keeps it in memory, under
// its state, and takes it out when the callback comes: it serves once.
type Authorization struct {
	// URL is what the system browser opens.
	URL         string
	State       string
	Nonce       string
	RedirectURI string
	ClientID    string
	Scopes      scope.Set
	IssuedAt    time.Time
	ExpiresAt   time.Time

	verifier secret.Value
	// tokenEndpoint and issuer bind the sign-in to the server that it began
	// with (RFC 9700 section 4.4, mix-up).
	tokenEndpoint string
	issuer        string
}

// Authorization makes an authorization request (SMART App Launch 2.2, "Obtain
// authorization code"): state of 256 bits, PKCE with S256, aud, and a nonce
// where openid is asked for.
func (c *Client) Authorization(cfg Configuration, p AuthorizationParams) (Authorization, error) {
	if cfg.AuthorizationEndpoint == "" {
		return Authorization{}, fault.New("sign-in-not-offered", "The server offers no sign-in, only access for backend services.", "Check the FHIR base URL. If it is right, register a backend service (chartkey registration add --kind backend).")
	}
	endpoint, err := url.Parse(cfg.AuthorizationEndpoint)
	if err != nil || !network.MaySend(endpoint) {
		return Authorization{}, fault.New("discovery-endpoint-insecure", "The server's authorization endpoint is not an https address.", "Test the registration again.")
	}
	switch {
	case p.ClientID == "":
		return Authorization{}, fault.New("client-id-missing", "The registration has no client ID.", "Enter the client ID that the EHR shows for the app.")
	case p.RedirectURI == "":
		return Authorization{}, fault.New("redirect-uri-missing", "The registration has no redirect URI.", "Enter the redirect URI that is registered at the EHR.")
	case len(p.Scopes) == 0:
		return Authorization{}, fault.New("scopes-missing", "No scopes are asked for.", "Enter the scopes that the app needs.")
	}
	if p.Aud == "" {
		p.Aud = cfg.FHIRBaseURL
	}
	a := Authorization{
		State:         random(),
		RedirectURI:   p.RedirectURI,
		ClientID:      p.ClientID,
		Scopes:        slices.Clone(p.Scopes),
		IssuedAt:      c.now(),
		verifier:      secret.New(oauth2.GenerateVerifier()),
		tokenEndpoint: cfg.TokenEndpoint,
		issuer:        cfg.Issuer,
	}
	a.ExpiresAt = a.IssuedAt.Add(authorizationLifetime)
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(a.verifier.Reveal()),
		oauth2.SetAuthURLParam("aud", p.Aud),
	}
	if p.Launch != "" {
		options = append(options, oauth2.SetAuthURLParam("launch", p.Launch))
	}
	if p.Scopes.Has("openid") {
		a.Nonce = random()
		options = append(options, oauth2.SetAuthURLParam("nonce", a.Nonce))
	}
	config := oauth2.Config{
		ClientID:    p.ClientID,
		RedirectURL: p.RedirectURI,
		Scopes:      p.Scopes.Strings(),
		Endpoint:    oauth2.Endpoint{AuthURL: cfg.AuthorizationEndpoint},
	}
	// A space travels as %20: servers that decode a query as a path would, leave + as it is.
	own := len(cfg.AuthorizationEndpoint)
	full := config.AuthCodeURL(a.State, options...)
	a.URL = full[:own] + strings.ReplaceAll(full[own:], "+", "%20")
	return a, nil
}

// random gives 256 bits as text.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails: the runtime stops the program first
	return base64.RawURLEncoding.EncodeToString(b)
}

// CheckCallback reads the query that came to the redirect URI: the state, the
// issuer (RFC 9207), the age of the sign-in and the server's error, and gives
// the code. That a state serves once is the caller's to see to.
func (c *Client) CheckCallback(cfg Configuration, a Authorization, query url.Values) (secret.Value, error) {
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_uri"} {
		if len(query[name]) > 1 {
			return secret.Value{}, fault.Newf("callback-repeated", "Start the sign-in again. If it happens again, tell the health system.",
				"The answer from the browser carries %s more than once.", name)
		}
	}
	state := query.Get("state")
	if state == "" || a.State == "" {
		return secret.Value{}, fault.New("callback-state-missing", "The answer from the browser does not say which sign-in it belongs to.", "Start the sign-in again, and use the browser tab that opens.")
	}
	if subtle.ConstantTimeCompare([]byte(state), []byte(a.State)) != 1 {
		return secret.Value{}, fault.New("callback-state-mismatch", "The answer from the browser belongs to another sign-in.", "Close old sign-in tabs and start again.")
	}
	if !c.now().Before(a.ExpiresAt) {
		return secret.Value{}, fault.New("sign-in-expired", "The sign-in took too long.", "Start it again and finish it within ten minutes.")
	}
	if f := checkIssuer(cfg, a, query); f != nil {
		return secret.Value{}, f
	}
	if code := query.Get("error"); code != "" {
		quote := func(words string, limit int) string {
			return network.Quote(words, limit, state, query.Get("code"), a.verifier.Reveal())
		}
		return secret.Value{}, authorizationError(code, quote(code, 60), quote(query.Get("error_description"), maxDescription))
	}
	code := query.Get("code")
	switch {
	case code == "":
		return secret.Value{}, fault.New("callback-code-missing", "The server sent the browser back without a code.", "Start the sign-in again. If it happens again, tell the health system.")
	case len(code) > maxCodeLength || strings.ContainsFunc(code, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return secret.Value{}, fault.New("callback-code-invalid", "The server sent the browser back with a code that cannot be one.", "Start the sign-in again. If it happens again, tell the health system.")
	}
	return secret.New(code), nil
}

// checkIssuer compares iss as a string (RFC 9207 section 2.4), also where it
// comes unadvertised. A server that names no issuer of its own must at least
// not send the answer of another one: then the host is compared.
func checkIssuer(cfg Configuration, a Authorization, query url.Values) *fault.Error {
	if cfg.Issuer != a.issuer || cfg.TokenEndpoint != a.tokenEndpoint {
		return serverChanged()
	}
	iss := query.Get("iss")
	switch {
	case iss == "" && cfg.AuthorizationResponseIssParameterSupported && cfg.Issuer != "":
		return fault.New("callback-issuer-missing", "The answer from the browser does not name the server that it comes from, though this server promises to.",
			"Start the sign-in again. If it happens again, tell the health system.")
	case iss != "" && !mayBeIssuer(cfg, iss):
		return fault.Newf("callback-issuer-mismatch", "Do not go on. Start the sign-in again; if it happens again, tell the health system.",
			"The answer from the browser comes from another server (%s).", network.Quote(iss, 200, a.State, query.Get("code")))
	}
	return nil
}

func mayBeIssuer(cfg Configuration, iss string) bool {
	if cfg.Issuer != "" {
		return iss == cfg.Issuer
	}
	claimed, err := url.Parse(iss)
	if err != nil {
		return false
	}
	return slices.ContainsFunc([]string{cfg.AuthorizationEndpoint, cfg.TokenEndpoint}, func(endpoint string) bool {
		own, err := url.Parse(endpoint)
		return err == nil && network.SameOrigin(own, claimed)
	})
}

func serverChanged() *fault.Error {
	return fault.New("server-changed", "The server's addresses changed while the sign-in was under way.", "Start the sign-in again.").CanRetry()
}

// authorizationError maps an error response of RFC 6749 section 4.1.2.1. shown
// and description are the server's words, fit to show.
func authorizationError(code, shown, description string) *fault.Error {
	var f *fault.Error
	switch code {
	case "access_denied":
		f = fault.New("denied", "The sign-in was declined", "Sign in again and allow the access. If you did allow it, the account may not be permitted to use this app: ask the health system.")
	case "invalid_request":
		f = fault.New("authorization-request-refused", "The server found the sign-in request incomplete or wrong", "Compare client ID, redirect URI and FHIR base URL with what is registered at the EHR.")
	case "unauthorized_client":
		f = fault.New("client-not-allowed", "The server does not allow this app to sign in this way", "Check that the app is registered for this environment, is ready for use, and has the right kind of users (patients or clinicians).")
	case "unsupported_response_type":
		f = fault.New("response-type-unsupported", "The server does not offer sign-in with an authorization code", "Check the FHIR base URL, and ask the health system whether it supports SMART App Launch.")
	case "invalid_scope":
		f = fault.New("scope-refused", "The server refuses the scopes that were asked for", "Remove scopes that the app is not registered for, and do not mix patient/ with user/.")
	case "server_error":
		f = fault.New("server-error", "The server had a problem of its own during the sign-in", "Try again in a few minutes.").CanRetry()
	case "temporarily_unavailable":
		f = fault.New("server-unavailable", "The server is busy or down for now", "Try again in a few minutes.").CanRetry()
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		f = fault.New("sign-in-needed", "The server wants you to sign in anew", "Start the sign-in again and complete each page in the browser.").CanRetry()
	default:
		f = fault.New("authorization-refused", fmt.Sprintf("The server ended the sign-in with the error %q", shown), "Start the sign-in again. If it happens again, show this message to the health system.")
	}
	f.Message = withWords(f.Message, description)
	return f
}

// withWords ends a sentence with what the server said itself.
func withWords(sentence, words string) string {
	if words == "" {
		return sentence + "."
	}
	return sentence + ". It says: " + words
}
