package session

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/workstation"
)

// LockEvent tells the page that the window was locked: it drops whatever it shows.
type LockEvent struct {
	Why string `json:"why"`
}

// SeatPage is what the lock and the People place show.
type SeatPage struct {
	Seat     workstation.SeatStatus  `json:"seat"`
	Profiles []workstation.Profile   `json:"profiles"`
	Policy   workstation.Policy      `json:"policy"`
	Vault    workstation.VaultStatus `json:"vault"`
}

// SeatPage tells who acts, who else could, and what the policy is.
func (s *Session) SeatPage() (SeatPage, error) {
	var p SeatPage
	var errs [4]error
	p.Seat, errs[0] = s.w.Seat(s.ctx)
	p.Profiles, errs[1] = s.w.Profiles(s.ctx)
	p.Policy, errs[2] = s.w.Policy(s.ctx)
	p.Vault, errs[3] = s.w.VaultStatus(s.ctx)
	return p, errors.Join(errs[:]...)
}

// teller gives Emit for something that begins now. It is silent once the
// window has been locked since: whose it was is not there any more.
func (s *Session) teller() func(name string, data any) {
	s.mu.Lock()
	began := s.stay
	s.mu.Unlock()
	return func(name string, data any) {
		s.mu.Lock()
		same := s.stay == began
		s.mu.Unlock()
		if same {
			s.hooks.Emit(name, data)
		}
	}
}

// Lock locks the window: what is under way is abandoned, the keys leave
// memory, and the page drops what it shows.
func (s *Session) Lock(why string) error {
	s.mu.Lock()
	if s.lockedHere {
		s.mu.Unlock()
		return nil
	}
	s.lockedHere = true
	s.stay++
	s.mu.Unlock()
	err := s.w.Lock(s.ctx, why)
	s.hooks.Emit("locked", LockEvent{Why: why})
	return err
}

// Unlock signs a profile in, by name or id; "" is the one that is there.
func (s *Session) Unlock(profile string, passphrase, passcode, newPasscode secret.Value) error {
	err := s.w.Unlock(s.ctx, workstation.UnlockRequest{Profile: profile, Passphrase: passphrase, Passcode: passcode, NewPasscode: newPasscode})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.lockedHere = false
	s.stay++
	s.active = now()
	s.mu.Unlock()
	s.changed()
	s.hooks.Emit("launches", nil)
	return nil
}

// now is the wall clock without its monotonic part: the time that a computer
// sleeps counts as idle.
func now() time.Time { return time.Now().Round(0) }

// Touch tells that a person is there.
func (s *Session) Touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = now()
}

// idleCheck is how often the window looks whether it is idle.
const idleCheck = time.Second

func (s *Session) lockWhenIdle() {
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		idle, locked := now().Sub(s.active), s.lockedHere
		s.mu.Unlock()
		if locked || idle < time.Minute { // the policy is at least that
			continue
		}
		policy, err := s.w.Policy(s.ctx)
		if err != nil && s.ctx.Err() == nil {
			s.hooks.Emit("failed", workstation.Fault(err))
		}
		if idle >= time.Duration(policy.IdleMinutes)*time.Minute {
			s.tellFailure(s.Lock("idle"))
		}
	}
}

func (s *Session) tellFailure(err error) {
	if err != nil && s.ctx.Err() == nil {
		s.hooks.Emit("failed", workstation.Fault(err))
	}
}

// followLock locks the window where chartkey vault lock was said elsewhere.
func (s *Session) followLock() {
	locked, err := s.w.LockedElsewhere(s.ctx)
	s.tellFailure(err)
	if locked {
		s.tellFailure(s.Lock("everywhere"))
	}
}

// recordCheck is how often the activity record is shortened by its policy.
const recordCheck = 12 * time.Hour

