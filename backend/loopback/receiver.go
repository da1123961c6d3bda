// Package loopback receives the answer of a sign-in from the browser, on a port
// of this computer (RFC 8252 section 7.3).
//
// It owns the listeners, the checks of a request (Host, path, method, size,
// one-use state) and the small pages the browser shows. It knows nothing of
// registrations, tokens or storage: it hands the query of a checked request to
// a function.
package loopback

import (
	"context"
	"crypto/sha256"
	"net/url"
	"strings"
	"sync"
	"time"

	"chartkey/backend/fault"
)

const (
	// handlerTimeout bounds the work behind one callback: discovery, token
	// request, checks. Longer than any of their own deadlines together.
	handlerTimeout = 60 * time.Second

	// linger is how long a listener waits for the browser to fetch a result page.
	linger = 2 * time.Second

	// rememberUsed is how long an answered state is known as such, rather than as unknown.
	rememberUsed = 15 * time.Minute
)

// Handler takes the query of a callback whose Host, path and state were
// checked, and says what the browser shows. ctx ends with that of Begin, after
// 60 seconds, or when the Receiver closes; it does not end when the person
// closes the tab. It runs once for each request that was sent, one at a time.
type Handler func(ctx context.Context, query url.Values) Page

// Receiver serves all sign-ins of the process. Several may wait at once and
// share a port.
type Receiver struct {
	// OnRefused, if set before the first Begin, hears why a request was refused:
	// host, path, method, query-too-long, query-malformed, state-missing,
	// state-repeated, state-unknown, state-used; and of https, why no request
	// came: certificate-refused (the browser does not trust it), not-https. It
	// must not block.
	OnRefused func(reason string)
	// HandOver, if set before the first Begin, is where another process of this
	// account hands over the callback of AppRedirectURI: a socket's file, whose
	// folder only this account may enter.
	HandOver string
	// Certificates, if set before the first Begin, lets redirect URIs be https.
	Certificates Certificates

	now    func() time.Time
	closed context.Context // done when handlers must end
	end    context.CancelFunc

	mu      sync.Mutex // protects what follows, and the fields of each port
	ports   map[int]*port
	waiting map[stateKey]*Login
	used    map[stateKey]time.Time // when each was answered
	closing bool

	work sync.WaitGroup // listeners, their shutdown, and handlers
}

// stateKey is the SHA-256 of a state. Looking states up by it keeps the time of
// a look-up from telling anything about those that wait.
type stateKey [sha256.Size]byte

func keyOf(state string) stateKey { return sha256.Sum256([]byte(state)) }

// NewReceiver makes a receiver that listens nowhere yet.
func NewReceiver(now func() time.Time) *Receiver {
	closed, end := context.WithCancel(context.Background())
	return &Receiver{
		now: now, closed: closed, end: end,
		ports: map[int]*port{}, waiting: map[stateKey]*Login{}, used: map[stateKey]time.Time{},
	}
}

// Login is one sign-in that waits for its callback.
type Login struct {
	receiver *Receiver
	target   target
	port     *port
	key      stateKey
	handle   Handler
	ctx      context.Context
	unwatch  func() bool
	once     sync.Once
	closed   bool // protected by the receiver's lock
}

// RedirectURI gives the redirect URI that this sign-in listens at, exactly as it was given to Begin.
func (l *Login) RedirectURI() string { return l.target.uri }

