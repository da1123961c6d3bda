package workstation

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
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

// accessToken gives a token that has not run out, renewing it where it has.
func (w *Workstation) accessToken(ctx context.Context, reg store.Registration, g store.Grant) (store.Grant, secret.Value, error) {
	if !g.Accepted {
		return g, secret.Value{}, notAccepted()
	}
	switch stateOf(g, w.now()) {
	case Expired:
		renewed, err := w.renew(ctx, reg, g)
		if err != nil {
			return g, secret.Value{}, err
		}
		g = renewed
	case NeedsReconnect:
		_, why := accessEnd(g)
		return g, secret.Value{}, fault.New("needs-reconnect", "Access has ended. "+why, "Connect again.")
	}
	if _, err := w.checkOrigin(ctx, reg, g); err != nil {
		return g, secret.Value{}, err
	}
	token, err := w.openToken(ctx, g, "access_token", g.AccessToken)
	return g, token, err
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
	unlock, err := w.lockGrant(ctx, g.ID)
	if err != nil {
		return g, err
	}
	defer unlock()
	current, err := w.reread(ctx, reg, g)
	if err != nil {
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
	who, err := w.store.Profile(ctx, g.ProfileID)
	if err != nil {
		return g, err
	}
	entry := registrationEntry(audit.Refresh, reg)
	entry.Patient = patientPath(c.Patient)
	err = w.recorded(ctx, who, entry, func(ctx context.Context, act *action) error {
		g, err = w.trade(ctx, act, reg, g, c.Origin, token, auth)
		return err
	})
	return g, err
}

// trade sends the refresh token and stores the answer.
func (w *Workstation) trade(ctx context.Context, act *action, reg store.Registration, g store.Grant, origin grantOrigin, token secret.Value, auth smart.ClientAuth) (store.Grant, error) {
	answer, err := w.requestRefresh(ctx, g, origin, token, auth)
	if err != nil {
		if !answer.RefreshToken.IsEmpty() {
			g = w.keepReplacement(context.WithoutCancel(ctx), reg, g, answer.RefreshToken)
		}
		ended := ""
		if fault.Code(err) == smart.CodeGrantEnded {
			ended = "The EHR has ended the access: it refused the refresh token."
		}
		if recErr := w.recordGrantError(context.WithoutCancel(ctx), g, ended, err); recErr != nil {
			w.log.Warn("the failed refresh could not be recorded", "error", recErr)
		}
		return g, err
	}
	// From here on the old refresh token may be spent: the answer is stored even if the caller has gone.
	return w.storeRenewal(context.WithoutCancel(ctx), act, reg, g, answer)
}

// keepReplacement stores the refresh token of an answer that was of no use
// otherwise. The old one is spent, and would cost the whole grant.
func (w *Workstation) keepReplacement(ctx context.Context, reg store.Registration, g store.Grant, token secret.Value) store.Grant {
	sealed, err := w.seal(ctx, g.ProfileID, grantBinding("refresh_token", g.ID), token)
	if err == nil {
		_, err = w.store.RenewGrant(ctx, store.RenewGrantParams{
			AccessToken: g.AccessToken, RefreshToken: sealed, Context: g.Context, ScopesGranted: g.ScopesGranted,
			AccessExpiresAt: g.AccessExpiresAt, RefreshedAt: g.RefreshedAt, ID: g.ID, ReadVersion: g.Version,
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

func (w *Workstation) requestRefresh(ctx context.Context, g store.Grant, origin grantOrigin, token secret.Value, auth smart.ClientAuth) (smart.TokenResponse, error) {
	cfg, err := w.discover(ctx, g.FHIRBaseURL)
	if err != nil {
		return smart.TokenResponse{}, err
	}
	if err := origin.sameServer(cfg.TokenEndpoint); err != nil {
		return smart.TokenResponse{}, err
	}
	return w.smart.Refresh(ctx, cfg, auth, token, scope.Grammar(strings.Fields(g.ScopesGranted)))
}

func (w *Workstation) storeRenewal(ctx context.Context, act *action, reg store.Registration, g store.Grant, answer smart.TokenResponse) (store.Grant, error) {
	c, err := w.openContext(ctx, g)
	if err != nil {
		return g, err
	}
	c.renew(answer.Context)
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
			RefreshedAt: &now, ID: g.ID, ReadVersion: g.Version,
		})
		if err == nil && n == 0 {
			return fault.New("not-connected", "The connection was removed while it was being refreshed.", "Connect again.")
		}
		if err != nil {
			return err
		}
		return q.SetAuthMethod(ctx, store.SetAuthMethodParams{AuthMethod: string(answer.AuthMethod), ID: reg.ID})
	})
	if err != nil {
		return g, err
	}
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
