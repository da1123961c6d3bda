package workstation_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// try gives what a passcode of dr okafor's is answered with.
func (c *clinic) try(t *testing.T, w *workstation.Workstation, passcode secret.Value) string {
	t.Helper()
	return fault.Code(w.Unlock(context.WithoutCancel(t.Context()), workstation.UnlockRequest{Profile: "dr okafor", Passcode: passcode}))
}

var wrong = secret.New("not the passcode")

func TestTenWrongPasscodesDelayTheNext(t *testing.T) {
	c := newClinic(t)
	right := c.passcodes["dr okafor"]
	for i := range 10 {
		if code := c.try(t, c.Workstation, wrong); code != "passcode-wrong" {
			t.Fatalf("wrong passcode %d: %s", i+1, code)
		}
	}
	// Each delay is twice the one before, up to a quarter of an hour. Meanwhile not even the right one is tried.
	for i, delay := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		c.clock.pass(delay - 5*time.Second)
		for _, given := range []secret.Value{wrong, right} {
			if code := c.try(t, c.Workstation, given); code != "passcode-delayed" {
				t.Fatalf("%s before the end of delay %d: %s", 5*time.Second, i+1, code)
			}
		}
		if p, err := c.Profile(t.Context(), "dr okafor"); err != nil || p.WaitUntil == nil {
			t.Errorf("%+v %v", p, err)
		}
		c.clock.pass(5 * time.Second)
		if code := c.try(t, c.Workstation, wrong); code != "passcode-wrong" {
			t.Fatalf("after delay %d: %s", i+1, code)
		}
	}
	// A restart, or another process, forgets nothing.
	other := c.process(t, "dr okafor")
	if code := c.try(t, other, right); code != "passcode-delayed" {
		t.Errorf("another process: %s", code)
	}
	err := other.ChangePasscode(t.Context(), "dr okafor", right, secret.New("another passcode"))
	wantCode(t, err, "passcode-delayed")
	admin := c.process(t, "owner")
	c.unlockAt(t, admin, "owner")
	_, err = admin.RevokeConnections(t.Context(), "dr okafor", right)
	wantCode(t, err, "passcode-delayed")
	// Nobody else waits, and nothing is ever wiped.
	c.clock.pass(15 * time.Minute)
	if code := c.try(t, other, right); code != "" {
		t.Fatalf("the right passcode after the delay: %s", code)
	}
	for i := range 10 {
		if code := c.try(t, other, wrong); code != "passcode-wrong" {
			t.Fatalf("after the right one, wrong passcode %d: %s", i+1, code)
		}
	}
	// Every wrong one is in the record, and none of those that were not tried.
	entries, err := admin.AuditLog(t.Context(), 200)
	if err != nil {
		t.Fatal(err)
	}
	recorded := 0
	for _, e := range entries {
		if e.Action == audit.SignIn && e.Detail == audit.DetailWrongPasscode && e.ProfileName == "dr okafor" && e.Fault == "passcode-wrong" {
			recorded++
		}
	}
	if recorded != 27 {
		t.Errorf("%d wrong passcodes are recorded, want 27", recorded)
	}
}

func TestWrongPasscodesAtOnceCountEach(t *testing.T) {
	c := newClinic(t)
	var desks []*workstation.Workstation
	for range 8 {
		desks = append(desks, c.process(t, "dr okafor"))
	}
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			code := c.try(t, desks[i%len(desks)], wrong)
			mu.Lock()
			defer mu.Unlock()
			answers[code]++
		})
	}
	wg.Wait()
	if answers["passcode-wrong"] != 10 || answers["passcode-delayed"] != 30 {
		t.Errorf("40 wrong passcodes at once were answered %v, want 10 tried and 30 delayed", answers)
	}
	c.clock.pass(30 * time.Second)
	if code := c.try(t, desks[1], c.passcodes["dr okafor"]); code != "" {
		t.Errorf("the right one, after the delay: %s", code)
	}
}

func TestAClockThatIsPutBackLocksNobodyOut(t *testing.T) {
	c := newClinic(t)
	right := c.passcodes["dr okafor"]
	c.clock.pass(10 * 365 * 24 * time.Hour) // the clock is wrong, and passcodes are too
	for range 10 {
		if code := c.try(t, c.Workstation, wrong); code != "passcode-wrong" {
			t.Fatal(code)
		}
	}
	c.clock.pass(-10 * 365 * 24 * time.Hour)
	// It costs the delay once more, and no more than that; putting it back again gains nothing.
	for range 3 {
		if code := c.try(t, c.Workstation, right); code != "passcode-delayed" {
			t.Fatalf("with the clock put right: %s", code)
		}
		c.clock.pass(-time.Minute)
	}
	if code := c.try(t, c.Workstation, right); code != "passcode-delayed" {
		t.Fatalf("with the clock put back: %s", code)
	}
	p, err := c.Profile(t.Context(), "dr okafor")
	if err != nil || p.WaitUntil == nil || p.WaitUntil.Sub(c.clock.now()) > 30*time.Second {
		t.Errorf("%+v %v", p, err)
	}
	c.clock.pass(30 * time.Second)
	if code := c.try(t, c.Workstation, right); code != "" {
		t.Errorf("half a minute later: %s", code)
	}
	// Wrong ones that cost no delay yet lock out nobody either.
	if code := c.try(t, c.Workstation, wrong); code != "passcode-wrong" {
		t.Fatal(code)
	}
	c.clock.pass(-time.Hour)
	if code := c.try(t, c.Workstation, right); code != "" {
		t.Errorf("an hour back: %s", code)
	}
}