// Begin waits for a callback at the first of redirectURIs whose port is free or
// already ours. newState is called with that URI and gives the state of the
// authorization request. The sign-in is withdrawn when it has been answered,
// when ctx ends or on Login.Close, which the caller calls in every case.
//
// Faults: ports-taken, those of CheckRedirectURI, receiver-closed, and whatever newState gives.
func (r *Receiver) Begin(ctx context.Context, redirectURIs []string, newState func(redirectURI string) (string, error), handle Handler) (*Login, error) {
	if len(redirectURIs) == 0 {
		return nil, fault.New("redirect-uri-missing", "This registration has no redirect URI.",
			"Add the redirect URI that is registered with the EHR, for example http://localhost:18320/callback.")
	}
	targets := make([]target, len(redirectURIs))
	for i, raw := range redirectURIs {
		t, err := parseTarget(raw, r.Certificates)
		if err != nil {
			return nil, err
		}
		targets[i] = t
	}
	l, err := r.reserve(ctx, targets)
	if err != nil {
		return nil, err
	}
	l.handle, l.ctx = handle, ctx
	state, err := newState(l.target.uri)
	if err == nil {
		err = r.await(l, state)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// reserve takes a place at the first free port.
func (r *Receiver) reserve(ctx context.Context, targets []target) (*Login, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, errClosed()
	}
	if ctx.Err() != nil {
		return nil, fault.New("cancelled", "The sign-in was cancelled.", "Start it again if you still want it.").Because(ctx.Err())
	}
	var taken, mixed []string
	for _, t := range targets {
		p := r.ports[t.port]
		if p == nil {
			var err error
			if p, err = r.listen(ctx, t.port, t.secure); err != nil {
				taken = append(taken, portName(t.port))
				continue
			}
		}
		if p.secure != t.secure {
			mixed = append(mixed, portName(t.port))
			continue
		}
		if t.v6 && !p.v6 {
			taken = append(taken, portName(t.port))
			r.settle(p)
			continue
		}
		p.users++
		if p.patience != nil {
			p.patience.Stop()
			p.patience = nil
		}
		p.hosts[t.host] = true
		p.paths[t.host+t.path] = true
		return &Login{receiver: r, target: t, port: p}, nil
	}
	if len(taken) == 0 {
		return nil, fault.Newf("ports-taken", "Wait until that sign-in has ended, or register the redirect URIs of http and https with ports of their own.",
			"The sign-in has nowhere to come back to: another sign-in waits at port %s, with http where this one has https or the other way round.", mixed[0]).CanRetry()
	}
	return nil, errPortsTaken(taken)
}

func errPortsTaken(ports []string) *fault.Error {
	which := "port " + ports[0]
	if len(ports) > 1 {
		which = "ports " + strings.Join(ports[:len(ports)-1], ", ") + " and " + ports[len(ports)-1]
	}
	return fault.Newf("ports-taken",
		"Close the program that uses "+which+" (perhaps another Chartkey), or register a redirect URI with another port at the EHR and add it to this registration.",
		"The sign-in has nowhere to come back to: another program on this computer uses %s.", which).CanRetry()
}

func errClosed() *fault.Error {
	return fault.New("receiver-closed", "Chartkey is closing.", "Start Chartkey again.")
}

// await makes l answer to state.
func (r *Receiver) await(l *Login, state string) error {
	key := keyOf(state)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return errClosed()
	}
	_, answered := r.used[key]
	if state == "" || answered || r.waiting[key] != nil {
		return fault.New("state-reused", "The sign-in was given a state that is not new.", "Report this: it is a mistake in Chartkey.")
	}
	l.key = key
	r.waiting[key] = l
	l.unwatch = context.AfterFunc(l.ctx, l.Close)
	return nil
}

// again has l wait for the answer of another request. It tells false where l
// was closed in the meantime, or state is not new.
func (r *Receiver) again(l *Login, state string) bool {
	key := keyOf(state)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, answered := r.used[key]
	if r.closing || l.closed || state == "" || answered || r.waiting[key] != nil {
		return false
	}
	l.key = key
	r.waiting[key] = l
	return true
}

// Close withdraws the sign-in. A handler that already runs goes on, and its
// page is still shown. Once no sign-in uses the port, the listener stops when
// the last result page was fetched, after two seconds at the latest.
func (l *Login) Close() {
	l.once.Do(func() {
		r := l.receiver
		r.mu.Lock()
		defer r.mu.Unlock()
		l.closed = true
		if l.unwatch != nil {
			l.unwatch()
		}
		if r.waiting[l.key] == l {
			delete(r.waiting, l.key)
		}
		l.port.users--
		r.settle(l.port)
	})
}

// take finds the sign-in that waits for state at t and makes the state used.
// reason is "" if there is one. The caller calls finish afterwards.
func (r *Receiver) take(p *port, at, state string) (l *Login, reason string) {
	key := keyOf(state)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for k, answered := range r.used {
		if now.Sub(answered) > rememberUsed {
			delete(r.used, k)
		}
	}
	if _, answered := r.used[key]; answered {
		return nil, refusedUsed
	}
	l = r.waiting[key]
	// A state is bound to its own redirect URI (RFC 9700 section 4.4): at another
	// one it is unknown, and stays good where it belongs.
	if l == nil || p.stopping || l.port != p || l.target.host+l.target.path != at {
		return nil, refusedUnknown
	}
	delete(r.waiting, key)
	r.used[key] = now
	p.busy++
	r.work.Add(1)
	return l, ""
}

// Close withdraws every sign-in and stops. It lets a handler finish and the
// browser fetch a last page for two seconds, then ends both. It returns an
// error only if ctx ends before everything has stopped.
func (r *Receiver) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closing = true
	clear(r.waiting)
	for _, p := range r.ports {
		r.settle(p)
	}
	r.mu.Unlock()

	stopped := make(chan struct{})
	go func() {
		r.work.Wait()
		close(stopped)
	}()
	patience := time.NewTimer(linger)
	defer patience.Stop()
	select {
	case <-stopped:
		r.end()
		return nil
	case <-patience.C:
	case <-ctx.Done():
	}
	r.end()
	r.mu.Lock()
	for _, p := range r.ports {
		r.stop(p)
	}
	r.mu.Unlock()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
