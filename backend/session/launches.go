package session

import (
	"slices"
	"sync"

	"chartkey/backend/fault"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"
)

// keptSeen is how many launches the Launches place lists.
const keptSeen = 100

// LaunchRow is one launch that came in, and how it ended so far.
type LaunchRow struct {
	workstation.LaunchSeen
	// Outcome is "waiting" while the browser is at the EHR, then "connected" or
	// "failed"; "" where the launch did not go on.
	Outcome      string       `json:"outcome"`
	ConnectionID string       `json:"connection_id"`
	Error        *fault.Error `json:"error"`
}

// LaunchesPage is what the Launches place shows.
type LaunchesPage struct {
	Settings workstation.LaunchSettings `json:"settings"`
	// Listening tells whether it listens now; Error why it does not though it should.
	Listening bool         `json:"listening"`
	Error     *fault.Error `json:"error"`
	Launches  []LaunchRow  `json:"launches"`
	// Connections are those that launches made, the latest first.
	Connections []workstation.Status `json:"connections"`
	Issuers     []workstation.Issuer `json:"issuers"`
}

// launches is the window's launch listener and what it has seen.
type launches struct {
	switching sync.Mutex // held while the listener is switched on or off

	mu       sync.Mutex // protects the rest
	listener *workstation.LaunchListener
	err      *fault.Error
	seen     []LaunchRow // the latest first
}

// LaunchesPage gives the listener, the launches and the issuers.
func (s *Session) LaunchesPage() (LaunchesPage, error) {
	var p LaunchesPage
	var err error
	if p.Settings, err = s.w.LaunchSettings(s.ctx); err != nil {
		return p, err
	}
	if p.Connections, err = s.w.LaunchStatuses(s.ctx, ""); err != nil {
		return p, err
	}
	if p.Issuers, err = s.w.Issuers(s.ctx); err != nil {
		return p, err
	}
	s.launches.mu.Lock()
	defer s.launches.mu.Unlock()
	p.Listening, p.Error = s.launches.listener != nil, s.launches.err
	p.Launches = append([]LaunchRow{}, s.launches.seen...)
	return p, nil
}

// SetLaunchListener switches the listener on or off, and remembers it. An
// empty url stands for the default.
func (s *Session) SetLaunchListener(on bool, url string) (LaunchesPage, error) {
	if err := s.w.SaveLaunchSettings(s.ctx, workstation.LaunchSettings{On: on, URL: url}); err != nil {
		return LaunchesPage{}, err
	}
	s.applyLaunchSettings()
	return s.LaunchesPage()
}

// applyLaunchSettings has the listener be as it is remembered. The listener
// is closed outside the lock, which the launches that it still answers need.
func (s *Session) applyLaunchSettings() {
	defer s.hooks.Emit("launches", nil)
	s.launches.switching.Lock()
	defer s.launches.switching.Unlock()
	settings, err := s.w.LaunchSettings(s.ctx)
	if err == nil {
		err = s.switchListener(settings)
	}
	s.launches.mu.Lock()
	defer s.launches.mu.Unlock()
	s.launches.err = workstation.Fault(err)
}

func (s *Session) switchListener(settings workstation.LaunchSettings) error {
	s.launches.mu.Lock()
	running := s.launches.listener
	if running != nil && settings.On && running.URL() == settings.URL {
		s.launches.mu.Unlock()
		return nil
	}
	s.launches.listener = nil
	s.launches.mu.Unlock()
	if running != nil {
		if err := running.Close(); err != nil {
			return err
		}
	}
	if !settings.On {
		return nil
	}
	listener, err := s.w.ListenForLaunches(s.ctx, settings.URL, workstation.LaunchSink{
		Seen: s.launchSeen,
		Connected: func(id string, st workstation.Status) {
			s.launchEnded(id, func(row *LaunchRow) { row.Outcome, row.ConnectionID = "connected", *st.ConnectionID })
		},
		Failed: func(id string, f *fault.Error) {
			s.launchEnded(id, func(row *LaunchRow) { row.Outcome, row.Error = "failed", f })
		},
	})
	if err != nil {
		return err
	}
	s.launches.mu.Lock()
	defer s.launches.mu.Unlock()
	s.launches.listener = listener
	return nil
}

func (s *Session) closeLaunches() {
	s.launches.mu.Lock()
	l := s.launches.listener
	s.launches.listener = nil
	s.launches.mu.Unlock()
	if l != nil {
		_ = l.Close() // nothing can be told any more
	}
}

func (s *Session) launchSeen(seen workstation.LaunchSeen) {
	row := LaunchRow{LaunchSeen: seen}
	if seen.Decision == "authorize" {
		row.Outcome = "waiting"
	}
	s.launches.mu.Lock()
	s.launches.seen = slices.Insert(s.launches.seen, 0, row)
	s.launches.seen = s.launches.seen[:min(len(s.launches.seen), keptSeen)]
	s.launches.mu.Unlock()
	s.hooks.Emit("launches", nil)
}

func (s *Session) launchEnded(id string, change func(*LaunchRow)) {
	s.launches.mu.Lock()
	for i := range s.launches.seen {
		if s.launches.seen[i].ID == id {
			change(&s.launches.seen[i])
		}
	}
	s.launches.mu.Unlock()
	s.hooks.Emit("launches", nil)
	s.changed()
}

// ApproveIssuer has launches from an issuer use a registration from now on.
func (s *Session) ApproveIssuer(iss, registrationID string) error {
	defer s.hooks.Emit("launches", nil)
	return s.w.ApproveIssuer(s.ctx, iss, registrationID)
}

// RefuseIssuer has launches from an issuer be refused from now on.
func (s *Session) RefuseIssuer(iss string) error {
	defer s.hooks.Emit("launches", nil)
	return s.w.RefuseIssuer(s.ctx, iss)
}

// WithdrawIssuer forgets what was decided of an issuer.
func (s *Session) WithdrawIssuer(iss string) error {
	defer s.hooks.Emit("launches", nil)
	return s.w.WithdrawIssuer(s.ctx, iss)
}

// InspectIssuer asks an issuer what it says of itself, because a person wants to see it.
func (s *Session) InspectIssuer(iss string) (smart.Configuration, error) {
	return s.w.InspectIssuer(s.ctx, iss)
}
