package workstation_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// wordsOfLoss are in the sentence on the one window that no client can close.
const wordsOfLoss = "was lost, because Chartkey or the network stopped in the middle of it"

// kills is how often the tests kill: 20 times, or CHARTKEY_KILLS.
func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("CHARTKEY_KILLS"), "20"))
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		n = min(n, 5)
	}
	return n
}

// row is a grant as a killed process left it.
type row struct {
	pending bool // a refresh began whose answer is not stored
	version int64
}

// rowOf reads the one grant there is, before anything else opens the database.
func (b *bench) rowOf(t *testing.T) row {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.home, "chartkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var r row
	var whole string
	var grants int
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&whole); err != nil || whole != "ok" {
		t.Fatalf("the database is not whole: %s %v", whole, err)
	}
	if err := db.QueryRow("SELECT count(*), max(refresh_began) IS NOT NULL, max(version) FROM grants").Scan(&grants, &r.pending, &r.version); err != nil || grants != 1 {
		t.Fatalf("%d grants, want one (%v)", grants, err)
	}
	return r
}

// reopened opens the data folder anew, as after a crash.
func (b *bench) reopened(t *testing.T) *workstation.Workstation {
	t.Helper()
	w, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now, KeyCost: cheap, Passphrase: passphraseOfTest})
	if err == nil {
		err = w.OpenVault(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// judgeCrash says what is left of the grant when a process was killed, and
// fails where that is neither a grant that works nor a loss that is told.
func (b *bench) judgeCrash(t *testing.T, g *gateway, ref string) string {
	t.Helper()
	left := b.rowOf(t)
	w := b.reopened(t)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	if found, err := w.VerifyAudit(t.Context()); err != nil || !found.Whole() || found.Unsealed > 0 {
		t.Fatalf("the activity record: %+v %v", found, err)
	}
	g.since()
	_, err := w.Read(t.Context(), ref, "Patient/amara-nwosu")
	seen := g.since()
	// A refresh that may have been lost is tried again once, and none where that is certain.
	if want := map[bool]int{true: 1}[left.pending]; seen.tokens != want {
		t.Errorf("the first read led to %d token requests, want %d", seen.tokens, want)
	}
	name := "nothing under way: "
	if left.pending {
		name = "a refresh under way: "
	}
	if err == nil {
		if _, err := w.Refresh(t.Context(), ref); err != nil {
			t.Fatalf("%sthe grant reads and does not refresh: %v", name, err)
		}
		return name + "the grant works"
	}
	f := wantCode(t, err, "grant-ended")
	if !left.pending || !strings.Contains(f.Message, wordsOfLoss) {
		t.Fatalf("%s%v", name, err)
	}
	status, err := w.Status(t.Context(), ref)
	if err != nil || status.State != workstation.NeedsReconnect || status.Refreshable || status.AccessEndsReason != f.Message || status.LastError.Message != f.Message {
		t.Errorf("the lost grant is %+v (%v)", status, err)
	}
	_, err = w.Read(t.Context(), ref, "Patient/amara-nwosu")
	if f := wantCode(t, err, "needs-reconnect"); !strings.Contains(f.Message, wordsOfLoss) || g.since().tokens != 0 {
		t.Errorf("asked again, it says %v", f)
	}
	if err := signInAnew(t.Context(), w, ref); err != nil {
		t.Fatal(err)
	}
	return name + "the answer was lost, and that is said"
}

// unhurried has each answer of the token endpoint take a while to be made and
// to arrive, so that a process can be killed in between.
func unhurried(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
	time.Sleep(rand.N(5 * time.Millisecond))
	h := httptest.NewRecorder()
	ehr.ServeHTTP(h, r)
	time.Sleep(rand.N(15 * time.Millisecond))
	for name, values := range h.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(h.Code)
	_, _ = w.Write(h.Body.Bytes()) // nobody is there any more, perhaps
}

// crashBench is a bench whose data folder nobody has open.
func crashBench(t *testing.T) (*bench, *gateway, workstation.Registration) {
	t.Helper()
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return b, g, reg
}

func TestAKillAtAnyInstantLeavesAGrantOrSaysWhyNot(t *testing.T) {
	for _, do := range []string{"refresh", "connect", "both"} {
		t.Run(do, func(t *testing.T) {
			b, g, reg := crashBench(t)
			g.meddleWith(unhurried)
			outcomes := map[string]int{}
			for i := range kills(t) {
				p := start(t, part{Do: do, Home: b.home, Registration: reg.ID})
				p.begin(t)
				if i%5 > 0 { // one in five dies while it starts
					p.ready(t)
				}
				time.Sleep(rand.N(150 * time.Millisecond))
				p.kill(t)
				outcomes[b.judgeCrash(t, g, reg.ID)]++
			}
			tell(t, outcomes)
		})
	}
}

func TestAKillOfOneOfTwoProcessesLeavesAGrantOrSaysWhyNot(t *testing.T) {
	b, g, reg := crashBench(t)
	g.meddleWith(unhurried)
	outcomes := map[string]int{}
	for range kills(t) {
		victim := start(t, part{Do: "refresh", Home: b.home, Registration: reg.ID})
		survivor := start(t, part{Do: "refresh", Home: b.home, Registration: reg.ID})
		for _, p := range []*process{victim, survivor} {
			p.ready(t)
			p.begin(t)
		}
		time.Sleep(rand.N(150 * time.Millisecond))
		victim.kill(t)
		time.Sleep(rand.N(50 * time.Millisecond))
		out := survivor.ended(t)
		lost := false
		for what := range out.Faults {
			if lost = strings.HasPrefix(what, "grant-ended: ") && strings.Contains(what, wordsOfLoss); !lost {
				t.Errorf("the process that went on: %s", what)
			}
		}
		if !lost {
			outcomes[b.judgeCrash(t, g, reg.ID)]++
			continue
		}
		// It went on in the middle of what the other left, and has said so.
		outcomes["the process that went on found the answer lost, and said so"]++
		w := b.reopened(t)
		if status, err := w.Status(t.Context(), reg.ID); err != nil || status.State != workstation.NeedsReconnect || !strings.Contains(status.AccessEndsReason, wordsOfLoss) {
			t.Errorf("%+v %v", status, err)
		}
		if err := signInAnew(t.Context(), w, reg.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	tell(t, outcomes)
}

func tell(t *testing.T, outcomes map[string]int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%4d  %s", outcomes[name], name)
	}
}

// The windows of a refresh, one by one.
func TestWhatAKillInTheMiddleOfARefreshLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		settings simulator.Settings
		// acts tells that the EHR had done its part when the process was killed.
		acts bool
		// forgives has the EHR answer the second use of a refresh token as the first.
		forgives bool
		lost     bool
	}{
		"before the EHR has acted":                     {},
		"after an EHR that does not rotate has acted":  {acts: true, settings: simulator.Settings{FixedRefreshTokens: true}},
		"after an EHR that forgives a retry has acted": {acts: true, forgives: true},
		"after an EHR that detects a reuse has acted":  {acts: true, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			b, g := newGatedBench(t, c.settings)
			reg, before := b.connected(t)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			arrived, release := make(chan struct{}), make(chan struct{})
			var answer *httptest.ResponseRecorder
			g.meddleWith(func(_ http.ResponseWriter, r *http.Request, ehr http.Handler) {
				if c.acts {
					answer = httptest.NewRecorder()
					ehr.ServeHTTP(answer, r)
				}
				close(arrived)
				<-release
			})
			p := start(t, part{Do: "refresh", Home: b.home, Registration: reg.ID})
			p.ready(t)
			p.begin(t)
			<-arrived
			p.kill(t)
			close(release)
			g.meddleWith(nil)
			if c.forgives {
				g.meddleWith(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write(answer.Body.Bytes())
				})
			}
			// The lock died with its holder.
			if files, err := os.ReadDir(filepath.Join(b.home, "locks")); err != nil || len(files) != 1 || files[0].Name() != *before.ConnectionID {
				t.Errorf("lock files: %v %v", files, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			w := b.reopened(t)
			defer w.Close()
			status, err := w.Status(ctx, reg.ID)
			if err != nil || status.State != workstation.Connected || !status.Refreshable {
				t.Errorf("before it is used: %+v %v", status, err)
			}
			g.since()
			_, err = w.Read(ctx, reg.ID, "Patient/amara-nwosu")
			if seen := g.since(); seen.tokens != 1 {
				t.Errorf("it was retried %d times", seen.tokens)
			}
			g.meddleWith(nil)
			if c.lost {
				if f := wantCode(t, err, "grant-ended"); !strings.Contains(f.Message, wordsOfLoss) {
					t.Errorf("it says %q", f.Message)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Refresh(ctx, reg.ID); err != nil {
					t.Error(err)
				}
			}
			// The activity record has the refresh that never ended, and the retry.
			activities, err := w.AuditLog(ctx, 20)
			if err != nil {
				t.Fatal(err)
			}
			var refreshes []string
			for _, a := range activities {
				if a.Action == audit.Refresh {
					refreshes = append(refreshes, fmt.Sprint(a.Phase, " ", a.Fault, " ", a.EndedAt.IsZero()))
				}
			}
			want := []string{"started  true", "done  false", "done  false"}
			if c.lost {
				want = []string{"started  true", "failed grant-ended false"}
			}
			slices.Sort(refreshes)
			slices.Sort(want)
			if !slices.Equal(refreshes, want) {
				t.Errorf("the record has %q, want %q", refreshes, want)
			}
		})
	}
}

// A retry that does not reach the EHR must not forget that there is one to make.
func TestALostAnswerIsRememberedThroughFailuresThatFollow(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	began := b.clock.now()
	g.meddleWith(func(_ http.ResponseWriter, r *http.Request, ehr http.Handler) {
		ehr.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	_, err := b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "connection-failed")
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		b.clock.pass(time.Hour)
		g.meddleWith(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(status) })
		if _, err := b.Refresh(t.Context(), reg.ID); !workstation.Fault(err).Retryable {
			t.Errorf("HTTP %d: %v", status, err)
		}
	}
	g.meddleWith(nil)
	_, err = b.Refresh(t.Context(), reg.ID)
	f := wantCode(t, err, "grant-ended")
	if at := began.UTC().Format("2006-01-02 15:04"); !strings.Contains(f.Message, wordsOfLoss) || !strings.Contains(f.Message, at) {
		t.Errorf("%q does not name the loss of %s", f.Message, at)
	}
	if fault.Code(err) != "grant-ended" {
		t.Error(err)
	}
}
