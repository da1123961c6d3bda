package away

import (
	"context"
	"sync"
	"time"
)

const (
	// look is how often the clocks are read.
	look = 5 * time.Second
	// longest is how far the clocks may go on between two looks for it to be
	// nothing: a busy machine, a clock that is corrected.
	longest = 30 * time.Second
)

// standstill finds that the process stood still between two looks at the clocks.
type standstill struct {
	mu        sync.Mutex // guards what follows
	wall      time.Time
	monotonic time.Duration
}

// look takes the reading of both clocks and says whether, since the last one,
// more time passed than should have.
//
// On Linux and macOS the monotonic clock stops while the machine sleeps, so the
// wall clock runs ahead of it. On Windows it goes on, so too much of it passes
// between two looks, as it does everywhere when the process was stopped. A wall
// clock that is set forward looks like a sleep and is told as one: better than
// to miss one.
func (s *standstill) look(wall time.Time, monotonic time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead := wall.Round(0).Sub(s.wall) - (monotonic - s.monotonic)
	passed := monotonic - s.monotonic
	s.wall, s.monotonic = wall.Round(0), monotonic
	return ahead > longest || passed > look+longest
}

// standstills tells every standstill until ctx ends.
func (w *watch) standstills(ctx context.Context) {
	w.halt.look(w.clock())
	ticks := time.NewTicker(look)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if w.halt.look(w.clock()) {
				w.tell(ctx, WokeFromSleep)
			}
		}
	}
}

// woke forgets the sleep that has just ended, because it was told before it
// began: a person who is back already is not sent away a second time.
func (w *watch) woke() { w.halt.look(w.clock()) }
