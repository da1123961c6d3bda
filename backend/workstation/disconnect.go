package workstation

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// RevokeMode says whether a disconnect tells the server.
type RevokeMode string

// The ways to disconnect.
const (
	// RevokeAuto tells the server where it offers revocation.
	RevokeAuto RevokeMode = "auto"
	// RevokeNever forgets the grant here and tells nobody.
	RevokeNever RevokeMode = "never"
)

// Disconnection says what a disconnect did. The grant is gone from this
// computer in every case.
type Disconnection struct {
	// Revocation is "revoked", "not_offered", "not_asked" or "failed".
	Revocation string `json:"revocation"`
	Revoked    bool   `json:"revoked"`
	Message    string `json:"message"`
	// Error is why the server could not be told.
	Error  *fault.Error `json:"error"`
	Status Status       `json:"status"`
}

// Disconnect ends a connection: the tokens are revoked where the server
// advertises it (RFC 7009), and forgotten here in every case. Fault: not-connected.
func (w *Workstation) Disconnect(ctx context.Context, ref string, mode RevokeMode) (d Disconnection, err error) {
	err = w.as(ctx, "Disconnect", func(ctx context.Context, who *seat) error {
		d, err = w.disconnectOwn(ctx, who, ref, mode)
		return err
	})
	return d, err
}

func (w *Workstation) disconnectOwn(ctx context.Context, who *seat, ref string, mode RevokeMode) (Disconnection, error) {
	if mode != RevokeAuto && mode != RevokeNever {
		return Disconnection{}, fault.Newf("invalid-revoke", "Choose auto or never.", "%q is no way to disconnect.", mode)
	}
	if reg, ok, err := w.backendService(ctx, ref); err != nil {
		return Disconnection{}, err
	} else if ok {
		return w.disconnectService(ctx, who, reg, mode)
	}
	reg, g, err := w.connection(ctx, who, ref)
	if fault.Code(err) == "not-connected" {
		err = fault.New("not-connected", fault.From(err).Message, "There is nothing to disconnect.")
	}
	if err != nil {
		return Disconnection{}, err
	}
	return w.disconnect(ctx, who, reg, g, mode)
}

// disconnect ends one grant. An admin may end those of other profiles too:
// unless their passcode was given, the tokens stay closed, and the server cannot be told.
func (w *Workstation) disconnect(ctx context.Context, who *seat, reg store.Registration, g store.Grant, mode RevokeMode) (Disconnection, error) {
	// A refresh under way would bring a fresh token to life after the old one was revoked.
	unlock, err := w.lockGrant(ctx, g.ID, true)
	if err != nil {
		return Disconnection{}, err
	}
	defer unlock()
	now, err := w.reread(ctx, reg, g)
	if err == nil && now.ID != g.ID {
		err = notConnected(reg) // another sign-in took its place: that one is left alone
	}
	if err != nil {
		return Disconnection{}, err
	}
	g = now
	d := notAsked()
	entry := registrationEntry(audit.Disconnect, reg)
	if c, err := w.openContext(ctx, g); err == nil {
		entry.Patient = patientPath(c.Patient)
	}
	ctx = w.watched(ctx)
	observationOf(ctx).record(w, audit.Disconnect, reg, nil)
	if g.ProfileID != who.profile.ID {
		whose, err := w.store.Profile(ctx, g.ProfileID)
		if err != nil {
			return Disconnection{}, err
		}
		entry.Subject = whose.Name
	}
	err = w.recorded(ctx, who.profile, entry, func(ctx context.Context, act *action) error {
		if mode == RevokeAuto {
			d = w.revoke(ctx, reg, g)
		}
		return w.forget(context.WithoutCancel(ctx), who, act, reg, g)
	})
	if err != nil {
		return Disconnection{}, err
	}
	d.Status, err = w.statusOf(context.WithoutCancel(ctx), who, reg.ID)
	return d, err
}

