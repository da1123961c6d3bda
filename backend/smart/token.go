package smart

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
)

// CodeGrantEnded is the code of the one fault after which only a new sign-in
// helps: the server no longer accepts the refresh token.
const CodeGrantEnded = "grant-ended"

// maxExpiresIn bounds expires_in; a longer one is a mistake (milliseconds, a date).
const maxExpiresIn = 10 * 365 * 24 * time.Hour

// TokenResponse is the answer of the token endpoint, read leniently and checked.
type TokenResponse struct {
	AccessToken secret.Value
	// RefreshToken is zero where the server sent none. After a refresh that
	// means: keep the old one.
	RefreshToken secret.Value
	// IDToken is set after a code exchange where it was verified.
	IDToken   secret.Value
	TokenType string
	// ExpiresAt is when the access token runs out; zero where the server did not tell.
	ExpiresAt  time.Time
	ReceivedAt time.Time
	// RefreshExpiresAt is when the refresh token runs out, which no standard has a
	// server tell and some do; else zero.
	RefreshExpiresAt time.Time
	// Scopes are those granted. Where the server did not tell (ScopesTold is
	// false) they are those asked for (RFC 6749 section 5.1).
	Scopes     scope.Set
	ScopesTold bool
	Context    LaunchContext
	// AuthMethod is what the server accepted, to be given back in ClientAuth.
	AuthMethod AuthMethod
	// ServerClockOffset is how far the server's clock is ahead of this
	// workstation's, to about a second; zero also where the server did not tell.
	ServerClockOffset time.Duration
	// Warnings are sentences on what is odd and still usable.
	Warnings []string
}

// Exchange trades the code of a callback for tokens (RFC 6749 section 4.1.3,
// RFC 7636 section 4.5) and verifies the id_token where openid was asked for.
// Whatever fails, the code is used up: the user signs in again. Tokens that come
// with a fault are of no use, and are given for the caller to revoke.
func (c *Client) Exchange(ctx context.Context, cfg Configuration, auth ClientAuth, a Authorization, code secret.Value) (TokenResponse, error) {
	if cfg.TokenEndpoint != a.tokenEndpoint || cfg.Issuer != a.issuer {
		return TokenResponse{}, serverChanged()
	}
	answer, err := c.askToken(ctx, cfg, auth, signIn, url.Values{
		"grant_type": {"authorization_code"}, "code": {code.Reveal()}, "redirect_uri": {a.RedirectURI}, "code_verifier": {a.verifier.Reveal()},
	}, code, a.verifier)
	if err != nil {
		return TokenResponse{}, err
	}
	t, err := answer.response(a.Scopes)
	if err != nil {
		return TokenResponse{}, err
	}
	if t.Context.Patient == "" && t.Scopes.Has("launch/patient") {
		t.Warnings = append(t.Warnings, "launch/patient was granted and the server named no patient.")
	}
	if err := c.identify(ctx, cfg, a, text(answer.raw["id_token"]), &t); err != nil {
		return TokenResponse{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken}, err
	}
	return t, nil
}

// Refresh trades a refresh token for a new access token (RFC 6749 section 6).
// granted are the scopes held so far, which stand where the server does not
// tell. An id_token in the answer is not read: who signed in does not change
// by a refresh, and nothing may come between a rotated refresh token and disk.
//
// A fault of CodeGrantEnded means that only a new sign-in helps. After every
// other the refresh token is to be kept, or replaced where one came with the
// fault: an answer that is of no use otherwise may still have spent the old one.
func (c *Client) Refresh(ctx context.Context, cfg Configuration, auth ClientAuth, refreshToken secret.Value, granted scope.Set) (TokenResponse, error) {
	if refreshToken.IsEmpty() {
		return TokenResponse{}, fault.New("no-refresh-token", "This connection has no refresh token.", "Sign in again. To stay connected longer, ask for offline_access where the server offers it.")
	}
	answer, err := c.askToken(ctx, cfg, auth, refresh, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken.Reveal()}}, refreshToken)
	if err != nil {
		return answer.replacement(), err
	}
	t, err := answer.response(granted)
	if err != nil {
		return answer.replacement(), err
	}
	return t, nil
}

// replacement gives the refresh token of an answer that cannot be used, alone.
func (a *answer) replacement() TokenResponse {
	if a == nil || a.status != http.StatusOK || text(a.raw["error"]) != "" {
		return TokenResponse{}
	}
	token := text(a.raw["refresh_token"])
	if !visible(token) {
		return TokenResponse{}
	}
	return TokenResponse{RefreshToken: secret.New(token), ReceivedAt: a.received}
}

