package workstation

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"

	"github.com/sethvargo/go-retry"
)

// refreshWait is how long a caller waits for another one's refresh of the
// same grant: longer than any token request may take.
const refreshWait = 45 * time.Second

// Refresh renews the access token now. Faults: not-connected,
// not-refreshable, grant-ended, and those of the network, which leave the
// grant as it is.
func (w *Workstation) Refresh(ctx context.Context, ref string) (s Status, err error) {
	err = w.as(ctx, "Refresh", func(ctx context.Context, who *seat) error {
		if reg, ok, err := w.backendService(ctx, ref); err != nil {
			return err
		} else if ok {
			s, err = w.refreshService(ctx, who, reg)
			return err
		}
		reg, g, err := w.connection(ctx, who, ref)
		if err != nil {
			return err
		}
		if g, err = w.renew(ctx, reg, g, asked); err != nil {
			return err
		}
		s, err = w.statusOf(ctx, who, g.ID)
		return err
	})
	return s, err
}

// accessToken gives a token that has not run out. One that is due is renewed
// first; where that fails and the old one still lives, that one is used.
func (w *Workstation) accessToken(ctx context.Context, reg store.Registration, g store.Grant) (store.Grant, secret.Value, error) {
	if !g.Accepted {
		return g, secret.Value{}, notAccepted()
	}
	switch state := w.stateOf(g); {
	case state == NeedsReconnect:
		_, why := accessEnd(reg, g)
		return g, secret.Value{}, needsReconnect(why)
	case state == Expired:
		renewed, err := w.renew(ctx, reg, g, vital)
		if err != nil {
			return g, secret.Value{}, err
		}
		g = renewed
	case w.isDue(g):
		renewed, err := w.renew(ctx, reg, g, early)
		if err != nil {
			if renewed, err = w.stillLiving(ctx, reg, g, err); err != nil {
				return g, secret.Value{}, err
			}
		}
		g = renewed
	}
	if _, err := w.checkOrigin(ctx, reg, g); err != nil {
		return g, secret.Value{}, err
	}
	token, err := w.openToken(ctx, g, "access_token", g.AccessToken)
	return g, token, err
}

// stillLiving gives the grant as it is after an early renewal has failed, if
// its token can be used, and else why the renewal failed.
func (w *Workstation) stillLiving(ctx context.Context, reg store.Registration, g store.Grant, cause error) (store.Grant, error) {
	now, err := w.reread(ctx, reg, g)
	if err == nil && w.stateOf(now) != Connected {
		err = cause
	}
	return now, err
}

func needsReconnect(why string) *fault.Error {
	return fault.New("needs-reconnect", "Access has ended. "+why, "Connect again.")
}

// minTokenLeft is how much of a token's life is left, at least, when it is
// renewed: longer than a slow request takes.
const minTokenLeft = time.Minute

// isDue tells whether a token is to be renewed before it has run out: when a
// fifth of its life is left, or a minute, and never before half of it. A
// refresh whose answer was lost is due at once: servers that forgive the second
// use of a refresh token do so for a short time.
func (w *Workstation) isDue(g store.Grant) bool {
	if !renewable(g) || g.Ended != "" || !g.Accepted {
		return false
	}
	if g.RefreshBegan != nil {
		return true
	}
	if g.AccessExpiresAt == nil {
		return false
	}
	from := g.ConnectedAt
	if g.RefreshedAt != nil {
		from = *g.RefreshedAt
	}
	expires := fromMillis(*g.AccessExpiresAt)
	life := expires.Sub(fromMillis(from))
	left := min(max(life/5, minTokenLeft), life/2)
	return !w.now().Before(expires.Add(-left)) || w.live.ranOut(g, left)
}

