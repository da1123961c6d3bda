package workstation

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/loopback"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/trace"

	"github.com/google/uuid"
)

// DefaultConnectTimeout is how long a person has to sign in.
const DefaultConnectTimeout = 5 * time.Minute

// throwAwayTimeout bounds the revocation of tokens that found no place.
const throwAwayTimeout = 5 * time.Second

// MaxConnectTimeout is the longest: how long a state lives (smart, Authorization).
const MaxConnectTimeout = 10 * time.Minute

// ConnectOptions change what a sign-in asks for. The zero value is the
// registration's own choice.
type ConnectOptions struct {
	// As is "patient" or "provider", in place of the registration's audience.
	As string
	// Scopes replace those of the registration.
	Scopes []string
	// AnyAccount takes the place of the earlier connection even where another
	// account signs in than the last time. Without it, such a one waits to be accepted.
	AnyAccount bool
	// Timeout is at most the ten minutes that a state lives; zero is DefaultConnectTimeout.
	Timeout time.Duration
}

// LoginInfo is what may be shown of a sign-in that waits for the browser.
type LoginInfo struct {
	ID             string   `json:"id"`
	RegistrationID string   `json:"registration_id"`
	RedirectURI    string   `json:"redirect_uri"`
	Scopes         []string `json:"scopes"`
	// Warnings are what to know of the scopes that are asked for, a sentence each.
	Warnings  []string  `json:"warnings"`
	StartedAt time.Time `json:"started_at" ts_type:"string"`
	ExpiresAt time.Time `json:"expires_at" ts_type:"string"`
}

// Login is one sign-in under way: the browser is out, and a listener waits
// for it to come back.
type Login struct {
	LoginInfo

	url    string
	kind   string
	who    *seat
	end    context.CancelCauseFunc
	back   chan struct{} // closed when the browser has come back
	claim  atomic.Bool   // set by who decides the outcome: the browser's return, or the end of the wait
	done   chan struct{} // closed when the outcome is known
	once   sync.Once
	status Status
	err    error
}

// AuthorizationURL is what the browser has to open. It carries the state, so
// it is for the browser and for the person who copies it, and for no log.
func (l *Login) AuthorizationURL() string { return l.url }

// Cancel ends the wait with the fault cancelled.
func (l *Login) Cancel() {
	l.end(fault.New("cancelled", "The sign-in was cancelled.", "Connect again when you are ready."))
}

// Wait gives the outcome: the new status, or why there is none. Where ctx
// ends first, the sign-in is cancelled.
func (l *Login) Wait(ctx context.Context) (Status, error) {
	select {
	case <-l.done:
	case <-ctx.Done():
		l.Cancel()
		<-l.done
	}
	return l.status, l.err
}

// comeBack claims the outcome for the browser's answer. It tells false where
// the wait has ended before.
func (l *Login) comeBack() bool {
	if l.claim.Swap(true) {
		return false
	}
	close(l.back)
	return true
}

// giveUp claims the outcome for the end of the wait. It tells false where the
// browser was there before.
func (l *Login) giveUp() bool { return !l.claim.Swap(true) }

// ended tells whether the outcome is known, a moment before the sign-in is taken off the list.
func (l *Login) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *Login) finish(s Status, err error) {
	l.once.Do(func() {
		l.status, l.err = s, err
		close(l.done)
	})
}

// BeginConnect prepares a sign-in (SMART App Launch, standalone launch): the
// vault is open, the server is known, and a listener waits at a registered
// redirect URI. The caller opens AuthorizationURL in a browser, then waits.
//
// Faults: those of the vault, of discovery and of the ports.
func (w *Workstation) BeginConnect(ctx context.Context, ref string, o ConnectOptions) (login *Login, err error) {
	err = w.as(ctx, "BeginConnect", func(ctx context.Context, who *seat) error {
		login, err = w.beginConnect(w.watched(ctx), who, ref, o)
		return err
	})
	return login, err
}

