package away_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"chartkey/backend/away"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// debugLog gives a log of everything and what was written to it.
func debugLog() (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), &out
}

// A source that is missing is looked for ever less often, and its absence logged once.
func TestAMissingSourceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := debugLog()
		at := away.KeepForTest(t.Context(), log, make([]time.Duration, 12))
		var want []time.Duration
		for _, ms := range []int{0, 250, 750, 1750, 3750, 7750, 15750, 31750, 63750, 123750, 183750, 243750, 303750} {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(at, want) {
			t.Errorf("tried at %v", at)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, out)
		}
	})
}

// A source that comes and goes at once gets no quicker; one that worked does.
func TestASourceThatWorkedIsTriedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := debugLog()
		at := away.KeepForTest(t.Context(), log, []time.Duration{0, time.Second, time.Second, time.Hour, 0})
		want := []time.Duration{0, 250 * time.Millisecond, 1750 * time.Millisecond, 3750 * time.Millisecond,
			3750*time.Millisecond + time.Hour + 250*time.Millisecond, 3750*time.Millisecond + time.Hour + 750*time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("logged %d times:\n%s", n, out)
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	const nowhere = "unix:path=/nonexistent/chartkey/bus"
	began := time.Now()
	away.Watch(ctx, away.Options{SystemBus: nowhere, SessionBus: nowhere}, func(r away.Reason) { t.Errorf("told %q", r) })
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}
