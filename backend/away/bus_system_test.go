//go:build linux && system

package away_test

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

	"chartkey/backend/away"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// daemon is a message bus of its own, by dbus-daemon.
type daemon struct {
	t       *testing.T
	address string
	config  string
	cmd     *exec.Cmd
}

// systemPolicy is the gist of /usr/share/dbus-1/system.conf and of what logind
// adds to it: nobody may own a name or call a method but where it is allowed.
// This test's user stands for root.
const systemPolicy = `
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow own="org.freedesktop.login1"/>
    <allow send_destination="org.freedesktop.login1"/>
  </policy>`

const sessionPolicy = `
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>`

func startBus(t *testing.T, kind, policy string) *daemon {
	t.Helper()
	// Not t.TempDir: its path is too long for a socket's.
	folder, err := os.MkdirTemp("", "chartkey-away-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	d := &daemon{t: t, address: "unix:path=" + filepath.Join(folder, "bus"), config: filepath.Join(folder, "bus.conf")}
	text := fmt.Sprintf(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>%s</type>
  <listen>%s</listen>
  <auth>EXTERNAL</auth>%s
</busconfig>
`, kind, d.address, policy)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	d.start()
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	_ = os.Remove(strings.TrimPrefix(d.address, "unix:path="))
	d.cmd = exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file="+d.config)
	var said bytes.Buffer
	d.cmd.Stdout, d.cmd.Stderr = &said, &said
	// If the test binary is killed, its daemons go with it.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatalf("install dbus: %v", err)
	}
	eventually(d.t, "the bus", func() bool {
		conn, err := dbus.Connect(d.address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

func (d *daemon) stop() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		d.cmd = nil
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// peer is a connection of the test to a bus.
type peer struct {
	t    *testing.T
	conn *dbus.Conn
}

func connect(t *testing.T, address string) *peer {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t, conn}
}

func (p *peer) own(name string) {
	p.t.Helper()
	if r, err := p.conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		p.t.Fatal(name, r, err)
	}
}

func (p *peer) export(v any, path dbus.ObjectPath, iface string) {
	p.t.Helper()
	if err := p.conn.Export(v, path, iface); err != nil {
		p.t.Fatal(err)
	}
}

// emit sends a signal, to one connection or to all where to is "". When it
// returns, the bus has taken the signal.
func (p *peer) emit(to string, path dbus.ObjectPath, name string, body ...any) {
	p.t.Helper()
	dot := strings.LastIndex(name, ".")
	m := &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(name[:dot]),
		dbus.FieldMember:    dbus.MakeVariant(name[dot+1:]),
	}}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	if to != "" {
		m.Headers[dbus.FieldDestination] = dbus.MakeVariant(to)
	}
	if call := p.conn.Send(m, nil); call.Err != nil {
		p.t.Fatal(call.Err)
	}
	if err := p.conn.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
		p.t.Fatal(err)
	}
}

// watching is a Watch under way.
type watching struct {
	t     *testing.T
	told  chan away.Reason
	end   context.CancelFunc
	ended chan struct{}
}

// watch starts a Watch that ends with the test.
func watch(t *testing.T, o away.Options, during func(away.Reason)) *watching {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{t: t, told: make(chan away.Reason, 100), end: cancel, ended: make(chan struct{})}
	const nowhere = "unix:path=/nonexistent/chartkey/bus"
	if o.SystemBus == "" {
		o.SystemBus = nowhere
	}
	if o.SessionBus == "" {
		o.SessionBus = nowhere
	}
	go func() {
		defer close(w.ended)
		away.Watch(ctx, o, func(r away.Reason) {
			if during != nil {
				during(r)
			}
			w.told <- r
		})
	}()
	t.Cleanup(w.stop)
	return w
}

// stop ends the watch, which must not take long.
func (w *watching) stop() {
	w.end()
	select {
	case <-w.ended:
	case <-time.After(patience):
		w.t.Error("Watch does not end")
	}
}

// next waits until the watch tells something.
func (w *watching) next() away.Reason {
	w.t.Helper()
	select {
	case r := <-w.told:
		return r
	case <-time.After(patience):
		w.t.Fatal("nothing was told")
		return ""
	}
}

// tells checks that these are told next, and nothing between them. The last one
// is one that cannot be missed: it shows that there is nothing more before it.
func (w *watching) tells(want ...away.Reason) {
	w.t.Helper()
	for i, r := range want {
		if got := w.next(); got != r {
			w.t.Fatalf("told %q, want %q (%d of %q)", got, r, i+1, want)
		}
	}
	select {
	case r := <-w.told:
		w.t.Errorf("told %q too", r)
	default:
	}
}

// once is closed by the first of several calls.
type once struct {
	do   sync.Once
	done chan struct{}
}

func newOnce() *once { return &once{done: make(chan struct{})} }

func (o *once) isDone() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

func (o *once) close() { o.do.Do(func() { close(o.done) }) }

func (o *once) wait(t *testing.T, what string) {
	t.Helper()
	select {
	case <-o.done:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
}