func (w *Workstation) beginConnect(ctx context.Context, who *seat, ref string, o ConnectOptions) (*Login, error) {
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return nil, err
	}
	if reg.Kind == KindBackend {
		return nil, needsNoSignIn(reg)
	}
	if o.As != "" && o.As != reg.Audience {
		if o.As != "patient" && o.As != "provider" {
			return nil, fault.Newf("invalid-audience", "Choose patient or provider.", "%q is no audience.", o.As)
		}
		reg = forAudience(reg, o.As)
	}
	if len(o.Scopes) > 0 {
		set, errs := scope.ParseList(strings.Join(o.Scopes, " "))
		if len(errs) > 0 {
			return nil, fault.New("invalid-scopes", sentence(errs[0].Error()), "Correct the scope, or leave the list out for the registration's own.").Because(errors.Join(errs...))
		}
		reg.Scopes = set.String()
	}
	observationOf(ctx).record(w, audit.Connect, reg, nil)
	// Everything that could fail later for want of a key fails now, before the browser opens.
	if _, err := w.dataKey(ctx, who.profile.ID); err != nil {
		return nil, err
	}
	auth, err := w.clientAuth(ctx, reg)
	if err != nil {
		return nil, err
	}
	return w.startLogin(ctx, signIn{who: who, reg: reg, auth: auth, kind: standalone, accepted: true, anyAccount: o.AnyAccount, timeout: o.Timeout})
}

// The kinds of grant: from a sign-in that began here, and from an EHR launch.
const (
	standalone = "standalone"
	ehrLaunch  = "launch"
)

// signIn is what a sign-in is made of.
type signIn struct {
	// who is whose the grant will be, whoever sits at the workstation by then.
	who  *seat
	reg  store.Registration
	auth smart.ClientAuth
	// cfg and scopes are found out by startLogin.
	cfg    smart.Configuration
	scopes scope.Set
	kind   string
	// launch is the launch value of an EHR launch.
	launch string
	// accepted is false where somebody has to look whose grant it is before it is used.
	accepted bool
	// anyAccount is true where somebody has said that another account is meant.
	anyAccount bool
	timeout    time.Duration
	// notes are sentences on the scopes, for whoever signs in and for the status.
	notes []string
}

// discoverFor finds out what the server says of itself, and what to ask it for.
func (w *Workstation) discoverFor(ctx context.Context, in *signIn) (err error) {
	in.cfg, err = w.discover(ctx, in.reg.FHIRBaseURL)
	if err != nil && in.kind == ehrLaunch {
		// Asked once more: many failures of a moment ago are over by now.
		in.cfg, err = w.discover(ctx, in.reg.FHIRBaseURL)
	}
	if err != nil {
		return err
	}
	if in.scopes = effectiveScopes(in.reg, in.cfg); in.kind == ehrLaunch {
		in.scopes = in.scopes.ForLaunch()
	}
	in.notes = scopeNotes(*in)
	return w.checkIssuerIsItsOwn(ctx, in.cfg)
}