// RefreshDue renews, in the background, every grant of the signed-in profile
// that is due. A failure is told by the grant's status, and tried again later.
func (w *Workstation) RefreshDue(ctx context.Context) (renewed int, err error) {
	err = w.as(ctx, "RefreshDue", func(ctx context.Context, who *seat) error {
		grants, err := w.store.GrantsOfProfile(ctx, who.profile.ID)
		if err != nil {
			return err
		}
		for _, g := range grants {
			if !w.isDue(g) {
				continue
			}
			reg, err := w.store.Registration(ctx, g.RegistrationID)
			if err != nil {
				return err
			}
			if w.backoff.holdOff(reg, g.ID, early, w.now()) != nil {
				continue
			}
			if _, err := w.renew(inBackground(ctx), reg, g, early); err != nil {
				w.log.Info("a grant could not be renewed in the background", "registration", reg.Name, "code", fault.Code(err))
				continue
			}
			renewed++
		}
		return nil
	})
	return renewed, err
}

func notAccepted() *fault.Error {
	return fault.New("launch-not-accepted", "This connection came from a launch that no person started, so it is not used yet.",
		"Look at whose account it is, then accept it (in the Launches place, or by chartkey accept) or disconnect it.")
}

// renew trades the refresh token for a new access token. One caller at a time
// does so for a grant, in all processes: with rotation, using a refresh token
// twice costs the whole grant (RFC 9700 section 4.14). Who waited takes what
// the one before has stored or, where that one failed, its failure.
func (w *Workstation) renew(ctx context.Context, reg store.Registration, g store.Grant, how urgency) (store.Grant, error) {
	if err := w.backoff.holdOff(reg, g.ID, how, w.now()); err != nil {
		return g, err
	}
	ctx = w.watched(ctx)
	leave, err := w.renewing.enter(ctx, g.ID, how != early)
	if err != nil {
		return g, err
	}
	defer leave()
	if current, err := w.reread(ctx, reg, g); err != nil || hasOtherToken(current, g) {
		return current, err // another caller of this process has renewed it
	}
	if err := w.backoff.holdOff(reg, g.ID, how, w.now()); err != nil {
		return g, err // or has failed to, and a crowd must not try one after the other
	}
	unlock, err := w.lockGrant(ctx, g.ID, how != early)
	if err != nil {
		return g, err
	}
	defer unlock()
	current, err := w.reread(ctx, reg, g)
	if err != nil || hasOtherToken(current, g) {
		return current, err
	}
	return w.renewLocked(ctx, reg, current)
}

// hasOtherToken tells whether a grant, as it is stored now, has another access
// token than it had. Each sealing gives other bytes.
func hasOtherToken(now, then store.Grant) bool {
	return now.ID != then.ID || !bytes.Equal(now.AccessToken, then.AccessToken)
}

// renewal is one trade of a refresh token.
type renewal struct {
	act     *action
	reg     store.Registration
	g       store.Grant
	context grantContext
	client  *smart.Client
	cfg     smart.Configuration
	token   secret.Value
	auth    smart.ClientAuth
	// instance, where the workstation registered itself, is whose key stands in for the token.
	instance *instance
	// key seals the answer, even if the window is locked before it comes.
	key *vault.DataKey
}

// renewLocked is renew for who holds the grant's lock and has read it since.
func (w *Workstation) renewLocked(ctx context.Context, reg store.Registration, g store.Grant) (store.Grant, error) {
	r := renewal{reg: reg, g: g}
	switch {
	case !g.Accepted:
		return g, notAccepted()
	case g.Ended != "":
		return g, needsReconnect(g.Ended)
	case !renewable(g):
		return g, fault.New("not-refreshable", "The EHR gave no refresh token, so access cannot be renewed without a sign-in.", "Connect again when access has ended. For a refresh token, ask for offline_access and allow it at the EHR.")
	}
	var err error
	if r.context, err = w.checkOrigin(ctx, reg, g); err != nil {
		return g, err // a locked vault says nothing of the grant
	}
	if err := w.refreshCredentials(ctx, &r); err != nil {
		return g, err
	}
	r.auth.ClockOffset = r.context.ClockOffset
	key, err := w.dataKey(ctx, g.ProfileID)
	if err != nil {
		return g, err
	}
	var giveBack func()
	if r.key, giveBack, err = key.Lend(); err != nil {
		return g, err
	}
	defer giveBack()
	profile, err := w.store.Profile(ctx, g.ProfileID)
	if err != nil {
		return g, err
	}
	entry := registrationEntry(audit.Refresh, reg)
	entry.Patient, entry.Origin = patientPath(r.context.Patient), originOf(ctx)
	if r.act, err = w.begin(ctx, profile, entry); err != nil {
		return g, err
	}
	renewed, err := w.renewRecorded(ctx, r)
	return renewed, r.act.end(ctx, err)
}

