package away

import (
	"context"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The messages that the window waits for, as winuser.h and wtsapi32.h number them.
const (
	wmQuit             = 0x0012
	wmPowerBroadcast   = 0x0218
	wmWTSSessionChange = 0x02B1

	pbtSuspend         = 0x4
	pbtResumeAutomatic = 0x12 // comes after every sleep

	wtsConsoleDisconnect = 0x2 // another user is in front
	wtsRemoteDisconnect  = 0x4
	wtsSessionLogoff     = 0x6
	wtsSessionLock       = 0x7

	notifyForThisSession     = 0
	deviceNotifyWindowHandle = 0
)

// messageOnly is HWND_MESSAGE, the parent of windows that are never shown. They
// get no broadcasts, so both kinds of notification are asked for: that also brings
// those of modern standby, which are not broadcast at all.
const messageOnly = ^uintptr(2)

// winapi is the part of user32 and wtsapi32 that golang.org/x/sys/windows lacks.
type winapi struct {
	registerClass, unregisterClass, createWindow, destroyWindow, defWindowProc *windows.LazyProc
	getMessage, dispatchMessage, postThreadMessage                             *windows.LazyProc
	registerSuspend, unregisterSuspend                                         *windows.LazyProc
	registerSession, unregisterSession                                         *windows.LazyProc
}

func loadWinapi() *winapi {
	user, wts := windows.NewLazySystemDLL("user32.dll"), windows.NewLazySystemDLL("wtsapi32.dll")
	return &winapi{
		registerClass:     user.NewProc("RegisterClassExW"),
		unregisterClass:   user.NewProc("UnregisterClassW"),
		createWindow:      user.NewProc("CreateWindowExW"),
		destroyWindow:     user.NewProc("DestroyWindow"),
		defWindowProc:     user.NewProc("DefWindowProcW"),
		getMessage:        user.NewProc("GetMessageW"),
		dispatchMessage:   user.NewProc("DispatchMessageW"),
		postThreadMessage: user.NewProc("PostThreadMessageW"),
		registerSuspend:   user.NewProc("RegisterSuspendResumeNotification"),
		unregisterSuspend: user.NewProc("UnregisterSuspendResumeNotification"),
		registerSession:   wts.NewProc("WTSRegisterSessionNotification"),
		unregisterSession: wts.NewProc("WTSUnRegisterSessionNotification"),
	}
}

// windowClass is WNDCLASSEXW.
type windowClass struct {
	size, style                        uint32
	procedure                          uintptr
	classExtra, windowExtra            int32
	instance, icon, cursor, background uintptr
	menuName, className                *uint16
	smallIcon                          uintptr
}

// message is MSG.
type message struct {
	window         uintptr
	id             uint32
	wParam, lParam uintptr
	time           uint32
	x, y           int32
	private        uint32
}

func (w *watch) sources() []func(context.Context) {
	return []func(context.Context){func(ctx context.Context) {
		// A thread owns its windows. It is not unlocked: with this goroutine it
		// ends, and what it may have left goes with it.
		runtime.LockOSThread()
		api := loadWinapi()
		told := false
		// Callbacks are never freed, so there is one for all windows of this watch.
		procedure := windows.NewCallback(func(window, id, wParam, lParam uintptr) uintptr {
			switch {
			case id == wmPowerBroadcast && wParam == pbtResumeAutomatic && told:
				told = false
				w.woke()
			case id == wmWTSSessionChange && !ownSession(lParam):
			default:
				if why, ok := reasonOf(id, wParam); ok {
					told = told || why == GoingToSleep
					w.tell(ctx, why) // Windows waits for it with the sleep
				}
			}
			r, _, _ := api.defWindowProc.Call(window, id, wParam, lParam)
			return r
		})
		w.keep(ctx, "window", func(ctx context.Context) error { return api.serve(ctx, procedure) })
	}}
}

// reasonOf is what a message to the window means, if it means that the person is away.
func reasonOf(id, wParam uintptr) (Reason, bool) {
	switch id {
	case wmPowerBroadcast:
		if wParam == pbtSuspend {
			return GoingToSleep, true
		}
	case wmWTSSessionChange:
		switch wParam {
		case wtsSessionLock:
			return ScreenLocked, true
		case wtsConsoleDisconnect, wtsRemoteDisconnect:
			return SessionSwitched, true
		case wtsSessionLogoff:
			return SessionEnded, true
		}
	}
	return "", false
}

// ownSession says whether a notification about the session with that number is
// about this process's. Only those were asked for.
func ownSession(number uintptr) bool {
	var own uint32
	if windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &own) != nil {
		return true
	}
	return number == uintptr(own)
}

// serve makes a hidden window with that procedure and hands it its messages until
// ctx ends or the window is lost. It must run on a locked thread.
func (api *winapi) serve(ctx context.Context, procedure uintptr) error {
	var instance windows.Handle
	if err := windows.GetModuleHandleEx(windows.GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, nil, &instance); err != nil {
		return err
	}
	thread := windows.GetCurrentThreadId()
	name, err := windows.UTF16PtrFromString(fmt.Sprintf("Chartkey away %d", thread)) // a name of its own for each watch
	if err != nil {
		return err
	}
	class := windowClass{procedure: procedure, instance: uintptr(instance), className: name}
	class.size = uint32(unsafe.Sizeof(class))
	if ok, _, err := api.registerClass.Call(uintptr(unsafe.Pointer(&class))); ok == 0 {
		return fmt.Errorf("RegisterClassExW: %w", err)
	}
	defer func() { _, _, _ = api.unregisterClass.Call(uintptr(unsafe.Pointer(name)), uintptr(instance)) }()
	window, _, err := api.createWindow.Call(0, uintptr(unsafe.Pointer(name)), 0, 0, 0, 0, 0, 0, messageOnly, 0, uintptr(instance), 0)
	if window == 0 {
		return fmt.Errorf("CreateWindowExW: %w", err)
	}
	defer func() { _, _, _ = api.destroyWindow.Call(window) }()

	// Shortly after the start of Windows this fails, and is tried again.
	if ok, _, err := api.registerSession.Call(window, notifyForThisSession); ok == 0 {
		return fmt.Errorf("WTSRegisterSessionNotification: %w", err)
	}
	defer func() { _, _, _ = api.unregisterSession.Call(window) }()
	suspend, _, err := api.registerSuspend.Call(window, deviceNotifyWindowHandle)
	if suspend == 0 {
		return fmt.Errorf("RegisterSuspendResumeNotification: %w", err)
	}
	defer func() { _, _, _ = api.unregisterSuspend.Call(suspend) }()

	// The window is there, so the thread has a queue of messages to post to.
	posted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(posted)
		_, _, _ = api.postThreadMessage.Call(uintptr(thread), wmQuit, 0, 0)
	})
	defer func() {
		if !stop() {
			<-posted // the thread's number must not be another's by then
		}
	}()
	for {
		var m message
		switch got, _, err := api.getMessage.Call(uintptr(unsafe.Pointer(&m)), 0, 0, 0); int32(got) {
		case -1:
			return fmt.Errorf("GetMessageW: %w", err)
		case 0: // WM_QUIT
			return nil
		}
		_, _, _ = api.dispatchMessage.Call(uintptr(unsafe.Pointer(&m)))
	}
}
