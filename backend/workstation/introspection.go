package workstation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
)

// introspectionLeeway is how far the two ends of a token may be apart: what a
// server rounds, and how long its answer was on the way.
const introspectionLeeway = time.Minute

// heldToken is an access token with what the server told of it when it gave it.
type heldToken struct {
	value  secret.Value
	auth   smart.ClientAuth
	origin grantOrigin
	scopes scope.Set
	// expires is by this computer's clock; zero where the server did not tell.
	expires time.Time
	patient string
}

// grantToken gives the token of a grant, which is in force, for an introspection.
func (w *Workstation) grantToken(ctx context.Context, source *tokenSource) (heldToken, error) {
	c, err := w.checkOrigin(ctx, source.reg, source.g)
	if err != nil {
		return heldToken{}, err
	}
	h := heldToken{origin: c.Origin, patient: c.Patient, scopes: scope.Grammar(strings.Fields(source.g.ScopesGranted))}
	if source.g.AccessExpiresAt != nil {
		h.expires = fromMillis(*source.g.AccessExpiresAt)
	}
	if h.value, err = w.openToken(ctx, source.g, "access_token", source.g.AccessToken); err != nil {
		return h, err
	}
	if h.auth, err = w.grantAuth(ctx, source.reg, source.g); err != nil {
		return h, err
	}
	h.auth.ClockOffset = c.ClockOffset
	return h, nil
}

// introspection asks the server about the token in use (RFC 7662), and holds
// what it says against what it told when it gave it. Whether the token works is
// for the read to show, so nothing here fails a test.
func (r *testRun) introspection(ctx context.Context, h heldToken, err error) outcome {
	warn := func(err error) outcome {
		f := Fault(err)
		return because(Warning, f.Message, f.Advice)
	}
	if err != nil {
		return warn(err)
	}
	cfg, err := r.w.discover(ctx, h.origin.FHIRBaseURL)
	if err != nil {
		return warn(err)
	}
	if cfg.IntrospectionEndpoint == "" {
		return outcome{result: Skipped, detail: "The server offers no introspection."}
	}
	if err := h.origin.sameServer(cfg.IntrospectionEndpoint); err != nil {
		return warn(err)
	}
	way, err := r.w.to(ctx, h.origin.FHIRBaseURL)
	if err != nil {
		return warn(err)
	}
	told, err := way.smart.Introspect(ctx, cfg, h.auth, h.value)
	if fault.Code(err) == "introspection-unsupported" {
		return outcome{result: Skipped, detail: Fault(err).Message}
	}
	if err != nil {
		return warn(r.w.explainRefusal(ctx, r.reg, err))
	}
	if !told.Active {
		return because(Warning, "The server says that the token is not active any more.", "Refresh the connection. If that does not help, connect again.")
	}
	until := "without saying until when"
	if !told.ExpiresAt.IsZero() {
		until = "until " + readable(told.ExpiresAt.UnixMilli())
	}
	if odd := h.differences(told); len(odd) > 0 {
		return because(Warning, fmt.Sprintf("The server calls the token active %s. %s", until, strings.Join(odd, " ")),
			"What the server says now counts, and the read shows what works. If something is missing, connect again.")
	}
	return passed("The server calls the token active %s, with the scopes that it told.", until)
}

// differences tells, in a sentence each, what the server says otherwise than when it gave the token.
func (h heldToken) differences(told smart.Introspection) []string {
	var odd []string
	say := func(format string, args ...any) { odd = append(odd, fmt.Sprintf(format, args...)) }
	if end := told.ExpiresAt.Add(-h.auth.ClockOffset); !told.ExpiresAt.IsZero() && !h.expires.IsZero() && end.Sub(h.expires).Abs() > introspectionLeeway {
		say("When it gave the token it told another end, %s.", readable(h.expires.UnixMilli()))
	}
	if told.Scopes != nil {
		if less := resources(h.scopes).Without(told.Scopes); len(less) > 0 {
			say("It no longer names %s.", less)
		}
		if more := resources(told.Scopes).Without(h.scopes); len(more) > 0 {
			say("It names more than it told, %s.", more)
		}
	}
	if told.Context.Patient != "" && h.patient != "" && told.Context.Patient != h.patient {
		say("It names another patient than at the sign-in. Check whose record this is.")
	}
	if told.ClientID != "" && told.ClientID != h.auth.ClientID {
		say("It says that the token was issued to another client, %s.", told.ClientID)
	}
	return odd
}

// resources gives the scopes that allow access: servers differ in whether they repeat the others.
func resources(set scope.Set) scope.Set {
	var out scope.Set
	for _, s := range set {
		if s.Kind == scope.Resource {
			out = append(out, s)
		}
	}
	return out
}