func (w *Workstation) startLogin(ctx context.Context, in signIn) (*Login, error) {
	if in.timeout <= 0 {
		in.timeout = DefaultConnectTimeout
	}
	in.timeout = min(in.timeout, MaxConnectTimeout)
	// The sign-in outlives the call that began it, and ends by its own clock.
	loginCtx, end := context.WithCancelCause(context.WithoutCancel(ctx))
	login := &Login{end: end, back: make(chan struct{}), done: make(chan struct{}), kind: in.kind, who: in.who}
	act, err := w.begin(ctx, in.who.profile, in.entry())
	if err != nil {
		end(nil)
		return nil, err
	}
	refused := func(stage diagnose.Stage, err error) (*Login, error) {
		end(nil)
		if in.kind == standalone && ctx.Err() == nil {
			err = w.failedConnect(ctx, in.who, in.reg.ID, stage, err)
		}
		return nil, act.end(ctx, err)
	}
	if err := w.prepareHTTPS(ctx, redirectURIs(in.reg)...); err != nil {
		return refused(diagnose.Authorize, err)
	}
	if err := w.discoverFor(ctx, &in); err != nil {
		return refused(diagnose.Discovery, err)
	}
	// The last request is the handler's own: one that is refused may be followed by another.
	var authorization, last smart.Authorization
	asked := in
	waiting, err := w.receiver.Begin(loginCtx, redirectURIs(in.reg), func(redirectURI string) (string, error) {
		var err error
		authorization, err = w.smart.Authorization(in.cfg, smart.AuthorizationParams{
			ClientID: in.reg.ClientID, RedirectURI: redirectURI, Scopes: in.scopes, Aud: in.reg.FHIRBaseURL, Launch: in.launch,
		})
		last = authorization
		return authorization.State, err
	}, func(ctx context.Context, query url.Values) loopback.Page {
		ended := loopback.Page{Title: "Not connected", Message: "The sign-in had ended before the browser came back. Connect again from Chartkey."}
		if w.offlineRefused(asked, last, query) {
			var err error
			if ended.Next, err = w.withoutOffline(&asked, &last); err == nil {
				return ended
			}
		}
		if !login.comeBack() {
			return ended
		}
		act.seen.note(trace.StepCallback, last.RedirectURI, query)
		ctx = context.WithValue(ctx, observationKey{}, act.seen)
		status, err := w.complete(ctx, asked, act, last, query)
		err = adviseOnRefusal(err, last.Scopes, in.cfg)
		if cancelled := context.Cause(loginCtx); err != nil && cancelled != nil {
			err = cancelled // the person did it, so it is no failure of the server or the network
		} else if err != nil && in.kind == standalone && fault.Code(err) != codeAccountChanged {
			err = w.failedConnect(ctx, in.who, in.reg.ID, diagnose.Token, err)
		}
		err = act.end(ctx, err)
		login.finish(status, err)
		return resultPage(in.reg.Name, err)
	})
	if err != nil {
		return refused(diagnose.Authorize, err)
	}
	// A lock or a switch abandons what is in flight for the profile.
	stay := context.AfterFunc(in.who.ctx, func() { end(in.who.over()) })
	now := w.now().UTC()
	act.seen.note(trace.StepAuthorize, authorization.URL, nil)
	login.url = authorization.URL
	login.LoginInfo = LoginInfo{
		ID: uuid.NewString(), RegistrationID: in.reg.ID, RedirectURI: authorization.RedirectURI, Scopes: authorization.Scopes.Strings(), Warnings: slices.Clone(in.notes),
		StartedAt: now, ExpiresAt: now.Add(in.timeout),
	}
	w.track(login, true)
	w.work.Go(func() {
		defer stay()
		w.supervise(loginCtx, login, act, waiting, in.timeout)
	})
	return login, nil
}

// supervise ends a login by its outcome, its deadline or its cancellation,
// and takes the listener away. Once the browser is back, the deadline no
// longer counts: what happens then has deadlines of its own.
func (w *Workstation) supervise(ctx context.Context, login *Login, act *action, waiting *loopback.Login, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var err error
	select {
	case <-login.back:
	case <-ctx.Done():
	case <-timer.C:
	}
	if login.giveUp() {
		if err = context.Cause(ctx); err == nil {
			if err = timedOut(timeout); login.kind == standalone {
				err = w.failedConnect(ctx, login.who, login.RegistrationID, diagnose.Authorize, err)
			}
		}
		err = act.end(ctx, err)
	} else {
		<-login.done // within the handler's own deadlines, which a cancellation cuts short
	}
	waiting.Close()
	login.finish(Status{}, err)
	login.end(nil)
	w.track(login, false)
}

// timedOut is the end of a sign-in from which nothing came back. EHRs show a
// page of their own, and send nothing, for the mistakes that it lists
// (RFC 6749 section 4.1.2.1; Epic).
func timedOut(after time.Duration) *fault.Error {
	return fault.Newf("sign-in-timeout",
		"If the browser shows an error page of the EHR, compare the client ID, the redirect URIs and the environment with the EHR's registration page. A new Epic registration takes up to an hour in the sandbox, and up to 12 hours in production, to become known.",
		"Nothing came back from the browser within %s.", after.Round(time.Second)).CanRetry()
}

func (w *Workstation) track(l *Login, under bool) {
	w.loginMu.Lock()
	defer w.loginMu.Unlock()
	if under {
		w.logins[l.ID] = l
		if w.closed {
			l.Cancel()
		}
	} else {
		delete(w.logins, l.ID)
	}
}

