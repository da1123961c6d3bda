package workstation

import (
	"context"
	"encoding/json"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/store"
)

// Read does a FHIR GET with the stored grant. path is relative to the FHIR
// base URL, as in "Patient/1" or "Observation?patient=1". The token is
// renewed first where it has run out, and once more where the server refuses
// it. Faults: not-connected, needs-reconnect, and those of fhir.
func (w *Workstation) Read(ctx context.Context, ref, path string) (fhir.Resource, error) {
	var out fhir.Resource
	err := w.as(ctx, "Read", func(ctx context.Context, who *seat) error {
		return w.withGrant(ctx, who, ref, path, func(ctx context.Context, c *fhir.Client) (err error) {
			out, err = c.Get(ctx, path)
			return err
		})
	})
	if err != nil {
		return fhir.Resource{}, err
	}
	return out, nil
}

// ReadPages is Read for a search: each is called for every entry of every
// page, up to limit entries (0 = all).
func (w *Workstation) ReadPages(ctx context.Context, ref, path string, limit int, each func(entry json.RawMessage) error) error {
	delivered := false
	return w.as(ctx, "ReadPages", func(ctx context.Context, who *seat) error {
		return w.withGrant(ctx, who, ref, path, func(ctx context.Context, c *fhir.Client) error {
			if delivered {
				return fault.New("fhir-unauthorized", "The EHR stopped accepting the access token in the middle of the search.", "Run the search again.").CanRetry()
			}
			return c.Pages(ctx, path, limit, func(entry json.RawMessage) error {
				delivered = true
				return each(entry)
			})
		})
	})
}

// withGrant reads with a grant of the profile's, and records that it did.
func (w *Workstation) withGrant(ctx context.Context, who *seat, ref, path string, do func(context.Context, *fhir.Client) error) error {
	if reg, ok, err := w.backendService(ctx, ref); err != nil {
		return err
	} else if ok {
		return w.withService(ctx, who, reg, path, do)
	}
	reg, g, err := w.connection(ctx, who, ref)
	if err != nil {
		return err
	}
	// Opened first: a locked vault, or a changed row, is found before anything is asked of the server.
	c, err := w.checkOrigin(ctx, reg, g)
	if err != nil {
		return err
	}
	ctx, entry := w.watched(ctx), readEntry(reg, c, path)
	observationOf(ctx).record(w, audit.Read, reg, nil)
	err = w.recorded(ctx, who.profile, entry, func(ctx context.Context, _ *action) error {
		return w.tokens(reg, g).use(ctx, func(client *fhir.Client) error { return do(ctx, client) })
	})
	if err != nil {
		w.keepFailure(ctx, who.profile, reg.ID, diagnose.FHIR, diagnose.RequestFacts{Resource: entry.Resource, Search: entry.Detail == audit.DetailSearch}, err)
	}
	return err
}

// withService reads with a backend service's own token, and records that it did.
func (w *Workstation) withService(ctx context.Context, who *seat, reg store.Registration, path string, do func(context.Context, *fhir.Client) error) error {
	if err := mayServe(who, reg); err != nil {
		return err
	}
	ctx, entry := w.watched(ctx), readEntry(reg, grantContext{}, path)
	observationOf(ctx).record(w, audit.Read, reg, nil)
	err := w.recorded(ctx, who.profile, entry, func(ctx context.Context, _ *action) error {
		return w.serviceSource(who, reg).use(ctx, func(client *fhir.Client) error { return do(ctx, client) })
	})
	if err != nil {
		w.keepFailure(ctx, who.profile, reg.ID, diagnose.FHIR, diagnose.RequestFacts{Resource: entry.Resource, Search: entry.Detail == audit.DetailSearch}, err)
	}
	return err
}

// tokenSource gives a grant's token to one operation.
type tokenSource struct {
	w   *Workstation
	reg store.Registration
	g   store.Grant
	// renewed tells that the token came while the operation was under way.
	renewed bool
}

func (w *Workstation) tokens(reg store.Registration, g store.Grant) *tokenSource {
	return &tokenSource{w: w, reg: reg, g: g}
}

// use runs do with a FHIR client of the server that issued the grant: the
// token never goes to another, whatever the registration says by now. Where
// the server refuses the token, it is renewed and do runs once more: do must be
// safe to repeat. A token that was renewed already and is refused stays so.
func (s *tokenSource) use(ctx context.Context, do func(*fhir.Client) error) error {
	way, err := s.w.to(ctx, s.g.FHIRBaseURL)
	if err != nil {
		return err
	}
	client := &fhir.Client{HTTP: way.http, BaseURL: s.g.FHIRBaseURL, Now: s.w.now, Token: s.token}
	err = do(client)
	if fault.Code(err) != "fhir-unauthorized" || s.renewed {
		return err
	}
	if err := s.renewRefused(ctx); err != nil {
		return err
	}
	return do(client)
}

func (s *tokenSource) token(ctx context.Context) (string, error) {
	g, token, err := s.w.accessToken(ctx, s.reg, s.g)
	if err != nil {
		return "", err
	}
	s.take(g)
	return token.Reveal(), nil
}

// take goes on with the grant as it is now.
func (s *tokenSource) take(g store.Grant) {
	s.renewed = s.renewed || hasOtherToken(g, s.g)
	s.g = g
}

// renewRefused is called after the server has refused a token that had not
// run out: its access was ended early, or its clock is ahead. One refusal by a
// FHIR server does not end the grant: only its authorization server does that.
func (s *tokenSource) renewRefused(ctx context.Context) error {
	if !renewable(s.g) {
		refused := fault.New("token-refused", "The EHR no longer accepts the access token, and gave no refresh token.", "Connect again.")
		if _, err := s.w.recordGrantError(ctx, s.g, "", refused); err != nil {
			return err
		}
		return refused
	}
	g, err := s.w.renew(ctx, s.reg, s.g, vital)
	if err == nil {
		s.take(g)
	}
	return err
}

// metadataClient reads what needs no token.
func (w *Workstation) metadataClient(ctx context.Context, base string) (*fhir.Client, error) {
	way, err := w.to(ctx, base)
	if err != nil {
		return nil, err
	}
	return &fhir.Client{HTTP: way.http, BaseURL: base, Now: w.now}, nil
}
