package smart

import (
	"context"
	"net/http"
	"net/url"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

// Revoke ends a grant at the server (RFC 7009): the refresh token, then the
// access token. Zero ones are passed over. A server that cannot revoke access
// tokens is no failure where the refresh token was revoked.
func (c *Client) Revoke(ctx context.Context, cfg Configuration, auth ClientAuth, refreshToken, accessToken secret.Value) error {
	if !maySend(cfg.RevocationEndpoint) {
		return fault.New("revocation-unsupported", "The server offers no way for an app to end its access.",
			"Chartkey forgets the connection. To end it at the health system too, remove the app under linked apps (at Epic, in MyChart).")
	}
	if !refreshToken.IsEmpty() {
		if err := c.revoke(ctx, cfg, auth, refreshToken, "refresh_token"); err != nil {
			return err
		}
	}
	if accessToken.IsEmpty() {
		return nil
	}
	err := c.revoke(ctx, cfg, auth, accessToken, "access_token")
	if fault.Code(err) == "token-type-not-revocable" && !refreshToken.IsEmpty() {
		return nil
	}
	return err
}

// endElsewhere is what helps where the server does not.
const endElsewhere = "End the access at the health system (at Epic, in MyChart under linked apps)."

func (c *Client) revoke(ctx context.Context, cfg Configuration, auth ClientAuth, token secret.Value, hint string) error {
	_, err := c.ask(ctx, cfg, auth, request{
		endpoint: cfg.RevocationEndpoint, why: revocation, secrets: []string{token.Reveal()},
		form: url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}, judge: (*answer).judgeRevocation,
	})
	return err
}

func (a *answer) judgeRevocation() *fault.Error {
	switch code := text(a.raw["error"]); {
	case a.status == http.StatusOK, a.status == http.StatusNoContent:
		return nil // also for a token that the server no longer knows (RFC 7009 section 2.2)
	case code == "unsupported_token_type":
		return fault.New("token-type-not-revocable", "The server cannot end this kind of token.", "Chartkey forgets the connection; the access runs out by itself.")
	case code != "":
		return a.oauthFault(code, revocation)
	case a.status == http.StatusUnauthorized:
		return a.clientRefused("", revocation)
	case a.status >= 500 || a.status == http.StatusTooManyRequests:
		return fault.Newf("server-unavailable", "Try again in a few minutes.", "The server could not end the access for now (HTTP %d%s).", a.status, waitText(a.header, a.received)).CanRetry()
	}
	return fault.Newf("revocation-refused", endElsewhere, "The server refused to end the access (HTTP %d).", a.status)
}
