package workstation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

var daniel = simulator.Choice{Username: "daniel", Password: "patient-pass1"}

func (c *clinic) lock(t *testing.T, w *workstation.Workstation) {
	t.Helper()
	if err := w.Lock(t.Context(), "test"); err != nil {
		t.Error(err)
	}
}

// shown is all that a workstation tells anybody, as the window would show it.
func shown(t *testing.T, w *workstation.Workstation, ref string) string {
	t.Helper()
	ctx := t.Context()
	var out []any
	add := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		out = append(out, v)
	}
	statuses, err := w.Statuses(ctx)
	add(statuses, err)
	launches, err := w.LaunchStatuses(ctx, "")
	add(launches, err)
	status, err := w.Status(ctx, ref)
	add(status, err)
	if status.ConnectionID != nil {
		one, err := w.Status(ctx, *status.ConnectionID)
		add(one, err)
	}
	report, err := w.LatestReport(ctx, ref)
	add(report, err)
	profiles, err := w.Profiles(ctx)
	add(profiles, err)
	seat, err := w.Seat(ctx)
	add(seat, err)
	regs, err := w.Registrations(ctx)
	add(regs, err)
	add(w.Doctor(ctx, workstation.DoctorOptions{Getenv: func(string) string { return "" }}), nil)
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestALockHidesWhomAConnectionConcerns(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	if _, err := c.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Test(t.Context(), reg.ID, workstation.LayerAll, nil); err != nil {
		t.Fatal(err)
	}
	if text := shown(t, c.Workstation, reg.ID); !strings.Contains(text, "amara-nwosu") || !strings.Contains(text, "Nwosu") {
		t.Fatalf("before the lock the patient is not shown: %s", text)
	}
	hidden := func(t *testing.T, w *workstation.Workstation) {
		t.Helper()
		if text := shown(t, w, reg.ID); strings.Contains(strings.ToLower(text), "nwosu") {
			t.Errorf("the patient is shown: %s", text)
		}
		s, err := w.Status(t.Context(), reg.ID)
		if err != nil || s.State != workstation.Connected || !s.IdentityLocked || s.AccessExpiresAt == nil || len(s.ScopesGranted) == 0 || s.LastError != nil {
			t.Errorf("what is no secret is not told: %+v %v", s, err)
		}
		if seat, err := w.Seat(t.Context()); err != nil || !seat.Locked {
			t.Errorf("%+v %v", seat, err)
		}
		if n := workstation.KeysHeld(w); w == c.Workstation && n != 0 {
			t.Errorf("%d keys are in memory", n)
		}
	}
	hidden(t, c.process(t, "dr okafor"))
	c.lock(t, c.Workstation)
	hidden(t, c.Workstation)
	if v, err := c.VaultStatus(t.Context()); err != nil || v.State != "locked" {
		t.Errorf("%+v %v", v, err)
	}
	// A wrong passcode opens nothing, not even the vault.
	wantCode(t, c.Unlock(t.Context(), workstation.UnlockRequest{Passcode: secret.New("not the passcode")}), "passcode-wrong")
	wantCode(t, c.Unlock(t.Context(), workstation.UnlockRequest{}), "passcode-needed")
	hidden(t, c.Workstation)
	if v, err := c.VaultStatus(t.Context()); err != nil || v.State != "locked" {
		t.Errorf("after a wrong passcode: %+v %v", v, err)
	}
	// Nor does one that cannot be recorded.
	c.execSQL(t, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
	if err := c.Unlock(t.Context(), workstation.UnlockRequest{Passcode: c.passcodes["dr okafor"]}); err == nil {
		t.Error("it was unlocked without a record of it")
	}
	c.execSQL(t, "DROP TRIGGER full")
	hidden(t, c.Workstation)
	if v, err := c.VaultStatus(t.Context()); err != nil || v.State != "locked" {
		t.Errorf("after an unlock that could not be recorded: %+v %v", v, err)
	}
	c.unlock(t, "dr okafor")
	if text := shown(t, c.Workstation, reg.ID); !strings.Contains(text, "amara-nwosu") {
		t.Error("after the unlock the patient is not shown")
	}
}

func TestALockOfTheFolderReachesEveryProcess(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	if _, err := c.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	if err := c.process(t, "nurse bell").LockEverywhere(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := c.process(t, "dr okafor")
	for name, w := range map[string]*workstation.Workstation{"the one that was signed in": c.Workstation, "one that starts now": fresh} {
		if v, err := w.VaultStatus(t.Context()); err != nil || v.State != "locked" {
			t.Errorf("%s, before anything is used: %+v %v", name, v, err)
		}
		_, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
		wantCode(t, err, "vault-locked")
		if text := shown(t, w, reg.ID); strings.Contains(strings.ToLower(text), "nwosu") {
			t.Errorf("%s shows the patient", name)
		}
		if v, err := w.VaultStatus(t.Context()); err != nil || v.State != "locked" || v.Error == nil || v.Error.Code != "vault-locked" {
			t.Errorf("%s: %+v %v", name, v, err)
		}
	}
	// Who unlocks it signs in there alone.
	c.unlockAt(t, fresh, "dr okafor")
	if _, err := fresh.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	_, err := c.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passcode-needed")
	c.unlock(t, "dr okafor")
	if _, err := c.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	// What was done with the vault closed is chained all the same.
	c.unlock(t, "owner")
	if found, err := c.VerifyAudit(t.Context()); err != nil || !found.Whole() {
		t.Errorf("%+v %v", found, err)
	}
	entries, err := c.AuditLog(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Action == "lock" && e.Unkeyed {
			t.Errorf("the lock was recorded without the key: %+v", e)
		}
	}
}

func TestAProcessThatFollowsLetsGoWithinTwoSeconds(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	if _, err := c.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var follower sync.WaitGroup
	follower.Go(func() {
		if err := c.FollowLock(ctx); err != nil {
			t.Error(err)
		}
	})
	defer follower.Wait()
	defer stop()
	login, err := c.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // it has begun to look
	other := c.process(t, "nurse bell")
	if err := other.LockEverywhere(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = login.Wait(waiting)
	wantCode(t, err, "vault-locked")
	if n := workstation.KeysHeld(c.Workstation); n != 0 {
		t.Errorf("%d keys are in memory", n)
	}
	c.unlockAt(t, other, "nurse bell")
	_, err = c.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passcode-needed")
}

// interruptions are what may come between a request for tokens and its answer.
func (c *clinic) interruptions(t *testing.T) map[string]func() {
	admin := func(do func(w *workstation.Workstation) error) func() {
		return func() {
			w := c.process(t, "owner")
			c.unlockAt(t, w, "owner")
			if err := do(w); err != nil {
				t.Error(err)
			}
		}
	}
	return map[string]func(){
		"lock":   func() { c.lock(t, c.Workstation) },
		"switch": func() { c.unlock(t, "nurse bell") },
		"lock of the folder": admin(func(w *workstation.Workstation) error {
			return w.LockEverywhere(t.Context())
		}),
		"reset":   admin(func(w *workstation.Workstation) error { return w.ResetPasscode(t.Context(), "dr okafor") }),
		"removal": admin(func(w *workstation.Workstation) error { return w.RemoveProfile(t.Context(), "dr okafor") }),
		"passcode changed": admin(func(w *workstation.Workstation) error {
			return w.ChangePasscode(t.Context(), "dr okafor", c.passcodes["dr okafor"], secret.New("another passcode"))
		}),
	}
}

func TestTokensThatArriveForSomebodyWhoIsGoneAreRevoked(t *testing.T) {
	for _, name := range []string{"lock", "switch", "lock of the folder", "reset", "removal", "passcode changed"} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			reg := c.register(t)
			c.unlock(t, "dr okafor")
			login, err := c.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c.atAnswer(c.interruptions(t)[name])
			if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err != nil {
				t.Fatal(err)
			}
			_, err = login.Wait(t.Context())
			code := map[string]string{"lock": "vault-locked", "lock of the folder": "vault-locked"}[name]
			if code == "" {
				code = "sign-in-abandoned"
			}
			wantCode(t, err, code)
			if n := c.grants(t); n != 0 {
				t.Errorf("%d grants were stored", n)
			}
			c.dead(t)
		})
	}
}

