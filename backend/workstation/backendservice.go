package workstation

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// The kinds of registration.
const (
	// KindApp is an app that people sign in to.
	KindApp = "app"
	// KindBackend is a backend service: the workstation's own access, with no user (SMART App
	// Launch 2.2, "Backend Services"). Only an admin uses it.
	KindBackend = "backend"
)

var kindWords = map[string]string{KindApp: "an app that people sign in to", KindBackend: "a backend service"}

const (
	// assumedLife is that of a token whose end the server did not tell: the longest that SMART recommends.
	assumedLife = 5 * time.Minute
	// serviceTokenLeft is how much of a token's life is left, at least, when it is used.
	serviceTokenLeft = 20 * time.Second
)

// asService gives the input as a backend service has it: nobody signs in, so
// there is nothing to come back to. It tells what it leaves out.
func (in RegistrationInput) asService() (RegistrationInput, []FieldProblem) {
	var notices []FieldProblem
	if len(in.RedirectURIs) > 0 && !slices.Equal(in.RedirectURIs, DefaultRedirectURIs()) {
		notices = append(notices, FieldProblem{"redirect_uris", "notice", "A backend service has no redirect URIs, as nobody signs in to it; they were left out.", "Register the app for people by a registration of its own."})
	}
	no, never := false, int64(0)
	in.RedirectURIs, in.Audience = []string{}, "provider" // the table has a word for each
	in.OfflineAccess, in.PatientNeeded, in.AccessPeriodDays, in.AccessPeriodRolling = &no, &no, &never, &no
	if in.ClientType == "" {
		in.ClientType = string(smart.ConfidentialAsymmetric)
	}
	return in, notices
}

// checkService finds what no backend service can be.
func (in RegistrationInput) checkService(own scope.Set) []FieldProblem {
	var out []FieldProblem
	if smart.ClientType(in.ClientType) != smart.ConfidentialAsymmetric {
		out = append(out, FieldProblem{"client_type", "error", "A backend service shows who it is by a key.", "Choose confidential-asymmetric, and register its public key at the EHR."})
	}
	for _, s := range own {
		if !s.ForService() {
			out = append(out, FieldProblem{"scopes", "error", fmt.Sprintf("The scope %s needs a user, and a backend service has none.", s), "Name system/ scopes only, or leave the list empty for the default."})
		}
	}
	return out
}

// serviceTokens holds the tokens of backend services. They are never stored: a
// new one is to be had at any time.
type serviceTokens struct {
	mu   sync.Mutex               // protects the one below
	held map[string]*serviceToken // by registration
}

// serviceToken is a token that this process fetched.
type serviceToken struct {
	heldToken
	asked scope.Set
	at    time.Time
	life  time.Duration
	// until is when it runs out by the monotonic clock, which a set clock does not move.
	until    time.Time
	warnings []string
}

// livingServiceToken gives the token of a registration that is in force for as
// long as is asked for, or nil. It is for the server, client and scopes that the
// registration has now, or none.
func (w *Workstation) livingServiceToken(reg store.Registration, scopes scope.Set, left time.Duration) *serviceToken {
	t := w.services.last(reg.ID)
	if t == nil || t.origin.FHIRBaseURL != reg.FHIRBaseURL || !t.origin.isOf(reg) || t.asked.String() != scopes.String() {
		return nil
	}
	left = min(left, t.life/2)
	if time.Until(t.until) <= left || !w.now().Before(t.at.Add(t.life-left)) {
		return nil
	}
	return t
}

func (s *serviceTokens) keep(registrationID string, t *serviceToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string]*serviceToken{}
	}
	s.held[registrationID] = t
}

// last gives the token that is held for a registration, in force or not.
func (s *serviceTokens) last(registrationID string) *serviceToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[registrationID]
}

// drop forgets a token, unless another one has taken its place.
func (s *serviceTokens) drop(registrationID string, t *serviceToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[registrationID] == t {
		delete(s.held, registrationID)
	}
}

// wipe forgets all of them.
func (s *serviceTokens) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
}

