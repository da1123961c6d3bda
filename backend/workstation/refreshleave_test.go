package workstation_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// half is a refresh that the EHR has carried out, and whose answer waits.
type half struct {
	arrived, release chan struct{}
}

func (g *gateway) halfWay() *half {
	h := &half{make(chan struct{}), make(chan struct{})}
	g.meddleWith(func(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
		answer := httptest.NewRecorder()
		ehr.ServeHTTP(answer, r)
		close(h.arrived)
		<-h.release
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer.Body.Bytes())
	})
	return h
}

var (
	codeOfOwner = secret.New("owner's passcode")
	codeOfSam   = secret.New("Sam's passcode")
)

// Whoever leaves while a refresh is half done does not take the only token
// along that still counts.
func TestWhoLeavesInTheMiddleOfARefreshCostsNoGrant(t *testing.T) {
	passphrase := secret.New("a long test passphrase")
	closed := make(chan error, 1)
	for name, c := range map[string]struct {
		leave func(t *testing.T, b *bench, cancel func())
		// back signs the person in again; nil where they never left.
		back func(t *testing.T, b *bench) *workstation.Workstation
		code string
	}{
		"the caller gives up": {
			leave: func(_ *testing.T, _ *bench, cancel func()) { cancel() },
		},
		"the window is locked": {
			leave: func(t *testing.T, b *bench, _ func()) {
				if err := b.Lock(t.Context(), "idle"); err != nil {
					t.Error(err)
				}
			},
			back: func(t *testing.T, b *bench) *workstation.Workstation {
				if err := b.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: passphrase, Passcode: codeOfOwner}); err != nil {
					t.Fatal(err)
				}
				return b.Workstation
			},
			code: "vault-locked",
		},
		"another person takes over": {
			leave: func(t *testing.T, b *bench, _ func()) {
				if err := b.Unlock(t.Context(), workstation.UnlockRequest{Profile: "Sam", Passcode: codeOfSam}); err != nil {
					t.Error(err)
				}
			},
			back: func(t *testing.T, b *bench) *workstation.Workstation {
				if err := b.Unlock(t.Context(), workstation.UnlockRequest{Profile: "owner", Passcode: codeOfOwner}); err != nil {
					t.Fatal(err)
				}
				return b.Workstation
			},
			code: "sign-in-abandoned",
		},
		"the program ends": {
			leave: func(_ *testing.T, b *bench, cancel func()) {
				cancel()
				go func() { closed <- b.Close() }() // it waits for what is under way
			},
			back: func(t *testing.T, b *bench) *workstation.Workstation {
				if err := <-closed; err != nil {
					t.Error(err)
				}
				w := openDesk(t, b.home, b.clock)
				if err := w.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: passphrase, Passcode: codeOfOwner}); err != nil {
					t.Fatal(err)
				}
				return w
			},
			code: "vault-locked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, g := newGatedBench(t, simulator.Settings{})
			reg, _ := b.connected(t)
			if _, err := b.AddProfile(t.Context(), workstation.NewProfile{Name: "Sam", Role: workstation.RoleAdmin, Passcode: codeOfSam, OwnPasscode: codeOfOwner}); err != nil {
				t.Fatal(err)
			}
			h := g.halfWay()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := b.Refresh(ctx, reg.ID)
				ended <- err
			}()
			<-h.arrived
			c.leave(t, b, cancel)
			time.Sleep(50 * time.Millisecond) // until they are gone
			close(h.release)
			if err := <-ended; fault.Code(err) != c.code && (c.code != "" || !errors.Is(err, context.Canceled)) {
				t.Errorf("the caller was told %v", err)
			}
			g.meddleWith(nil)
			w := b.Workstation
			if c.back != nil {
				w = c.back(t, b)
			}
			if left := b.rowOf(t); left.pending || left.version != 2 {
				t.Errorf("it left %+v, want the new token", left)
			}
			g.since()
			if _, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
				t.Errorf("back again: %v", err)
			}
			if seen := g.since(); seen.tokens != 0 {
				t.Errorf("%d token requests, for a token that was there", seen.tokens)
			}
			if _, err := w.Refresh(t.Context(), reg.ID); err != nil {
				t.Errorf("the refresh token: %v", err)
			}
		})
	}
}

