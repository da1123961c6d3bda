//go:build linux && system

// Package browsertest gives a test a real Chromium with a home folder, and so
// with trusted certificates, of its own. It is built with the tag "system" only.
package browsertest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

// starts is how often a browser that crashes is started. On a machine with
// little to spare one does now and then, which says nothing of the page.
const starts = 3

// NewHome makes a home folder and makes it that of what the test starts.
func NewHome(t testing.TB) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	return home
}

// Visit gives what Chromium, with its home in home, shows at address, as HTML.
// Each host name is this computer to it.
func Visit(t testing.TB, home, address string) string {
	t.Helper()
	program := "chromium"
	for _, name := range []string{"chromium-browser", "google-chrome"} {
		if _, err := exec.LookPath(program); err != nil {
			program = name
		}
	}
	for try := 1; ; try++ {
		page, said, err := open(t.Context(), program, home, address)
		if err == nil {
			return page
		}
		if ended := (*exec.ExitError)(nil); errors.As(err, &ended) && !ended.Exited() && try < starts {
			t.Logf("Chromium crashed: %v\n%s", err, said)
			continue
		}
		t.Fatalf("install chromium: %v\n%s", err, said)
	}
}

func open(ctx context.Context, program, home, address string) (page, said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	// A profile that crashed may be locked.
	profile, err := os.MkdirTemp(home, "profile-")
	if err != nil {
		return "", "", err
	}
	command := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+profile, "--host-resolver-rules=MAP * 127.0.0.1", "--no-proxy-server", "--dump-dom", address)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	return string(out), complaints.String(), err
}
