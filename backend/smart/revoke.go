package smart

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
)

// Revoke ends a grant at the server (RFC 7009): the refresh token, then the
// access token. Zero ones are passed over. A server that cannot revoke access
// tokens is no failure where the refresh token was revoked.
func (c *Client) Revoke(ctx context.Context, cfg Configuration, auth ClientAuth, refreshToken, accessToken secret.Value) error {
	endpoint, err := url.Parse(cfg.RevocationEndpoint)
	if cfg.RevocationEndpoint == "" || err != nil || !network.MaySend(endpoint) {
		return fault.New("revocation-unsupported", "The server offers no way for an app to end its access.",
			"Chartkey forgets the connection. To end it at the health system too, remove the app under linked apps (at Epic, in MyChart).")
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	if !refreshToken.IsEmpty() {
		if err := c.revoke(ctx, cfg, auth, refreshToken, "refresh_token"); err != nil {
			return err
		}
	}
	if accessToken.IsEmpty() {
		return nil
	}
	err = c.revoke(ctx, cfg, auth, accessToken, "access_token")
	if fault.Code(err) == "token-type-not-revocable" && !refreshToken.IsEmpty() {
		return nil
	}
	return err
}

// revoke sends one revocation, in the other encoding of the credentials too
// where the first is refused.
func (c *Client) revoke(ctx context.Context, cfg Configuration, auth ClientAuth, token secret.Value, hint string) error {
	methods, err := auth.methods(cfg)
	if err != nil {
		return err
	}
	var first error
	for _, m := range methods {
		f := c.revokeAs(ctx, cfg, auth, m, token, hint)
		if f == nil {
			return nil
		}
		if f.Code != "client-refused" {
			return f
		}
		if first == nil {
			first = f
		}
	}
	return first
}

func (c *Client) revokeAs(ctx context.Context, cfg Configuration, auth ClientAuth, m AuthMethod, token secret.Value, hint string) *fault.Error {
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}
	auth.form(form, m)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cfg.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return fault.New("revocation-unsupported", "The server's revocation endpoint is no address.", "Test the registration again.")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	auth.sign(req, m)
	resp, err := c.http(network.NoRedirects).Do(req)
	if err != nil {
		return network.Fault(err, req.URL.Host)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNoContent {
		return nil // also for a token that the server no longer knows (RFC 7009 section 2.2)
	}
	body, err := network.Read(resp.Body, tokenLimit)
	if err != nil {
		return network.Fault(err, req.URL.Host)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, received: c.now(), host: req.URL.Host, secrets: []string{token.Reveal(), auth.Secret.Reveal()}}
	if json.Unmarshal(body, &a.raw) != nil {
		a.raw = nil
	}
	switch code := text(a.raw["error"]); {
	case code == "unsupported_token_type":
		return fault.New("token-type-not-revocable", "The server cannot end this kind of token.", "Chartkey forgets the connection; the access runs out by itself.")
	case code != "":
		return a.oauthFault(code, signIn)
	case resp.StatusCode == http.StatusUnauthorized:
		return clientRefused("")
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fault.Newf("server-unavailable", "Try again in a few minutes.", "The server could not end the access for now (HTTP %d%s).", resp.StatusCode, waitText(resp.Header, a.received)).CanRetry()
	}
	return fault.Newf("revocation-refused", "End the access at the health system (at Epic, in MyChart under linked apps).", "The server refused to end the access (HTTP %d).", resp.StatusCode)
}
