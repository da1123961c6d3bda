package workstation

import (
	"net"
	"testing"
)

func TestWhatLocalhostStandsFor(t *testing.T) {
	address := func(text string) net.IPAddr { return net.IPAddr{IP: net.ParseIP(text)} }
	for name, c := range map[string]struct {
		addresses []net.IPAddr
		result    Severity
		detail    string
	}{
		"IPv4":       {[]net.IPAddr{address("127.0.0.1")}, Healthy, "localhost is 127.0.0.1."},
		"both":       {[]net.IPAddr{address("127.0.0.1"), address("::1")}, Healthy, "localhost is 127.0.0.1, then ::1."},
		"IPv6 first": {[]net.IPAddr{address("::1"), address("127.0.0.1")}, Healthy, "localhost is ::1, then 127.0.0.1. Browsers try ::1 first; Chartkey listens on both."},
		"elsewhere":  {[]net.IPAddr{address("127.0.0.1"), address("10.1.2.3")}, Problem, "localhost is 127.0.0.1, then 10.1.2.3."},
		"nowhere":    {nil, Problem, "localhost has no address."},
	} {
		if f := localhostFinding(c.addresses); f.ID != "localhost" || f.Result != c.result || f.Detail != c.detail || (f.Advice == "") != (c.result == Healthy) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestWhereWebKitIs(t *testing.T) {
	const cache = "3 libs found in cache `/etc/ld.so.cache'\n\tlibwebkit2gtk-4.0.so.37 (libc6,x86-64) => /lib/libwebkit2gtk-4.0.so.37\n\tlibwebkit2gtk-4.1.so.0 (libc6,x86-64) => /lib/libwebkit2gtk-4.1.so.0\n"
	for name, c := range map[string]struct {
		library, cache string
		result         Severity
		detail         string
	}{
		"4.1":         {"webkit2gtk-4.1", cache, Healthy, "The window is drawn by WebKitGTK (webkit2gtk-4.1), /lib/libwebkit2gtk-4.1.so.0."},
		"4.0":         {"webkit2gtk-4.0", cache, Healthy, "The window is drawn by WebKitGTK (webkit2gtk-4.0), /lib/libwebkit2gtk-4.0.so.37."},
		"missing":     {"webkit2gtk-6.0", cache, Attention, "WebKitGTK (webkit2gtk-6.0) was not found, so the window may not open."},
		"no ldconfig": {"webkit2gtk-4.1", "", Healthy, "Where WebKitGTK is cannot be told here, as there is no ldconfig. The window says so where it is missing."},
	} {
		if f := webkitFinding(c.library, c.cache); f.Result != c.result || f.Detail != c.detail {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDisplayOfABuildWithAWindow(t *testing.T) {
	for name, c := range map[string]struct {
		environment map[string]string
		window      bool
		result      Severity
	}{
		"no window": {nil, false, Healthy}, "no display": {nil, true, Attention},
		"X11": {map[string]string{"DISPLAY": ":0"}, true, Healthy}, "Wayland": {map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true, Healthy},
	} {
		d := &doctor{DoctorOptions: DoctorOptions{Window: c.window, Getenv: func(name string) string { return c.environment[name] }}}
		if f := d.display(); f.Result != c.result && (c.window || f.Result != Healthy) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