// renewRecorded is renewLocked once it is recorded that it begins.
func (w *Workstation) renewRecorded(ctx context.Context, r renewal) (store.Grant, error) {
	g := r.g
	var err error
	if r.cfg, err = w.discover(ctx, g.FHIRBaseURL); err != nil {
		return g, w.renewalFailed(ctx, r, err)
	}
	if err := r.context.Origin.sameServer(r.cfg.TokenEndpoint); err != nil {
		return g, w.renewalFailed(ctx, r, err)
	}
	way, err := w.to(ctx, g.FHIRBaseURL)
	if err != nil {
		return g, err
	}
	r.client = way.smart
	observationOf(ctx).record(w, audit.Refresh, r.reg, &r.cfg)
	w.trading.RLock()
	defer w.trading.RUnlock()
	// Durable before it is sent: whoever comes after a crash knows that the refresh token may be spent.
	now := w.now().UnixMilli()
	n, err := w.store.BeginRefresh(ctx, store.BeginRefreshParams{At: &now, ID: g.ID, ReadVersion: g.Version})
	if err == nil && n == 0 {
		err = removedMeanwhile()
	}
	if err != nil {
		return g, err
	}
	return w.trade(ctx, r)
}

func removedMeanwhile() *fault.Error {
	return fault.New("not-connected", "The connection was removed while it was being refreshed.", "Connect again.")
}

// trade sends the refresh token and stores the answer.
func (w *Workstation) trade(ctx context.Context, r renewal) (store.Grant, error) {
	sending, sent, done := seenThrough(ctx)
	defer done()
	answer, err := r.send(sending)
	if err == nil {
		// From here on the old refresh token may be spent: the answer is stored even if the caller has gone.
		ctx = context.WithoutCancel(ctx)
		renewed, err := w.storeRenewal(ctx, r, answer)
		if err != nil && !answer.RefreshToken.IsEmpty() {
			return r.g, w.renewalLost(ctx, r, answer, err)
		}
		return renewed, err
	}
	switch {
	case !answer.RefreshToken.IsEmpty():
		r.g = w.keepReplacement(context.WithoutCancel(ctx), r, answer)
	case r.instance != nil, r.g.RefreshBegan == nil && !maySpend(err, sent()):
		w.clearIntent(context.WithoutCancel(ctx), r.g)
	}
	switch {
	case fault.Code(err) == smart.CodeGrantEnded, r.instance != nil && instanceEnded(err):
		return w.endGrant(ctx, r, err)
	case r.instance == nil:
		err = w.explainRefusal(ctx, r.reg, err)
	}
	return r.g, w.renewalFailed(ctx, r, err)
}

// renewalLost gives back to the EHR what could not be stored: the profile was
// reset or removed, or it could not be recorded. The old token is spent.
func (w *Workstation) renewalLost(ctx context.Context, r renewal, answer smart.TokenResponse, cause error) error {
	w.throwAway(ctx, r.client, r.cfg, r.auth, answer)
	if _, err := w.recordGrantError(ctx, r.g, "Its renewal could not be stored, so it was given back to the EHR.", cause); err != nil {
		w.log.Warn("a renewal that was lost could not be noted as such", "error", err)
	}
	return cause
}

