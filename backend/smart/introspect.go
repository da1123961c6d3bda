package smart

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
)

// Introspection is what a server says of a token (RFC 7662 section 2.2; SMART
// App Launch 2.2, "Token Introspection"). Of a token that is not active it says no more than that.
type Introspection struct {
	Active bool
	// ClientID is whom the token was issued to.
	ClientID  string
	TokenType string
	Issuer    string
	// Subject, Username and FHIRUser are who signed in.
	Subject, Username, FHIRUser string
	Audience                    []string
	// Scopes is nil where the server did not tell.
	Scopes scope.Set
	// The times are zero where the server did not tell.
	ExpiresAt, IssuedAt, NotBefore time.Time
	Context                        LaunchContext
	// Warnings are sentences on what is odd and still usable.
	Warnings []string
}

// introspectionMembers are those that have their own field, and jti, which nothing here needs.
var introspectionMembers = []string{"active", "client_id", "username", "exp", "iat", "nbf", "sub", "aud", "iss", "jti", "fhirUser"}

// Introspect asks the server what a token is worth (RFC 7662). A confidential
// client authenticates; a public one shows the access token that it asks about,
// as SMART has servers take it.
func (c *Client) Introspect(ctx context.Context, cfg Configuration, auth ClientAuth, token secret.Value) (Introspection, error) {
	if token.IsEmpty() {
		return Introspection{}, fault.New("no-access-token", "There is no token to ask about.", "Sign in first.")
	}
	if !maySend(cfg.IntrospectionEndpoint) {
		return Introspection{}, noIntrospection()
	}
	r := request{endpoint: cfg.IntrospectionEndpoint, why: introspect, form: url.Values{"token": {token.Reveal()}}, secrets: []string{token.Reveal()}}
	if auth.Type == Public {
		r.bearer = token
	}
	refusedToken := false
	r.judge = func(a *answer) *fault.Error {
		// To show a token that is no good is to be told so.
		refusedToken = !r.bearer.IsEmpty() && a.status == http.StatusUnauthorized
		if refusedToken {
			return nil
		}
		return a.judgeIntrospection()
	}
	a, err := c.ask(ctx, cfg, auth, r)
	if err != nil || refusedToken {
		return Introspection{}, err
	}
	return a.introspection(auth.ClientID)
}

func noIntrospection() *fault.Error {
	return fault.New("introspection-unsupported", "The server offers no way to ask about a token.", "Test the connection instead: a read shows whether the token is good.")
}

func (a *answer) judgeIntrospection() *fault.Error {
	host := network.Clean(a.host, 200)
	switch code := text(a.raw["error"]); {
	case code != "":
		return a.oauthFault(code, introspect)
	case a.status == http.StatusUnauthorized:
		return a.clientRefused("", introspect)
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
		return noIntrospection()
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		return fault.Newf("server-unavailable", "Try again in a few minutes.", "%s could not tell about the token for now (HTTP %d%s).", host, a.status, waitText(a.header, a.received)).CanRetry()
	case a.status != http.StatusOK:
		return fault.Newf("introspection-refused", "Ask the health system whether this app may ask about tokens.", "%s does not tell this app about tokens (HTTP %d).", host, a.status)
	}
	return nil
}

// introspection reads the answer. Whether the token is active must be told as
// RFC 7662 has it; of the rest, what has an unexpected form counts as not told.
func (a *answer) introspection(clientID string) (Introspection, error) {
	switch string(a.raw["active"]) {
	case "true":
	case "false":
		return Introspection{}, nil
	default:
		return Introspection{}, fault.Newf("introspection-invalid", "Show this message to the health system.", "%s did not say whether the token is active.", network.Clean(a.host, 200))
	}
	// A member that repeats what was sent is left out, whatever it is.
	raw := maps.Clone(a.raw)
	for name, value := range raw {
		for _, s := range a.secrets {
			if len(s) > 3 && holds(value, s) {
				delete(raw, name)
			}
		}
	}
	word := func(name string, limit int) string { return network.Quote(text(raw[name]), limit, a.secrets...) }
	i := Introspection{
		Active: true, ClientID: word("client_id", maxClientID), TokenType: word("token_type", 40), Issuer: word("iss", 500),
		Subject: word("sub", 256), Username: word("username", 256), FHIRUser: idClaims{FHIRUser: raw["fhirUser"]}.user(),
		ExpiresAt: epoch(raw["exp"]), IssuedAt: epoch(raw["iat"]), NotBefore: epoch(raw["nbf"]),
	}
	warn := func(format string, args ...any) { i.Warnings = append(i.Warnings, fmt.Sprintf(format, args...)) }
	for _, aud := range audience(raw["aud"]) {
		if len(i.Audience) < maxListed {
			i.Audience = append(i.Audience, network.Quote(aud, 500, a.secrets...))
		}
	}
	if words := texts(raw["scope"]); len(words) > 0 {
		i.Scopes = scope.Grammar(words)
	}
	for _, name := range introspectionMembers {
		delete(raw, name)
	}
	var odd []string
	i.Context, odd = launchContext(raw)
	i.Warnings = append(i.Warnings, odd...)

	switch {
	case i.ExpiresAt.IsZero():
		warn("The server did not say when the token runs out.")
	case i.ExpiresAt.Before(a.received.Add(-idTokenLeeway)):
		warn("The server calls the token active, and says that it ran out at %s.", i.ExpiresAt.Format(time.RFC3339))
	}
	if i.Scopes == nil {
		warn("The server did not say which scopes the token has.")
	}
	if i.ClientID != "" && i.ClientID != clientID {
		warn("The token was issued to another client (%s).", i.ClientID)
	}
	return i, nil
}
