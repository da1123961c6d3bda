//go:build linux && system

// Package secretservicetest gives a test a real Secret Service: a session bus of
// its own and, on it, GNOME Keyring in the state that the test asks for. It is
// built with the tag "system" only, and needs the programs dbus-daemon and
// gnome-keyring-daemon.
package secretservicetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// Kind is the state of the session that a test runs in.
type Kind int

const (
	// Unlocked: a keyring that answers without a question.
	Unlocked Kind = iota
	// Locked: a keyring whose collection a person would have to unlock.
	Locked
	// NotSetUp: the bus starts GNOME Keyring on demand, but it has no collection.
	// So a server or a container with the package installed looks.
	NotSetUp
	// BusOnly: a session bus on which nothing offers a keyring.
	BusOnly
	// NoBus: no session bus at all.
	NoBus
)

const (
	service      = "org.freedesktop.secrets"
	servicePath  = dbus.ObjectPath("/org/freedesktop/secrets")
	startTimeout = 20 * time.Second
)

// Session is a started session.
type Session struct {
	// Address is the value of DBUS_SESSION_BUS_ADDRESS; "" with NoBus.
	Address string

	t       testing.TB
	once    sync.Once
	conn    *dbus.Conn
	daemons []*exec.Cmd // in the order they were started
}

// Start makes the session, and makes it that of this process and its children
// by t.Setenv. Everything it started has ended when the test has.
func Start(t testing.TB, kind Kind) *Session {
	t.Helper()
	// Not t.TempDir: its path is too long for a socket's.
	folder, err := os.MkdirTemp("", "chartkey-bus-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s := &Session{t: t}
	t.Setenv("XDG_RUNTIME_DIR", folder)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if kind == NoBus {
		return s
	}

	t.Cleanup(s.Stop)
	env := append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+filepath.Join(folder, "data"), "XDG_CONFIG_HOME="+filepath.Join(folder, "config"))
	s.Address = "unix:path=" + filepath.Join(folder, "session")
	s.startBus(folder, kind, env)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", s.Address)
	if kind == Unlocked || kind == Locked {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS="+s.Address)
		// The passphrase of the keyring must not be empty and ends with a newline.
		s.start(env, "probe\n", "gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
		s.waitFor("the keyring's collection", func() bool { return s.collection() != "/" })
	}
	if kind == Locked {
		s.Lock()
	}
	return s
}

func (s *Session) startBus(folder string, kind Kind, env []string) {
	services := filepath.Join(folder, "services")
	if err := os.Mkdir(services, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if kind == NotSetUp {
		program, err := exec.LookPath("gnome-keyring-daemon")
		if err != nil {
			s.t.Fatal("install gnome-keyring: ", err)
		}
		unit := "[D-BUS Service]\nName=" + service + "\nExec=" + program + " --start --foreground --components=secrets\n"
		if err := os.WriteFile(filepath.Join(services, service+".service"), []byte(unit), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	config := filepath.Join(folder, "bus.conf")
	text := fmt.Sprintf(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>%s</listen>
  <auth>EXTERNAL</auth>
  <servicedir>%s</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`, s.Address, services)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.start(env, "", "dbus-daemon", "--nofork", "--nopidfile", "--config-file="+config)
	s.waitFor("the session bus", func() bool {
		conn, err := dbus.Connect(s.Address)
		s.conn = conn
		return err == nil
	})
}

// Lock locks the keyring's collection.
func (s *Session) Lock() {
	s.t.Helper()
	collection := s.collection()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err := s.conn.Object(service, servicePath).CallWithContext(ctx, "org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{collection}).Store(&locked, &prompt)
	if err != nil || len(locked) != 1 {
		s.t.Fatalf("the keyring is not locked: %v, %v", locked, err)
	}
}

// collection gives the default collection, "/" where there is none.
func (s *Session) collection() dbus.ObjectPath {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if !s.owned() {
		return "/" // asking would start a service on demand
	}
	path := dbus.ObjectPath("/")
	if s.conn.Object(service, servicePath).CallWithContext(ctx, "org.freedesktop.Secret.Service.ReadAlias", 0, "default").Store(&path) != nil {
		return "/"
	}
	return path
}

func (s *Session) owned() bool {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var owned bool
	err := s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, service).Store(&owned)
	return err == nil && owned
}

func (s *Session) start(env []string, input, program string, arguments ...string) {
	cmd := exec.Command(program, arguments...)
	cmd.Env = env
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	// If the test binary is killed, its daemons go with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("install %s: %v", program, err)
	}
	s.daemons = append(s.daemons, cmd)
}

func (s *Session) waitFor(what string, ready func() bool) {
	s.t.Helper()
	for end := time.Now().Add(startTimeout); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s did not appear within %v", what, startTimeout)
		}
	}
}

// Stop ends the session before the test does: the bus, the keyring, and one
// that the bus started on demand.
func (s *Session) Stop() { s.once.Do(s.stop) }

func (s *Session) stop() {
	if s.conn != nil {
		var pid uint32
		if s.owned() && s.conn.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, service).Store(&pid) == nil && int(pid) != os.Getpid() {
			_ = syscall.Kill(int(pid), syscall.SIGTERM)
			for end := time.Now().Add(startTimeout); s.owned() && time.Now().Before(end); {
				time.Sleep(5 * time.Millisecond)
			}
		}
		_ = s.conn.Close()
	}
	for i := len(s.daemons) - 1; i >= 0; i-- {
		_ = s.daemons[i].Process.Kill()
		_ = s.daemons[i].Wait()
	}
}
