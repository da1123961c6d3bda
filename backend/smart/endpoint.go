package smart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
)

// clockTolerance is how far an assertion may be off the server's clock before
// that is taken for the reason why it is refused: within it, it is in force.
const clockTolerance = assertionBackdate

// CodeClientRefused is the code of the fault that invalid_client is.
const CodeClientRefused = "client-refused"

// purpose is what an endpoint of the authorization server is asked for.
type purpose int

const (
	signIn     purpose = iota
	refresh            // also a revocation's and introspection's words for what ended
	service            // client_credentials
	instance           // the grant of a registered copy of an app (RFC 7523 section 2.1)
	revocation         // RFC 7009
	introspect         // RFC 7662
)

// request is a form for an endpoint of the authorization server.
type request struct {
	endpoint string
	form     url.Values
	why      purpose
	// secrets are those in the form: they are not to be quoted.
	secrets []string
	// bearer, where set, is shown in place of the client's own authentication.
	bearer secret.Value
	// judge gives the fault of an answer, or nil.
	judge func(*answer) *fault.Error
}

// answer is what an endpoint said.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	received time.Time
	host     string
	raw      map[string]json.RawMessage // nil where the body is no JSON object
	method   AuthMethod
	keyID    string   // of the key that signed the request, if any
	secrets  []string // that were sent, and are not to be quoted
}