// backendService finds the backend service that ref names; it tells false where
// ref names something else, or nothing.
func (w *Workstation) backendService(ctx context.Context, ref string) (store.Registration, bool, error) {
	reg, err := w.registrationRow(ctx, ref)
	if fault.Code(err) == "registration-not-found" {
		return reg, false, nil
	}
	return reg, err == nil && reg.Kind == KindBackend, err
}

// mayServe tells whether a profile may use a backend service. Fault: role-needed.
func mayServe(who *seat, reg store.Registration) error {
	if who.profile.Role == RoleAdmin {
		return nil
	}
	return fault.Newf("role-needed", "Ask an admin of this workstation, or connect to an app with your own sign-in.",
		"%s is a backend service: it is this workstation's own access and nobody's, so only an admin uses it.", reg.Name)
}

// needsNoSignIn is what a sign-in to a backend service is answered with.
func needsNoSignIn(reg store.Registration) *fault.Error {
	return fault.Newf("sign-in-not-needed", "Use it at once: test it, or read with it.", "%s is a backend service, which needs no sign-in.", reg.Name)
}

// serviceScopes are what a backend service asks for, as far as is known before the server is asked.
func (w *Workstation) serviceScopes(ctx context.Context, reg store.Registration) (scope.Set, error) {
	cached, err := w.cachedDiscovery(ctx, reg.FHIRBaseURL)
	if err != nil {
		return nil, err
	}
	if cached == nil {
		cached = &smart.Configuration{}
	}
	return effectiveScopes(reg, *cached), nil
}

// serviceToken gives a token of a backend service: the one that is held or, where
// it has not long to live, a new one. refused is one that the server no longer
// takes, or nil. One caller at a time fetches one; who waited takes what the other one got.
func (w *Workstation) serviceToken(ctx context.Context, who *seat, reg store.Registration, refused *serviceToken) (*serviceToken, error) {
	if err := mayServe(who, reg); err != nil {
		return nil, err
	}
	cfg, err := w.discover(ctx, reg.FHIRBaseURL)
	if err != nil {
		return nil, w.failedConnect(ctx, who, reg.ID, diagnose.Discovery, err)
	}
	scopes := effectiveScopes(reg, cfg)
	if t := w.livingServiceToken(reg, scopes, serviceTokenLeft); t != nil && t != refused {
		return t, nil
	}
	leave, err := w.renewing.enter(ctx, reg.ID, true)
	if err != nil {
		return nil, err
	}
	defer leave()
	if t := w.livingServiceToken(reg, scopes, serviceTokenLeft); t != nil && t != refused {
		return t, nil
	}
	if err := w.backoff.holdOff(reg, reg.ID, vital, w.now()); err != nil {
		return nil, err
	}
	return w.fetchServiceToken(ctx, who, reg, cfg, scopes)
}

// renewServiceToken fetches a new token now. Callers at the same time share one.
func (w *Workstation) renewServiceToken(ctx context.Context, who *seat, reg store.Registration) (*serviceToken, error) {
	if err := mayServe(who, reg); err != nil {
		return nil, err
	}
	scopes, err := w.serviceScopes(ctx, reg)
	if err != nil {
		return nil, err
	}
	before := w.livingServiceToken(reg, scopes, 0)
	leave, err := w.renewing.enter(ctx, reg.ID, true)
	if err != nil {
		return nil, err
	}
	defer leave()
	cfg, err := w.discover(ctx, reg.FHIRBaseURL)
	if err != nil {
		return nil, w.failedConnect(ctx, who, reg.ID, diagnose.Discovery, err)
	}
	scopes = effectiveScopes(reg, cfg)
	if t := w.livingServiceToken(reg, scopes, serviceTokenLeft); t != nil && t != before {
		return t, nil
	}
	return w.fetchServiceToken(ctx, who, reg, cfg, scopes)
}

