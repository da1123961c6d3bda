package workstation_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func TestAThousandReadersInFourProcessesCauseOneRefresh(t *testing.T) {
	processes, readers := 4, 250
	for name, slow := range map[string]time.Duration{"at once": 0, "after half a second": 500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			b, g := newGatedBench(t, simulator.Settings{})
			reg, _ := b.connected(t)
			b.clock.pass(2 * time.Hour)
			g.meddleWith(func(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
				time.Sleep(slow)
				ehr.ServeHTTP(w, r)
			})
			var all []*process
			for range processes {
				all = append(all, start(t, part{Do: "read", Home: b.home, Registration: reg.ID, Offset: 2 * time.Hour, Readers: readers}))
			}
			for _, p := range all {
				p.ready(t)
			}
			g.since()
			for _, p := range all {
				p.begin(t)
			}
			done := 0
			for _, p := range all {
				out := p.ended(t)
				done += out.Done
				for what, n := range out.Faults {
					t.Errorf("%d readers: %s", n, what)
				}
				t.Logf("%d readers; the last had its answer after %s", out.Done, out.Longest.Round(time.Millisecond))
			}
			// None was refused, so all read with the new token.
			if seen, want := g.since(), (traffic{tokens: 1, reads: processes * readers}); done != processes*readers || seen != want {
				t.Errorf("%d readers were served; the EHR saw %+v, want %+v", done, seen, want)
			}
		})
	}
}

// crowd has many readers at once, and gives the codes of their faults.
func (b *bench) crowd(t *testing.T, ref string, readers int) map[string]int {
	t.Helper()
	codes := map[string]int{}
	var mu sync.Mutex // protects codes
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			_, err := b.Read(t.Context(), ref, "Patient/amara-nwosu")
			mu.Lock()
			defer mu.Unlock()
			codes[fault.Code(err)]++
		})
	}
	wg.Wait()
	return codes
}

// A crowd that waits for a refresh shares its failure, too: one after the other
// would try what just failed, each with its own deadline.
func TestACrowdSharesTheFailureOfARefresh(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, ehr http.Handler)
		code   string
	}{
		"the EHR is down": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "server-error"},
		"the client is refused": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		}, "client-refused"},
		"the answer replaces the refresh token and has no access token": {rotateOnly, "token-missing"},
		"the answer is cut off": {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, "connection-failed"},
	} {
		t.Run(name, func(t *testing.T) {
			b, g := newGatedBench(t, simulator.Settings{})
			reg, _ := b.connected(t)
			b.clock.pass(2 * time.Hour)
			b.clock.stop()
			g.meddleWith(func(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
				time.Sleep(50 * time.Millisecond) // while the others come
				c.answer(w, r, ehr)
			})
			g.since()
			if codes := b.crowd(t, reg.ID, 100); len(codes) != 1 || codes[c.code] != 100 {
				t.Errorf("the readers were told %v, want %s", codes, c.code)
			}
			if seen := g.since(); seen != (traffic{tokens: 1}) {
				t.Errorf("the EHR saw %+v, want one token request and no token that has run out", seen)
			}
			g.meddleWith(nil)
			b.clock.pass(time.Minute)
			if codes := b.crowd(t, reg.ID, 100); codes[""] != 100 {
				t.Errorf("when it is over: %v", codes)
			}
			if seen, want := g.since(), (traffic{tokens: 1, reads: 100}); seen != want {
				t.Errorf("when it is over the EHR saw %+v, want %+v", seen, want)
			}
		})
	}
}

// rotateOnly carries a refresh out, and leaves the access token out of the answer.
func rotateOnly(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
	h := httptest.NewRecorder()
	ehr.ServeHTTP(h, r)
	var answer map[string]any
	if err := json.Unmarshal(h.Body.Bytes(), &answer); err != nil {
		panic(err)
	}
	delete(answer, "access_token")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func TestARefusedTokenIsRefreshedOnceForACrowd(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, status := b.connected(t)
	// The EHR's clock is far ahead, so that it finds the token run out before its time.
	b.clock.pass(2 * time.Hour)
	other := openDesk(t, b.home, &clock{})
	g.since()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if r, err := other.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil || r.ID != *status.Patient {
				t.Errorf("%s %v", r.ID, err)
			}
		})
	}
	wg.Wait()
	if seen := g.since(); seen.tokens != 1 || seen.reads != 100 || seen.refused > 100 {
		t.Errorf("the EHR saw %+v, want one token request, and each reader refused once at most", seen)
	}
}

func TestATokenThatIsRefusedHoweverFreshIsRefreshedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		wait time.Duration
		want traffic
	}{
		"one that lives":       {0, traffic{tokens: 1, refused: 2}},
		"one that has run out": {2 * time.Hour, traffic{tokens: 1, refused: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b, g := newGatedBench(t, simulator.Settings{})
			reg, _ := b.connected(t)
			if err := b.ehr.SetFaults("fhir-token-refused"); err != nil {
				t.Fatal(err)
			}
			b.clock.pass(c.wait)
			g.since()
			_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
			wantCode(t, err, "fhir-unauthorized")
			if seen := g.since(); seen != c.want {
				t.Errorf("the EHR saw %+v, want %+v", seen, c.want)
			}
			if s, err := b.Status(t.Context(), reg.ID); err != nil || s.State != workstation.Connected {
				t.Errorf("the connection is %s (%v)", s.State, err)
			}
		})
	}
}

// One refusal of a FHIR server is no end of a grant: it may be the server's own mistake.
func TestARefusedTokenThatCannotBeRefreshedIsToldAndKept(t *testing.T) {
	b, _ := newGatedBench(t, simulator.Settings{})
	reg := b.register(t)
	if _, err := b.signIn(t, reg.ID, simulator.Choice{Username: "amara", Password: "patient-pass1", Decline: []string{"offline_access"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.ehr.SetFaults("fhir-token-refused"); err != nil {
		t.Fatal(err)
	}
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "token-refused")
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.Connected || status.LastError == nil || status.LastError.Code != "token-refused" {
		t.Errorf("%+v %v", status, err)
	}
	if err := b.ehr.SetFaults(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Errorf("when it is over: %v", err)
	}
}

// BenchmarkRefresh measures how long readers wait who come all at once with a
// token that has run out.
func BenchmarkRefresh(b *testing.B) {
	for name, readers := range map[string]int{"1 reader": 1, "250 readers": 250} {
		b.Run(name, func(b *testing.B) {
			d, _ := newGatedBench(b, simulator.Settings{})
			reg, _ := d.connected(b)
			longest := time.Duration(0)
			for b.Loop() {
				d.clock.pass(2 * time.Hour)
				out := readAtOnce(context.Background(), d.Workstation, reg.ID, readers)
				if out.Done != readers {
					b.Fatal(out.Faults)
				}
				longest += out.Longest
			}
			b.ReportMetric(float64(longest.Milliseconds())/float64(b.N), "ms/last-reader")
		})
	}
}
