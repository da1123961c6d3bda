package network

import (
	"context"
	"errors"
	"sync"
)

// attempt is what is known of the way of one request. Its connection is made
// in a goroutine of its own, which may outlive the request.
type attempt struct {
	mu        sync.Mutex // protects what follows
	proxy     string     // host and port; "" is none
	asked     bool       // the server asked for a client certificate
	presented bool       // and got one
}

type attemptKey struct{}

// attemptOf gives the attempt of a request's context, which may be nil.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

func (a *attempt) through(proxy string) {
	if a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.proxy = proxy
	}
}

func (a *attempt) certificateAsked(presented bool) {
	if a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked, a.presented = true, presented
	}
}

func (a *attempt) failed(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &attemptError{cause: err, proxy: a.proxy, asked: a.asked, presented: a.presented}
}

// attemptError is an error of RoundTrip, with what is known of the way it went.
type attemptError struct {
	cause            error
	proxy            string
	asked, presented bool
}

func (e *attemptError) Error() string { return e.cause.Error() }
func (e *attemptError) Unwrap() error { return e.cause }

// Timeout is what url.Error asks of the error that it holds.
func (e *attemptError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.cause, &t) && t.Timeout()
}
