package vault

import (
	"context"
	"crypto/rand"
	"math"
	"time"

	"golang.org/x/crypto/argon2"

	"chartkey/backend/fault"
)

const (
	// calibratedMemoryKiB is the most that Calibrate asks for. A stored cost may ask
	// for more, but an unlocking must fit beside a browser on a small workstation.
	calibratedMemoryKiB = 256 << 10

	// maxTrials bounds the derivations that Calibrate measures.
	maxTrials = 5
)

// Calibrate chooses what deriving a key costs on this machine: between least and
// most (for a person who waits, 300 and 700 ms do) where that is possible. No
// parameter is ever below those of the zero Cost, however slow the machine, nor
// above what a stored KDF may ask for, however fast. Memory grows first, up to
// 256 MiB, and then the passes (RFC 9106 section 4).
//
// It measures up to five derivations one after the other, with now as the clock,
// and sees the end of ctx between them. Other work on the machine makes it
// choose a lower cost, within those limits. Faults: cancelled, passphrase-cost
// (least is not above zero, or most is below it).
func Calibrate(ctx context.Context, least, most time.Duration, now func() time.Time) (Cost, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return calibrate(ctx, least, most, func(c Cost) time.Duration {
		began := now()
		clear(argon2.IDKey(nil, salt, c.Time, c.MemoryKiB, c.Threads, masterKeySize))
		return now().Sub(began)
	})
}

func calibrate(ctx context.Context, least, most time.Duration, measure func(Cost) time.Duration) (Cost, error) {
	if least <= 0 || most < least {
		return Cost{}, fault.New("passphrase-cost", "The time asked for a passcode makes no sense.", "Report this: it is a mistake in Chartkey.")
	}
	// The middle by factors, so that a misjudged machine misses neither end.
	target := math.Sqrt(float64(least) * float64(most))
	cost := recommendedCost()
	best := cost // the dearest that did not take too long
	for range maxTrials {
		if ctx.Err() != nil {
			return Cost{}, errCancelled(ctx.Err())
		}
		took := measure(cost)
		if took <= most && cost.work() > best.work() {
			best = cost
		}
		if took >= least && took <= most {
			break
		}
		// The time grows with the work. Where the clock saw none, this is infinite: the most.
		next := costOf(cost.work() * target / float64(took))
		if next == cost {
			break
		}
		cost = next
	}
	return best, nil
}

// work is what the time of a derivation grows with: how many KiB are filled in all passes.
func (c Cost) work() float64 { return float64(c.Time) * float64(c.MemoryKiB) }

// costOf gives the cost of about that work, within the limits of Calibrate.
func costOf(work float64) Cost {
	c := recommendedCost()
	const mebibyte = 1 << 10 // in KiB
	mib := math.Floor(work / float64(c.Time) / mebibyte)
	c.MemoryKiB = uint32(min(max(mib*mebibyte, float64(c.MemoryKiB)), calibratedMemoryKiB))
	c.Time = uint32(min(max(math.Floor(work/float64(c.MemoryKiB)), float64(c.Time)), maxTime))
	return c
}
