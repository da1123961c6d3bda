package away_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"chartkey/backend/away"
)

const (
	messageOnly        = ^uintptr(2)
	wmQuit             = 0x0012
	wmPowerBroadcast   = 0x0218
	wmWTSSessionChange = 0x02B1
)

// hidden finds the window of this process's watch among those that are never
// shown, and the thread it belongs to; 0 is none.
func hidden() (window, thread uintptr) {
	user := windows.NewLazySystemDLL("user32.dll")
	find, owner, class := user.NewProc("FindWindowExW"), user.NewProc("GetWindowThreadProcessId"), user.NewProc("GetClassNameW")
	for {
		if window, _, _ = find.Call(messageOnly, window, 0, 0); window == 0 {
			return 0, 0
		}
		var process uint32
		thread, _, _ = owner.Call(window, uintptr(unsafe.Pointer(&process)))
		var name [100]uint16
		_, _, _ = class.Call(window, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)))
		if process == windows.GetCurrentProcessId() && strings.HasPrefix(windows.UTF16ToString(name[:]), "Chartkey away ") {
			return window, thread
		}
	}
}

// waitHidden waits for a window other than that one.
func waitHidden(t *testing.T, not uintptr) (window, thread uintptr) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if window, thread = hidden(); window != 0 && window != not {
			return window, thread
		}
	}
	t.Fatal("there is no window")
	return 0, 0
}

// The messages are sent as Windows sends them: to wait for a sleep or a lock a
// person would be needed.
func TestTheMessagesOfWindows(t *testing.T) {
	var mu sync.Mutex
	var told []away.Reason
	var slept time.Duration
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() {
		away.Watch(ctx, away.Options{Clock: func() (time.Time, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Round(0).Add(slept), time.Since(began)
		}}, func(r away.Reason) {
			time.Sleep(20 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			told = append(told, r)
		})
	})
	window, _ := waitHidden(t, 0)
	send := windows.NewLazySystemDLL("user32.dll").NewProc("SendMessageW")
	var session uint32
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &session); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name               string
		id, wParam, lParam uintptr
		want               away.Reason // "" is none
	}{
		{"lock", wmWTSSessionChange, 0x7, uintptr(session), away.ScreenLocked},
		{"unlock", wmWTSSessionChange, 0x8, uintptr(session), ""},
		{"another user in front", wmWTSSessionChange, 0x2, uintptr(session), away.SessionSwitched},
		{"in front again", wmWTSSessionChange, 0x1, uintptr(session), ""},
		{"remote desktop disconnected", wmWTSSessionChange, 0x4, uintptr(session), away.SessionSwitched},
		{"remote desktop connected", wmWTSSessionChange, 0x3, uintptr(session), ""},
		{"sign-out", wmWTSSessionChange, 0x6, uintptr(session), away.SessionEnded},
		{"lock of another session", wmWTSSessionChange, 0x7, uintptr(session) + 1, ""},
		{"sleep", wmPowerBroadcast, 0x4, 0, away.GoingToSleep},
		{"awake", wmPowerBroadcast, 0x12, 0, ""},
		{"awake by a person", wmPowerBroadcast, 0x7, 0, ""},
		{"battery", wmPowerBroadcast, 0xA, 0, ""},
		{"another message", 0x400, 0x7, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mu.Lock()
			told = nil
			mu.Unlock()
			_, _, _ = send.Call(window, c.id, c.wParam, c.lParam)
			// The message is answered once the callback has returned.
			mu.Lock()
			defer mu.Unlock()
			if c.want == "" && len(told) != 0 || c.want != "" && (len(told) != 1 || told[0] != c.want) {
				t.Errorf("told %q, want %q", told, c.want)
			}
		})
	}

	t.Run("a sleep is told once", func(t *testing.T) {
		mu.Lock()
		told = nil
		mu.Unlock()
		_, _, _ = send.Call(window, wmPowerBroadcast, 0x4, 0)
		mu.Lock()
		slept += time.Hour
		mu.Unlock()
		_, _, _ = send.Call(window, wmPowerBroadcast, 0x12, 0)
		time.Sleep(5500 * time.Millisecond) // the clocks are looked at meanwhile
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 1 || told[0] != away.GoingToSleep {
			t.Errorf("told %q", told)
		}
	})

	t.Run("a window that is lost is made anew", func(t *testing.T) {
		lost, thread := hidden()
		post := windows.NewLazySystemDLL("user32.dll").NewProc("PostThreadMessageW")
		if ok, _, err := post.Call(thread, wmQuit, 0, 0); ok == 0 {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if now, _ := hidden(); now != lost {
				break
			}
			if time.Now().After(end) {
				t.Fatal("it is still there")
			}
		}
		next, _ := waitHidden(t, 0)
		mu.Lock()
		told = nil
		mu.Unlock()
		_, _, _ = send.Call(next, wmWTSSessionChange, 0x7, uintptr(session))
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 1 || told[0] != away.ScreenLocked {
			t.Errorf("told %q", told)
		}
	})

	cancel()
	watching.Wait()
	if window, _ := hidden(); window != 0 {
		t.Error("the window outlives the watch")
	}
}
