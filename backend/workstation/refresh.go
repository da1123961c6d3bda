package workstation

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"

	"github.com/gofrs/flock"
)

// refreshWait is how long a caller waits for another one's refresh of the
// same grant: longer than any token request may take.
const refreshWait = 45 * time.Second

// Refresh renews the access token now. Faults: not-connected,
// not-refreshable, grant-ended, and those of the network, which leave the
// grant as it is.
func (w *Workstation) Refresh(ctx context.Context, ref string) (s Status, err error) {
	err = w.as(ctx, "Refresh", func(ctx context.Context, who *seat) error {
		reg, g, err := w.connection(ctx, who, ref)
		if err != nil {
			return err
		}
		if g, err = w.renew(ctx, reg, g); err != nil {
			return err
		}
		s, err = w.statusOf(ctx, who, g.ID)
		return err
	})
	return s, err
}

// accessToken gives a token that has not run out. One that is due is renewed
// first; where that fails for now and the old one still lives, that one is used.
func (w *Workstation) accessToken(ctx context.Context, reg store.Registration, g store.Grant) (store.Grant, secret.Value, error) {
	if !g.Accepted {
		return g, secret.Value{}, notAccepted()
	}
	state := w.stateOf(g)
	if state == NeedsReconnect {
		_, why := accessEnd(reg, g)
		return g, secret.Value{}, fault.New("needs-reconnect", "Access has ended. "+why, "Connect again.")
	}
	if state == Expired || w.isDue(g) {
		renewed, err := w.renewInTurn(ctx, reg, g)
		switch {
		case err == nil:
			g = renewed
		case state == Expired || !fault.From(err).Retryable || w.stateOf(g) == Expired:
			return g, secret.Value{}, err
		}
	}
	if _, err := w.checkOrigin(ctx, reg, g); err != nil {
		return g, secret.Value{}, err
	}
	token, err := w.openToken(ctx, g, "access_token", g.AccessToken)
	return g, token, err
}

// renewInTurn is renew, except soon after a renewal that failed: a server that
// is away, or asked to be left alone, is not asked at every use.
func (w *Workstation) renewInTurn(ctx context.Context, reg store.Registration, g store.Grant) (store.Grant, error) {
	if err := w.backoff.holdOff(g.ID, w.now()); err != nil {
		return g, err
	}
	return w.renew(ctx, reg, g)
}

// minTokenLeft is how much of a token's life is left, at least, when it is
// renewed: longer than a slow request takes.
const minTokenLeft = time.Minute

