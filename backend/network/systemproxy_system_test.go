//go:build linux && system

package network_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chartkey/backend/network"
)

// session runs a session bus for the test. GNOME's settings are those of a
// file in its folder, which gsettings and the desktop portal share.
func session(t *testing.T) (set func(args ...string)) {
	t.Helper()
	folder, err := os.MkdirTemp("", "chartkey-bus-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	for name, value := range map[string]string{
		"HOME": folder, "XDG_CONFIG_HOME": filepath.Join(folder, "config"), "XDG_RUNTIME_DIR": folder, "XDG_CURRENT_DESKTOP": "GNOME",
		"GSETTINGS_BACKEND": "keyfile", "DBUS_SESSION_BUS_ADDRESS": "unix:path=" + filepath.Join(folder, "bus"),
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
	bus := exec.Command("dbus-daemon", "--session", "--nofork", "--nosyslog", "--address=unix:path="+filepath.Join(folder, "bus"))
	if err := bus.Start(); err != nil {
		t.Fatal("install dbus: ", err)
	}
	t.Cleanup(func() {
		_ = bus.Process.Kill()
		_ = bus.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(folder, "bus")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the bus does not start")
		}
	}
	return func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "gsettings", append([]string{"set"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("install libglib2.0-bin and gsettings-desktop-schemas: %v %s", err, out)
		}
	}
}

func TestTheDesktopsProxyIsUsed(t *testing.T) {
	if _, err := os.Stat("/usr/libexec/xdg-desktop-portal"); err != nil {
		t.Fatal("install xdg-desktop-portal: ", err)
	}
	set := session(t)
	set("org.gnome.system.proxy.https", "host", "proxy.hospital.example")
	set("org.gnome.system.proxy.https", "port", "8080")
	set("org.gnome.system.proxy", "ignore-hosts", "['*.intra.example', '10.0.0.0/8']")
	set("org.gnome.system.proxy", "mode", "manual")
	o := network.Options{System: network.NewSystemProxy(time.Now)}
	for address, want := range map[string]string{
		"https://ehr.example/":     "http://proxy.hospital.example:8080",
		"https://a.intra.example/": "",
		"https://10.1.2.3/":        "",
		"https://localhost:1/":     "",
	} {
		r := settle(t, address, o)
		if r.Proxy != want || len(r.Notices) != 0 || want != "" && r.Reason != network.ReasonSystem {
			t.Errorf("%s: %+v", address, r)
		}
	}
	_, f := fetch(t, client(t, network.Options{System: o.System}), "https://ehr.example/")
	if f == nil || f.Code != network.CodeProxyNotFound || !strings.Contains(f.Message, "proxy.hospital.example:8080") {
		t.Errorf("%v (%v)", f, errorOf(f))
	}
}

func TestASessionWithoutADesktopHasNoProxy(t *testing.T) {
	session(t)
	for _, address := range []string{"disabled:", "autolaunch:", ""} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
		if address == "" {
			t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
		}
		if r := settle(t, "https://ehr.example/", network.Options{System: network.NewSystemProxy(time.Now)}); r.Reason != network.ReasonNone || len(r.Notices) != 0 {
			t.Errorf("%q: %+v", address, r)
		}
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
	if r := settle(t, "https://ehr.example/", network.Options{System: network.NewSystemProxy(time.Now)}); r.Reason != network.ReasonNone || len(r.Notices) != 1 {
		t.Errorf("%+v", r)
	}
}