func (s *Session) keepRecordShort() {
	tick := time.NewTicker(recordCheck)
	defer tick.Stop()
	for {
		// Where nobody is signed in, or no admin, the next time does.
		if err := s.w.Retain(s.ctx); fault.Code(err) == "audit-damaged" {
			s.tellFailure(err)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// AddProfile adds a person. own is the passcode of the admin, where one is needed from now on.
func (s *Session) AddProfile(name, role string, passcode, own secret.Value) (workstation.Profile, error) {
	defer s.changed()
	return s.w.AddProfile(s.ctx, workstation.NewProfile{Name: name, Role: role, Passcode: passcode, OwnPasscode: own})
}

// RemoveProfile removes a person with their key and connections.
func (s *Session) RemoveProfile(id string) error {
	defer s.changed()
	return s.w.RemoveProfile(s.ctx, id)
}

// ResetPasscode takes a person's passcode and key away.
func (s *Session) ResetPasscode(id string) error {
	defer s.changed()
	return s.w.ResetPasscode(s.ctx, id)
}

// RevokeConnections ends a person's connections, by their own passcode, before a reset or removal.
func (s *Session) RevokeConnections(id string, passcode secret.Value) ([]workstation.Disconnection, error) {
	defer s.changed()
	return s.w.RevokeConnections(s.ctx, id, passcode)
}

// ChangePasscode changes the passcode of the profile that is signed in.
func (s *Session) ChangePasscode(old, next secret.Value) error {
	defer s.changed()
	return s.w.ChangePasscode(s.ctx, "", old, next)
}

// SetPolicy changes what an admin decides for everybody.
func (s *Session) SetPolicy(p workstation.Policy) error {
	defer s.changed()
	return s.w.SetPolicy(s.ctx, p)
}

// ActivityPage is what the Activity place shows.
type ActivityPage struct {
	Activities []ActivityLine `json:"activities"`
	// Verified is what a check of the whole record found.
	Verified audit.Result       `json:"verified"`
	Notices  []string           `json:"notices"`
	Policy   workstation.Policy `json:"policy"`
}

// ActivityLine is an activity, with a few words on what was done.
type ActivityLine struct {
	audit.Activity
	Words   string `json:"words"`
	Outcome string `json:"outcome"` // started, done or failed
}

// shownActivities is how many activities the window shows; an export has all.
const shownActivities = 500

// ActivityPage gives the latest activities, and checks the whole record.
func (s *Session) ActivityPage() (ActivityPage, error) {
	var p ActivityPage
	activities, err := s.w.AuditLog(s.ctx, shownActivities)
	if err != nil {
		return p, err
	}
	p.Activities = make([]ActivityLine, len(activities))
	for i, a := range activities {
		p.Activities[i] = ActivityLine{a, a.Words(), a.Outcome()}
	}
	if p.Verified, err = s.w.VerifyAudit(s.ctx); err != nil {
		return p, err
	}
	p.Notices = p.Verified.Notices()
	p.Policy, err = s.w.Policy(s.ctx)
	return p, err
}

// ExportAudit saves the activity record where the person says. It gives the
// file's name, or "" where the person changed their mind.
func (s *Session) ExportAudit(format string) (string, error) {
	suggested := "chartkey-activity.ndjson"
	if format == workstation.ExportFHIR {
		suggested = "chartkey-activity.json"
	}
	return s.save(suggested, func(out io.Writer) error { return s.w.ExportAudit(s.ctx, format, out) })
}

// ShownTraces is how many traces the window shows.
const ShownTraces = 20

// SaveTrace saves a trace where the person says.
func (s *Session) SaveTrace(id int64, format string) (string, error) {
	suggested := "chartkey-trace.har"
	if format == workstation.TraceMarkdown {
		suggested = "chartkey-trace.md"
	}
	return s.save(suggested, func(out io.Writer) error { return s.w.WriteTrace(s.ctx, id, format, out) })
}

// save writes a file where the person says. It gives its name, or "" where the
// person changed their mind.
func (s *Session) save(suggested string, write func(io.Writer) error) (string, error) {
	path, err := s.hooks.SaveFile(suggested)
	if err != nil || path == "" {
		return "", err
	}
	var out bytes.Buffer
	if err := write(&out); err != nil {
		return "", err
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		return "", fault.Newf("file-not-written", "Choose another place.", "The file %s could not be written.", filepath.Base(path)).Because(err)
	}
	return path, nil
}

// freshCheck is how often the window looks for tokens that are due. It is
// shorter than the least that is left of one then.
const freshCheck = 15 * time.Second

// keepFresh renews the tokens of the signed-in profile while the window is open.
func (s *Session) keepFresh() {
	tick := time.NewTicker(freshCheck)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		// While locked there is nothing to do it with; its own failures are in the status.
		if renewed, err := s.w.RefreshDue(s.ctx); err == nil && renewed > 0 {
			s.changed()
		}
	}
}
