package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/store"
)

// Policy is what an admin decides for all profiles of the workstation.
type Policy struct {
	// IdleMinutes is after how much idle time the window locks itself: 1 to 30.
	IdleMinutes int `json:"idle_minutes"`
	// AuditDays is how long the activity record is kept.
	AuditDays int `json:"audit_days"`
}

const (
	policySetting      = "policy"
	defaultIdleMinutes = 5
	maxIdleMinutes     = 30
	// defaultAuditDays is six years, as 45 CFR 164.316(b)(2)(i) asks of documentation.
	defaultAuditDays = 6*365 + 2
	minAuditDays     = 30
	maxAuditDays     = 36500
)

// Policy gives the policy of this workstation.
func (w *Workstation) Policy(ctx context.Context) (Policy, error) {
	p := Policy{IdleMinutes: defaultIdleMinutes, AuditDays: defaultAuditDays}
	text, err := w.store.Setting(ctx, policySetting)
	if errors.Is(err, store.ErrNoRow) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.check() != nil {
		return p, fault.New("store-damaged", "The policy of this workstation cannot be read.", "Set it again.").Because(err)
	}
	return p, nil
}

func (p Policy) check() error {
	switch {
	case p.IdleMinutes < 1 || p.IdleMinutes > maxIdleMinutes:
		return fault.Newf("invalid-policy", "Choose a number of minutes from 1 to 30.", "%d is no idle time to lock after.", p.IdleMinutes)
	case p.AuditDays < minAuditDays || p.AuditDays > maxAuditDays:
		return fault.Newf("invalid-policy", "Choose a number of days from 30 to 36500; six years are 2192.", "%d days is no time to keep the activity record for.", p.AuditDays)
	}
	return nil
}

// SetPolicy changes the policy. Fault: invalid-policy.
func (w *Workstation) SetPolicy(ctx context.Context, p Policy) error {
	return w.as(ctx, "SetPolicy", func(ctx context.Context, who *seat) error {
		if err := p.check(); err != nil {
			return err
		}
		before, err := w.Policy(ctx)
		if fault.Code(err) == "store-damaged" {
			before, err = Policy{}, nil
		}
		if err != nil {
			return err
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		// One entry for each thing that changed; the first carries the change itself.
		deed := func(q *store.Queries) error {
			return q.SetSetting(ctx, store.SetSettingParams{Name: policySetting, Value: string(text)})
		}
		if p.IdleMinutes != before.IdleMinutes {
			if err := w.record(ctx, who.profile, audit.Entry{Action: audit.Policy, Detail: audit.DetailIdleTime, Subject: strconv.Itoa(p.IdleMinutes) + " minutes"}, deed); err != nil {
				return err
			}
		}
		if p.AuditDays != before.AuditDays {
			if err := w.record(ctx, who.profile, audit.Entry{Action: audit.Policy, Detail: audit.DetailRetention, Subject: strconv.Itoa(p.AuditDays) + " days"}, deed); err != nil {
				return err
			}
		}
		return w.retain(ctx, who)
	})
}
