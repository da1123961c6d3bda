package away_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/away"
)

// A bus that takes connections and never says a word is left after its time, and
// holds nothing up.
func TestABusThatHangs(t *testing.T) {
	t.Parallel()
	// Not t.TempDir: its path is too long for a socket's.
	folder, err := os.MkdirTemp("", "chartkey-away-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	listener, err := net.Listen("unix", filepath.Join(folder, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	again := make(chan struct{})
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if conns = append(conns, conn); len(conns) == 3 { // one for each source, and one that is tried again
				close(again)
			}
			mu.Unlock()
		}
	})
	defer func() {
		listener.Close()
		accepting.Wait()
		for _, conn := range conns {
			conn.Close()
		}
	}()

	log, out := debugLog()
	ctx, cancel := context.WithCancel(t.Context())
	address := "unix:path=" + filepath.Join(folder, "bus")
	var watching sync.WaitGroup
	watching.Go(func() {
		away.Watch(ctx, away.Options{SystemBus: address, SessionBus: address, Log: log}, func(r away.Reason) { t.Errorf("told %q", r) })
	})
	select {
	case <-again:
	case <-time.After(20 * time.Second):
		t.Error("it is not tried again")
	}
	cancel()
	ended := time.Now()
	watching.Wait()
	if d := time.Since(ended); d > 2*time.Second {
		t.Errorf("it took %v to end", d)
	}
	if n := strings.Count(out.String(), "\n"); n < 1 || n > 2 {
		t.Errorf("logged %d times: %s", n, out)
	}
}

// The environment names the buses; where it does not, they are at their places.
func TestTheBusesAreFound(t *testing.T) {
	folder, err := os.MkdirTemp("", "chartkey-away-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	t.Setenv("XDG_RUNTIME_DIR", folder)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if got := away.SessionBusForTest(away.Options{}); got != "" {
		t.Errorf("without a socket: %q", got)
	}
	socket := filepath.Join(folder, "bus")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := away.SessionBusForTest(away.Options{}); got != "" {
		t.Errorf("a file that is no socket: %q", got)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if got := away.SessionBusForTest(away.Options{}); got != "unix:path="+socket {
		t.Errorf("in the runtime folder: %q", got)
	}
	for value, want := range map[string]string{"autolaunch:": "", "disabled:": "", "unix:path=/x": "unix:path=/x"} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", value)
		if got := away.SessionBusForTest(away.Options{}); got != want {
			t.Errorf("%s: %q", value, got)
		}
	}
	if got := away.SessionBusForTest(away.Options{SessionBus: "unix:path=/y"}); got != "unix:path=/y" {
		t.Errorf("given: %q", got)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/z")
	if got := away.SystemBusForTest(away.Options{}); got != "unix:path=/z" {
		t.Errorf("system bus: %q", got)
	}
	if got := away.SystemBusForTest(away.Options{SystemBus: "unix:path=/y"}); got != "unix:path=/y" {
		t.Errorf("given system bus: %q", got)
	}
}