func notAsked() Disconnection {
	return Disconnection{Revocation: "not_asked", Message: "Forgotten on this computer. The EHR was not told, as asked."}
}

func (w *Workstation) forget(ctx context.Context, who *seat, act *action, reg store.Registration, g store.Grant) error {
	// What the test found of the configuration stays true; what it saw through the grant goes with it.
	var report *TestReport
	var err error
	if g.ProfileID == who.profile.ID {
		if report, err = w.latestReport(ctx, who, reg); err != nil {
			w.log.Warn("the latest test could not be read", "error", err)
		}
	}
	err = act.commit(ctx, func(q *store.Queries) error {
		if _, err := q.DeleteGrant(ctx, g.ID); err != nil {
			return err
		}
		if g.Kind == standalone && g.Accepted {
			key := store.DeleteConnectFailureParams{RegistrationID: reg.ID, ProfileID: g.ProfileID}
			return errors.Join(q.DeleteConnectFailure(ctx, key), q.DeleteTestReport(ctx, store.DeleteTestReportParams(key)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.backoff.forget(g.ID)
	w.live.forget(g.ID)
	if err := os.Remove(filepath.Join(w.home, "locks", g.ID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.log.Warn("a refresh lock's file stays behind", "error", err)
	}
	if report != nil && g.Kind == standalone && g.Accepted {
		if report = report.withoutLive(); report != nil {
			return w.keepReport(ctx, who, *report)
		}
	}
	return nil
}

func (w *Workstation) revoke(ctx context.Context, reg store.Registration, g store.Grant) Disconnection {
	c, err := w.checkOrigin(ctx, reg, g)
	if err != nil {
		return notTold(err) // above all, no credentials of a new server go to the old one
	}
	return w.revokeAt(ctx, reg, c.Origin, func() (t tokensToRevoke, err error) {
		if t.auth, err = w.grantAuth(ctx, reg, g); err != nil {
			return t, err
		}
		if t.access, err = w.openToken(ctx, g, "access_token", g.AccessToken); err != nil {
			return t, err
		}
		t.refresh, err = w.openToken(ctx, g, "refresh_token", g.RefreshToken)
		return t, err
	})
}

// tokensToRevoke are what a disconnect tells the server, and by whom.
type tokensToRevoke struct {
	auth            smart.ClientAuth
	refresh, access secret.Value
}

func notTold(err error) Disconnection {
	return Disconnection{
		Revocation: "failed", Error: Fault(err),
		Message: "Forgotten on this computer, but the EHR could not be told. Access may last there until it runs out.",
	}
}

// revokeAt tells the server that issued tokens that they are to end, where it
// offers that. give opens them.
func (w *Workstation) revokeAt(ctx context.Context, reg store.Registration, origin grantOrigin, give func() (tokensToRevoke, error)) Disconnection {
	cfg, err := w.discover(ctx, origin.FHIRBaseURL)
	if err != nil {
		return notTold(err)
	}
	if cfg.RevocationEndpoint == "" {
		message := "Forgotten on this computer. This EHR offers apps no way to end access from outside, so it may last there until it runs out."
		if reg.EHR == "epic" && reg.Kind == KindApp {
			message += " To end it at the hospital, use the linked apps page of MyChart."
		}
		return Disconnection{Revocation: "not_offered", Message: message}
	}
	if err := origin.sameServer(cfg.RevocationEndpoint); err != nil {
		return notTold(err)
	}
	tokens, err := give()
	if err != nil {
		return notTold(err)
	}
	way, err := w.to(ctx, origin.FHIRBaseURL)
	if err != nil {
		return notTold(err)
	}
	if err := way.smart.Revoke(ctx, cfg, tokens.auth, tokens.refresh, tokens.access); err != nil {
		return notTold(w.explainRefusal(ctx, reg, err))
	}
	return Disconnection{Revocation: "revoked", Revoked: true, Message: "The EHR was told and has ended the access. It is forgotten on this computer too."}
}
