// Package away tells that the person has left the computer: the screen was
// locked, the machine goes to sleep or slept, the session was left or ended.
//
// It owns where each system says so, and nothing else. It must not decide what
// is locked then, know of the vault, or take a program's word that does not own
// the name it speaks for.
//
// What is watched:
//
//   - Everywhere, the clocks: where they went on without this process for more
//     than half a minute, the machine slept or was halted. This needs no system
//     service, but it is seen only after the wake.
//   - Linux: logind or elogind on the system bus (sleep, the session's Lock
//     signal, its LockedHint, another session in front, its end) and the screen
//     saver on the session bus, by the names that GNOME, KDE Plasma, Cinnamon,
//     MATE, Xfce, Budgie, Pantheon, Unity and light-locker use. A delay inhibitor
//     holds the sleep back until the callback has returned. A locker that tells
//     neither, such as swaylock, hyprlock or i3lock started by a key binding, is
//     not seen; "loginctl lock-session" is.
//   - Windows: the session's notifications (lock, disconnect, logoff) and those
//     of suspend, modern standby included.
//   - macOS: what the I/O registry says of the console's sessions, by running
//     ioreg every five seconds. The notifications of macOS need Objective-C, and
//     this package is built without a C compiler. So a lock is seen up to five
//     seconds late, one that lasts shorter may be missed, and a sleep is seen
//     only after it.
//
// Where a source is missing, as without D-Bus or in a container, the others go on
// and nothing is logged but once, at the level Debug.
package away

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Reason is why the person is taken to be away.
type Reason string

const (
	// ScreenLocked: the screen was locked, or its saver began.
	ScreenLocked Reason = "screen locked"
	// GoingToSleep: the machine is about to sleep, and waits for the callback as
	// long as the system allows: 5 seconds with logind, 2 on Windows.
	GoingToSleep Reason = "going to sleep"
	// WokeFromSleep: the machine, or this process, stood still until just now.
	WokeFromSleep Reason = "woke from sleep"
	// SessionSwitched: another session is in front: fast user switching, another
	// virtual terminal, a remote desktop that was disconnected.
	SessionSwitched Reason = "session switched"
	// SessionEnded: the session is over, though this process is not.
	SessionEnded Reason = "session ended"
)

// Options is what Watch is given instead of what it finds.
type Options struct {
	// SystemBus and SessionBus are the D-Bus addresses; "" is what the environment
	// says, or the standard place. They are used on Linux only.
	SystemBus, SessionBus string
	// Log takes what goes wrong with a source, at the level Debug; nil discards it.
	Log *slog.Logger
	// Clock reads the wall clock and a clock that no setting moves; nil is the system's.
	Clock func() (wall time.Time, monotonic time.Duration)
}

// Watch calls locked whenever the person went away, until ctx ends; then it
// returns, once a call under way has. One going away may be told several times,
// by each source that saw it. On Linux and macOS a screen that is locked when its
// source is first reached is told too. locked is never called twice at once, and a
// sleep waits for it, so it should return soon.
//
// There is no error: the clocks are everywhere, and every other source is tried
// again, sooner or later, when it is missing or goes away.
func Watch(ctx context.Context, o Options, locked func(Reason)) {
	w := &watch{options: o, log: o.Log, clock: o.Clock, locked: locked}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.clock == nil {
		w.clock = systemClock()
	}
	var running sync.WaitGroup
	for _, source := range append(w.sources(), w.standstills) {
		running.Go(func() { source(ctx) })
	}
	running.Wait()
}

func systemClock() func() (time.Time, time.Duration) {
	began := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(began) // Round takes off the monotonic reading
	}
}

type watch struct {
	options Options
	log     *slog.Logger
	clock   func() (time.Time, time.Duration)
	halt    standstill

	telling sync.Mutex // held while locked runs
	locked  func(Reason)
}

func (w *watch) tell(ctx context.Context, why Reason) {
	w.telling.Lock()
	defer w.telling.Unlock()
	if ctx.Err() == nil {
		w.locked(why)
	}
}

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = time.Minute
	// steady is how long a source must have worked for its next loss to be a new one.
	steady = 10 * time.Second
)

// keep calls attempt, which serves one source for as long as it is there, again
// and again until ctx ends. The longer the source is missing the longer the
// pauses are. Only a failure that differs from the last one is logged.
func (w *watch) keep(ctx context.Context, source string, attempt func(context.Context) error) {
	pause, said := firstRetry, ""
	for {
		_, began := w.clock()
		err := attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		if _, now := w.clock(); now-began > steady {
			pause, said = firstRetry, ""
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			w.log.Debug("A source that tells when the person is away is missing.", "source", source, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastRetry)
	}
}
