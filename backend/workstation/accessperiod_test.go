package workstation_test

import (
	"strings"
	"testing"
	"time"

	"chartkey/backend/simulator"
)

func TestTheAccessPeriodOfTheRegistrationTellsWhenASignInIsNeeded(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	in := b.input()
	days, rolling := int64(90), false
	in.AccessPeriodDays, in.AccessPeriodRolling = &days, &rolling
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.signIn(t, reg.ID, amara)
	if err != nil {
		t.Fatal(err)
	}
	if s.AccessEndsAt == nil || !s.AccessEndsAt.Equal(s.ConnectedAt.AddDate(0, 0, 90)) || !strings.Contains(s.AccessEndsReason, "from the sign-in") {
		t.Fatalf("%v: %s", s.AccessEndsAt, s.AccessEndsReason)
	}
	fixed := *s.AccessEndsAt
	b.clock.pass(24 * time.Hour)
	if s, err = b.Refresh(t.Context(), reg.ID); err != nil || !s.AccessEndsAt.Equal(fixed) {
		t.Errorf("a fixed period moved by a refresh: %v %v", s.AccessEndsAt, err)
	}
	// Rolling, by an edit that leaves the days as they are.
	rolling = true
	again := b.input()
	again.AccessPeriodRolling = &rolling
	if reg, _, err = b.SaveRegistration(t.Context(), reg.ID, again); err != nil || reg.AccessPeriodDays != 90 {
		t.Fatalf("%+v %v", reg, err)
	}
	if s, err = b.Status(t.Context(), reg.ID); err != nil || !s.AccessEndsAt.Equal(s.RefreshedAt.AddDate(0, 0, 90)) {
		t.Errorf("a rolling period does not count from the refresh: %v %v", s.AccessEndsAt, err)
	}
	// Not known.
	days = 0
	again.AccessPeriodDays = &days
	if _, _, err = b.SaveRegistration(t.Context(), reg.ID, again); err != nil {
		t.Fatal(err)
	}
	if s, err = b.Status(t.Context(), reg.ID); err != nil || s.AccessEndsAt != nil || !strings.Contains(s.AccessEndsReason, "not known") {
		t.Errorf("%v: %s %v", s.AccessEndsAt, s.AccessEndsReason, err)
	}
	days = 100_000
	_, _, err = b.SaveRegistration(t.Context(), reg.ID, again)
	wantCode(t, err, "invalid-registration")
}
