package smart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

	"golang.org/x/oauth2"
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
// Whatever fails, the code is used up: the user signs in again.
func (c *Client) Exchange(ctx context.Context, cfg Configuration, auth ClientAuth, a Authorization, code secret.Value) (TokenResponse, error) {
	if cfg.TokenEndpoint != a.tokenEndpoint || cfg.Issuer != a.issuer {
		return TokenResponse{}, serverChanged()
	}
	answer, err := c.ask(ctx, cfg, auth, signIn, []string{code.Reveal(), a.verifier.Reveal()}, func(ctx context.Context, config *oauth2.Config) error {
		config.RedirectURL = a.RedirectURI
		_, err := config.Exchange(ctx, code.Reveal(), oauth2.VerifierOption(a.verifier.Reveal()))
		return err
	})
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
		return TokenResponse{}, err
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
	answer, err := c.ask(ctx, cfg, auth, refresh, []string{refreshToken.Reveal()}, func(ctx context.Context, config *oauth2.Config) error {
		_, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken.Reveal()}).Token()
		return err
	})
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

// purpose is what the token endpoint is asked for.
type purpose int

const (
	signIn purpose = iota
	refresh
)

// ask sends one token request, and a second in the other encoding of the
// credentials where the first was answered with invalid_client. That answer
// means that the server did not look at the code, so it is not used up. Beside
// a fault it gives the answer that led to it, where there was one.
func (c *Client) ask(ctx context.Context, cfg Configuration, auth ClientAuth, why purpose, secrets []string,
	send func(context.Context, *oauth2.Config) error) (*answer, error) {
	endpoint, err := url.Parse(cfg.TokenEndpoint)
	if err != nil || !network.MaySend(endpoint) {
		return nil, fault.New("discovery-endpoint-insecure", "The server's token endpoint is not an https address.", "Test the registration again.")
	}
	methods, err := auth.methods(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	secrets = append(secrets, auth.Secret.Reveal())
	var first error
	for _, m := range methods {
		h := c.http(network.NoRedirects)
		t := &tokenTransport{next: transport(h), auth: auth, method: m, host: endpoint.Host, secrets: secrets, now: c.now}
		h.Transport = t
		err := send(context.WithValue(ctx, oauth2.HTTPClient, h), auth.oauth(cfg, m))
		f := t.judge(err, why)
		if f == nil {
			t.answer.method = m
			return t.answer, nil
		}
		if f.Code != "client-refused" {
			return t.answer, f
		}
		if first == nil {
			first = f
		}
	}
	return nil, first
}

// answer is what the token endpoint said.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	received time.Time
	host     string
	raw      map[string]json.RawMessage // nil where the body is no JSON object
	method   AuthMethod
	secrets  []string // that were sent, and are not to be quoted
}

// tokenTransport carries one token request for x/oauth2. That library reads
// answers more strictly than servers write them (an expires_in of 3600.0 or
// "" fails it, as does JSON sent as text/plain) and forgets the raw form, so
// the answer is kept here and what the library gets is a plain rendering.
type tokenTransport struct {
	next    http.RoundTripper
	auth    ClientAuth
	method  AuthMethod
	host    string
	secrets []string
	now     func() time.Time
	answer  *answer
	err     error // of transport or body; nil where answer is set
}

func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Accept", "application/json")
	if t.method == AuthBasicRaw {
		t.auth.sign(req, t.method)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.err = err
		return nil, err
	}
	defer resp.Body.Close()
	body, err := network.Read(resp.Body, tokenLimit)
	if err != nil {
		t.err = err
		return nil, err
	}
	t.answer = &answer{status: resp.StatusCode, header: resp.Header, received: t.now(), host: t.host, secrets: t.secrets, body: bytes.TrimPrefix(body, []byte("\ufeff"))}
	if json.Unmarshal(t.answer.body, &t.answer.raw) != nil {
		t.answer.raw = nil
	}
	plain, err := json.Marshal(map[string]string{"access_token": text(t.answer.raw["access_token"]), "error": text(t.answer.raw["error"])})
	if err != nil {
		t.err = err
		return nil, err
	}
	out := *resp
	out.Header = resp.Header.Clone()
	out.Header.Set("Content-Type", "application/json")
	out.Body = io.NopCloser(bytes.NewReader(plain))
	out.ContentLength = int64(len(plain))
	return &out, nil
}

