package away

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"
)

// The names of logind's interface, https://www.freedesktop.org/software/systemd/man/org.freedesktop.login1.html.
const (
	loginName     = "org.freedesktop.login1"
	loginPath     = dbus.ObjectPath("/org/freedesktop/login1")
	loginSessions = loginPath + "/session"
	loginManager  = "org.freedesktop.login1.Manager"
	loginSession  = "org.freedesktop.login1.Session"
	loginUser     = "org.freedesktop.login1.User"
)

// logind watches the system bus until ctx ends or the bus goes away.
func (w *watch) logind(ctx context.Context) error {
	b, err := dial(ctx, w.systemBus())
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.follow(ctx, loginName); err != nil {
		return err
	}
	for _, member := range []string{"PrepareForSleep", "SessionNew", "SessionRemoved"} {
		err := b.subscribe(ctx, loginName, dbus.WithMatchObjectPath(loginPath), dbus.WithMatchInterface(loginManager), dbus.WithMatchMember(member))
		if err != nil {
			return err
		}
	}
	// Every session's signals come, as the own session is not known yet and may change.
	err = b.subscribe(ctx, loginName, dbus.WithMatchPathNamespace(loginSessions), dbus.WithMatchInterface(loginSession), dbus.WithMatchMember("Lock"))
	if err != nil {
		return err
	}
	err = b.subscribe(ctx, loginName, dbus.WithMatchPathNamespace(loginSessions), dbus.WithMatchInterface(busProperties),
		dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchArg(0, loginSession))
	if err != nil {
		return err
	}

	l := &login{watch: w, bus: b}
	defer l.release()
	for moved := loginName; ; {
		if moved == loginName {
			if err := l.meet(ctx); err != nil {
				return err
			}
		}
		var s *dbus.Signal
		if s, moved, err = b.next(ctx); err != nil {
			return err
		}
		if b.from(s, loginName) {
			if err := l.heard(ctx, s); err != nil {
				return err
			}
		}
	}
}

// login is what is known of one logind.
type login struct {
	*watch
	bus       *bus
	session   dbus.ObjectPath // the person's session; "" where there is none
	inhibitor *os.File        // held, it delays a sleep; nil where it is not
	told      bool            // the sleep that is under way was told
}

// meet begins anew with the logind that has come, if there is one.
func (l *login) meet(ctx context.Context) error {
	l.release()
	l.session, l.told = "", false
	if l.bus.owners[loginName] == "" {
		return nil
	}
	if err := l.inhibit(ctx); err != nil {
		return err
	}
	l.findSession(ctx)
	return nil
}

// heard acts on a signal of logind.
func (l *login) heard(ctx context.Context, s *dbus.Signal) error {
	switch s.Name {
	case loginManager + ".PrepareForSleep":
		begins, ok := argument[bool](s, 0)
		switch {
		case begins:
			l.tell(ctx, GoingToSleep)
			l.told = true
			l.release()
		case ok:
			if l.told {
				l.woke()
			}
			l.told = false
			return l.inhibit(ctx)
		}
	case loginManager + ".SessionRemoved":
		if path, _ := argument[dbus.ObjectPath](s, 1); path != "" && path == l.session {
			l.tell(ctx, SessionEnded)
			l.findSession(ctx)
		}
	case loginManager + ".SessionNew":
		if l.session == "" {
			l.findSession(ctx)
		}
	case loginSession + ".Lock":
		if s.Path == l.session {
			l.tell(ctx, ScreenLocked)
		}
	case busProperties + ".PropertiesChanged":
		of, _ := argument[string](s, 0)
		changed, _ := argument[map[string]dbus.Variant](s, 1)
		if s.Path == l.session && of == loginSession {
			l.tellState(ctx, changed)
		}
	}
	return nil
}

// tellState tells what the session's properties say, if they say that the person is away.
func (l *login) tellState(ctx context.Context, properties map[string]dbus.Variant) {
	if locked, _ := properties["LockedHint"].Value().(bool); locked {
		l.tell(ctx, ScreenLocked)
		return
	}
	if active, ok := properties["Active"].Value().(bool); ok && !active {
		l.tell(ctx, SessionSwitched)
	}
}

// inhibit takes the lock that delays a sleep until the person's data is locked.
func (l *login) inhibit(ctx context.Context) error {
	if l.inhibitor != nil {
		return nil
	}
	var fd dbus.UnixFD
	err := l.bus.call(ctx, loginName, loginPath, loginManager+".Inhibit",
		"sleep", "Chartkey", "Patients' data is locked before the computer sleeps", "delay").Store(&fd)
	if err == nil {
		l.inhibitor = os.NewFile(uintptr(fd), "sleep inhibitor")
		return nil
	}
	if !refused(err) {
		// An answer that is merely late brings a lock that nobody would ever
		// release. Without the connection it has nowhere to go.
		return err
	}
	l.log.Debug("The sleep is told of, but not delayed.", "error", err)
	return nil
}

// release lets the sleep go on.
func (l *login) release() {
	if l.inhibitor != nil {
		_ = l.inhibitor.Close()
		l.inhibitor = nil
	}
}

// findSession finds the person's session and tells if it is locked or left already.
func (l *login) findSession(ctx context.Context) {
	l.session = l.ownSession(ctx)
	if l.session == "" {
		return
	}
	var properties map[string]dbus.Variant
	if l.bus.call(ctx, loginName, l.session, busProperties+".GetAll", loginSession).Store(&properties) == nil {
		l.tellState(ctx, properties)
	}
}

// ownSession is the session that the environment names, else the one this process
// is in, else the one that shows the user's desktop: a program that the user's
// service manager started is in no session of its own.
func (l *login) ownSession(ctx context.Context) dbus.ObjectPath {
	var session dbus.ObjectPath
	if id := os.Getenv("XDG_SESSION_ID"); id != "" && l.manager(ctx, "GetSession", id).Store(&session) == nil {
		return session
	}
	// 0 is whoever asks: in a container, the own number would mean another process.
	if l.manager(ctx, "GetSessionByPID", uint32(0)).Store(&session) == nil {
		return session
	}
	var user dbus.ObjectPath
	if l.manager(ctx, "GetUser", uint32(os.Getuid())).Store(&user) != nil {
		return ""
	}
	var display struct {
		ID   string
		Path dbus.ObjectPath
	}
	if l.bus.call(ctx, loginName, user, busProperties+".Get", loginUser, "Display").Store(&display) != nil || display.ID == "" {
		return "" // its path is "/" then
	}
	return display.Path
}

func (l *login) manager(ctx context.Context, method string, argument any) *dbus.Call {
	return l.bus.call(ctx, loginName, loginPath, loginManager+"."+method, argument)
}
