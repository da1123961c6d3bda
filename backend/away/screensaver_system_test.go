//go:build linux && system

package away_test

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"chartkey/backend/away"
)

// saver is a desktop's screen saver.
type saver struct {
	*peer
	name, iface string
	path        dbus.ObjectPath
	active      bool
	asked       *once // whether it is active
}

func (s *saver) GetActive() (bool, *dbus.Error) {
	s.asked.close()
	return s.active, nil
}

// newSaver has no name yet.
func newSaver(t *testing.T, b *daemon, name, iface string, active bool) *saver {
	t.Helper()
	s := &saver{peer: connect(t, b.address), name: name, iface: iface, active: active, asked: newOnce(),
		path: dbus.ObjectPath("/" + strings.ReplaceAll(iface, ".", "/"))}
	s.export(s, s.path, iface)
	return s
}

func (s *saver) changed(to string, active bool) { s.emit(to, s.path, s.iface+".ActiveChanged", active) }

// xfce is the screen saver that the others are tested beside: it is asked last
// when a watch begins, and its signal shows that nothing is left before it.
func xfce(t *testing.T, b *daemon) *saver {
	t.Helper()
	s := newSaver(t, b, "org.xfce.ScreenSaver", "org.xfce.ScreenSaver", false)
	s.own(s.name)
	return s
}

func TestEachScreenSaver(t *testing.T) {
	b := startBus(t, "session", sessionPolicy)
	last := xfce(t, b)
	w := watch(t, away.Options{SessionBus: b.address}, nil)
	last.asked.wait(t, "the screen saver is asked")
	for _, c := range []struct{ name, iface string }{
		{"org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver"},
		{"org.gnome.ScreenSaver", "org.gnome.ScreenSaver"},
		{"org.gnome.Shell.ScreenShield", "org.gnome.ScreenSaver"},
		{"org.cinnamon.ScreenSaver", "org.cinnamon.ScreenSaver"},
		{"org.mate.ScreenSaver", "org.mate.ScreenSaver"},
		{"org.xfce.ScreenSaver", "org.xfce.ScreenSaver"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := last
			if c.name != last.name {
				s = newSaver(t, b, c.name, c.iface, false)
				// What it says before it owns the name is nobody's.
				s.changed("", true)
				s.own(c.name) // after the watch began, as a service that is started on demand
			}
			s.changed("", false)
			s.emit("", s.path, s.iface+".ActiveChanged")
			s.emit("", s.path, s.iface+".ActiveChanged", "true")
			s.emit("", s.path, s.iface+".SessionIdleChanged", true)
			s.emit("", "/ScreenSaver", s.iface+".ActiveChanged", true) // KDE Plasma sends on both paths
			s.emit("", s.path, "org.example.ScreenSaver.ActiveChanged", true)
			s.changed("", true)
			if got := w.next(); got != away.ScreenLocked {
				t.Errorf("told %q", got)
			}
			last.changed("", true)
			w.tells(away.ScreenLocked)
			if _, err := s.conn.ReleaseName(c.name); err != nil {
				t.Fatal(err)
			}
			s.changed("", true) // not its name any more
			if s == last {
				s.own(c.name)
			}
			last.changed("", true)
			w.tells(away.ScreenLocked)
		})
	}
}

func TestAScreenThatIsLockedAlready(t *testing.T) {
	b := startBus(t, "session", sessionPolicy)
	first := newSaver(t, b, "org.gnome.ScreenSaver", "org.gnome.ScreenSaver", true)
	first.own(first.name)
	second := newSaver(t, b, "org.mate.ScreenSaver", "org.mate.ScreenSaver", true)
	second.own(second.name)
	w := watch(t, away.Options{SessionBus: b.address}, nil)
	w.tells(away.ScreenLocked)
	second.changed("", true)
	w.tells(away.ScreenLocked)
	if !first.asked.isDone() || second.asked.isDone() {
		t.Error("one lock is told by two screen savers that were asked")
	}
}

// Another program of the session cannot speak for the screen saver.
func TestAnImpostorOfTheScreenSaver(t *testing.T) {
	b := startBus(t, "session", sessionPolicy)
	s := newSaver(t, b, "org.gnome.ScreenSaver", "org.gnome.ScreenSaver", false)
	s.own(s.name)
	last := xfce(t, b)
	w := watch(t, away.Options{SessionBus: b.address}, nil)
	last.asked.wait(t, "the screen saver is asked")

	impostor := newSaver(t, b, s.name, s.iface, false)
	impostor.own("org.mate.ScreenSaver") // a saver's name, but not that of the one it speaks for
	for _, to := range append(clients(t, b), "") {
		impostor.changed(to, true)
		impostor.emit(to, "/org/freedesktop/DBus", "org.freedesktop.DBus.NameOwnerChanged", s.name, s.conn.Names()[0], impostor.conn.Names()[0])
		impostor.changed(to, true)
	}
	last.changed("", true)
	w.tells(away.ScreenLocked)
}

// clients are the unique names of all connections to the bus.
func clients(t *testing.T, b *daemon) []string {
	t.Helper()
	var all, unique []string
	if err := connect(t, b.address).conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&all); err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasPrefix(name, ":") {
			unique = append(unique, name)
		}
	}
	return unique
}

func TestASessionBusThatComesBack(t *testing.T) {
	b := startBus(t, "session", sessionPolicy)
	last := xfce(t, b)
	w := watch(t, away.Options{SessionBus: b.address}, nil)
	last.asked.wait(t, "the screen saver is asked")
	last.changed("", true)
	w.tells(away.ScreenLocked)

	for range 2 {
		b.stop()
		b.start()
		last = xfce(t, b)
		last.asked.wait(t, "the screen saver is asked by the watch that goes on")
		last.changed("", true)
		w.tells(away.ScreenLocked)
	}
}
