package workstation

import (
	"context"
	"errors"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// maxPendingIssuers bounds how many undecided issuers are kept: a flood of
// launches from invented ones drops the oldest.
const maxPendingIssuers = 100

// The decisions on an issuer.
const (
	IssuerPending  = "pending"
	IssuerApproved = "approved"
	IssuerRefused  = "refused"
)

// Issuer is an EHR that launched here, or was decided on, and no registration's
// own server.
type Issuer struct {
	// Issuer is the iss in its normal form; Received is how the EHR wrote it.
	Issuer   string `json:"issuer"`
	Received string `json:"received"`
	Decision string `json:"decision"` // pending | approved | refused
	// Registration is what its launches use, once approved.
	Registration   *string    `json:"registration"`
	RegistrationID *string    `json:"registration_id"`
	Launches       int64      `json:"launches"`
	FirstSeen      time.Time  `json:"first_seen" ts_type:"string"`
	LastSeen       time.Time  `json:"last_seen" ts_type:"string"`
	DecidedAt      *time.Time `json:"decided_at" ts_type:"string"`
}

// Issuers gives the issuers seen and what was decided of them, the latest first.
func (w *Workstation) Issuers(ctx context.Context) ([]Issuer, error) {
	rows, err := w.store.Issuers(ctx)
	if err != nil {
		return nil, err
	}
	regs, err := w.store.Registrations(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(regs))
	for _, r := range regs {
		names[r.ID] = r.Name
	}
	out := make([]Issuer, len(rows))
	for i, row := range rows {
		out[i] = Issuer{
			Issuer: row.Issuer, Received: row.Received, Decision: row.Decision, RegistrationID: row.RegistrationID, Launches: row.Launches,
			FirstSeen: fromMillis(row.FirstSeen), LastSeen: fromMillis(row.LastSeen), DecidedAt: optionalTime(row.DecidedAt),
		}
		if row.RegistrationID != nil {
			name := names[*row.RegistrationID]
			out[i].Registration = &name
		}
	}
	return out, nil
}

// normalIssuer gives the normal form of an issuer. Fault: invalid-issuer.
func normalIssuer(iss string) (string, error) {
	for _, p := range smart.CheckBaseURL(iss) {
		return "", fault.New("invalid-issuer", "The issuer is no FHIR base URL: "+p.Message, p.Advice)
	}
	normal, err := smart.NormalizeBaseURL(iss)
	if err != nil {
		return "", fault.New("invalid-issuer", "The issuer is no FHIR base URL.", "Copy it from the launch that is waiting.").Because(err)
	}
	return normal, nil
}

// ApproveIssuer has launches from iss use a registration from now on. Where
// several registrations share a server, it is also how one of them is chosen.
func (w *Workstation) ApproveIssuer(ctx context.Context, iss, registration string) error {
	return w.as(ctx, "ApproveIssuer", func(ctx context.Context, who *seat) error {
		reg, err := w.registrationRow(ctx, registration)
		if err != nil {
			return err
		}
		if reg.Kind == KindBackend {
			return fault.Newf("sign-in-not-needed", "Choose the registration of an app.", "%s is a backend service, which no EHR launches.", reg.Name)
		}
		return w.decideIssuer(ctx, who, iss, IssuerApproved, &reg)
	})
}

// RefuseIssuer has launches from iss be refused from now on.
func (w *Workstation) RefuseIssuer(ctx context.Context, iss string) error {
	return w.as(ctx, "RefuseIssuer", func(ctx context.Context, who *seat) error {
		return w.decideIssuer(ctx, who, iss, IssuerRefused, nil)
	})
}

func (w *Workstation) decideIssuer(ctx context.Context, who *seat, iss, decision string, reg *store.Registration) error {
	normal, err := normalIssuer(iss)
	if err != nil {
		return err
	}
	entry := audit.Entry{Action: audit.LaunchDecision, Detail: "issuer-" + decision, Server: normal}
	var registrationID *string
	if reg != nil {
		registrationID = &reg.ID
		entry.RegistrationID, entry.RegistrationName = reg.ID, reg.Name
	}
	return w.record(ctx, who.profile, entry, func(q *store.Queries) error {
		return q.DecideIssuer(ctx, store.DecideIssuerParams{Issuer: normal, Received: iss, Decision: decision, RegistrationID: registrationID, At: w.now().UnixMilli()})
	})
}

// WithdrawIssuer forgets an issuer and what was decided of it. Fault: issuer-not-found.
func (w *Workstation) WithdrawIssuer(ctx context.Context, iss string) error {
	return w.as(ctx, "WithdrawIssuer", func(ctx context.Context, who *seat) error {
		normal, err := normalIssuer(iss)
		if err != nil {
			return err
		}
		return w.record(ctx, who.profile, audit.Entry{Action: audit.LaunchDecision, Detail: audit.DetailIssuerWithdrawn, Server: normal}, func(q *store.Queries) error {
			n, err := q.ForgetIssuer(ctx, normal)
			if err == nil && n == 0 {
				return fault.Newf("issuer-not-found", "List the issuers to see what was decided.", "Nothing was decided of %s.", normal)
			}
			return err
		})
	})
}

// InspectIssuer asks an issuer that waits for a decision what it says of
// itself. Only a person's request leads here: a launch alone fetches nothing.
// Faults: issuer-not-found, and those of discovery.
func (w *Workstation) InspectIssuer(ctx context.Context, iss string) (cfg smart.Configuration, err error) {
	err = w.as(ctx, "InspectIssuer", func(ctx context.Context, _ *seat) error {
		cfg, err = w.inspectIssuer(ctx, iss)
		return err
	})
	return cfg, err
}

func (w *Workstation) inspectIssuer(ctx context.Context, iss string) (smart.Configuration, error) {
	normal, err := normalIssuer(iss)
	if err != nil {
		return smart.Configuration{}, err
	}
	row, err := w.store.FindIssuer(ctx, normal)
	if errors.Is(err, store.ErrNoRow) {
		return smart.Configuration{}, fault.Newf("issuer-not-found", "Launch from it first.", "%s has not launched here.", normal)
	}
	if err != nil {
		return smart.Configuration{}, err
	}
	way, err := w.to(ctx, row.Received)
	if err != nil {
		return smart.Configuration{}, err
	}
	return way.smart.Discover(ctx, row.Received)
}
