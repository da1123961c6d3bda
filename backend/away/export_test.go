package away

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// StandstillsForTest watches the clocks alone.
func StandstillsForTest(ctx context.Context, o Options, locked func(Reason)) {
	w := &watch{clock: o.Clock, locked: locked}
	w.standstills(ctx)
}

// WokeForTest gives a look at the clocks, and the same for a sleep that was told.
func WokeForTest(clock func() (time.Time, time.Duration)) (look func() bool, woke func()) {
	w := &watch{clock: clock}
	return func() bool { return w.halt.look(w.clock()) }, w.woke
}

// KeepForTest gives how long after its start each of the first n attempts at a
// source was made that works for the time of works[i] and then fails.
func KeepForTest(ctx context.Context, log *slog.Logger, works []time.Duration) []time.Duration {
	w := &watch{log: log, clock: systemClock()}
	began := time.Now()
	var at []time.Duration
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.keep(ctx, "source", func(context.Context) error {
		at = append(at, time.Since(began))
		if len(at) > len(works) {
			cancel()
			return nil
		}
		time.Sleep(works[len(at)-1])
		return errors.New("gone")
	})
	return at
}

// ConsoleForTest says how the property list shows the sessions of the user.
func ConsoleForTest(list []byte, uid int) (string, error) {
	is, err := consolePresence(list, uid)
	return [...]string{"unknown", "here", "locked", "switched"}[is], err
}

// ConsoleOfForTest watches what that program says in the place of ioreg.
func ConsoleOfForTest(ctx context.Context, ioreg string, uid int, every time.Duration, locked func(Reason)) error {
	return (&watch{locked: locked}).console(ctx, ioreg, uid, every)
}