// fetchServiceToken asks for a token (RFC 6749 section 4.4) and holds it. The turn is taken.
func (w *Workstation) fetchServiceToken(ctx context.Context, who *seat, reg store.Registration, cfg smart.Configuration, scopes scope.Set) (*serviceToken, error) {
	auth, err := w.clientAuth(ctx, reg)
	if err != nil {
		return nil, err
	}
	if before := w.services.last(reg.ID); before != nil {
		auth.ClockOffset = before.auth.ClockOffset
	}
	way, err := w.to(ctx, reg.FHIRBaseURL)
	if err != nil {
		return nil, err
	}
	entry := registrationEntry(audit.Refresh, reg)
	entry.Detail, entry.Origin = audit.DetailServiceToken, originOf(ctx)
	ctx = w.watched(ctx)
	observationOf(ctx).record(w, audit.Refresh, reg, &cfg)
	var t *serviceToken
	err = w.recorded(ctx, who.profile, entry, func(ctx context.Context, act *action) error {
		answer, err := way.smart.ClientCredentials(ctx, cfg, auth, scopes)
		if err != nil {
			return w.explainRefusal(ctx, reg, err)
		}
		auth.ClockOffset = answer.ServerClockOffset
		t = &serviceToken{
			heldToken: heldToken{value: answer.AccessToken, auth: auth, scopes: answer.Scopes, expires: answer.ExpiresAt, origin: grantOrigin{FHIRBaseURL: reg.FHIRBaseURL, ClientID: reg.ClientID, TokenEndpoint: cfg.TokenEndpoint, Accepted: true}},
			asked:     scopes, at: answer.ReceivedAt, warnings: answer.Warnings,
		}
		if t.life = assumedLife; !answer.ExpiresAt.IsZero() {
			t.life = answer.ExpiresAt.Sub(answer.ReceivedAt)
		}
		t.until = time.Now().Add(t.life)
		return act.commit(context.WithoutCancel(ctx), func(q *store.Queries) error {
			return q.DeleteConnectFailure(ctx, store.DeleteConnectFailureParams{RegistrationID: reg.ID, ProfileID: who.profile.ID})
		})
	})
	if err != nil {
		w.backoff.failed(reg, reg.ID, w.now(), err)
		return nil, w.failedConnect(ctx, who, reg.ID, diagnose.Token, err)
	}
	w.backoff.forget(reg.ID)
	w.forgetFailure(ctx, who.profile.ID, reg.ID)
	w.services.keep(reg.ID, t)
	return t, nil
}

// serviceSource gives a backend service's token to one operation.
type serviceSource struct {
	w   *Workstation
	who *seat
	reg store.Registration
	t   *serviceToken
}

func (w *Workstation) serviceSource(who *seat, reg store.Registration) *serviceSource {
	return &serviceSource{w: w, who: who, reg: reg}
}

// use runs do with a FHIR client of the registration's server and, where the
// server refuses the token before its time, once more with a new one.
func (s *serviceSource) use(ctx context.Context, do func(*fhir.Client) error) error {
	way, err := s.w.to(ctx, s.reg.FHIRBaseURL)
	if err != nil {
		return err
	}
	var refused *serviceToken
	client := &fhir.Client{HTTP: way.http, BaseURL: s.reg.FHIRBaseURL, Now: s.w.now, Token: func(ctx context.Context) (string, error) {
		var err error
		if s.t, err = s.w.serviceToken(ctx, s.who, s.reg, refused); err != nil {
			return "", err
		}
		return s.t.value.Reveal(), nil
	}}
	err = do(client)
	if fault.Code(err) != "fhir-unauthorized" {
		return err
	}
	refused = s.t
	s.w.services.drop(s.reg.ID, refused)
	return do(client)
}

// refreshService fetches a new token.
func (w *Workstation) refreshService(ctx context.Context, who *seat, reg store.Registration) (Status, error) {
	if _, err := w.renewServiceToken(ctx, who, reg); err != nil {
		return Status{}, err
	}
	return w.statusOf(ctx, who, reg.ID)
}

