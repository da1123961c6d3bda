package smart

import (
	"context"
	"net/url"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
)

// ClientCredentials asks for an access token for the app itself, with no user
// (SMART App Launch 2.2, "Backend Services"; RFC 6749 section 4.4). Such a token
// is never renewed: a new one is asked for when it runs out, so a refresh token
// that a server sends against RFC 6749 section 4.4.3 is not kept, and neither is
// an id_token.
//
// The frequent mistakes are told before anything is sent: a client that is not
// asymmetric (backend-client-type), no scopes (scopes-missing), and scopes that
// need a user (backend-scope).
func (c *Client) ClientCredentials(ctx context.Context, cfg Configuration, auth ClientAuth, scopes scope.Set) (TokenResponse, error) {
	if auth.Type != ConfidentialAsymmetric {
		return TokenResponse{}, fault.New("backend-client-type", "A backend service shows who it is with a key, and this registration has none.",
			"Register the app as confidential-asymmetric, with a public key or a JWKS URL.")
	}
	if f := checkServiceScopes(scopes); f != nil {
		return TokenResponse{}, f
	}
	answer, err := c.askToken(ctx, cfg, auth, service, url.Values{"grant_type": {"client_credentials"}, "scope": {strings.Join(scopes.Strings(), " ")}})
	if err != nil {
		return TokenResponse{}, err
	}
	t, err := answer.response(scopes)
	if err != nil {
		return TokenResponse{}, err
	}
	t.withoutRenewal()
	if t.ExpiresAt.IsZero() {
		t.Warnings = append(t.Warnings, "The server did not say when the access token runs out; SMART has it be five minutes or so.")
	}
	return t, nil
}

// checkServiceScopes refuses what needs a user or a launch.
func checkServiceScopes(scopes scope.Set) *fault.Error {
	if len(scopes) == 0 {
		return fault.New("scopes-missing", "No scopes are asked for.", "Enter the system/ scopes that the app needs.")
	}
	for _, s := range scopes {
		if (s.Kind == scope.Resource && s.Context == "system") || s.Kind == scope.Other {
			continue
		}
		return fault.Newf("backend-scope", "Ask for system/ scopes only, such as system/Patient.rs.", "The scope %s needs a user, and a backend service has none.", s.Text)
	}
	return nil
}

// withoutRenewal takes out what a grant that a key renews has no use for.
func (t *TokenResponse) withoutRenewal() {
	if !t.RefreshToken.IsEmpty() {
		t.Warnings = append(t.Warnings, "The server sent a refresh token that there should not be; it is not kept.")
	}
	t.RefreshToken, t.IDToken = secret.Value{}, secret.Value{}
}
