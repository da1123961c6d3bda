package smart

import (
	"context"
	"net/url"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
)

// RegisterScope is what a sign-in must be granted so that its access token may
// register this copy of the app.
const RegisterScope = "system/DynamicClient.register"

// grantJWTBearer is RFC 7523 section 2.1's grant type.
const grantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// InstanceRegistrationEndpoint is where copies of an app register: the
// registration endpoint that the server names or, as Epic names none, the
// register beside Epic's token endpoint.
func (cfg Configuration) InstanceRegistrationEndpoint() string {
	if cfg.RegistrationEndpoint != "" {
		return cfg.RegistrationEndpoint
	}
	if before, ok := strings.CutSuffix(cfg.TokenEndpoint, "/oauth2/token"); ok {
		return before + "/oauth2/register"
	}
	return ""
}

// RegisterInstance registers this copy of an app as a client of its own, whose
// key it alone holds (Epic, "Offline Access for Native and Browser-Based
// Applications"; SMART's draft of protected dynamic client registration).
//
// softwareID is the app's own client ID, and initialAccessToken the access token
// of a sign-in that was granted RegisterScope. The server ends that token with
// the registration: it is to be kept in memory only and used at once. key is a
// new one for this copy; Epic takes RSA. Faults and what comes beside them are as with Register.
//
// The client is public where the server says so, as Epic does: its key is shown
// for the grant, and what it revokes it names itself for.
func (c *Client) RegisterInstance(ctx context.Context, cfg Configuration, softwareID string, key ClientKey, initialAccessToken secret.Value) (RegisteredClient, error) {
	switch {
	case softwareID == "":
		return RegisteredClient{}, fault.New("client-id-missing", "The registration has no client ID.", "Enter the client ID that the EHR shows for the app.")
	case key.IsZero():
		return RegisteredClient{}, noKey()
	case initialAccessToken.IsEmpty():
		return RegisteredClient{}, fault.New("registration-token-missing", "There is no access token that would allow the registration.", "Sign in with the scope "+RegisterScope+".")
	}
	return c.register(ctx, cfg.InstanceRegistrationEndpoint(), ClientMetadata{SoftwareID: softwareID, Keys: []ClientKey{key}}, initialAccessToken)
}

// JWTBearer takes up, for a registered copy of an app, what its user allowed
// (RFC 7523 section 2.1). auth is the client that RegisterInstance gave, with
// its type and its key; granted are the scopes of the sign-in
// that allowed the registration, which stand where the server does not tell.
// The answer is as after a sign-in, without refresh token and id_token: the key
// renews the access.
//
// A fault of CodeGrantEnded means that the user must sign in, and the copy
// register, anew. A clock that is far off is corrected before it comes to that.
func (c *Client) JWTBearer(ctx context.Context, cfg Configuration, auth ClientAuth, granted scope.Set) (TokenResponse, error) {
	if auth.Type == ConfidentialSymmetric {
		return TokenResponse{}, fault.New("instance-client-type", "Only a registered copy of an app, which has a key, can get tokens this way.", "Sign in with the scope "+RegisterScope+" and register.")
	}
	answer, err := c.askToken(ctx, cfg, auth, instance, url.Values{"grant_type": {grantJWTBearer}})
	if err != nil {
		return TokenResponse{}, err
	}
	t, err := answer.response(granted)
	if err != nil {
		return TokenResponse{}, err
	}
	t.withoutRenewal()
	return t, nil
}