// endGrant notes that the server no longer takes the refresh token, if that is
// still the stored one.
func (w *Workstation) endGrant(ctx context.Context, r renewal, refused error) (store.Grant, error) {
	ended := "The EHR has ended the access: it refused the refresh token."
	if r.instance != nil {
		ended = "The EHR no longer gives access to the client that this workstation registered for itself: the time that was allowed is over, or the access was withdrawn."
		refused = fault.New(smart.CodeGrantEnded, ended, "Connect again.").Because(refused)
	} else if r.g.RefreshBegan != nil {
		ended = "The answer to a refresh on " + readable(*r.g.RefreshBegan) + " was lost, because Chartkey or the network stopped in the middle of it. The EHR had replaced the refresh token by then, and takes the old one no longer. No client can prevent that."
		refused = fault.New(smart.CodeGrantEnded, ended, "Connect again.").Because(refused)
	}
	w.backoff.forget(r.g.ID)
	ctx = context.WithoutCancel(ctx)
	stored, err := w.recordGrantError(ctx, r.g, ended, refused)
	if err != nil {
		w.log.Warn("the end of a grant could not be recorded", "error", err)
		return r.g, refused
	}
	if stored {
		w.keepRenewalFailure(ctx, r, refused)
	} else {
		// A sign-in has put another grant in its place.
		if current, err := w.reread(ctx, r.reg, r.g); err == nil && hasOtherToken(current, r.g) {
			return current, nil
		}
	}
	return r.g, refused
}

// refusals are the answers by which a server says that it did not take a
// refresh token (RFC 6749 section 5.2, RFC 6585 section 4), and why is another matter.
var refusals = []string{
	smart.CodeGrantEnded, "rate-limited", "server-unavailable", "client-refused", "client-not-allowed", "grant-type-unsupported", "scope-refused", "token-request-refused",
}

// maySpend tells whether a failed request may have cost the refresh token all
// the same: it was sent, and no answer says that it was not taken.
func maySpend(err error, sent bool) bool {
	f := fault.From(err)
	refused := slices.Contains(refusals, f.Code) || f.Code == "token-refused" && !f.Retryable
	return sent && !refused
}

// clearIntent forgets that a refresh began.
func (w *Workstation) clearIntent(ctx context.Context, g store.Grant) {
	if err := w.store.EndRefresh(ctx, store.EndRefreshParams{ID: g.ID, ReadVersion: g.Version}); err != nil {
		w.log.Warn("a refresh that failed could not be noted as such", "error", err)
	}
}

// renewalFailed keeps why a renewal failed, and gives it back. What a person
// broke off is no failure.
func (w *Workstation) renewalFailed(ctx context.Context, r renewal, cause error) error {
	if fault.Code(cause) == network.CodeCancelled && errors.Is(ctx.Err(), context.Canceled) {
		return cause
	}
	w.keepRenewalFailure(ctx, r, cause)
	w.backoff.failed(r.reg, r.g.ID, w.now(), cause)
	if _, err := w.recordGrantError(context.WithoutCancel(ctx), r.g, "", cause); err != nil {
		w.log.Warn("the failed refresh could not be recorded", "error", err)
	}
	return cause
}

// keepRenewalFailure keeps what was seen of a failure, for its diagnosis.
func (w *Workstation) keepRenewalFailure(ctx context.Context, r renewal, cause error) {
	if profile, err := w.store.Profile(ctx, r.g.ProfileID); err == nil {
		w.keepFailure(ctx, profile, r.reg.ID, diagnose.Refresh, diagnose.RequestFacts{}, cause)
	}
}

// keepReplacement stores the refresh token of an answer that was of no use
// otherwise. The old one is spent, and would cost the whole grant.
func (w *Workstation) keepReplacement(ctx context.Context, r renewal, answer smart.TokenResponse) store.Grant {
	g := r.g
	sealed, err := r.key.Seal(grantBinding("refresh_token", g.ID), answer.RefreshToken)
	if err == nil {
		_, err = w.store.RenewGrant(ctx, store.RenewGrantParams{
			AccessToken: g.AccessToken, RefreshToken: sealed, Context: g.Context, ScopesGranted: g.ScopesGranted,
			AccessExpiresAt: g.AccessExpiresAt, RefreshedAt: g.RefreshedAt, RefreshExpiresAt: g.RefreshExpiresAt, ID: g.ID, ReadVersion: g.Version,
		})
	}
	if err != nil {
		w.log.Warn("a replaced refresh token could not be stored", "error", err)
		return g
	}
	w.live.sameIn(g.ID, g.Version+1)
	current, err := w.reread(ctx, r.reg, g)
	if err != nil {
		return g
	}
	return current
}

