package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/store"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, folder string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var row = store.InsertRegistrationParams{
	ID: "r1", Name: "Mercy", EHR: "epic", Environment: "sandbox", FHIRBaseURL: "https://ehr.example/R4/", ClientID: "c", ClientType: "public",
	Audience: "patient", RedirectURIs: "[]", CreatedAt: 1, UpdatedAt: 1, Kind: "app",
}

func TestFolderAndFilesAreForTheirOwnerAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a b?c#d%", "data")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, folder)
	if err := s.InsertRegistration(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "chartkey.db": 0o600, "chartkey.db-wal": 0o600, "chartkey.db-shm": 0o600, "migrate.lock": 0o600} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%q has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestPragmasHoldOnEveryConnection(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "secure_delete": "1", "busy_timeout": "5000"} {
		got, err := store.Pragma(t.Context(), folder, name)
		if err != nil || got != want {
			t.Errorf("%s = %q (%v), want %q", name, got, err, want)
		}
	}
}

func TestUnusableFoldersAreRefused(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(base, link); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{file, link, filepath.Join(file, "below")} {
		if _, err := store.Open(t.Context(), folder); fault.Code(err) != "data-folder-unusable" {
			t.Errorf("%s: %v", folder, err)
		}
	}
}

func TestADatabaseFileThatIsALinkIsRefused(t *testing.T) {
	folder, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(folder, store.FileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), folder); fault.Code(err) != "data-folder-unusable" {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(elsewhere); err != nil || string(b) != "precious" {
		t.Errorf("the link's target was touched: %q %v", b, err)
	}
}

func TestManyFirstStartsAtOnceMakeOneSchema(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			s, err := store.Open(context.Background(), folder)
			if err == nil {
				err = s.Close()
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	open(t, folder)
}

func TestANewerDatabaseIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	s, err := store.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(folder, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), folder); fault.Code(err) != "store-newer" {
		t.Errorf("%v", err)
	}
}

func TestADamagedDatabaseIsSaidToBeSo(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, store.FileName), []byte("this is no database, whatever its name says"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), folder); fault.Code(err) != "store-damaged" {
		t.Errorf("%v", err)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := open(t, t.TempDir())
	stop := errors.New("stop")
	err := s.Update(t.Context(), func(q *store.Queries) error {
		if err := q.InsertRegistration(t.Context(), row); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if _, err := s.Registration(t.Context(), "r1"); !errors.Is(err, store.ErrNoRow) {
		t.Errorf("the row is there: %v", err)
	}
}

func TestNamesAreUniqueWithoutCase(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.InsertRegistration(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	second := row
	second.ID, second.Name = "r2", "MERCY"
	if err := s.InsertRegistration(t.Context(), second); !store.IsDuplicate(err) {
		t.Errorf("%v", err)
	}
	if got, err := s.RegistrationByName(t.Context(), "mercy"); err != nil || got.ID != "r1" {
		t.Errorf("%v %v", got, err)
	}
}

func TestAGrantGoesWithItsRegistration(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.InsertRegistration(ctx, row))
	must(s.InsertProfile(ctx, store.InsertProfileParams{ID: "p1", Name: "owner", Role: "admin", CreatedAt: 1}))
	grant := store.InsertGrantParams{ID: "g1", RegistrationID: "r1", ProfileID: "p1", Kind: "standalone", Version: 1, FHIRBaseURL: "x", AccessToken: []byte{1}, Context: []byte{1}, ConnectedAt: 1}
	must(s.InsertGrant(ctx, grant))
	second := grant
	second.ID = "g2"
	if err := s.InsertGrant(ctx, second); !store.IsDuplicate(err) {
		t.Errorf("two standalone grants for one registration and profile: %v", err)
	}
	second.Kind = "launch"
	must(s.InsertGrant(ctx, second)) // a launch grant stands beside it
	orphan := grant
	orphan.ID, orphan.ProfileID = "g3", "nobody"
	if err := s.InsertGrant(ctx, orphan); err == nil {
		t.Error("a grant without a profile was stored")
	}
	if _, err := s.DeleteRegistration(ctx, "r1"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountSealed(ctx); err != nil || n != 0 {
		t.Errorf("%d sealed rows are left (%v)", n, err)
	}
}

func TestRenewReplacesOnlyTheVersionThatWasRead(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	for _, err := range []error{
		s.InsertRegistration(ctx, row),
		s.InsertProfile(ctx, store.InsertProfileParams{ID: "p1", Name: "owner", Role: "admin", CreatedAt: 1}),
		s.InsertGrant(ctx, store.InsertGrantParams{ID: "g1", RegistrationID: "r1", ProfileID: "p1", Kind: "standalone", Version: 1, FHIRBaseURL: "x", AccessToken: []byte{1}, Context: []byte{1}, ConnectedAt: 1}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	renew := func(version int64) int64 {
		n, err := s.RenewGrant(ctx, store.RenewGrantParams{AccessToken: []byte{2}, Context: []byte{2}, ID: "g1", ReadVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if renew(1) != 1 {
		t.Error("the first renewal changed nothing")
	}
	if renew(1) != 0 {
		t.Error("a renewal of a version that is past was stored")
	}
}

func TestWatchSeesAnotherConnectionsWrite(t *testing.T) {
	folder := t.TempDir()
	watcher, writer := open(t, folder), open(t, folder)
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- watcher.Watch(ctx, 5*time.Millisecond, func() { changed <- struct{}{} })
	}()
	time.Sleep(50 * time.Millisecond)
	select {
	case <-changed:
		t.Fatal("a change was told though nothing was written")
	default:
	}
	if err := writer.InsertRegistration(ctx, row); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Error("the write was not seen")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An attempt counts only where the count is still what it was computed from.
func TestAnAttemptOnAStaleCountDoesNotCount(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	if err := s.InsertProfile(ctx, store.InsertProfileParams{ID: "p", Name: "p", Role: "clinician", CreatedAt: 1}); err != nil {
		t.Fatal(err)
	}
	try := func(read, now, next int64) error {
		_, err := s.TryPasscode(ctx, store.TryPasscodeParams{NextAfter: next, ID: "p", Now: now, ReadWrong: read})
		return err
	}
	for _, c := range []struct {
		read, now, next int64
		counts          bool
	}{{0, 10, 10, true}, {0, 10, 10, false}, {1, 10, 40, true}, {2, 39, 50, false}, {2, 40, 50, true}} {
		if err := try(c.read, c.now, c.next); (err == nil) != c.counts || (err != nil && !errors.Is(err, store.ErrNoRow)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if p, err := s.Profile(ctx, "p"); err != nil || p.WrongPasscodes != 3 || p.PasscodeAfter != 50 {
		t.Errorf("%+v %v", p, err)
	}
}