// visible tells whether a token has no other than visible ASCII characters, as
// one that goes into a header must (RFC 6750 section 2.1).
func visible(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// askToken sends a request to the token endpoint. secrets are those in the form.
func (c *Client) askToken(ctx context.Context, cfg Configuration, auth ClientAuth, why purpose, form url.Values, secrets ...secret.Value) (*answer, error) {
	if !maySend(cfg.TokenEndpoint) {
		return nil, insecure("token endpoint")
	}
	r := request{endpoint: cfg.TokenEndpoint, form: form, why: why, judge: func(a *answer) *fault.Error { return a.judge(why) }}
	for _, s := range secrets {
		r.secrets = append(r.secrets, s.Reveal())
	}
	return c.ask(ctx, cfg, auth, r)
}

// judge gives the fault of a token answer, or nil where there are tokens.
func (a *answer) judge(why purpose) *fault.Error {
	if oauthError := text(a.raw["error"]); oauthError != "" {
		return a.oauthFault(oauthError, why)
	}
	host := network.Clean(a.host, 200)
	switch {
	case a.status == http.StatusTooManyRequests:
		return fault.Newf("rate-limited", "Wait and try again.", "%s was asked too often%s.", host, waitText(a.header, a.received)).CanRetry().Because(network.Wait(network.RetryAfter(a.header, a.received)))
	case a.status >= 500:
		return fault.Newf("server-error", "Try again in a few minutes.", "%s had a problem of its own (HTTP %d%s).", host, a.status, waitText(a.header, a.received)).CanRetry().Because(network.Wait(network.RetryAfter(a.header, a.received)))
	case a.status >= 300 && a.status < 400:
		return fault.New("token-redirect", "The server's token endpoint sends the request on to another place, which Chartkey refuses: it carries secrets.",
			"Check the FHIR base URL. A network sign-in page in between is another cause.").CanRetry()
	case a.raw == nil && a.status == http.StatusUnauthorized:
		return a.clientRefused("", why)
	case a.raw == nil:
		return fault.Newf("token-not-json", "Open a web page to see whether the network asks you to sign in, then try again. If not, tell the health system.",
			"%s answered with something else than tokens (HTTP %d).", host, a.status).CanRetry()
	case a.status == http.StatusUnauthorized:
		return a.clientRefused("", why)
	case a.status >= 400:
		return fault.Newf("token-refused", "Sign in again. If it happens again, tell the health system.", "%s refused to give tokens (HTTP %d).", host, a.status)
	case text(a.raw["access_token"]) == "":
		return fault.New("token-missing", "The server's answer has no access token.", "Sign in again. If it happens again, tell the health system.")
	}
	return nil
}

// response reads the tokens and the context.
func (a *answer) response(asked scope.Set) (TokenResponse, error) {
	t := TokenResponse{
		AccessToken:  secret.New(text(a.raw["access_token"])),
		RefreshToken: secret.New(text(a.raw["refresh_token"])),
		TokenType:    text(a.raw["token_type"]),
		ReceivedAt:   a.received,
		Scopes:       asked,
		AuthMethod:   a.method,
	}
	for _, s := range []secret.Value{t.AccessToken, t.RefreshToken} {
		if !visible(s.Reveal()) {
			return TokenResponse{}, fault.New("token-invalid", "The server sent a token with characters that no token may have.", "Sign in again. If it happens again, tell the health system.")
		}
	}
	switch {
	case t.TokenType == "":
		t.Warnings = append(t.Warnings, "The server did not name the token type; Bearer is assumed.")
	case !strings.EqualFold(t.TokenType, "bearer"):
		return TokenResponse{}, fault.Newf("token-type-unsupported", "Tell the health system; Chartkey uses Bearer tokens only.",
			"The server sent a token of the type %q.", network.Quote(t.TokenType, 40, append(a.secrets, t.AccessToken.Reveal(), t.RefreshToken.Reveal())...))
	}
	t.TokenType = "Bearer"
	life, told := expiresIn(a.raw["expires_in"])
	if told {
		t.ExpiresAt = a.received.Add(life)
	} else if raw := a.raw["expires_in"]; len(raw) > 0 && string(raw) != "null" {
		t.Warnings = append(t.Warnings, "The server did not say in a usable way when the access token runs out.")
	}
	for _, name := range []string{"refresh_expires_in", "refresh_token_expires_in"} {
		if life, told := expiresIn(a.raw[name]); told && !t.RefreshToken.IsEmpty() {
			t.RefreshExpiresAt = a.received.Add(life)
		}
	}
	if words := texts(a.raw["scope"]); len(words) > 0 {
		t.Scopes, t.ScopesTold = scope.Grammar(words), true
	} else {
		t.Warnings = append(t.Warnings, "The server did not say which scopes it granted; those asked for are assumed.")
	}
	if off, told := a.clockOffset(); told {
		t.ServerClockOffset = off
		if w := ClockWarning(off); w != "" {
			t.Warnings = append(t.Warnings, w)
		}
	}
	context, warnings := launchContext(a.raw)
	t.Context = context
	t.Warnings = append(t.Warnings, warnings...)
	return t, nil
}

// ClockWarning says in a sentence that the two clocks differ by offset
// (TokenResponse.ServerClockOffset). It is "" where that does no harm.
func ClockWarning(offset time.Duration) string {
	if offset.Abs() <= idTokenLeeway {
		return ""
	}
	side := "behind"
	if offset < 0 {
		side = "ahead of"
	}
	return fmt.Sprintf("This workstation's clock is %s %s the server's; sign-ins fail when it is much more.", offset.Abs().Round(time.Minute), side)
}

// expiresIn reads a lifetime. Nothing, zero and less count as not told.
func expiresIn(raw json.RawMessage) (time.Duration, bool) {
	n, told := seconds(raw)
	switch {
	case !told:
		return 0, false
	case n > maxExpiresIn.Seconds():
		return maxExpiresIn, true
	}
	return time.Duration(n * float64(time.Second)), true
}

// seconds reads a positive number, or text of one, with or without a fraction.
func seconds(raw json.RawMessage) (float64, bool) {
	words := text(raw)
	if words == "" {
		words = string(raw)
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(words), 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return 0, false
	}
	return n, true
}