func (w *Workstation) refreshCredentials(ctx context.Context, r *renewal) (err error) {
	if len(r.g.Instance) > 0 {
		if r.instance, err = w.openInstance(ctx, r.g); err != nil {
			return err
		}
		r.auth = smart.ClientAuth{Type: smart.ConfidentialAsymmetric, ClientID: r.instance.clientID, Key: r.instance.key}
		return nil
	}
	if r.token, err = w.openToken(ctx, r.g, "refresh_token", r.g.RefreshToken); err != nil {
		return err
	}
	r.auth, err = w.clientAuth(ctx, r.reg)
	return err
}

// storeTries is how often an answer is tried to be stored, a second apart: a
// busy database is no reason to lose what cannot be had again.
const storeTries = 4

func (w *Workstation) storeRenewal(ctx context.Context, r renewal, answer smart.TokenResponse) (store.Grant, error) {
	g, c := r.g, r.context
	c.renew(answer)
	access, refresh, sealed, err := sealGrantWith(r.key, g.ID, answer.AccessToken, answer.RefreshToken, c)
	if err != nil {
		return g, err
	}
	if len(refresh) == 0 {
		refresh = g.RefreshToken // RFC 6749 section 6: none in the answer means that the old one stays
	}
	deed := func(q *store.Queries) error {
		now := w.now().UnixMilli()
		n, err := q.RenewGrant(ctx, store.RenewGrantParams{
			AccessToken: access, RefreshToken: refresh, Context: sealed, ScopesGranted: r.granted(answer).String(), AccessExpiresAt: expiryMillis(answer.ExpiresAt),
			RefreshedAt: &now, RefreshExpiresAt: expiryMillis(answer.RefreshExpiresAt), ID: g.ID, ReadVersion: g.Version,
		})
		if err == nil && n == 0 {
			return removedMeanwhile()
		}
		if err != nil {
			return err
		}
		if r.instance != nil {
			return nil // how it shows who it is says nothing of the app
		}
		return q.SetAuthMethod(ctx, store.SetAuthMethodParams{AuthMethod: string(answer.AuthMethod), ID: r.reg.ID})
	}
	err = retry.Do(ctx, retry.WithMaxRetries(storeTries-1, retry.NewConstant(time.Second)), func(ctx context.Context) error {
		err := r.act.commit(ctx, deed)
		if err != nil && Fault(err).Retryable {
			return retry.RetryableError(err)
		}
		return err
	})
	if err != nil {
		return g, err
	}
	w.backoff.forget(g.ID)
	w.forgetFailure(ctx, g.ProfileID, r.reg.ID)
	w.live.note(g.ID, g.Version+1, answer)
	return w.reread(ctx, r.reg, g)
}

// renew takes over what a refresh says anew. Who signed in comes from the
// id_token of the sign-in, which a refresh does not change.
func (c *grantContext) renew(answer smart.TokenResponse) {
	fresh := answer.Context
	if fresh.Patient != "" && fresh.Patient != c.Patient {
		if c.Patient != "" {
			c.Warnings = append(c.Warnings, "The EHR named another patient when access was renewed. Check whose record this is.")
		}
		c.Patient, c.PatientName = fresh.Patient, ""
	}
	if fresh.Encounter != "" {
		c.Encounter = fresh.Encounter
	}
	// A clock that was corrected, or went wrong, since.
	before := smart.ClockWarning(c.ClockOffset)
	c.Warnings = slices.DeleteFunc(c.Warnings, func(w string) bool { return w == before })
	c.ClockOffset = answer.ServerClockOffset
	if w := smart.ClockWarning(c.ClockOffset); w != "" {
		c.Warnings = append(c.Warnings, w)
	}
}
