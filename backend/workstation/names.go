package workstation

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/scope"
	"chartkey/backend/store"
)

// namesTimeout bounds the reading of names after a sign-in: the person waits for its end.
const namesTimeout = 3 * time.Second

// tellNames reads the names of patient and user right after a sign-in, so that a
// person sees whose connection it is before using or accepting it. Where they
// cannot be read, the references stand alone.
func (w *Workstation) tellNames(ctx context.Context, who *seat, connectionID string) {
	ctx, cancel := context.WithTimeout(ctx, namesTimeout)
	defer cancel()
	if err := w.learnNames(ctx, who, connectionID); err != nil {
		w.log.Info("the names of a connection could not be read", "code", fault.Code(err))
	}
}

func (w *Workstation) learnNames(ctx context.Context, who *seat, connectionID string) error {
	reg, g, err := w.connection(ctx, who, connectionID)
	if err != nil {
		return err
	}
	c, err := w.checkOrigin(ctx, reg, g)
	if err != nil {
		return err
	}
	patient, user := patientPath(c.Patient), relativeReference(c.FHIRUser, g.FHIRBaseURL)
	granted := scope.Grammar(strings.Fields(g.ScopesGranted))
	paths := slices.DeleteFunc([]string{patient, user}, func(path string) bool {
		typ, _, _ := strings.Cut(path, "/")
		return path == "" || !allowsRead(granted, typ)
	})
	token, err := w.openToken(ctx, g, "access_token", g.AccessToken)
	if err != nil || token.IsEmpty() || len(paths) == 0 {
		return err
	}
	way, err := w.to(ctx, g.FHIRBaseURL)
	if err != nil {
		return err
	}
	client := &fhir.Client{HTTP: way.http, BaseURL: g.FHIRBaseURL, Now: w.now, Token: func(context.Context) (string, error) { return token.Reveal(), nil }}
	var failures []error
	for _, path := range slices.Compact(paths) { // a patient's own sign-in is of one person
		entry := readEntry(reg, c, path)
		if g.Kind == ehrLaunch {
			entry.Origin = audit.FromLaunch
		}
		// In the trace it is a part of the sign-in, which ends later.
		untraced := context.WithValue(ctx, observationKey{}, (*observation)(nil))
		failures = append(failures, w.recorded(untraced, who.profile, entry, func(context.Context, *action) error {
			res, err := client.Get(ctx, path)
			if err != nil {
				return err
			}
			name := fhir.Summarize(res.Raw).Title
			if path == patient {
				c.PatientName = name
			}
			if path == user {
				c.UserName = name
			}
			return nil
		}))
	}
	sealed, err := w.sealContext(ctx, g.ProfileID, g.ID, c)
	if err == nil {
		err = w.store.SetGrantContext(ctx, store.SetGrantContextParams{Context: sealed, ID: g.ID, Version: g.Version})
	}
	return errors.Join(append(failures, err)...)
}

// allowsRead tells whether scopes allow to read a resource of a type, in whatever context.
func allowsRead(granted scope.Set, typ string) bool {
	return slices.ContainsFunc([]string{"patient", "user", "system"}, func(context string) bool { return granted.Allows(context, typ, scope.Read) })
}
