package workstation_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/simulator"
)

// gateway stands before a simulated EHR, as something stands before every
// hospital's server. It counts what passes, and meddles with requests for
// tokens where a test says so.
type gateway struct {
	addr string // where it listens

	mu     sync.Mutex // protects those below
	meddle func(w http.ResponseWriter, r *http.Request, ehr http.Handler)
	seen   traffic
}

// traffic is what came to an EHR.
type traffic struct {
	tokens  int // requests of the token endpoint
	reads   int // FHIR reads that were answered
	refused int // FHIR reads that were refused with 401
}

// newGatedBench is newBench with a gateway before the EHR.
func newGatedBench(t testing.TB, settings simulator.Settings) (*bench, *gateway) {
	t.Helper()
	return newGatedBenchAt(t, settings, "")
}

// newGatedBenchAt is newGatedBench with an EHR that is reached by way of
// another address than its own, "" for none.
func newGatedBenchAt(t testing.TB, settings simulator.Settings, way string) (*bench, *gateway) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{addr: l.Addr().String()}
	public := l.Addr().(*net.TCPAddr).Port
	if way != "" {
		a, err := net.ResolveTCPAddr("tcp4", way)
		if err != nil {
			t.Fatal(err)
		}
		public = a.Port
	}
	b := &bench{home: filepath.Join(t.TempDir(), "data"), clock: &clock{}, redirect: freeRedirect(t)}
	if b.ehr, err = simulator.New(simulator.Options{Host: "127.0.0.1", Port: public, Now: b.clock.now, Settings: settings, Clients: []simulator.Client{
		{ID: "app", Name: "App", Type: simulator.Public, RedirectURIs: []string{b.redirect}},
		{ID: "app-with-secret", Name: "App", Type: simulator.ConfidentialSymmetric, Secret: secretOfTest, RedirectURIs: []string{b.redirect}},
	}, Log: g.count}); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.pass(w, r, b.ehr.Handler()) })}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // ends with Shutdown
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // a request that a test left hanging
		}
		serving.Wait()
		_ = b.ehr.Close(ctx)
	})
	b.Workstation = openDesk(t, b.home, b.clock)
	return b, g
}

func (g *gateway) pass(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
	g.mu.Lock()
	meddle := g.meddle
	if r.URL.Path != "/auth/token" {
		meddle = nil
	} else {
		g.seen.tokens++
	}
	g.mu.Unlock()
	if meddle != nil {
		meddle(w, r, ehr)
		return
	}
	ehr.ServeHTTP(w, r)
}

// count is the EHR's own log.
func (g *gateway) count(r simulator.Request) {
	if !strings.HasPrefix(r.Path, "/fhir/Patient") {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch r.Status {
	case http.StatusOK:
		g.seen.reads++
	case http.StatusUnauthorized:
		g.seen.refused++
	}
}

// meddleWith has requests for tokens handled by do; nil lets them pass.
func (g *gateway) meddleWith(do func(w http.ResponseWriter, r *http.Request, ehr http.Handler)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.meddle = do
}

// since gives what has come since the last call.
func (g *gateway) since() traffic {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = traffic{}
	return seen
}