func TestTheOwnerNeedsAPasscodeOnceOthersUseTheWorkstation(t *testing.T) {
	c := &clinic{tap: newTap(), passcodes: map[string]secret.Value{}}
	c.bench = newBench(t, simulator.Settings{}, c.listens)
	reg, _ := c.connected(t) // asked for nothing
	if s, err := c.Seat(t.Context()); err != nil || s.Locked || s.Passcode != "none" || s.Role != workstation.RoleAdmin {
		t.Fatalf("%+v %v", s, err)
	}
	c.passcodes["dr okafor"] = secret.New("passcode of dr okafor")
	for _, short := range []workstation.NewProfile{
		{Name: "dr okafor", Role: workstation.RoleClinician, Passcode: secret.New("short"), OwnPasscode: secret.New("a long one")},
		{Name: "dr okafor", Role: workstation.RoleClinician, Passcode: secret.New("a long one"), OwnPasscode: secret.New("short")},
	} {
		_, err := c.AddProfile(t.Context(), short)
		wantCode(t, err, "passcode-too-short")
	}
	if s, err := c.Seat(t.Context()); err != nil || s.Passcode != "none" {
		t.Errorf("a profile that was not added has left a passcode: %+v %v", s, err)
	}
	if _, err := c.AddProfile(t.Context(), workstation.NewProfile{Name: "dr okafor", Role: workstation.RoleClinician, Passcode: c.passcodes["dr okafor"]}); err != nil {
		t.Fatal(err)
	}
	_, err := c.AddProfile(t.Context(), workstation.NewProfile{Name: "Dr Okafor ", Role: workstation.RoleClinician})
	wantCode(t, err, "passcode-not-set")
	_, err = c.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passcode-not-set")
	if s, err := c.Seat(t.Context()); err != nil || !s.Locked || s.Passcode != "to_be_set" {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := c.Status(t.Context(), reg.ID); err != nil || !s.IdentityLocked || s.Patient != nil {
		t.Errorf("%+v %v", s, err)
	}
	// The first passcode keeps what is connected.
	wantCode(t, c.Unlock(t.Context(), workstation.UnlockRequest{NewPasscode: secret.New("short")}), "passcode-too-short")
	if err := c.Unlock(t.Context(), workstation.UnlockRequest{NewPasscode: secret.New("passcode of owner")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	// A second first one does not.
	err = c.Unlock(t.Context(), workstation.UnlockRequest{NewPasscode: secret.New("another passcode")})
	wantCode(t, err, "passcode-needed")
	_, err = c.AddProfile(t.Context(), workstation.NewProfile{Name: "Dr Okafor ", Role: workstation.RoleClinician})
	wantCode(t, err, "user-exists")
	fresh := c.process(t, "owner")
	_, err = fresh.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passcode-needed")
}

func TestAChangedPasscodeKeepsTheConnections(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	if _, err := c.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	next := secret.New("the next passcode")
	for name, err := range map[string]error{
		"passcode-wrong":     c.ChangePasscode(t.Context(), "", wrong, next),
		"passcode-needed":    c.ChangePasscode(t.Context(), "", secret.Value{}, next),
		"passcode-too-short": c.ChangePasscode(t.Context(), "", c.passcodes["dr okafor"], secret.New("short")),
		"user-not-found":     c.ChangePasscode(t.Context(), "nobody", c.passcodes["dr okafor"], next),
	} {
		wantCode(t, err, name)
	}
	other := c.process(t, "dr okafor")
	c.unlockAt(t, other, "dr okafor")
	if err := c.ChangePasscode(t.Context(), "", c.passcodes["dr okafor"], next); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Errorf("who changed it is asked again: %v", err)
	}
	_, err := other.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passcode-needed")
	if code := c.try(t, other, c.passcodes["dr okafor"]); code != "passcode-wrong" {
		t.Errorf("the former passcode: %s", code)
	}
	if code := c.try(t, other, next); code != "" {
		t.Errorf("the present passcode: %s", code)
	}
	if _, err := other.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	// Somebody else at the workstation who knows it may change it, and learns nothing by that.
	c.unlock(t, "owner")
	held := workstation.KeysHeld(c.Workstation)
	if err := c.ChangePasscode(t.Context(), "dr okafor", next, secret.New("one more passcode")); err != nil {
		t.Fatal(err)
	}
	if n := workstation.KeysHeld(c.Workstation); n != held {
		t.Errorf("%d keys are in memory, before it were %d", n, held)
	}
	_, err = c.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "not-connected")
	c.lock(t, c.Workstation)
	wantCode(t, c.ChangePasscode(t.Context(), "", c.passcodes["owner"], next), "vault-locked")
}

func TestAFirstPasscodeIsSetOnce(t *testing.T) {
	c := newClinic(t)
	if _, err := c.AddProfile(t.Context(), workstation.NewProfile{Name: "new", Role: workstation.RoleClinician}); err != nil {
		t.Fatal(err)
	}
	desks := []*workstation.Workstation{c.Workstation, c.process(t, "owner")}
	c.unlockAt(t, desks[1], "owner")
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := desks[i%2].ChangePasscode(context.WithoutCancel(t.Context()), "new", secret.Value{}, secret.New("passcode of the new one"))
			mu.Lock()
			defer mu.Unlock()
			answers[fault.Code(err)]++
		})
	}
	wg.Wait()
	if answers[""] != 1 || answers[""]+answers["passcode-exists"]+answers["passcode-needed"] != 8 {
		t.Errorf("%v", answers)
	}
}
