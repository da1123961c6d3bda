package workstation

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"

	"github.com/gofrs/flock"
)

// urgency is how much depends on a renewal.
type urgency int

const (
	early urgency = iota // the token at hand still works, so nobody waits for another one's renewal
	vital                // nothing works without it
	asked                // a person, or a script, asks for it by name, so it is tried in any case
)

// The wait after a renewal that failed: doubling from five seconds to a quarter
// of an hour, with jitter, so that a ward of workstations does not come back to
// a server all at once.
const (
	firstBackoff = 5 * time.Second
	maxBackoff   = 15 * time.Minute
	// maxBackoffOfUse is the longest that a use which cannot do without is kept off,
	// unless the server asked for more: a person whose network is back need not wait.
	maxBackoffOfUse = 30 * time.Second
)

// backoff keeps, by grant, until when a renewal is not tried again. It lives
// with the process: a new one tries at once.
type backoff struct {
	mu    sync.Mutex // protects the one below
	after map[string]heldOff
}

type heldOff struct {
	failures int
	at       time.Time     // of the last one
	wait     time.Duration // from then on
	told     time.Duration // how much of it the server asked for
	// registered is the registration's version: a corrected one is tried at once.
	registered int64
	cause      error
}

// failed notes a failure. A server that said how long to wait is obeyed.
func (b *backoff) failed(reg store.Registration, id string, now time.Time, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.after == nil {
		b.after = map[string]heldOff{}
	}
	failures := b.after[id].failures
	wait := min(firstBackoff<<min(failures, 20), maxBackoff)
	wait = wait/2 + upTo(wait/2)
	var told network.Wait
	if errors.As(cause, &told) {
		wait = max(wait, time.Duration(told))
	}
	b.after[id] = heldOff{failures + 1, now, wait, time.Duration(told), reg.UpdatedAt, cause}
}

// upTo gives a random duration up to limit.
func upTo(limit time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(limit)+1))
	if err != nil {
		return limit // never: the system's source does not fail
	}
	return time.Duration(n.Int64())
}

func (b *backoff) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.after, id)
}

// holdOff gives the failure because of which a renewal is not tried yet, or nil.
func (b *backoff) holdOff(reg store.Registration, id string, how urgency, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, ok := b.after[id]
	if !ok || how == asked || h.registered != reg.UpdatedAt {
		return nil
	}
	wait := h.wait
	if how == vital {
		wait = min(wait, max(maxBackoffOfUse, h.told))
	}
	// By the clock that has gone further: the monotonic one stands still while the
	// machine sleeps, and the other may be set back.
	if max(now.Sub(h.at), now.Round(0).Sub(h.at.Round(0))) >= wait {
		return nil
	}
	return h.cause
}

// turns lets one goroutine of this process at a time do something for an id.
type turns struct {
	mu    sync.Mutex // protects the one below
	gates map[string]*gate
}

type gate struct {
	turn    chan struct{}
	callers int
}

// enter takes the turn, and waits for it where the caller may. Fault: refresh-busy.
func (t *turns) enter(ctx context.Context, id string, mayWait bool) (leave func(), err error) {
	t.mu.Lock()
	if t.gates == nil {
		t.gates = map[string]*gate{}
	}
	g := t.gates[id]
	if g == nil {
		g = &gate{turn: make(chan struct{}, 1)}
		t.gates[id] = g
	}
	g.callers++
	t.mu.Unlock()
	gone := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if g.callers--; g.callers == 0 {
			delete(t.gates, id)
		}
	}
	leave = func() {
		<-g.turn
		gone()
	}
	select {
	case g.turn <- struct{}{}:
		return leave, nil
	default:
	}
	busy := fault.New("refresh-busy", "Another part of Chartkey is refreshing this connection.", "Try again in a moment.").CanRetry()
	if !mayWait {
		gone()
		return nil, busy
	}
	wait, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	select {
	case g.turn <- struct{}{}:
		return leave, nil
	case <-wait.Done():
		gone()
		return nil, busy.Because(context.Cause(wait))
	}
}

// lockGrant keeps other goroutines and processes from refreshing the same
// grant. The lock dies with its holder. Fault: refresh-busy.
func (w *Workstation) lockGrant(ctx context.Context, id string, mayWait bool) (unlock func(), err error) {
	folder := filepath.Join(w.home, "locks")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fault.New("data-folder-unusable", "The data folder cannot be written.", "Make it writable for your account.").Because(err)
	}
	lock := flock.New(filepath.Join(folder, id), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if !ok && err == nil && mayWait {
		ctx, cancel := context.WithTimeout(ctx, refreshWait)
		defer cancel()
		ok, err = lock.TryLockContext(ctx, 10*time.Millisecond)
	}
	if !ok {
		return nil, fault.New("refresh-busy", "Another Chartkey process is refreshing this connection.", "Try again in a moment.").CanRetry().Because(err)
	}
	return func() {
		if err := lock.Unlock(); err != nil {
			w.log.Warn("a refresh lock could not be released", "error", err)
		}
	}, nil
}

// patience is how long a refresh token that is out is waited for when nobody
// asks for the answer any more: the caller has gone, the window was locked, or
// the program ends.
const patience = 5 * time.Second

// seenThrough gives a context for sending a refresh token. Once a server may
// have the token, the end of ctx does not cut the answer off at once: it may
// bring the only token that still counts. sent tells whether it went that far.
func seenThrough(ctx context.Context) (out context.Context, sent func() bool, done func()) {
	var connected atomic.Bool
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if connected.Load() {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-out.Done():
			}
		}
		cancel(ctx.Err())
	})
	out = httptrace.WithClientTrace(out, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	return out, connected.Load, func() {
		stop()
		cancel(nil)
	}
}

// liveTokens keeps when the tokens that this process received run out by the
// monotonic clock: a wall clock that is set back makes no token live longer.
type liveTokens struct {
	mu    sync.Mutex // protects the one below
	until map[string]liveToken
}

type liveToken struct {
	version int64
	end     time.Time // with its monotonic part
}

func (l *liveTokens) note(id string, version int64, answer smart.TokenResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[string]liveToken{}
	}
	if answer.ExpiresAt.IsZero() {
		delete(l.until, id)
		return
	}
	l.until[id] = liveToken{version, time.Now().Add(answer.ExpiresAt.Sub(answer.ReceivedAt))}
}

// sameIn tells that the next version of a grant has the same access token.
func (l *liveTokens) sameIn(id string, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.until[id]; ok && t.version == version-1 {
		l.until[id] = liveToken{version, t.end}
	}
}

// ranOut tells whether a grant's token has less than left to live.
func (l *liveTokens) ranOut(g store.Grant, left time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.until[g.ID]
	return ok && t.version == g.Version && time.Until(t.end) <= left
}

func (l *liveTokens) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.until, id)
}

type originKey struct{}

// inBackground marks what Chartkey does by itself, for the activity record.
func inBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, originKey{}, audit.FromBackground)
}

func originOf(ctx context.Context) audit.Origin {
	o, _ := ctx.Value(originKey{}).(audit.Origin)
	return o
}
