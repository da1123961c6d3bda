package workstation_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func TestWhenATokenIsDue(t *testing.T) {
	for life, left := range map[time.Duration]time.Duration{ // and how much is left of it when it is renewed
		time.Hour:        12 * time.Minute,
		10 * time.Minute: 2 * time.Minute,
		5 * time.Minute:  time.Minute,
		2 * time.Minute:  time.Minute,
		time.Minute:      30 * time.Second,
		30 * time.Second: 15 * time.Second,
	} {
		for _, how := range []string{"used", "in the background"} {
			t.Run(fmt.Sprint(life, " ", how), func(t *testing.T) {
				b, g := newGatedBench(t, simulator.Settings{AccessTokenLife: life})
				b.clock.stop()
				reg, _ := b.connected(t)
				try := func() int {
					t.Helper()
					g.since()
					if how == "used" {
						if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
							t.Fatal(err)
						}
					} else if _, err := b.RefreshDue(t.Context()); err != nil {
						t.Fatal(err)
					}
					return g.since().tokens
				}
				for range 2 { // the rule counts from the refresh, too
					if n := try(); n != 0 {
						t.Errorf("%d token requests for a new token", n)
					}
					b.clock.pass(life - left - time.Millisecond)
					if n := try(); n != 0 {
						t.Errorf("%d token requests before it was due", n)
					}
					b.clock.pass(time.Millisecond)
					if n := try(); n != 1 {
						t.Errorf("%d token requests when it was due", n)
					}
				}
			})
		}
	}
	t.Run("the EHR did not say", func(t *testing.T) {
		b, g := newGatedBench(t, simulator.Settings{AccessTokenLife: 1000 * time.Hour})
		if err := b.ehr.SetFaults("expires-in-missing"); err != nil {
			t.Fatal(err)
		}
		reg, _ := b.connected(t)
		b.clock.pass(900 * time.Hour)
		g.since()
		if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
			t.Error(err)
		}
		if n, err := b.RefreshDue(t.Context()); n != 0 || err != nil || g.since().tokens != 0 {
			t.Errorf("a token was renewed of which nobody knows when it runs out: %d %v", n, err)
		}
		b.clock.pass(200 * time.Hour) // the EHR says it by refusing the token
		if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil || g.since().tokens != 1 {
			t.Error(err)
		}
	})
}

// apart has a workstation with a clock of its own, whose hands can be set
// without any time going by.
func (b *bench) apart(t *testing.T) (*workstation.Workstation, *clock) {
	t.Helper()
	c := &clock{}
	w, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: func() time.Time { return c.now().Round(0) }, KeyCost: cheap, Passphrase: passphraseOfTest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, c
}

func stateOf(t *testing.T, w *workstation.Workstation, ref string) workstation.State {
	t.Helper()
	s, err := w.Status(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

func TestAClockThatIsSetBackLetsNoTokenLiveLonger(t *testing.T) {
	life := time.Second
	b, g := newGatedBench(t, simulator.Settings{AccessTokenLife: life})
	reg := b.register(t)
	w, c := b.apart(t)
	for _, how := range []string{"of a sign-in", "of a refresh"} {
		if how == "of a sign-in" {
			if err := signInAnew(t.Context(), w, reg.ID); err != nil {
				t.Fatal(err)
			}
		} else if _, err := w.Refresh(t.Context(), reg.ID); err != nil {
			t.Fatal(err)
		}
		c.pass(-time.Hour)
		time.Sleep(life)
		if s := stateOf(t, w, reg.ID); s != workstation.Expired {
			t.Errorf("the token %s is %s after its life, by a clock that was set back", how, s)
		}
		g.since()
		if _, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
			t.Error(err)
		}
		if seen := g.since(); seen != (traffic{tokens: 1, reads: 1}) {
			t.Errorf("the EHR saw %+v, want a refresh and a read", seen)
		}
	}
}

func TestAnAnswerOfNoUseLeavesTheLifeOfTheTokenAsItWas(t *testing.T) {
	life := 2 * time.Second
	b, g := newGatedBench(t, simulator.Settings{AccessTokenLife: life})
	reg := b.register(t)
	w, c := b.apart(t)
	if err := signInAnew(t.Context(), w, reg.ID); err != nil {
		t.Fatal(err)
	}
	g.meddleWith(rotateOnly)
	_, err := w.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "token-missing")
	c.pass(-time.Hour)
	time.Sleep(life)
	if s := stateOf(t, w, reg.ID); s != workstation.Expired {
		t.Errorf("after its life the token is %s", s)
	}
}