func TestASignInUnderWayEndsWithTheSeat(t *testing.T) {
	for name, code := range map[string]string{"lock": "vault-locked", "switch": "sign-in-abandoned"} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			reg := c.register(t)
			c.unlock(t, "dr okafor")
			login, err := c.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c.interruptions(t)[name]()
			_, err = login.Wait(t.Context())
			wantCode(t, err, code)
			// The browser comes back to nothing.
			if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err == nil {
				if page, err := c.Status(t.Context(), reg.ID); err != nil || page.State != workstation.NotConnected {
					t.Errorf("%+v %v", page, err)
				}
			}
			if n := c.grants(t); n != 0 {
				t.Errorf("%d grants were stored", n)
			}
			if info := c.LoginOf(reg.ID); info != nil {
				t.Errorf("the sign-in is still told of: %+v", info)
			}
		})
	}
}

func TestARenewalThatArrivesForSomebodyWhoIsGone(t *testing.T) {
	for _, name := range []string{"lock", "switch", "reset", "removal"} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			reg := c.register(t)
			c.unlock(t, "dr okafor")
			if _, err := c.signIn(t, reg.ID, amara); err != nil {
				t.Fatal(err)
			}
			c.atAnswer(c.interruptions(t)[name])
			if _, err := c.Refresh(t.Context(), reg.ID); err == nil {
				t.Fatal("the refresh is said to have worked")
			}
			if name == "reset" || name == "removal" {
				c.dead(t)
				if n := c.grants(t); n != 0 {
					t.Errorf("%d grants are left", n)
				}
				return
			}
			// It is kept, sealed for whose it is, who need not sign in anew.
			if name == "lock" {
				if n := workstation.KeysHeld(c.Workstation); n != 0 {
					t.Errorf("%d keys are in memory", n)
				}
			} else if s, err := c.Status(t.Context(), reg.ID); err != nil || s.State != workstation.NotConnected {
				t.Errorf("the other person sees %+v %v", s, err)
			}
			c.unlock(t, "dr okafor")
			s, err := c.Status(t.Context(), reg.ID)
			if err != nil || s.State != workstation.Connected || s.RefreshedAt == nil {
				t.Errorf("%+v %v", s, err)
			}
			if _, err := c.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
				t.Error(err)
			}
			if _, err := c.Refresh(t.Context(), reg.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTwoPeopleAtTwoProcessesKeepApart(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	bell := c.process(t, "nurse bell")
	c.unlockAt(t, bell, "nurse bell")
	if _, err := c.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	theirs := &bench{Workstation: bell, ehr: c.ehr}
	if _, err := theirs.signIn(t, reg.ID, daniel); err != nil {
		t.Fatal(err)
	}
	c.clock.pass(2 * time.Hour) // so that each read renews
	var wg sync.WaitGroup
	for range 10 {
		for path, w := range map[string]*workstation.Workstation{"Patient/amara-nwosu": c.Workstation, "Patient/daniel-whitlock": bell} {
			wg.Go(func() {
				if _, err := w.Read(context.Background(), reg.ID, path); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for path, w := range map[string]*workstation.Workstation{"Patient/daniel-whitlock": c.Workstation, "Patient/amara-nwosu": bell} {
		if _, err := w.Read(t.Context(), reg.ID, path); fault.Code(err) != "fhir-not-found" && fault.Code(err) != "fhir-forbidden" {
			t.Errorf("%s was read by the other: %v", path, err)
		}
	}
	// Neither finds the other's connection by its id.
	mine, err := c.Status(t.Context(), reg.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"read":       errOf(bell.Read(t.Context(), *mine.ConnectionID, "Patient/amara-nwosu")),
		"refresh":    errOf(bell.Refresh(t.Context(), *mine.ConnectionID)),
		"disconnect": errOf(bell.Disconnect(t.Context(), *mine.ConnectionID, workstation.RevokeAuto)),
		"status":     errOf(bell.Status(t.Context(), *mine.ConnectionID)),
		"test":       errOf(bell.Test(t.Context(), *mine.ConnectionID, workstation.LayerLive, nil)),
	} {
		if fault.Code(err) != "registration-not-found" {
			t.Errorf("%s of another's connection: %v", name, err)
		}
	}
	wantCode(t, bell.AcceptConnection(t.Context(), *mine.ConnectionID), "not-connected")
	// Nor does an admin.
	admin := c.process(t, "owner")
	c.unlockAt(t, admin, "owner")
	_, err = admin.Read(t.Context(), *mine.ConnectionID, "Patient/amara-nwosu")
	wantCode(t, err, "registration-not-found")
	if s, err := admin.Status(t.Context(), reg.ID); err != nil || s.State != workstation.NotConnected {
		t.Errorf("%+v %v", s, err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestAKeyThatWasResetIsOfNoUse(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	if _, err := c.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	c.execSQL(t, "CREATE TABLE kept AS SELECT * FROM grants")
	admin := c.process(t, "owner")
	c.unlockAt(t, admin, "owner")
	if err := admin.ResetPasscode(t.Context(), "DR OKAFOR"); err != nil {
		t.Fatal(err)
	}
	_, err := c.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "passcode-not-set")
	if s, err := c.Status(t.Context(), reg.ID); err != nil || s.State != workstation.NotConnected || s.Patient != nil {
		t.Errorf("%+v %v", s, err)
	}
	// Even with the rows put back, the key that is still in memory opens nothing.
	c.execSQL(t, "INSERT INTO grants SELECT * FROM kept")
	_, err = c.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passcode-not-set")
	c.passcodes["dr okafor"] = secret.New("a new passcode")
	other := c.process(t, "dr okafor")
	if err := other.Unlock(t.Context(), workstation.UnlockRequest{NewPasscode: c.passcodes["dr okafor"]}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passcode-needed")
	_, err = other.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "vault-damaged")
	if text := shown(t, other, reg.ID); strings.Contains(strings.ToLower(text), "nwosu") {
		t.Error("the new key shows what the old one sealed")
	}
}

// TestAResetLeavesNothingThatTheKeyHasSealed looks into every table that has rows of profiles.
func TestAResetLeavesNothingThatTheKeyHasSealed(t *testing.T) {
	for name, end := range map[string]func(w *workstation.Workstation) error{
		"reset":   func(w *workstation.Workstation) error { return w.ResetPasscode(context.Background(), "dr okafor") },
		"removal": func(w *workstation.Workstation) error { return w.RemoveProfile(context.Background(), "dr okafor") },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			reg := c.register(t)
			c.unlock(t, "dr okafor")
			if _, err := c.signIn(t, reg.ID, amara); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Test(t.Context(), reg.ID, workstation.LayerAll, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := c.signIn(t, reg.ID, simulator.Choice{Username: "amara", Password: "patient-pass1", Deny: true}); err == nil {
				t.Fatal("it is connected")
			}
			p, err := c.Profile(t.Context(), "dr okafor")
			if err != nil {
				t.Fatal(err)
			}
			db := sqlOf(t, c.home)
			tables := column(t, db, "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'profile_id'")
			left := func() (rows []string) {
				for _, table := range tables {
					if len(column(t, db, "SELECT profile_id FROM "+table+" WHERE profile_id = '"+p.ID+"'")) > 0 {
						rows = append(rows, table)
					}
				}
				return append(rows, column(t, db, "SELECT owner FROM data_key WHERE owner = '"+p.ID+"'")...)
			}
			if n := len(left()); n != len(tables)+1 {
				t.Fatalf("there are rows in %v, want some in each of %v", left(), tables)
			}
			admin := c.process(t, "owner")
			c.unlockAt(t, admin, "owner")
			if err := end(admin); err != nil {
				t.Fatal(err)
			}
			if rows := left(); len(rows) != 0 {
				t.Errorf("it has left rows in %v", rows)
			}
		})
	}
}

func TestSomebodyWhoWasRemovedCannotComeBack(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	admin := c.process(t, "owner")
	c.unlockAt(t, admin, "owner")
	for _, name := range []string{"dr okafor", "nurse bell"} {
		if err := admin.RemoveProfile(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if seat, err := c.Seat(t.Context()); err != nil || !seat.Locked {
		t.Errorf("%+v %v", seat, err)
	}
	for _, r := range []workstation.UnlockRequest{{}, {Passcode: c.passcodes["dr okafor"]}, {NewPasscode: secret.New("a new passcode")}} {
		wantCode(t, c.Unlock(t.Context(), r), "user-not-found")
	}
	wantCode(t, c.ChangePasscode(t.Context(), "", secret.Value{}, secret.New("a new passcode")), "user-not-found")
	_, err := c.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "user-not-found")
	if n := len(column(t, sqlOf(t, c.home), "SELECT owner FROM data_key WHERE kdf <> ''")); n != 1 {
		t.Errorf("%d keys of people are left, want the owner's alone", n)
	}
	c.unlock(t, "owner") // somebody else can
}

func TestOneAdminIsAlwaysLeft(t *testing.T) {
	for round := range 8 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := newClinic(t)
			c.passcodes["chief"] = secret.New("passcode of the chief")
			if _, err := c.AddProfile(t.Context(), workstation.NewProfile{Name: "chief", Role: workstation.RoleAdmin, Passcode: c.passcodes["chief"]}); err != nil {
				t.Fatal(err)
			}
			chief := c.process(t, "chief")
			c.unlockAt(t, chief, "chief")
			wantCode(t, chief.RemoveProfile(t.Context(), "chief"), "own-profile")
			wantCode(t, chief.ResetPasscode(t.Context(), "chief"), "own-profile")
			wantCode(t, chief.RemoveProfile(t.Context(), ""), "user-not-found")
			wantCode(t, chief.ResetPasscode(t.Context(), ""), "user-not-found")
			var wg sync.WaitGroup
			for name, w := range map[string]*workstation.Workstation{"chief": c.Workstation, "owner": chief} {
				wg.Go(func() { _ = w.RemoveProfile(context.Background(), name) })
			}
			wg.Wait()
			all, err := c.Profiles(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			admins := 0
			for _, p := range all {
				if p.Role == workstation.RoleAdmin {
					admins++
				}
			}
			if admins != 1 {
				t.Errorf("%d admins are left", admins)
			}
		})
	}
}

func TestAnAdminRevokesByThePersonsOwnPasscode(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	in := c.input()
	in.Name = "Mercy West"
	west, _, err := c.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	c.unlock(t, "dr okafor")
	for _, id := range []string{reg.ID, west.ID} {
		if _, err := c.signIn(t, id, amara); err != nil {
			t.Fatal(err)
		}
	}
	c.unlock(t, "owner")
	_, err = c.RevokeConnections(t.Context(), "dr okafor", secret.New("not the passcode"))
	wantCode(t, err, "passcode-wrong")
	_, err = c.RevokeConnections(t.Context(), "dr okafor", secret.Value{})
	wantCode(t, err, "passcode-needed")
	if n := c.grants(t); n != 2 {
		t.Errorf("%d grants are left", n)
	}
	done, err := c.RevokeConnections(t.Context(), "dr okafor", c.passcodes["dr okafor"])
	if err != nil || len(done) != 2 || !done[0].Revoked || !done[1].Revoked {
		t.Fatalf("%+v %v", done, err)
	}
	for _, of := range c.tokens {
		if access, refresh := c.live(t, of); access || refresh {
			t.Error("tokens live on at the EHR")
		}
	}
	// It asked for no passcode beside the one that was given, and counted none as wrong.
	if p, err := c.Profile(t.Context(), "dr okafor"); err != nil || len(p.Connections) != 0 || p.WaitUntil != nil {
		t.Errorf("%+v %v", p, err)
	}
	entries, err := c.AuditLog(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries[:2] {
		if e.Action != "disconnect" || e.ProfileName != "owner" || e.Subject != "dr okafor" || e.Patient != "Patient/amara-nwosu" {
			t.Errorf("%+v", e)
		}
	}
}
