package away_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"chartkey/backend/away"
)

// step is how far both clocks go on between two looks at them.
type step struct {
	wall, monotonic time.Duration
}

// scripted is a clock that takes these steps, one with each reading, and then
// goes on as it should.
func scripted(steps ...step) func() (time.Time, time.Duration) {
	wall, monotonic := time.Date(2026, 3, 29, 0, 59, 55, 0, time.UTC), time.Hour
	return func() (time.Time, time.Duration) {
		next := step{5 * time.Second, 5 * time.Second}
		if len(steps) > 0 {
			next, steps = steps[0], steps[1:]
		}
		wall, monotonic = wall.Add(next.wall), monotonic+next.monotonic
		return wall, monotonic
	}
}

func TestAStandstill(t *testing.T) {
	const s = time.Second
	usual := step{5 * s, 5 * s}
	for _, c := range []struct {
		name  string
		steps []step // the first is up to the first look
		told  int
	}{
		{"nothing", []step{usual, usual, usual}, 0},
		{"a machine that starts late", []step{{time.Hour, time.Hour}}, 0},
		{"a sleep, the monotonic clock stops (Linux, macOS)", []step{usual, {time.Hour, 5 * s}, usual}, 1},
		{"a sleep, the monotonic clock goes on (Windows)", []step{usual, {time.Hour, time.Hour}, usual}, 1},
		{"a sleep of 31 seconds", []step{usual, {36 * s, 5 * s}}, 1},
		{"a nap of 30 seconds", []step{usual, {35 * s, 5 * s}}, 0},
		{"two sleeps", []step{usual, {time.Hour, 5 * s}, {time.Minute, 5 * s}}, 2},
		{"a busy machine", []step{usual, {34 * s, 34 * s}}, 0},
		{"a process that was stopped", []step{usual, {40 * s, 40 * s}}, 1},
		{"a clock that is set forward a little", []step{usual, {30 * s, 5 * s}}, 0},
		{"a clock that is set forward", []step{usual, {time.Hour, 5 * s}}, 1},
		{"a clock that is set back", []step{usual, {-time.Hour, 5 * s}, usual}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				told := 0
				away.StandstillsForTest(ctx, away.Options{Clock: scripted(c.steps...)}, func(r away.Reason) {
					if r != away.WokeFromSleep {
						t.Errorf("told %q", r)
					}
					told++
				})
				if told != c.told {
					t.Errorf("told %d times, want %d", told, c.told)
				}
			})
		})
	}
}

// Whatever the clocks do, a step that is as long as it should be, or a little
// longer, is never taken for a sleep, and one of more than half a minute always is.
func TestStandstillsOfAnyLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		short := rapid.Map(rapid.Int64Range(0, int64(35*time.Second)), func(n int64) time.Duration { return time.Duration(n) })
		asleep := time.Duration(rapid.Int64Range(int64(30*time.Second)+1, int64(20*365*24*time.Hour)).Draw(t, "asleep"))
		busy, after := short.Draw(t, "busy"), short.Draw(t, "after")
		stops := rapid.Bool().Draw(t, "the monotonic clock stops")
		sleep := step{asleep + 5*time.Second, asleep + 5*time.Second}
		if stops {
			sleep.monotonic = 5 * time.Second
		}
		look, _ := away.WokeForTest(scripted(step{}, step{busy, busy}, sleep, step{after, after}))
		look()
		if look() {
			t.Errorf("%v without a sleep was taken for one", busy)
		}
		if !look() {
			t.Errorf("a sleep of %v was missed", asleep)
		}
		if look() {
			t.Errorf("%v after a sleep was taken for another", after)
		}
	})
}

func TestASleepThatWasToldIsNotToldAgain(t *testing.T) {
	usual, sleep := step{5 * time.Second, 5 * time.Second}, step{time.Hour, 2 * time.Second}
	look, woke := away.WokeForTest(scripted(usual, usual, sleep, step{3 * time.Second, 3 * time.Second}, sleep))
	look()
	look()
	woke()
	if look() {
		t.Error("told again")
	}
	if !look() {
		t.Error("the next sleep was missed")
	}
}
