//go:build linux && system

package away_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"chartkey/backend/away"
)

const (
	loginName    = "org.freedesktop.login1"
	loginPath    = dbus.ObjectPath("/org/freedesktop/login1")
	loginManager = "org.freedesktop.login1.Manager"
	loginSession = "org.freedesktop.login1.Session"
	properties   = "org.freedesktop.DBus.Properties"

	// The session of the tests, as logind writes the path of the one called "3".
	sessionPath = dbus.ObjectPath("/org/freedesktop/login1/session/_33")
	userPath    = dbus.ObjectPath("/org/freedesktop/login1/user/_0")
)

// login is a logind with the part of the interface that the watch uses.
type login struct {
	*peer
	asked *once // for the session's properties

	mu         sync.Mutex
	byID       map[string]dbus.ObjectPath
	byPID      dbus.ObjectPath // of any process; "" is none
	display    dbus.ObjectPath // of any user; "" is none
	locked     bool
	active     bool
	refuse     bool          // gives no inhibitor
	slow       time.Duration // answers Inhibit once after that long
	inhibitors []inhibitor
}

// inhibitor is a lock that was given out, and is held as long as the other end of
// a pipe is open elsewhere.
type inhibitor struct {
	arguments   string
	read, write *os.File
}

func newLogin(t *testing.T, b *daemon) *login {
	t.Helper()
	l := &login{peer: connect(t, b.address), asked: newOnce(), byID: map[string]dbus.ObjectPath{"3": sessionPath}, active: true}
	l.export(l, loginPath, loginManager)
	l.export(sessionProperties{l}, sessionPath, properties)
	l.export(userProperties{l}, userPath, properties)
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, i := range l.inhibitors {
			_, _ = i.read.Close(), i.write.Close()
		}
	})
	return l
}

// startLogin starts one on a bus of its own, and a watch that knows its session.
func startLogin(t *testing.T) (*daemon, *login, *watching) {
	t.Helper()
	b := startBus(t, "system", systemPolicy)
	l := newLogin(t, b)
	return b, l, startWatch(t, b, l, nil)
}

// startWatch starts a watch that knows the session of the logind.
func startWatch(t *testing.T, b *daemon, l *login, during func(away.Reason)) *watching {
	t.Helper()
	t.Setenv("XDG_SESSION_ID", "3")
	l.own(loginName)
	w := watch(t, away.Options{SystemBus: b.address}, during)
	l.asked.wait(t, "logind is asked for the session")
	return w
}

func (l *login) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	l.mu.Lock()
	slow := l.slow
	l.slow = 0
	l.mu.Unlock()
	time.Sleep(slow)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse {
		return 0, dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"Permission denied"})
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	l.inhibitors = append(l.inhibitors, inhibitor{fmt.Sprintf("%s %s %s", what, who, mode), r, w})
	return dbus.UnixFD(w.Fd()), nil
}

// held counts the inhibitors that the watch holds. It is in this process, so the
// pipes that are held are open once more than here.
func (l *login) held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := map[string]int{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		open[target]++
	}
	held := 0
	for _, i := range l.inhibitors {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", i.write.Fd()))
		if err != nil {
			l.t.Fatal(err)
		}
		if open[target] > 2 {
			held++
		}
	}
	return held
}

func (l *login) given() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inhibitors)
}

func found(path dbus.ObjectPath) (dbus.ObjectPath, *dbus.Error) {
	if path == "" {
		return "", dbus.NewError("org.freedesktop.login1.NoSuchSession", []any{"There is none"})
	}
	return path, nil
}

func (l *login) GetSession(id string) (dbus.ObjectPath, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return found(l.byID[id])
}

func (l *login) GetSessionByPID(pid uint32) (dbus.ObjectPath, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pid != 0 { // the one who asks, whatever number it has there
		return "", dbus.NewError("org.freedesktop.login1.NoSuchSession", []any{"Unknown process"})
	}
	return found(l.byPID)
}

func (l *login) GetUser(uid uint32) (dbus.ObjectPath, *dbus.Error) {
	if uid != uint32(os.Getuid()) {
		return "", dbus.NewError("org.freedesktop.login1.NoSuchUser", []any{"There is none"})
	}
	return userPath, nil
}

type sessionProperties struct{ *login }

func (s sessionProperties) GetAll(iface string) (map[string]dbus.Variant, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked.close()
	return map[string]dbus.Variant{"Id": dbus.MakeVariant("3"), "LockedHint": dbus.MakeVariant(s.locked), "Active": dbus.MakeVariant(s.active)}, nil
}

type userProperties struct{ *login }