// judge gives the fault of a token request, or nil where there are tokens.
func (t *tokenTransport) judge(err error, why purpose) *fault.Error {
	if t.answer == nil {
		// The library's error tells less than the transport's, but only the
		// client's tells that its own time was up.
		var timeout interface{ Timeout() bool }
		if t.err != nil && (!errors.As(err, &timeout) || !timeout.Timeout()) {
			err = t.err
		}
		return network.Fault(err, t.host)
	}
	a := t.answer
	if oauthError := text(a.raw["error"]); oauthError != "" {
		return a.oauthFault(oauthError, why)
	}
	host := network.Clean(a.host, 200)
	switch {
	case a.status == http.StatusTooManyRequests:
		return fault.Newf("rate-limited", "Wait and try again.", "%s was asked too often%s.", host, waitText(a.header, a.received)).CanRetry()
	case a.status >= 500:
		return fault.Newf("server-error", "Try again in a few minutes.", "%s had a problem of its own (HTTP %d%s).", host, a.status, waitText(a.header, a.received)).CanRetry()
	case a.status >= 300 && a.status < 400:
		return fault.New("token-redirect", "The server's token endpoint sends the request on to another place, which Chartkey refuses: it carries secrets.",
			"Check the FHIR base URL. A network sign-in page in between is another cause.").CanRetry()
	case a.raw == nil && a.status == http.StatusUnauthorized:
		return clientRefused("")
	case a.raw == nil:
		return fault.Newf("token-not-json", "Open a web page to see whether the network asks you to sign in, then try again. If not, tell the health system.",
			"%s answered with something else than tokens (HTTP %d).", host, a.status).CanRetry()
	case a.status == http.StatusUnauthorized:
		return clientRefused("")
	case a.status >= 400:
		return fault.Newf("token-refused", "Sign in again. If it happens again, tell the health system.", "%s refused to give tokens (HTTP %d).", host, a.status)
	case text(a.raw["access_token"]) == "":
		return fault.New("token-missing", "The server's answer has no access token.", "Sign in again. If it happens again, tell the health system.")
	case err != nil:
		return fault.New("token-refused", "The server's answer to the sign-in cannot be used.", "Sign in again. If it happens again, tell the health system.")
	}
	return nil
}

// oauthFault maps an error of RFC 6749 section 5.2, whatever status it came with.
func (a *answer) oauthFault(code string, why purpose) *fault.Error {
	words := network.Quote(text(a.raw["error_description"]), maxDescription, a.secrets...)
	say := func(name, sentence, advice string) *fault.Error {
		return fault.New(name, withWords(sentence, words), advice)
	}
	switch code {
	case "invalid_grant":
		if why == refresh {
			return say(CodeGrantEnded, "The server has ended this connection", "Sign in again. It may have run out, been withdrawn by the patient, or been replaced elsewhere.")
		}
		return say("code-refused", "The server refused the code of this sign-in", "Start the sign-in again and finish it without delay. If it happens again, compare the redirect URI with what is registered.")
	case "invalid_client":
		return clientRefused(words)
	case "unauthorized_client":
		return say("client-not-allowed", "The server does not allow this app to have tokens this way", "Check how the app is registered at the EHR: its kind of users, and whether refresh (offline access) is included.")
	case "unsupported_grant_type":
		return say("grant-type-unsupported", "The server does not offer this way to get tokens", "Check the FHIR base URL, and how the app is registered.")
	case "invalid_scope":
		return say("scope-refused", "The server refuses the scopes that were asked for", "Remove scopes that the app is not registered for, and sign in again.")
	case "invalid_request":
		return say("token-request-refused", "The server found the token request incomplete or wrong", "Check whether the app is registered as public or confidential, and compare its redirect URI.")
	case "server_error":
		return say("server-error", "The server had a problem of its own", "Try again in a few minutes.").CanRetry()
	case "temporarily_unavailable", "slow_down":
		return say("server-unavailable", "The server is busy or down for now"+strings.Replace(waitText(a.header, a.received), ";", ",", 1), "Try again in a few minutes.").CanRetry()
	}
	f := say("token-refused", fmt.Sprintf("The server refused to give tokens, with the error %q", network.Quote(code, 60, a.secrets...)), "Sign in again. If it happens again, show this message to the health system.")
	if a.status >= 500 || a.status == http.StatusTooManyRequests {
		return f.CanRetry()
	}
	return f
}

func clientRefused(words string) *fault.Error {
	return fault.New("client-refused", withWords("The server does not accept this client ID with these credentials", words),
		"In this order, check: the client ID is the one for this environment (Epic has one for production and one for non-production); a new or changed app may take up to an hour in Epic's sandbox and 12 hours at sites; "+
			"the client secret is the latest; the app is public or confidential as registered here.")
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
	if words := texts(a.raw["scope"]); len(words) > 0 {
		t.Scopes, t.ScopesTold = scope.Grammar(words), true
	} else {
		t.Warnings = append(t.Warnings, "The server did not say which scopes it granted; those asked for are assumed.")
	}
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		// The header has whole seconds: on average half a second has passed.
		t.ServerClockOffset = date.Add(500 * time.Millisecond).Sub(a.received.Round(0))
		if t.ServerClockOffset.Abs() < 2*time.Second {
			t.ServerClockOffset = 0
		}
		if off := t.ServerClockOffset; off.Abs() > idTokenLeeway {
			side := "behind"
			if off < 0 {
				side = "ahead of"
			}
			t.Warnings = append(t.Warnings, fmt.Sprintf("This workstation's clock is %s %s the server's; sign-ins fail when it is much more.", off.Abs().Round(time.Minute), side))
		}
	}
	context, warnings := launchContext(a.raw)
	t.Context = context
	t.Warnings = append(t.Warnings, warnings...)
	return t, nil
}

// expiresIn reads a lifetime in seconds: a number, or text of one, with or
// without a fraction. Nothing, zero and less count as not told.
func expiresIn(raw json.RawMessage) (time.Duration, bool) {
	words := text(raw)
	if words == "" {
		words = string(raw)
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(words), 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return 0, false
	}
	if n > maxExpiresIn.Seconds() {
		return maxExpiresIn, true
	}
	return time.Duration(n * float64(time.Second)), true
}
