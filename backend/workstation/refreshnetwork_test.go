package workstation_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// badNetwork is what is between a workstation and its EHR.
type badNetwork struct {
	proxy  *toxiproxy.Proxy
	client *http.Client
	asked  atomic.Int64 // token requests that were tried
}

// RoundTrip counts what is tried, as not all of it arrives anywhere.
func (n *badNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		n.asked.Add(1)
	}
	return n.client.Transport.RoundTrip(r)
}

// freeAddress gives an address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// newBadNetwork connects a workstation to an EHR by way of a network that is
// good at first. The third value is the client that the workstation uses.
func newBadNetwork(t *testing.T, settings simulator.Settings) (*bench, *gateway, *badNetwork, *http.Client, workstation.Registration) {
	t.Helper()
	way := freeAddress(t)
	b, g := newGatedBenchAt(t, settings, way)
	n := &badNetwork{client: network.NewClient()}
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics have a logger of their own
	n.proxy = toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "ehr", way, g.addr)
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	t.Cleanup(n.client.CloseIdleConnections)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: n, CheckRedirect: network.NoRedirects, Timeout: time.Minute}
	var err error
	if b.Workstation, err = workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now, KeyCost: cheap, HTTP: client, Passphrase: passphraseOfTest}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	reg, _ := b.connected(t)
	return b, g, n, client, reg
}

// dropByDrop carries a refresh out, and answers 50 bytes a second. It stands in
// for Toxiproxy's bandwidth, which leaves goroutines behind where it is cut off.
func dropByDrop(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
	h := httptest.NewRecorder()
	ehr.ServeHTTP(h, r)
	for _, drop := range h.Body.Bytes() {
		if _, err := w.Write([]byte{drop}); err != nil || http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// What a network does to a refresh. Where the EHR gets it, the answer is lost.
func TestWhatANetworkDoesToARefresh(t *testing.T) {
	const short, long = 200 * time.Millisecond, 10 * time.Second
	// So short that what was discovered outlasts the test: it is the token request that fails.
	const life = 30 * time.Second
	for name, c := range map[string]struct {
		toxic    string // of Toxiproxy; "" has nobody listen at all, unless there is meddle
		meddle   func(w http.ResponseWriter, r *http.Request, ehr http.Handler)
		code     string
		patience time.Duration // of the client, for what never ends by itself
		acts     bool          // the EHR gets the request
		late     bool          // the EHR gets it when nobody waits for the answer
	}{
		"nobody is there":                        {code: network.CodeConnectionRefused, patience: long},
		"the request is late":                    {toxic: `{"type":"latency","stream":"upstream","attributes":{"latency":60000}}`, code: network.CodeTimeout, patience: short, late: true},
		"the answer is late":                     {toxic: `{"type":"latency","stream":"downstream","attributes":{"latency":60000}}`, code: network.CodeTimeout, patience: short, acts: true},
		"the request disappears":                 {toxic: `{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`, code: network.CodeTimeout, patience: short},
		"the answer disappears":                  {toxic: `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`, code: network.CodeTimeout, patience: short, acts: true},
		"the connection is reset by the request": {toxic: `{"type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}`, code: network.CodeConnectionFailed, patience: long},
		"the connection is reset by the answer":  {toxic: `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`, code: network.CodeConnectionFailed, patience: long, acts: true},
		"the connection ends within the request": {toxic: `{"type":"limit_data","stream":"upstream","attributes":{"bytes":100}}`, code: network.CodeConnectionFailed, patience: long},
		"the connection ends within the answer":  {toxic: `{"type":"limit_data","stream":"downstream","attributes":{"bytes":400}}`, code: network.CodeConnectionFailed, patience: long, acts: true},
		"the answer comes drop by drop":          {meddle: dropByDrop, code: network.CodeTimeout, patience: short, acts: true},
	} {
		for kind, settings := range map[string]simulator.Settings{
			"an EHR that rotates":  {AccessTokenLife: life},
			"an EHR that does not": {AccessTokenLife: life, FixedRefreshTokens: true},
		} {
			if c.late && !settings.FixedRefreshTokens {
				continue // what comes of it is decided by whether the retry overtakes the first
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				b, g, n, client, reg := newBadNetwork(t, settings)
				b.clock.pass(life)
				g.meddleWith(c.meddle)
				gone := c.toxic == "" && c.meddle == nil
				if gone {
					n.proxy.Stop()
					n.client.CloseIdleConnections()
				}
				if c.toxic != "" {
					if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(c.toxic)); err != nil {
						t.Fatal(err)
					}
				}
				client.Timeout = c.patience
				g.since()
				n.asked.Store(0)
				_, err := b.Refresh(t.Context(), reg.ID)
				if f := wantCode(t, err, c.code); !f.Retryable {
					t.Error("it can be tried again")
				}
				if s, err := b.Status(t.Context(), reg.ID); err != nil || s.State != workstation.Expired || !s.Refreshable || s.LastError == nil || s.LastError.Code != c.code {
					t.Errorf("the connection is %+v (%v)", s, err)
				}
				if seen := g.since(); (seen.tokens > 0) != c.acts {
					t.Errorf("the EHR saw %+v", seen)
				}
				if left := b.rowOf(t); left.pending == gone {
					t.Errorf("that the refresh token may be spent is noted: %t", left.pending)
				}
				// Four minutes of use: a rotating EHR that got a request takes the first retry that arrives for a reuse.
				rotated := c.acts && !settings.FixedRefreshTokens
				tries := 240 / 5
				for range tries {
					b.clock.pass(5 * time.Second)
					_, readErr := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
					_, dueErr := b.RefreshDue(t.Context())
					if f := workstation.Fault(readErr); f == nil || f.Code != c.code || dueErr != nil {
						t.Fatalf("a read says %v, the background %v", readErr, dueErr)
					}
				}
				if asked := n.asked.Load(); asked < 5 || asked > 20 {
					t.Errorf("in four minutes and %d uses it was tried %d times", 2*tries, asked)
				}
				n.proxy.Toxics.ResetToxics(context.Background())
				g.meddleWith(nil)
				if gone {
					if err := n.proxy.Start(); err != nil {
						t.Fatal(err)
					}
				}
				n.client.CloseIdleConnections()
				client.Timeout = time.Minute
				b.clock.pass(30 * time.Second)
				_, err = b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
				switch {
				case rotated:
					if f := wantCode(t, err, "grant-ended"); !strings.Contains(f.Message, wordsOfLoss) {
						t.Errorf("it says %q", f.Message)
					}
					if _, err := b.signIn(t, reg.ID, amara); err != nil {
						t.Error(err)
					}
				case err != nil:
					t.Errorf("half a minute after the network is back: %v (%s)", err, fault.Code(err))
				}
				if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