func (u userProperties) Get(iface, property string) (dbus.Variant, *dbus.Error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	display := struct {
		ID   string
		Path dbus.ObjectPath
	}{"", "/"}
	if u.display != "" {
		display.ID, display.Path = "3", u.display
	}
	return dbus.MakeVariant(display), nil
}

func (l *login) lock(to string, session dbus.ObjectPath) { l.emit(to, session, loginSession+".Lock") }

func (l *login) sleep(to string, begins bool) {
	l.emit(to, loginPath, loginManager+".PrepareForSleep", begins)
}

func (l *login) changed(session dbus.ObjectPath, iface string, p map[string]any) {
	all := map[string]dbus.Variant{}
	for k, v := range p {
		all[k] = dbus.MakeVariant(v)
	}
	l.emit("", session, properties+".PropertiesChanged", iface, all, []string{})
}

func TestEachSignalOfLogind(t *testing.T) {
	const other = dbus.ObjectPath("/org/freedesktop/login1/session/_34")
	type p = map[string]any
	for _, c := range []struct {
		name string
		emit func(*login)
		want away.Reason // "" is none
	}{
		{"lock", func(l *login) { l.lock("", sessionPath) }, away.ScreenLocked},
		{"unlock", func(l *login) { l.emit("", sessionPath, loginSession+".Unlock") }, ""},
		{"lock of another session", func(l *login) { l.lock("", other) }, ""},
		{"locked hint", func(l *login) { l.changed(sessionPath, loginSession, p{"LockedHint": true}) }, away.ScreenLocked},
		{"locked hint taken back", func(l *login) { l.changed(sessionPath, loginSession, p{"LockedHint": false}) }, ""},
		{"locked hint of another session", func(l *login) { l.changed(other, loginSession, p{"LockedHint": true}) }, ""},
		{"locked hint of something else", func(l *login) { l.changed(sessionPath, "org.example.Session", p{"LockedHint": true}) }, ""},
		{"locked hint that is no such thing", func(l *login) { l.changed(sessionPath, loginSession, p{"LockedHint": "yes", "Active": "no"}) }, ""},
		{"another session in front", func(l *login) { l.changed(sessionPath, loginSession, p{"Active": false}) }, away.SessionSwitched},
		{"in front again", func(l *login) { l.changed(sessionPath, loginSession, p{"Active": true}) }, ""},
		{"locked, and another session in front", func(l *login) { l.changed(sessionPath, loginSession, p{"Active": false, "LockedHint": true}) }, away.ScreenLocked},
		{"idle", func(l *login) { l.changed(sessionPath, loginSession, p{"IdleHint": true}) }, ""},
		{"sleep", func(l *login) { l.sleep("", true) }, away.GoingToSleep},
		{"awake", func(l *login) { l.sleep("", false) }, ""},
		{"sleep that says nothing", func(l *login) { l.emit("", loginPath, loginManager+".PrepareForSleep") }, ""},
		{"shutdown", func(l *login) { l.emit("", loginPath, loginManager+".PrepareForShutdown", true) }, ""},
		{"the session ends", func(l *login) { l.emit("", loginPath, loginManager+".SessionRemoved", "3", sessionPath) }, away.SessionEnded},
		{"another session ends", func(l *login) { l.emit("", loginPath, loginManager+".SessionRemoved", "4", other) }, ""},
		{"another session begins", func(l *login) { l.emit("", loginPath, loginManager+".SessionNew", "4", other) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, l, w := startLogin(t)
			c.emit(l)
			l.sleep("", true)
			if c.want == "" {
				w.tells(away.GoingToSleep)
			} else {
				w.tells(c.want, away.GoingToSleep)
			}
		})
	}
}

// While the callback runs nothing is lost and nothing overtakes.
func TestSignalsKeepTheirOrder(t *testing.T) {
	b := startBus(t, "system", systemPolicy)
	l := newLogin(t, b)
	w := startWatch(t, b, l, func(away.Reason) { time.Sleep(5 * time.Millisecond) })
	var want []away.Reason
	for range 40 {
		l.lock("", sessionPath)
		l.changed(sessionPath, loginSession, map[string]any{"Active": false})
		want = append(want, away.ScreenLocked, away.SessionSwitched)
	}
	w.tells(want...)
}

