package loopback

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConnections bounds what other programs on this computer can hold open on
	// one address of a port.
	maxConnections = 128
	// maxHeader leaves room for long codes; some servers put a JWT into it.
	maxHeader = 64 << 10

	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 10 * time.Second
	// stopTimeout bounds the end of answers under way. A browser's spare
	// connection, opened ahead of need, would hold a clean shutdown for five seconds.
	stopTimeout = time.Second
)

// port is one listening port: 127.0.0.1 and, where there is IPv6, ::1.
// Receiver.mu protects its fields.
type port struct {
	receiver  *Receiver
	number    int
	v6        bool
	secure    bool // https; what of two sign-ins differs in this does not share a port
	listeners []net.Listener
	server    *http.Server

	users int             // sign-ins that are not closed
	busy  int             // callbacks whose handler runs
	hosts map[string]bool // Host headers that are answered
	paths map[string]bool // host and path of each redirect URI
	pages map[string]*result
	// unseen counts the pages that were not fetched yet.
	unseen   int
	patience *time.Timer // runs while only unseen pages keep the port
	stopping bool
}

// result is a page that waits to be fetched at donePath.
type result struct {
	page Page
	seen bool
}

// listen binds number on the loopback addresses and serves it, with https where
// secure. Receiver.mu is held.
func (r *Receiver) listen(ctx context.Context, number int, secure bool) (*port, error) {
	listeners, err := r.bind(ctx, number)
	if err != nil {
		return nil, err
	}
	p := &port{
		receiver: r, number: number, v6: len(listeners) > 1, secure: secure, listeners: listeners,
		hosts: map[string]bool{}, paths: map[string]bool{}, pages: map[string]*result{},
	}
	p.server = &http.Server{
		Handler:                      p,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
	}
	if secure {
		p.server.ErrorLog = hearTLS(r.OnRefused)
	}
	// A sign-in makes two requests. Without keep-alive no connection outlives its
	// answer, and stopping is quick.
	p.server.SetKeepAlivesEnabled(false)
	for i, l := range listeners {
		limited := netutil.LimitListener(l, maxConnections)
		if secure {
			limited = secured(limited, r.Certificates)
		}
		listeners[i] = limited
		r.work.Go(func() { _ = p.server.Serve(limited) }) // ends with an error always: that of stop
	}
	r.ports[number] = p
	return p, nil
}

// bind is the function of that name; number 0 is the place of HandOver.
func (r *Receiver) bind(ctx context.Context, number int) ([]net.Listener, error) {
	if number != handOverPort {
		return bind(ctx, number)
	}
	l, err := listenHandOver(ctx, r.HandOver)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// bind takes number on both loopback addresses. If another program has it on
// either, it is taken: "localhost" may lead to the other one.
func bind(ctx context.Context, number int) ([]net.Listener, error) {
	var lc net.ListenConfig
	v4, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(number)))
	if err != nil {
		return nil, err
	}
	v6, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(number)))
	if err == nil {
		return []net.Listener{v4, v6}, nil
	}
	if hasIPv6(ctx) {
		_ = v4.Close()
		return nil, err
	}
	return []net.Listener{v4}, nil
}

// hasIPv6 tells "no IPv6 here" from "port taken" without the error numbers of
// each operating system: where any port can be had on ::1, IPv6 is there.
func hasIPv6(ctx context.Context) bool {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// finish keeps the page that a handler gave and returns the path it is shown at.
func (r *Receiver) finish(p *port, page Page) string {
	id := rand.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	p.pages[id] = &result{page: page}
	p.unseen++
	return donePath + id
}

// release ends what take began.
func (r *Receiver) release(p *port) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.busy--
	r.settle(p)
	r.work.Done()
}

// fetch gives the page kept as id.
func (r *Receiver) fetch(p *port, id string) (Page, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := p.pages[id]
	if found == nil {
		return Page{}, false
	}
	if !found.seen {
		found.seen = true
		p.unseen--
		r.settle(p)
	}
	return found.page, true
}

// settle stops p once nothing needs it. It is called whenever that may have
// changed, with Receiver.mu held.
func (r *Receiver) settle(p *port) {
	switch {
	case p.stopping || p.users > 0 && !r.closing || p.busy > 0:
	case p.unseen == 0:
		r.stop(p)
	case p.patience == nil:
		p.patience = time.AfterFunc(linger, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			p.patience = nil
			if (p.users == 0 || r.closing) && p.busy == 0 {
				r.stop(p)
			}
		})
	}
}

// stop frees the port at once and lets answers under way end. Receiver.mu is held.
func (r *Receiver) stop(p *port) {
	if p.stopping {
		return
	}
	p.stopping = true
	delete(r.ports, p.number)
	if p.patience != nil {
		p.patience.Stop()
	}
	// Begun before the listeners close, so that Receiver.Close never sees a moment
	// without work in between.
	r.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if p.server.Shutdown(ctx) != nil {
			_ = p.server.Close()
		}
	})
	for _, l := range p.listeners {
		_ = l.Close()
	}
}