// fillService says how a backend service stands in this process.
func (w *Workstation) fillService(ctx context.Context, s *Status, reg store.Registration) error {
	s.Kind, s.Refreshable = KindBackend, true
	scopes, err := w.serviceScopes(ctx, reg)
	if err != nil {
		return err
	}
	s.ScopesRequested = scopes.Strings()
	t := w.livingServiceToken(reg, scopes, 0)
	if t == nil {
		s.AccessEndsReason = "A backend service needs no sign-in. Its token is kept in memory only, and this process holds none: one is fetched when it is needed."
		return nil
	}
	s.State, s.ScopesGranted, s.ConnectedAt = Connected, t.scopes.Strings(), optionalTime(expiryMillis(t.at))
	s.ScopesNote = scope.Compare(t.asked, t.scopes).Note()
	s.Warnings = append(s.Warnings, t.warnings...)
	s.AccessExpiresAt = optionalTime(expiryMillis(t.expires))
	s.AccessEndsReason = "A backend service needs no sign-in: when its token runs out, a new one is fetched."
	return nil
}

// disconnectService gives a token back.
func (w *Workstation) disconnectService(ctx context.Context, who *seat, reg store.Registration, mode RevokeMode) (Disconnection, error) {
	if err := mayServe(who, reg); err != nil {
		return Disconnection{}, err
	}
	t := w.services.last(reg.ID)
	if t == nil {
		return Disconnection{}, fault.Newf("not-connected", "There is nothing to disconnect: a backend service has no sign-in, and its tokens run out by themselves.", "%s is a backend service, and this process holds no token of it.", reg.Name)
	}
	d := notAsked()
	err := w.recorded(ctx, who.profile, registrationEntry(audit.Disconnect, reg), func(ctx context.Context, _ *action) error {
		if mode == RevokeAuto {
			d = w.revokeAt(ctx, reg, t.origin, func() (tokensToRevoke, error) { return tokensToRevoke{auth: t.auth, access: t.value}, nil })
		}
		w.services.drop(reg.ID, t)
		return nil
	})
	if err != nil {
		return Disconnection{}, err
	}
	d.Status, err = w.statusOf(context.WithoutCancel(ctx), who, reg.ID)
	return d, err
}

// liveService tests a backend service: a token, a read that its scopes allow, and
// what the server says of the token.
func (r *testRun) liveService(ctx context.Context, who *seat, alone bool) error {
	const l = LayerLive
	if err := mayServe(who, r.reg); err != nil {
		if alone {
			return err
		}
		r.skip(l, "Not tried, because only an admin uses a backend service.", liveChecks...)
		return nil
	}
	r.skip(l, "A backend service needs no sign-in: it fetches a token when it needs one.", liveChecks[0])
	source := r.w.serviceSource(who, r.reg)
	var t *serviceToken
	if !r.check(l, "token", "It gets an access token", func() (o outcome) {
		t, o = r.serviceToken(ctx, who)
		return o
	}) {
		r.skip(l, "Not tried, because there is no access token.", liveChecks[2:]...)
		return nil
	}
	r.check(l, "read", liveChecks[2][1], func() outcome {
		path := liveRead(grantContext{}, t.scopes, r.reg.FHIRBaseURL)
		if path == "" {
			return because(Warning, "No granted scope allows a read: "+t.scopes.String()+".", "Ask for a scope such as system/Patient.rs, and choose the matching APIs at the EHR.")
		}
		var res fhir.Resource
		if err := source.use(ctx, func(client *fhir.Client) (err error) {
			res, err = client.Get(ctx, path)
			return err
		}); err != nil {
			return failed(err)
		}
		return passed("GET %s answered with a %s.", path, res.Type)
	})
	r.skip(l, "A backend service acts for itself: no user has signed in.", liveChecks[3])
	r.check(l, "introspection", liveChecks[4][1], func() outcome {
		if source.t != nil {
			t = source.t
		}
		return r.introspection(ctx, t.heldToken, nil)
	})
	return nil
}

func (r *testRun) serviceToken(ctx context.Context, who *seat) (*serviceToken, outcome) {
	before := r.w.services.last(r.reg.ID)
	t, err := r.w.serviceToken(ctx, who, r.reg, nil)
	if err != nil {
		return nil, failed(err)
	}
	until := "the EHR did not say for how long"
	if !t.expires.IsZero() {
		until = "until " + readable(t.expires.UnixMilli())
	}
	if t == before {
		return t, passed("One is held; usable %s.", until)
	}
	return t, passed("The EHR gave one for the workstation itself; usable %s.", until)
}
