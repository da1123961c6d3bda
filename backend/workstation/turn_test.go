package workstation

import (
	"context"
	"errors"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"

	"pgregory.net/rapid"
)

func TestTheBackoffKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b backoff
		reg := store.Registration{UpdatedAt: 1}
		now := time.Now()
		step := firstBackoff
		for range rapid.IntRange(1, 40).Draw(t, "failures") {
			var cause error = fault.New("server-error", "It failed.", "Wait.")
			told := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "told"))
			if rapid.Bool().Draw(t, "tells") {
				cause = fault.New("rate-limited", "Too often.", "Wait.").Because(network.Wait(told))
			} else {
				told = 0
			}
			b.failed(reg, "g", now, cause)
			held := func(how urgency, after time.Duration) bool { return b.holdOff(reg, "g", how, now.Add(after)) != nil }
			most := max(step, told)
			for how, limit := range map[urgency]time.Duration{early: most, vital: min(most, max(maxBackoffOfUse, told))} {
				least := max(min(step/2, limit), told)
				if !held(how, least-1) {
					t.Fatalf("urgency %d is kept off for less than %s", how, least)
				}
				if held(how, limit) {
					t.Fatalf("urgency %d is kept off for more than %s", how, limit)
				}
			}
			if held(asked, 0) {
				t.Fatal("what was asked for is kept off")
			}
			if err := b.holdOff(reg, "g", early, now); !errors.Is(err, cause) {
				t.Fatalf("it gives %v for the reason", err)
			}
			if b.holdOff(reg, "another", early, now) != nil {
				t.Fatal("another grant is kept off")
			}
			corrected := reg
			corrected.UpdatedAt++
			if b.holdOff(corrected, "g", early, now) != nil {
				t.Fatal("a registration that was corrected is kept off")
			}
			step = min(2*step, maxBackoff)
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "later")))
		}
		b.forget("g")
		if b.holdOff(reg, "g", early, now) != nil {
			t.Fatal("it is kept off after a success")
		}
		b.failed(reg, "g", now, errors.New("again"))
		if b.holdOff(reg, "g", early, now.Add(firstBackoff)) != nil {
			t.Fatal("a success does not start the backoff anew")
		}
	})
}

func TestTheBackoffOfAWardIsSpread(t *testing.T) {
	var b backoff
	reg, now := store.Registration{}, time.Now()
	buckets := map[time.Duration]int{}
	for range 400 {
		b.forget("g")
		for range 6 {
			b.failed(reg, "g", now, errors.New("down"))
		}
		buckets[b.after["g"].wait/(10*time.Second)]++ // from 80 to 160 seconds
	}
	for second := time.Duration(8); second < 16; second++ {
		if n := buckets[second]; n < 20 || n > 90 {
			t.Errorf("%d of 400 come back in the %dth ten seconds, want about 50", n, second)
		}
	}
}

func TestALiveTokenRunsOutByTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l liveTokens
		g := store.Grant{ID: "g", Version: 3}
		if l.ranOut(g, 0) {
			t.Error("nothing is known of it")
		}
		wall := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) // whatever it says
		l.note("g", 3, smart.TokenResponse{ReceivedAt: wall, ExpiresAt: wall.Add(time.Minute)})
		time.Sleep(48 * time.Second)
		if l.ranOut(g, 11*time.Second) || !l.ranOut(g, 12*time.Second) {
			t.Error("twelve seconds are left of it")
		}
		l.sameIn("g", 4)
		g.Version = 4
		time.Sleep(12 * time.Second)
		if !l.ranOut(g, 0) {
			t.Error("it has run out")
		}
		l.sameIn("g", 7) // of another process, which nothing is known of
		g.Version = 7
		if l.ranOut(g, 0) {
			t.Error("the token that another process got is thought to be this one")
		}
		l.note("g", 7, smart.TokenResponse{ReceivedAt: wall})
		if l.ranOut(g, time.Hour) {
			t.Error("it has no end that is known")
		}
	})
}

func TestWhatWasSentIsSeenThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out, sent, done := seenThrough(ctx)
		cancel()
		synctest.Wait()
		if sent() || !errors.Is(out.Err(), context.Canceled) {
			t.Error("what was not sent goes on when nobody waits for it")
		}
		done()

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		out, sent, done = seenThrough(ctx)
		httptrace.ContextClientTrace(out).GotConn(httptrace.GotConnInfo{})
		time.Sleep(time.Second + patience - time.Millisecond)
		synctest.Wait()
		if !sent() || out.Err() != nil {
			t.Errorf("what was sent was given up within %s: %v", patience, out.Err())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !errors.Is(context.Cause(out), context.DeadlineExceeded) {
			t.Errorf("what was sent goes on: %v", context.Cause(out))
		}
		done()

		// An answer in the meantime ends the wait.
		ctx, cancel = context.WithCancel(t.Context())
		out, _, done = seenThrough(ctx)
		httptrace.ContextClientTrace(out).GotConn(httptrace.GotConnInfo{})
		cancel()
		done()
	})
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		leave, err := all.enter(t.Context(), "g", false)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := all.enter(t.Context(), "h", false); err != nil {
			t.Error(err)
		} else {
			other()
		}
		if _, err := all.enter(t.Context(), "g", false); fault.Code(err) != "refresh-busy" {
			t.Errorf("who may not wait gets %v", err)
		}
		began := time.Now()
		if _, err := all.enter(t.Context(), "g", true); fault.Code(err) != "refresh-busy" || time.Since(began) != refreshWait {
			t.Errorf("who may wait gets %v after %s", err, time.Since(began))
		}
		entered := make(chan func())
		go func() {
			leave, err := all.enter(t.Context(), "g", true)
			if err != nil {
				t.Error(err)
			}
			entered <- leave
		}()
		synctest.Wait()
		leave()
		(<-entered)()
		if len(all.gates) != 0 {
			t.Errorf("%d gates stay behind", len(all.gates))
		}
	})
}