// What a person breaks off says nothing of the EHR: it is no failure, and
// keeps nobody from trying again.
func TestWhatAPersonBreaksOffIsNoFailure(t *testing.T) {
	t.Parallel()
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.clock.pass(2 * time.Hour)
	arrived := make(chan struct{})
	g.meddleWith(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil { // only then the server notices that the client has gone
			t.Error(err)
		}
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.Read(ctx, reg.ID, "Patient/amara-nwosu")
		ended <- err
	}()
	<-arrived
	cancel()
	began := time.Now()
	wantCode(t, <-ended, "cancelled")
	if waited := time.Since(began); waited > 15*time.Second {
		t.Errorf("it went on for %s", waited)
	}
	if left := b.rowOf(t); !left.pending {
		t.Error("nobody knows whether the EHR has acted, and it is not noted")
	}
	if s, err := b.Status(t.Context(), reg.ID); err != nil || s.LastError != nil || s.State != workstation.Expired {
		t.Errorf("%+v %v", s, err)
	}
	g.meddleWith(nil)
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Errorf("tried again: %v", err)
	}
}

func TestAReaderWithALivingTokenWaitsForNobody(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.clock.pass(50 * time.Minute) // due, and living
	h := g.halfWay()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Refresh(t.Context(), reg.ID)
		ended <- err
	}()
	<-h.arrived
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	other := openDesk(t, b.home, b.clock) // as another process
	for _, w := range []*workstation.Workstation{b.Workstation, other} {
		if _, err := w.Read(ctx, reg.ID, "Patient/amara-nwosu"); err != nil {
			t.Error(err)
		}
		if n, err := w.RefreshDue(ctx); n != 0 || err != nil {
			t.Errorf("in the background: %d %v", n, err)
		}
	}
	close(h.release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Each person has a grant, and a turn, of their own.
func TestTwoProfilesDoNotWaitForEachOther(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	if _, err := b.AddProfile(t.Context(), workstation.NewProfile{Name: "Sam", Role: workstation.RoleAdmin, Passcode: codeOfSam, OwnPasscode: codeOfOwner}); err != nil {
		t.Fatal(err)
	}
	sam := openDesk(t, b.home, b.clock)
	if err := sam.Unlock(t.Context(), workstation.UnlockRequest{Profile: "Sam", Passphrase: secret.New("a long test passphrase"), Passcode: codeOfSam}); err != nil {
		t.Fatal(err)
	}
	if err := signInAnew(t.Context(), sam, reg.ID); err != nil {
		t.Fatal(err)
	}
	h := g.halfWay()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Refresh(t.Context(), reg.ID)
		ended <- err
	}()
	<-h.arrived
	g.meddleWith(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	mine, err := sam.Refresh(ctx, reg.ID)
	if err != nil || mine.User != "Sam" {
		t.Errorf("%+v %v", mine, err)
	}
	close(h.release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// What is due of one is not renewed by the other.
	b.clock.pass(50 * time.Minute)
	g.since()
	if n, err := sam.RefreshDue(ctx); n != 1 || err != nil || g.since().tokens != 1 {
		t.Errorf("Sam's background renewed %d (%v)", n, err)
	}
	status, err := b.Status(ctx, reg.ID)
	if err != nil || status.User != "owner" || !status.RefreshedAt.Before(b.clock.now().Add(-40*time.Minute)) {
		t.Errorf("the owner's connection: %+v %v", status, err)
	}
}

// Another process that keeps the database busy for longer than SQLite waits
// does not cost the answer either.
func TestABusyDatabaseLosesNoAnswer(t *testing.T) {
	t.Parallel()
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	db, err := sql.Open("sqlite", filepath.Join(b.home, "chartkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	busy, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := g.halfWay()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Refresh(t.Context(), reg.ID)
		ended <- err
	}()
	<-h.arrived
	if _, err := busy.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	close(h.release)
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(6 * time.Second):
	}
	if _, err := busy.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	g.meddleWith(nil)
	if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
		t.Error(err)
	}
}
