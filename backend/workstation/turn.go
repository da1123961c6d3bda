package workstation

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"sync"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// The wait after a renewal that failed for now: doubling from five seconds to
// a quarter of an hour, with jitter, so that a ward of workstations does not
// come back to a server all at once.
const (
	firstBackoff = 5 * time.Second
	maxBackoff   = 15 * time.Minute
)

// backoff keeps, by grant, when the next renewal may be tried. It lives with
// the process: a new one tries at once.
type backoff struct {
	mu    sync.Mutex // protects the one below
	after map[string]heldOff
}

type heldOff struct {
	failures int
	until    time.Time
	cause    error
}

// failed notes a failure. A server that said how long to wait is obeyed.
func (b *backoff) failed(id string, now time.Time, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.after == nil {
		b.after = map[string]heldOff{}
	}
	h := b.after[id]
	wait := min(firstBackoff<<min(h.failures, 20), maxBackoff)
	wait = wait/2 + upTo(wait/2)
	var asked network.Wait
	if errors.As(cause, &asked) {
		wait = max(wait, time.Duration(asked))
	}
	b.after[id] = heldOff{h.failures + 1, now.Add(wait), cause}
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
func (b *backoff) holdOff(id string, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h, ok := b.after[id]; ok && now.Before(h.until) && now.After(h.until.Add(-2*24*time.Hour)) {
		return h.cause
	}
	return nil
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

// enter waits for the turn. Fault: refresh-busy.
func (t *turns) enter(ctx context.Context, id string) (leave func(), err error) {
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
	wait, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	select {
	case g.turn <- struct{}{}:
		return func() {
			<-g.turn
			gone()
		}, nil
	case <-wait.Done():
		gone()
		return nil, fault.New("refresh-busy", "Another part of Chartkey is refreshing this connection.", "Try again in a moment.").CanRetry().Because(context.Cause(wait))
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