// Two sources take turns, and the second one's turn is over when the watch is.
func TestOneIsToldAtATimeAndNothingAfterTheEnd(t *testing.T) {
	t.Setenv("XDG_SESSION_ID", "3")
	system, session := startBus(t, "system", systemPolicy), startBus(t, "session", sessionPolicy)
	l, s := newLogin(t, system), xfce(t, session)
	l.own(loginName)
	running, enough := newOnce(), newOnce()
	w := watch(t, away.Options{SystemBus: system.address, SessionBus: session.address}, func(away.Reason) {
		running.close()
		<-enough.done
	})
	l.asked.wait(t, "logind is asked for the session")
	s.asked.wait(t, "the screen saver is asked")
	l.sleep("", true)
	running.wait(t, "the callback runs")
	s.changed("", true)
	l.lock("", sessionPath)
	time.Sleep(100 * time.Millisecond) // both have come by now
	w.end()
	enough.close()
	w.stop()
	if n := len(w.told); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestASleepWaitsForTheCallback(t *testing.T) {
	var mu sync.Mutex
	var during []int
	b := startBus(t, "system", systemPolicy)
	l := newLogin(t, b)
	w := startWatch(t, b, l, func(away.Reason) {
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		during = append(during, l.held())
	})
	if l.given() != 1 || l.inhibitors[0].arguments != "sleep Chartkey delay" {
		t.Fatalf("inhibitors: %v", l.inhibitors)
	}
	for n := 1; n <= 3; n++ {
		if l.held() != 1 {
			t.Fatal("the inhibitor is not held")
		}
		l.sleep("", true)
		w.tells(away.GoingToSleep)
		eventually(t, "the inhibitor is released", func() bool { return l.held() == 0 })
		if l.given() != n {
			t.Errorf("%d inhibitors before the machine is awake, want %d", l.given(), n)
		}
		l.sleep("", false)
		eventually(t, "the inhibitor is taken anew", func() bool { return l.given() == n+1 && l.held() == 1 })
		l.sleep("", false) // no second one
	}
	w.stop()
	if l.held() != 0 {
		t.Error("an inhibitor outlives the watch")
	}
	mu.Lock()
	defer mu.Unlock()
	for _, held := range during {
		if held != 1 {
			t.Errorf("%d inhibitors were held while the callback ran", held)
		}
	}
}

// A person who is back from a sleep that was told is not sent away by the clocks
// too; a sleep that nobody announced is found by them.
func TestASleepIsToldOnce(t *testing.T) {
	t.Setenv("XDG_SESSION_ID", "3")
	b := startBus(t, "system", systemPolicy)
	l := newLogin(t, b)
	l.own(loginName)
	var mu sync.Mutex
	var slept time.Duration
	sleeps := func() {
		mu.Lock()
		defer mu.Unlock()
		slept += time.Hour
	}
	began := time.Now()
	clock := func() (time.Time, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Round(0).Add(slept), time.Since(began)
	}
	w := watch(t, away.Options{SystemBus: b.address, Clock: clock}, nil)
	l.asked.wait(t, "logind is asked for the session")
	l.sleep("", true)
	w.tells(away.GoingToSleep)
	sleeps()
	l.sleep("", false)
	time.Sleep(5500 * time.Millisecond) // the clocks are looked at meanwhile
	l.lock("", sessionPath)
	w.tells(away.ScreenLocked)

	sleeps()
	l.sleep("", false) // the end of one whose beginning was not told
	w.tells(away.WokeFromSleep)
}

func TestASleepIsToldWithoutAnInhibitor(t *testing.T) {
	t.Setenv("XDG_SESSION_ID", "3")
	b := startBus(t, "system", systemPolicy)
	l := newLogin(t, b)
	l.refuse = true
	l.own(loginName)
	log, out := debugLog()
	w := watch(t, away.Options{SystemBus: b.address, Log: log}, nil)
	l.asked.wait(t, "logind is asked for the session")
	l.sleep("", true)
	w.tells(away.GoingToSleep)
	w.stop()
	if !strings.Contains(out.String(), "Permission denied") {
		t.Errorf("logged: %s", out)
	}
}

// An inhibitor that comes too late belongs to nobody, and would delay every sleep.
func TestAnInhibitorThatComesTooLateIsLetGo(t *testing.T) {
	t.Setenv("XDG_SESSION_ID", "3")
	b := startBus(t, "system", systemPolicy)
	l := newLogin(t, b)
	l.slow = 6 * time.Second
	l.own(loginName)
	w := watch(t, away.Options{SystemBus: b.address}, nil)
	l.asked.wait(t, "logind is asked for the session")
	eventually(t, "both answers", func() bool { return l.given() == 2 })
	time.Sleep(100 * time.Millisecond)
	if l.held() != 1 {
		t.Errorf("%d inhibitors are held", l.held())
	}
	l.sleep("", true)
	w.tells(away.GoingToSleep)
	eventually(t, "none is held", func() bool { return l.held() == 0 })
}

func TestTheSessionIsFound(t *testing.T) {
	for _, c := range []struct {
		name, id string
		is       func(*login)
	}{
		{"by the environment", "3", func(l *login) {}},
		{"by the process", "", func(l *login) { l.byPID = sessionPath }},
		{"by the process, the environment is out of date", "2", func(l *login) { l.byPID = sessionPath }},
		{"by the display", "", func(l *login) { l.display = sessionPath }},
		{"by the display, the environment is out of date", "2", func(l *login) { l.display = sessionPath }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_SESSION_ID", c.id)
			b := startBus(t, "system", systemPolicy)
			l := newLogin(t, b)
			c.is(l)
			l.own(loginName)
			w := watch(t, away.Options{SystemBus: b.address}, nil)
			l.asked.wait(t, "logind is asked for the session")
			l.lock("", sessionPath)
			w.tells(away.ScreenLocked)
		})
	}
}