// ask sends a request, and a second where the first was answered with
// invalid_client and the second differs: the other encoding of the credentials,
// or an assertion dated by the clock of the server where that is far off. Such
// an answer means that the server did not look at the code, so it is not used up.
// Beside a fault it gives the answer that led to it, where there was one.
func (c *Client) ask(ctx context.Context, cfg Configuration, auth ClientAuth, r request) (*answer, error) {
	methods, f := auth.methods(cfg)
	if f != nil {
		return nil, f
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	var first *fault.Error
	corrected := false
	for i := 0; i < len(methods); i++ {
		a, f := c.post(ctx, cfg, auth, methods[i], r)
		if f == nil {
			a.method = methods[i]
			return a, nil
		}
		offset, told := a.clockOffset()
		correct := told && a.keyID != "" && !corrected && (offset-auth.ClockOffset).Abs() > clockTolerance && a.refuses(f)
		if !correct && f.Code != CodeClientRefused {
			return a, f
		}
		if first == nil {
			first = f
		}
		if correct {
			auth.ClockOffset, corrected = offset, true
			methods = append(methods, methods[i])
		}
	}
	return nil, first
}

// post sends one form, authenticated by one method.
func (c *Client) post(ctx context.Context, cfg Configuration, auth ClientAuth, m AuthMethod, r request) (*answer, *fault.Error) {
	form, header := maps.Clone(r.form), http.Header{}
	secrets := append(slices.Clone(r.secrets), auth.Secret.Reveal(), r.bearer.Reveal())
	var assertion secret.Value
	var f *fault.Error
	switch {
	case !r.bearer.IsEmpty():
		header.Set("Authorization", "Bearer "+r.bearer.Reveal())
	case r.why == instance:
		if assertion, f = c.assertion(auth, cfg.audience(r.endpoint)); f == nil {
			form.Set("client_id", auth.ClientID)
			form.Set("assertion", assertion.Reveal())
		}
	default:
		assertion, f = c.sign(auth, m, cfg.audience(r.endpoint), form, header)
	}
	if f != nil {
		return nil, f
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, f := c.send(ctx, r.endpoint, header, []byte(form.Encode()), append(secrets, assertion.Reveal()))
	if f != nil {
		return nil, f
	}
	if !assertion.IsEmpty() {
		a.keyID = auth.Key.ID()
	}
	return a, r.judge(a)
}

// send posts a body to an endpoint and reads what it says.
func (c *Client) send(ctx context.Context, endpoint string, header http.Header, body []byte, secrets []string) (*answer, *fault.Error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, insecure("endpoint")
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Accept", "application/json")
	resp, err := c.http(network.NoRedirects).Do(req)
	if err != nil {
		return nil, network.Fault(err, req.URL.Host)
	}
	defer resp.Body.Close()
	text, err := network.Read(resp.Body, tokenLimit)
	if err != nil {
		return nil, network.Fault(err, req.URL.Host)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, received: c.now(), host: req.URL.Host, secrets: secrets, body: bytes.TrimPrefix(text, []byte("\ufeff"))}
	if json.Unmarshal(a.body, &a.raw) != nil {
		a.raw = nil
	}
	return a, nil
}

func insecure(name string) *fault.Error {
	return fault.Newf("discovery-endpoint-insecure", "Test the registration again.", "The server's %s is not an https address.", name)
}

// maySend tells whether an endpoint is one that secrets may go to.
func maySend(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return endpoint != "" && err == nil && network.MaySend(u)
}

// refuses tells whether an answer may be one to an assertion that is dated
// wrong. It should be invalid_client. Servers are known that say invalid_grant,
// which would end a connection that is good, or have an error of their own.
func (a *answer) refuses(f *fault.Error) bool {
	return a.status == http.StatusUnauthorized || (text(a.raw["error"]) != "" && f.Code != "server-error" && f.Code != "server-unavailable")
}

// clockOffset tells how far the server's clock is ahead, to about a second,
// and whether it told.
func (a *answer) clockOffset() (time.Duration, bool) {
	if a == nil {
		return 0, false
	}
	return ClockOffset(a.header, a.received)
}

// ClockOffset tells by the Date header of an answer how far the server's clock
// is ahead, to about a second, and whether it told (RFC 9110 section 6.6.1).
func ClockOffset(h http.Header, received time.Time) (time.Duration, bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	// The header has whole seconds: on average half a second has passed.
	offset := date.Add(500 * time.Millisecond).Sub(received.Round(0))
	if offset.Abs() < 2*time.Second {
		offset = 0
	}
	return offset, true
}

// oauthFault maps an error of RFC 6749 section 5.2, whatever status it came with.
func (a *answer) oauthFault(code string, why purpose) *fault.Error {
	words := network.Quote(text(a.raw["error_description"]), maxDescription, a.secrets...)
	say := func(name, sentence, advice string) *fault.Error {
		return fault.New(name, withWords(sentence, words), advice)
	}
	switch code {
	case "invalid_grant":
		switch why {
		case refresh:
			return say(CodeGrantEnded, "The server has ended this connection", "Sign in again. It may have run out, been withdrawn by the patient, or been replaced elsewhere.")
		case instance:
			return say(CodeGrantEnded, "The server no longer gives access to this copy of the app", "Sign in and register again. The time that the patient allowed may be over, or the access was withdrawn.")
		}
		return say("code-refused", "The server refused the code of this sign-in", "Start the sign-in again and finish it without delay. If it happens again, compare the redirect URI with what is registered.")
	case "invalid_client":
		return a.clientRefused(words, why)
	case "unauthorized_client":
		advice := "Check how the app is registered at the EHR: its kind of users, and whether refresh (offline access) is included."
		switch why {
		case service:
			advice = "Register the app as a backend service at the EHR (at Epic, with Backend Systems as its audience)."
		case instance:
			advice = "Register this copy of the app again: sign in with the scope system/DynamicClient.register."
		}
		return say("client-not-allowed", "The server does not allow this app to have tokens this way", advice)
	case "unsupported_grant_type":
		return say("grant-type-unsupported", "The server does not offer this way to get tokens", "Check the FHIR base URL, and how the app is registered.")
	case "invalid_scope":
		advice := "Remove scopes that the app is not registered for, and sign in again."
		if why == service {
			advice = "Ask for system/ scopes that the app is registered for at the EHR."
		}
		return say("scope-refused", "The server refuses the scopes that were asked for", advice)
	case "invalid_request":
		advice := "Check whether the app is registered as public or confidential, and compare its redirect URI."
		if a.keyID != "" {
			advice = "Check that the app is registered as confidential with a key, with the public half of the key " + a.keyID + ", and compare its redirect URI."
		}
		return say("token-request-refused", "The server found the token request incomplete or wrong", advice)
	case "server_error":
		return say("server-error", "The server had a problem of its own", "Try again in a few minutes.").CanRetry()
	case "temporarily_unavailable", "slow_down":
		return say("server-unavailable", "The server is busy or down for now"+strings.Replace(waitText(a.header, a.received), ";", ",", 1), "Try again in a few minutes.").CanRetry()
	}
	name, sentence, advice := "token-refused", "The server refused to give tokens", "Sign in again. If it happens again, show this message to the health system."
	switch why {
	case service:
		advice = "Try again. If it happens again, show this message to the health system."
	case revocation:
		name, sentence, advice = "revocation-refused", "The server refused to end the access", endElsewhere
	case introspect:
		name, sentence, advice = "introspection-refused", "The server refused to tell about the token", "Show this message to the health system."
	}
	f := say(name, fmt.Sprintf("%s, with the error %q", sentence, network.Quote(code, 60, a.secrets...)), advice)
	if a.status >= 500 || a.status == http.StatusTooManyRequests {
		return f.CanRetry()
	}
	return f
}

// clientRefused is what invalid_client means, which Epic says without a word
// more. The causes are in the order in which they are met.
func (a *answer) clientRefused(words string, why purpose) *fault.Error {
	const start = "In this order, check: the client ID is the one for this environment (Epic has one for production and one for non-production); "
	if a.keyID == "" {
		return fault.New(CodeClientRefused, withWords("The server does not accept this client ID with these credentials", words),
			start+"a new or changed app may take up to an hour in Epic's sandbox and 12 hours at sites; the client secret is the latest; the app is public or confidential as registered here.")
	}
	advice := start + "the public half of the key " + a.keyID + " is registered there, or stands at the JWKS URL that is, where the server can reach it; " +
		"a new or changed app or key may take up to an hour in Epic's sandbox and 12 hours at sites; the app is registered as confidential with a key (at Epic, an EC key needs a JWKS URL)"
	if why == service {
		advice += "; it is registered as a backend service, and the site has mapped it to a user"
	}
	return fault.New(CodeClientRefused, withWords("The server does not accept this client ID with this key", words), advice+".")
}