func TestAClockThatIsSetForwardCostsOneRefresh(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	w, c := b.apart(t)
	c.pass(24 * time.Hour)
	if s := stateOf(t, w, reg.ID); s != workstation.Expired {
		t.Errorf("it is %s", s)
	}
	g.since()
	for range 3 {
		if _, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
			t.Fatal(err)
		}
	}
	if seen := g.since(); seen != (traffic{tokens: 1, reads: 3}) {
		t.Errorf("the EHR saw %+v", seen)
	}
	// Set right again, it looks a day younger than it is to a process that did not see it come.
	b.clock.pass(2 * time.Hour)
	other, _ := b.apart(t)
	if s := stateOf(t, other, reg.ID); s != workstation.Connected {
		t.Errorf("it is %s", s)
	}
	if _, err := other.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	if seen := g.since(); seen != (traffic{tokens: 1, reads: 1, refused: 1}) {
		t.Errorf("the EHR saw %+v, want its refusal to be followed by a refresh and a read", seen)
	}
}

func TestAWrongClockIsSaidAndForgottenWhenItIsRight(t *testing.T) {
	b, _ := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	if s, err := b.Status(t.Context(), reg.ID); err != nil || len(s.Warnings) != 0 {
		t.Fatalf("%q %v", s.Warnings, err)
	}
	for _, c := range []struct{ fault, says string }{
		{"clock-behind", "clock is 10m0s ahead of the server's"},
		{"clock-ahead", "clock is 10m0s behind the server's"},
		{"", ""},
		{"clock-behind", "clock is 10m0s ahead of the server's"},
	} {
		var faults []string
		if c.fault != "" {
			faults = []string{c.fault}
		}
		if err := b.ehr.SetFaults(faults...); err != nil {
			t.Fatal(err)
		}
		s, err := b.Refresh(t.Context(), reg.ID)
		if err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(s.Warnings, " "); (c.says == "") != (all == "") || !strings.Contains(all, c.says) || len(s.Warnings) > 1 {
			t.Errorf("%s: it warns %q, want %q", c.fault, s.Warnings, c.says)
		}
		if left := s.AccessExpiresAt.Sub(b.clock.now()); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s: the token is said to live for %s", c.fault, left)
		}
	}
}

func TestATokenThatRunsOutWhileTheMachineSleeps(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg := b.register(t)
	w, c := b.apart(t) // its clock goes on in the sleep, and the monotonic one does not
	if err := signInAnew(t.Context(), w, reg.ID); err != nil {
		t.Fatal(err)
	}
	sleep := func(d time.Duration) {
		c.pass(d)
		b.clock.pass(d)
	}
	sleep(9 * time.Hour)
	if s := stateOf(t, w, reg.ID); s != workstation.Expired {
		t.Errorf("after the sleep it is %s", s)
	}
	// The network comes up later than the machine.
	g.meddleWith(says(503, ""))
	if n, err := w.RefreshDue(t.Context()); n != 0 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	g.meddleWith(nil)
	sleep(15 * time.Second)
	g.since()
	if n, err := w.RefreshDue(t.Context()); n != 1 || err != nil {
		t.Errorf("a quarter of a minute later it renewed %d (%v)", n, err)
	}
	if _, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	if seen := g.since(); seen != (traffic{tokens: 1, reads: 1}) {
		t.Errorf("the EHR saw %+v", seen)
	}
	// What kept it off before a sleep does not do so after it.
	g.meddleWith(says(500, ""))
	for range 12 {
		_, err := w.Refresh(t.Context(), reg.ID)
		wantCode(t, err, "server-error")
	}
	g.meddleWith(nil)
	sleep(8 * time.Hour)
	if n, err := w.RefreshDue(t.Context()); n != 1 || err != nil {
		t.Errorf("after the night it renewed %d (%v)", n, err)
	}
}

// A deadline that the caller brings ends the wait for a turn, and nothing else.
func TestACallerWhoCannotWaitIsToldSo(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.clock.pass(2 * time.Hour)
	h := g.halfWay()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Refresh(t.Context(), reg.ID)
		ended <- err
	}()
	<-h.arrived
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	other := openDesk(t, b.home, b.clock)
	for _, w := range []*workstation.Workstation{b.Workstation, other} {
		_, err := w.Read(ctx, reg.ID, "Patient/amara-nwosu")
		if f := workstation.Fault(err); f == nil || !slices.Contains([]string{"refresh-busy", "cancelled"}, f.Code) || !f.Retryable {
			t.Errorf("%v", err)
		}
	}
	close(h.release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := other.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
}
