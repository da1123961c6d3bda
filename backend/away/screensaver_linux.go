package away

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// saver is where a desktop's screen saver or locker tells that it began, by the
// signal ActiveChanged(true).
type saver struct {
	name, iface string
	path        dbus.ObjectPath
}

// savers are the names that desktops own. KDE Plasma and light-locker send the
// signal on the path /ScreenSaver too; it is left out so that one lock is told once.
var savers = []saver{
	{"org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"}, // KDE Plasma, light-locker
	{"org.gnome.ScreenSaver", "org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"},                   // GNOME, Budgie, Pantheon, Unity
	{"org.gnome.Shell.ScreenShield", "org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"},            // GNOME, where nothing started the service above
	{"org.cinnamon.ScreenSaver", "org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver"},
	{"org.mate.ScreenSaver", "org.mate.ScreenSaver", "/org/mate/ScreenSaver"},
	{"org.xfce.ScreenSaver", "org.xfce.ScreenSaver", "/org/xfce/ScreenSaver"},
}

// screenSaver watches the session bus until ctx ends or the bus goes away.
func (w *watch) screenSaver(ctx context.Context) error {
	b, err := dial(ctx, w.sessionBus())
	if err != nil {
		return err
	}
	defer b.close()
	for _, s := range savers {
		if err := b.follow(ctx, s.name); err != nil {
			return err
		}
		err := b.subscribe(ctx, s.name, dbus.WithMatchObjectPath(s.path), dbus.WithMatchInterface(s.iface), dbus.WithMatchMember("ActiveChanged"))
		if err != nil {
			return err
		}
	}
	// The screen may have been locked while nobody listened.
	for _, s := range savers {
		var active bool
		if b.owners[s.name] != "" && b.call(ctx, s.name, s.path, s.iface+".GetActive").Store(&active) == nil && active {
			w.tell(ctx, ScreenLocked)
			break
		}
	}
	for {
		s, _, err := b.next(ctx)
		if err != nil {
			return err
		}
		if active, _ := argument[bool](s, 0); active && bySaver(b, s) {
			w.tell(ctx, ScreenLocked)
		}
	}
}

// bySaver says whether a screen saver sent s as its ActiveChanged.
func bySaver(b *bus, s *dbus.Signal) bool {
	for _, v := range savers {
		if s.Name == v.iface+".ActiveChanged" && s.Path == v.path && b.from(s, v.name) {
			return true
		}
	}
	return false
}