// Login gives a sign-in under way by its id. Fault: login-not-found.
func (w *Workstation) Login(id string) (*Login, error) {
	w.loginMu.Lock()
	defer w.loginMu.Unlock()
	if l := w.logins[id]; l != nil && !l.ended() {
		return l, nil
	}
	return nil, fault.New("login-not-found", "That sign-in is no longer waiting.", "Connect again.")
}

// LoginOf gives the sign-in under way for a registration, or nil.
func (w *Workstation) LoginOf(registrationID string) *LoginInfo {
	w.loginMu.Lock()
	defer w.loginMu.Unlock()
	for _, l := range w.logins {
		if l.RegistrationID == registrationID && l.kind == standalone && l.who.over() == nil && !l.ended() {
			info := l.LoginInfo
			return &info
		}
	}
	return nil
}

// failedConnect keeps the failure for the status, and gives it back.
func (w *Workstation) failedConnect(ctx context.Context, who *seat, registrationID string, during diagnose.Stage, cause error) error {
	w.keepFailure(ctx, who.profile, registrationID, during, diagnose.RequestFacts{}, cause)
	if err := w.recordConnectFailure(context.WithoutCancel(ctx), who, registrationID, cause); err != nil {
		w.log.Warn("the failed sign-in could not be recorded", "error", err)
	}
	return cause
}

// complete turns the browser's answer into a stored grant. What it says was
// connected is on disk. Tokens that cannot be kept are handed back to the server.
func (w *Workstation) complete(ctx context.Context, in signIn, act *action, a smart.Authorization, query url.Values) (Status, error) {
	code, err := w.smart.CheckCallback(in.cfg, a, query)
	if err != nil {
		return Status{}, err
	}
	way, err := w.to(ctx, in.reg.FHIRBaseURL)
	if err != nil {
		return Status{}, err
	}
	answer, err := way.smart.Exchange(ctx, in.cfg, in.auth, a, code)
	if err != nil {
		if !answer.AccessToken.IsEmpty() {
			w.throwAway(ctx, way.smart, in.cfg, in.auth, answer)
		}
		return Status{}, w.explainRefusal(ctx, in.reg, err)
	}
	act.patient(patientPath(answer.Context.Patient))
	own, answer := w.registerInstance(ctx, in, way.smart, answer)
	scopes := a.Scopes
	if own != nil {
		scopes = withoutRegister(scopes)
	}
	id, err := w.storeGrant(ctx, in, act, scopes, answer, own)
	if err != nil && fault.Code(err) != codeAccountChanged {
		w.throwAway(ctx, way.smart, in.cfg, in.auth, answer)
		return Status{}, err
	}
	if own != nil {
		w.firstInstanceToken(ctx, in.who, id)
	}
	w.tellNames(ctx, in.who, id)
	status, statusErr := w.statusOf(ctx, in.who, id)
	return status, errors.Join(err, statusErr)
}

// throwAway revokes tokens that found no place, where the server offers it.
func (w *Workstation) throwAway(ctx context.Context, via *smart.Client, cfg smart.Configuration, auth smart.ClientAuth, answer smart.TokenResponse) {
	if cfg.RevocationEndpoint == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), throwAwayTimeout)
	defer cancel()
	if err := via.Revoke(ctx, cfg, auth, answer.RefreshToken, answer.AccessToken); err != nil {
		w.log.Warn("tokens that could not be kept could not be revoked either", "code", fault.Code(err))
	}
}

// entry is what the activity record says of the sign-in.
func (in signIn) entry() audit.Entry {
	e := registrationEntry(audit.Connect, in.reg)
	if in.kind == ehrLaunch {
		e.Action, e.Origin = audit.Launch, audit.FromLaunch
	}
	return e
}

