//go:build unix

package away_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/away"
)

// script stands in the place of ioreg.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ioreg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheConsoleIsAskedAgainAndAgain(t *testing.T) {
	folder := t.TempDir()
	says := func(list string) {
		next := filepath.Join(folder, "next")
		if err := os.WriteFile(next, []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(folder, "list")); err != nil {
			t.Fatal(err)
		}
	}
	says(console(sessionLocked))
	ioreg := script(t, `test "$*" = "-n Root -d 1 -a" && cat "`+folder+`/list" && echo >>"`+folder+`/asked"`)
	asked := func() int {
		said, _ := os.ReadFile(filepath.Join(folder, "asked"))
		return len(said)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, ended := make(chan away.Reason, 100), make(chan error)
	go func() {
		ended <- away.ConsoleOfForTest(ctx, ioreg, 501, 5*time.Millisecond, func(r away.Reason) { told <- r })
	}()
	for _, list := range []string{sessionLocked, sessionHere, sessionLocked, sessionBehind, "", sessionHere, sessionBehind, sessionHere} {
		says(console(list))
		before := asked()
		for end := time.Now().Add(20 * time.Second); asked() < before+3; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it is not asked")
			}
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("no error at the end")
	}
	close(told)
	want := []away.Reason{away.ScreenLocked, away.ScreenLocked, away.SessionSwitched, away.SessionSwitched}
	if got := slices.Collect(func(yield func(away.Reason) bool) {
		for r := range told {
			yield(r)
		}
	}); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestAConsoleThatGivesNoAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ ioreg, err string }{
		"missing":    {"/nonexistent/ioreg", "no such file"},
		"fails":      {script(t, "exit 3"), "exit status 3"},
		"malformed":  {script(t, "echo '<plist><dict>'"), "plist"},
		"hangs":      {script(t, "exec sleep 60"), "killed"},
		"says a lot": {script(t, "exec cat /dev/zero"), "too much"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := away.ConsoleOfForTest(t.Context(), c.ioreg, 501, time.Millisecond, func(r away.Reason) { t.Errorf("told %q", r) })
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v", err)
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}