// isDue tells whether a token is to be renewed before it has run out: when a
// fifth of its life is left, or a minute, and never before half of it.
func (w *Workstation) isDue(g store.Grant) bool {
	if g.AccessExpiresAt == nil || len(g.RefreshToken) == 0 || g.Ended != "" || !g.Accepted {
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
			if !w.isDue(g) || w.backoff.holdOff(g.ID, w.now()) != nil {
				continue
			}
			reg, err := w.store.Registration(ctx, g.RegistrationID)
			if err != nil {
				return err
			}
			if _, err := w.renew(inBackground(ctx), reg, g); err != nil {
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
// twice costs the whole grant (RFC 9700 section 4.14). Who waited finds the
// version gone up and takes what the other one stored.
func (w *Workstation) renew(ctx context.Context, reg store.Registration, g store.Grant) (store.Grant, error) {
	ctx = w.watched(ctx)
	leave, err := w.renewing.enter(ctx, g.ID)
	if err != nil {
		return g, err
	}
	defer leave()
	current, err := w.reread(ctx, reg, g)
	if err != nil {
		return g, err
	}
	if current.ID != g.ID || current.Version > g.Version {
		return current, nil // another caller of this process has renewed it
	}
	unlock, err := w.lockGrant(ctx, g.ID)
	if err != nil {
		return g, err
	}
	defer unlock()
	if current, err = w.reread(ctx, reg, g); err != nil {
		return g, err
	}
	if current.ID != g.ID || current.Version > g.Version {
		return current, nil
	}
	g = current
	if !g.Accepted {
		return g, notAccepted()
	}
	if g.Ended != "" {
		return g, fault.New("needs-reconnect", "Access has ended. "+g.Ended, "Connect again.")
	}
	if len(g.RefreshToken) == 0 {
		return g, fault.New("not-refreshable", "The EHR gave no refresh token, so access cannot be renewed without a sign-in.", "Connect again when access has ended. For a refresh token, ask for offline_access and allow it at the EHR.")
	}
	c, err := w.checkOrigin(ctx, reg, g)
	if err != nil {
		return g, err // a locked vault says nothing of the grant
	}
	token, auth, err := w.refreshCredentials(ctx, reg, g)
	if err != nil {
		return g, err
	}
	auth.ClockOffset = c.ClockOffset
	cfg, err := w.discover(ctx, g.FHIRBaseURL)
	if err != nil {
		return g, w.renewalFailed(ctx, g, "", err)
	}
	if err := c.Origin.sameServer(cfg.TokenEndpoint); err != nil {
		return g, w.renewalFailed(ctx, g, "", err)
	}
	way, err := w.to(ctx, g.FHIRBaseURL)
	if err != nil {
		return g, err
	}
	observationOf(ctx).record(w, audit.Refresh, reg, &cfg)
	act, err := w.beginRenewal(ctx, reg, g, c)
	if err != nil {
		return g, err
	}
	renewed, err := w.trade(ctx, act, way.smart, reg, g, cfg, token, auth)
	return renewed, act.end(ctx, err)
}

// beginRenewal makes durable that a refresh token is about to be sent, so that
// whoever comes after a crash knows that it may be spent.
func (w *Workstation) beginRenewal(ctx context.Context, reg store.Registration, g store.Grant, c grantContext) (*action, error) {
	profile, err := w.store.Profile(ctx, g.ProfileID)
	if err != nil {
		return nil, err
	}
	entry := registrationEntry(audit.Refresh, reg)
	entry.Patient, entry.Origin = patientPath(c.Patient), originOf(ctx)
	return w.beginWith(ctx, profile, entry, func(q *store.Queries) error {
		now := w.now().UnixMilli()
		n, err := q.BeginRefresh(ctx, store.BeginRefreshParams{At: &now, ID: g.ID, ReadVersion: g.Version})
		if err == nil && n == 0 {
			return removedMeanwhile()
		}
		return err
	})
}

func removedMeanwhile() *fault.Error {
	return fault.New("not-connected", "The connection was removed while it was being refreshed.", "Connect again.")
}

// trade sends the refresh token and stores the answer.
func (w *Workstation) trade(ctx context.Context, act *action, client *smart.Client, reg store.Registration, g store.Grant, cfg smart.Configuration, token secret.Value, auth smart.ClientAuth) (store.Grant, error) {
	answer, err := client.Refresh(ctx, cfg, auth, token, scope.Grammar(strings.Fields(g.ScopesGranted)))
	if err != nil {
		if !answer.RefreshToken.IsEmpty() {
			g = w.keepReplacement(context.WithoutCancel(ctx), reg, g, answer)
		} else if wasNotSpent(err) {
			w.clearIntent(context.WithoutCancel(ctx), g)
		}
		ended := ""
		if fault.Code(err) == smart.CodeGrantEnded {
			ended = "The EHR has ended the access: it refused the refresh token."
			if g.RefreshBegan != nil {
				ended = "The answer to a refresh on " + readable(*g.RefreshBegan) + " was lost, because Chartkey or the network stopped in the middle of it. The EHR had replaced the refresh token by then, and takes the old one no longer. No client can prevent that."
			}
		}
		return g, w.renewalFailed(ctx, g, ended, err)
	}
	w.backoff.forget(g.ID)
	w.forgetFailure(ctx, g.ProfileID, reg.ID)
	// From here on the old refresh token may be spent: the answer is stored even if the caller has gone.
	return w.storeRenewal(context.WithoutCancel(ctx), act, reg, g, answer)
}

// wasNotSpent tells whether a failed request certainly left the refresh token
// as it was: the server never got it, or answered that it did not take it.
func wasNotSpent(err error) bool {
	f := fault.From(err)
	switch f.Code {
	case network.CodeConnectionRefused, network.CodeHostNotFound, "rate-limited":
		return true
	case network.CodeCancelled:
		return false
	}
	return !f.Retryable
}

// clearIntent forgets that a refresh began.
func (w *Workstation) clearIntent(ctx context.Context, g store.Grant) {
	if err := w.store.EndRefresh(ctx, store.EndRefreshParams{ID: g.ID, ReadVersion: g.Version}); err != nil {
		w.log.Warn("a refresh that failed could not be noted as such", "error", err)
	}
}

// renewalFailed keeps why a renewal failed, and gives it back.
func (w *Workstation) renewalFailed(ctx context.Context, g store.Grant, ended string, cause error) error {
	if profile, err := w.store.Profile(ctx, g.ProfileID); err == nil {
		w.keepFailure(ctx, profile, g.RegistrationID, diagnose.Refresh, diagnose.RequestFacts{}, cause)
	}
	if fault.From(cause).Retryable {
		w.backoff.failed(g.ID, w.now(), cause)
	}
	if err := w.recordGrantError(context.WithoutCancel(ctx), g, ended, cause); err != nil {
		w.log.Warn("the failed refresh could not be recorded", "error", err)
	}
	return cause
}

// keepReplacement stores the refresh token of an answer that was of no use
// otherwise. The old one is spent, and would cost the whole grant.
func (w *Workstation) keepReplacement(ctx context.Context, reg store.Registration, g store.Grant, answer smart.TokenResponse) store.Grant {
	sealed, err := w.seal(ctx, g.ProfileID, grantBinding("refresh_token", g.ID), answer.RefreshToken)
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
	current, err := w.reread(ctx, reg, g)
	if err != nil {
		return g
	}
	return current
}

func (w *Workstation) refreshCredentials(ctx context.Context, reg store.Registration, g store.Grant) (secret.Value, smart.ClientAuth, error) {
	token, err := w.openToken(ctx, g, "refresh_token", g.RefreshToken)
	if err != nil {
		return secret.Value{}, smart.ClientAuth{}, err
	}
	auth, err := w.clientAuth(ctx, reg)
	return token, auth, err
}

func (w *Workstation) storeRenewal(ctx context.Context, act *action, reg store.Registration, g store.Grant, answer smart.TokenResponse) (store.Grant, error) {
	c, err := w.openContext(ctx, g)
	if err != nil {
		return g, err
	}
	c.renew(answer.Context)
	c.ClockOffset = answer.ServerClockOffset
	access, refresh, sealed, err := w.sealGrant(ctx, g.ProfileID, g.ID, answer.AccessToken, answer.RefreshToken, c)
	if err != nil {
		return g, err
	}
	if len(refresh) == 0 {
		refresh = g.RefreshToken // RFC 6749 section 6: none in the answer means that the old one stays
	}
	err = act.commit(ctx, func(q *store.Queries) error {
		now := w.now().UnixMilli()
		n, err := q.RenewGrant(ctx, store.RenewGrantParams{
			AccessToken: access, RefreshToken: refresh, Context: sealed, ScopesGranted: answer.Scopes.String(), AccessExpiresAt: expiryMillis(answer.ExpiresAt),
			RefreshedAt: &now, RefreshExpiresAt: expiryMillis(answer.RefreshExpiresAt), ID: g.ID, ReadVersion: g.Version,
		})
		if err == nil && n == 0 {
			return removedMeanwhile()
		}
		if err != nil {
			return err
		}
		return q.SetAuthMethod(ctx, store.SetAuthMethodParams{AuthMethod: string(answer.AuthMethod), ID: reg.ID})
	})
	if err != nil {
		return g, err
	}
	w.live.note(g.ID, g.Version+1, answer)
	return w.reread(ctx, reg, g)
}

// renew takes over what a refresh says anew. Who signed in comes from the
// id_token of the sign-in, which a refresh does not change.
func (c *grantContext) renew(fresh smart.LaunchContext) {
	if fresh.Patient != "" && fresh.Patient != c.Patient {
		if c.Patient != "" {
			c.Warnings = append(c.Warnings, "The EHR named another patient when access was renewed. Check whose record this is.")
		}
		c.Patient, c.PatientName = fresh.Patient, ""
	}
	if fresh.Encounter != "" {
		c.Encounter = fresh.Encounter
	}
}

// lockGrant keeps other goroutines and processes from refreshing the same
// grant. The lock dies with its holder.
func (w *Workstation) lockGrant(ctx context.Context, id string) (unlock func(), err error) {
	folder := filepath.Join(w.home, "locks")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fault.New("data-folder-unusable", "The data folder cannot be written.", "Make it writable for your account.").Because(err)
	}
	lock := flock.New(filepath.Join(folder, id), flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, 10*time.Millisecond); !ok {
		return nil, fault.New("refresh-busy", "Another Chartkey process is refreshing this connection.", "Try again in a moment.").CanRetry().Because(err)
	}
	return func() {
		if err := lock.Unlock(); err != nil {
			w.log.Warn("a refresh lock could not be released", "error", err)
		}
	}, nil
}