func TestASessionThatComesLater(t *testing.T) {
	t.Setenv("XDG_SESSION_ID", "")
	b := startBus(t, "system", systemPolicy)
	l := newLogin(t, b)
	l.own(loginName)
	w := watch(t, away.Options{SystemBus: b.address}, nil)
	eventually(t, "the inhibitor is taken", func() bool { return l.held() == 1 })
	l.lock("", sessionPath) // nobody's yet
	l.sleep("", true)
	w.tells(away.GoingToSleep)

	l.mu.Lock()
	l.display, l.locked = sessionPath, true
	l.mu.Unlock()
	l.emit("", loginPath, loginManager+".SessionNew", "3", sessionPath)
	w.tells(away.ScreenLocked) // it is locked already
	l.lock("", sessionPath)
	w.tells(away.ScreenLocked)

	l.mu.Lock()
	l.display = ""
	l.mu.Unlock()
	l.emit("", loginPath, loginManager+".SessionRemoved", "3", sessionPath)
	l.lock("", sessionPath)
	l.sleep("", true)
	w.tells(away.SessionEnded, away.GoingToSleep)
}

func TestASessionThatIsLeftAlready(t *testing.T) {
	for name, want := range map[string]away.Reason{"locked": away.ScreenLocked, "switched": away.SessionSwitched} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_SESSION_ID", "3")
			b := startBus(t, "system", systemPolicy)
			l := newLogin(t, b)
			l.locked, l.active = name == "locked", name != "switched"
			l.own(loginName)
			w := watch(t, away.Options{SystemBus: b.address}, nil)
			w.tells(want)
		})
	}
}

// Another program of the machine cannot speak for logind.
func TestAnImpostorOfLogind(t *testing.T) {
	b, l, w := startLogin(t)
	impostor := &login{peer: connect(t, b.address)}
	for _, to := range append(clients(t, b), "") {
		impostor.lock(to, sessionPath)
		impostor.sleep(to, true)
		impostor.emit(to, sessionPath, properties+".PropertiesChanged", loginSession, map[string]dbus.Variant{"LockedHint": dbus.MakeVariant(true)}, []string{})
		impostor.emit(to, loginPath, loginManager+".SessionRemoved", "3", sessionPath)
		impostor.emit(to, "/org/freedesktop/DBus", "org.freedesktop.DBus.NameOwnerChanged", loginName, l.conn.Names()[0], impostor.conn.Names()[0])
		impostor.lock(to, sessionPath)
	}
	l.sleep("", true)
	w.tells(away.GoingToSleep)
}

func TestALogindThatIsRestarted(t *testing.T) {
	b, l, w := startLogin(t)
	if _, err := l.conn.ReleaseName(loginName); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old inhibitor is let go", func() bool { return l.held() == 0 })
	l.lock("", sessionPath) // not logind any more

	next := newLogin(t, b)
	next.own(loginName)
	next.asked.wait(t, "the new logind is asked for the session")
	if next.held() != 1 {
		t.Error("no new inhibitor")
	}
	l.sleep("", true)
	next.lock("", sessionPath)
	w.tells(away.ScreenLocked)
}

func TestASystemBusThatComesBack(t *testing.T) {
	b, l, w := startLogin(t)
	for range 2 {
		b.stop()
		eventually(t, "the inhibitor is let go", func() bool { return l.held() == 0 })
		b.start()
		l = newLogin(t, b)
		l.own(loginName)
		l.asked.wait(t, "logind is asked by the watch that goes on")
		l.sleep("", true)
		w.tells(away.GoingToSleep)
	}
}

// A bus that nothing useful is on, as in a container, costs one look and no line of the log.
func TestABusWithoutLogind(t *testing.T) {
	system, session := startBus(t, "system", systemPolicy), startBus(t, "session", sessionPolicy)
	log, out := debugLog()
	w := watch(t, away.Options{SystemBus: system.address, SessionBus: session.address, Log: log}, nil)
	time.Sleep(500 * time.Millisecond)
	w.stop()
	if out.Len() > 0 {
		t.Errorf("logged: %s", out)
	}
}