// storeGrant seals the answer and stores it in one transaction: a standalone
// grant in place of the earlier one, a launch grant beside all others. Where
// another account signed in than the last time, the grant waits until somebody
// has accepted it: that is the fault account-changed, and the id is good.
func (w *Workstation) storeGrant(ctx context.Context, in signIn, act *action, asked scope.Set, answer smart.TokenResponse, own *instance) (id string, err error) {
	reg, owner := in.reg, in.who.profile.ID
	last, err := w.lastAccounts(ctx, reg.ID, owner)
	if err != nil {
		return "", err
	}
	account := accountOf(in.cfg, answer.Context)
	before := last.before(in.kind, account)
	changed := before.differs(account) && !in.anyAccount
	in.accepted = in.accepted && !changed
	id = uuid.NewString()
	access, refresh, sealed, err := w.sealGrant(ctx, owner, id, answer.AccessToken, answer.RefreshToken, grantContext{
		LaunchContext: answer.Context, Warnings: slices.Concat(in.notes, answer.Warnings), Account: account, ClockOffset: answer.ServerClockOffset,
		Origin: grantOrigin{FHIRBaseURL: reg.FHIRBaseURL, ClientID: reg.ClientID, TokenEndpoint: in.cfg.TokenEndpoint, Accepted: in.accepted},
	})
	if err != nil {
		return "", err
	}
	k, err := w.dataKey(ctx, owner)
	if err != nil {
		return "", err
	}
	sealedInstance, err := own.seal(k, id)
	if err != nil {
		return "", err
	}
	var remembered []byte
	if in.accepted && account.known() {
		last[in.kind] = account
		if remembered, err = w.sealAccounts(ctx, reg.ID, owner, last); err != nil {
			return "", err
		}
	}
	err = act.commit(ctx, func(q *store.Queries) error {
		now, err := q.Registration(ctx, reg.ID)
		if errors.Is(err, store.ErrNoRow) || (err == nil && (now.FHIRBaseURL != reg.FHIRBaseURL || now.ClientID != reg.ClientID)) {
			return fault.New("registration-changed", "The registration was changed or removed while the sign-in was under way, so its result was thrown away.", "Connect again.")
		}
		if err != nil {
			return err
		}
		if err := w.stillHolds(ctx, q, owner); err != nil {
			return err
		}
		if in.kind == standalone {
			err = q.DeleteConnectFailure(ctx, store.DeleteConnectFailureParams{RegistrationID: reg.ID, ProfileID: owner})
			for _, accepted := range []bool{in.accepted, false} { // one that waited is superseded in any case
				err = errors.Join(err, q.DeleteStandaloneGrant(ctx, store.DeleteStandaloneGrantParams{RegistrationID: reg.ID, ProfileID: owner, Accepted: accepted}))
			}
		} else {
			err = w.dropOldLaunches(ctx, q, reg.ID, owner)
		}
		if err != nil {
			return err
		}
		if answer.AuthMethod != "" {
			if err := q.SetAuthMethod(ctx, store.SetAuthMethodParams{AuthMethod: string(answer.AuthMethod), ID: reg.ID}); err != nil {
				return err
			}
		}
		if remembered != nil {
			if err := q.SaveAccount(ctx, store.SaveAccountParams{RegistrationID: reg.ID, ProfileID: owner, Account: remembered}); err != nil {
				return err
			}
		}
		return q.InsertGrant(ctx, store.InsertGrantParams{
			ID: id, RegistrationID: reg.ID, ProfileID: owner, Kind: in.kind, Version: 1, FHIRBaseURL: reg.FHIRBaseURL,
			AccessToken: access, RefreshToken: refresh, Context: sealed, ScopesRequested: asked.String(), ScopesGranted: answer.Scopes.String(),
			AccessExpiresAt: expiryMillis(answer.ExpiresAt), ConnectedAt: w.now().UnixMilli(), Accepted: in.accepted, RefreshExpiresAt: expiryMillis(answer.RefreshExpiresAt), Instance: sealedInstance,
		})
	})
	if err != nil {
		return "", err
	}
	w.live.note(id, 1, answer)
	w.forgetFailure(ctx, owner, reg.ID)
	if changed && in.kind == standalone {
		return id, accountChanged(before, account, id)
	}
	return id, nil
}

func resultPage(name string, err error) loopback.Page {
	if err == nil {
		return loopback.Page{OK: true, Title: "Connected", Message: "Chartkey is connected to " + name + "."}
	}
	f := Fault(err)
	if f.Code == codeAccountChanged {
		return loopback.Page{Title: "Is this the right account?", Message: f.Message + " " + f.Advice}
	}
	return loopback.Page{Title: "Not connected", Message: f.Message + " " + f.Advice}
}
