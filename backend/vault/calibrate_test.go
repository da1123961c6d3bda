package vault

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

const least, most = 300 * time.Millisecond, 700 * time.Millisecond

// machine takes that long for a derivation of the recommended cost, and for others
// in proportion.
func machine(recommended time.Duration) func(Cost) time.Duration {
	return func(c Cost) time.Duration {
		return time.Duration(float64(recommended) * c.work() / recommendedCost().work())
	}
}

func TestTheCostFitsTheMachine(t *testing.T) {
	for _, c := range []struct {
		name        string
		recommended time.Duration
		want        Cost
	}{
		{"so slow that the recommended cost takes too long", 5 * time.Second, Cost{3, 64 << 10, 4}},
		{"slow", 700 * time.Millisecond, Cost{3, 64 << 10, 4}},
		{"just slow enough", 300 * time.Millisecond, Cost{3, 64 << 10, 4}},
		{"usual", 150 * time.Millisecond, Cost{3, 195 << 10, 4}},
		{"fast", 100 * time.Millisecond, Cost{3, 256 << 10, 4}},
		{"faster", 50 * time.Millisecond, Cost{6, 256 << 10, 4}},
		{"of the future", time.Millisecond, Cost{16, 256 << 10, 4}},
		{"faster than its clock", 0, Cost{16, 256 << 10, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := calibrate(t.Context(), least, most, machine(c.recommended)); err != nil || got != c.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestTheCostStaysWithinItsLimitsOnAnyMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		even := machine(time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "recommended")))
		busy := rapid.Bool().Draw(t, "busy")
		tries := 0
		got, err := calibrate(context.Background(), least, most, func(c Cost) time.Duration {
			tries++
			if !c.valid() {
				t.Fatalf("%+v was tried", c)
			}
			took := even(c)
			if busy {
				took = time.Duration(float64(took) * rapid.Float64Range(0.01, 100).Draw(t, "slower"))
			}
			return took
		})
		if err != nil {
			t.Fatal(err)
		}
		low := recommendedCost()
		if !got.valid() || got.Time < low.Time || got.MemoryKiB < low.MemoryKiB || got.Threads < low.Threads || got.MemoryKiB > calibratedMemoryKiB {
			t.Fatalf("%+v", got)
		}
		if tries > maxTrials {
			t.Fatalf("%d derivations", tries)
		}
		dearest := Cost{Time: maxTime, MemoryKiB: calibratedMemoryKiB, Threads: low.Threads}
		took := even(got)
		if !busy && (took < least && got != dearest || took > most && got != low) {
			t.Fatalf("%+v takes %v", got, took)
		}
	})
}

func TestABusyMomentDoesNotRaiseTheCost(t *testing.T) {
	// One derivation was lucky, and what it led to took too long: the one before counts.
	took := []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, time.Second, 200 * time.Millisecond, time.Second}
	var tried []Cost
	got, err := calibrate(t.Context(), least, most, func(c Cost) time.Duration {
		tried = append(tried, c)
		return took[len(tried)-1]
	})
	if err != nil || got != tried[1] {
		t.Errorf("%+v of %+v, %v", got, tried, err)
	}
}

func TestCalibrateMeasuresRealDerivations(t *testing.T) {
	// The clock is ours, so that the outcome does not depend on the machine: it
	// says that each derivation took 400 ms.
	clock := time.Unix(0, 0)
	calls := 0
	now := func() time.Time {
		calls++
		clock = clock.Add(400 * time.Millisecond)
		return clock
	}
	got, err := Calibrate(t.Context(), least, most, now)
	if err != nil || got != recommendedCost() || calls != 2 {
		t.Errorf("%+v after %d looks at the clock: %v", got, calls, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Calibrate(ctx, least, most, now); fault.Code(err) != "cancelled" {
		t.Errorf("%v", err)
	}
	for _, c := range [][2]time.Duration{{0, most}, {-1, most}, {most, least}} {
		if _, err := Calibrate(t.Context(), c[0], c[1], now); fault.Code(err) != "passphrase-cost" {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// BenchmarkCalibratedDerivation is what an unlocking takes at the cost that
// Calibrate chooses here.
func BenchmarkCalibratedDerivation(b *testing.B) {
	cost, err := Calibrate(b.Context(), least, most, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%+v", cost)
	benchmarkDerivation(b, cost)
}

// BenchmarkRecommendedDerivation is the least that an unlocking takes.
func BenchmarkRecommendedDerivation(b *testing.B) { benchmarkDerivation(b, recommendedCost()) }

func benchmarkDerivation(b *testing.B, cost Cost) {
	kdf, err := newKDF(cost)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := kdf.wrap(secret.New("274-911"), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
