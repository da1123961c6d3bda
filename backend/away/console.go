package away

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"time"

	"howett.net/plist"
)

const (
	// ioregLimit is far more than the properties of the root need, some 50 KB.
	ioregLimit   = 4 << 20
	ioregTimeout = 3 * time.Second
)

// presence is what macOS says of one user's sessions.
type presence int

const (
	presenceUnknown presence = iota // no desktop session, or no answer
	presenceHere
	presenceLocked
	presenceSwitched
)

// console asks ioreg, which is that program, again and again how the sessions of
// the user with that number are, until ctx ends or there is no answer.
func (w *watch) console(ctx context.Context, ioreg string, uid int, every time.Duration) error {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for was := presenceUnknown; ; {
		list, err := registryRoot(ctx, ioreg)
		if err != nil {
			return err
		}
		is, err := consolePresence(list, uid)
		if err != nil {
			return err
		}
		switch {
		case is == was:
		case is == presenceLocked:
			w.tell(ctx, ScreenLocked)
		case is == presenceSwitched:
			w.tell(ctx, SessionSwitched)
		}
		was = is
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
	}
}

// registryRoot gives the properties of the I/O registry's root as a property list.
func registryRoot(ctx context.Context, ioreg string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, ioregTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, ioreg, "-n", "Root", "-d", "1", "-a")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	list, err := io.ReadAll(io.LimitReader(out, ioregLimit+1))
	if len(list) > ioregLimit {
		err = errors.New("ioreg says too much")
		cancel()
	}
	return list, errors.Join(err, cmd.Wait())
}

// consolePresence reads a property list of the I/O registry's root, as ioreg
// prints it, and says how the sessions of the user with that number are. Apple
// documents the keys nowhere; CGSSessionScreenIsLocked is left out while the
// screen is not locked. Malformed input is presenceUnknown with the error.
func consolePresence(list []byte, uid int) (presence, error) {
	var root struct {
		Sessions []struct {
			UserID    int  `plist:"kCGSSessionUserIDKey"`
			OnConsole bool `plist:"kCGSSessionOnConsoleKey"`
			Locked    bool `plist:"CGSSessionScreenIsLocked"`
		} `plist:"IOConsoleUsers"`
	}
	if _, err := plist.Unmarshal(list, &root); err != nil {
		return presenceUnknown, err
	}
	found := presenceUnknown
	for _, s := range root.Sessions {
		switch {
		case s.UserID != uid:
		case s.Locked:
			return presenceLocked, nil
		case s.OnConsole:
			found = presenceHere
		case found == presenceUnknown:
			found = presenceSwitched
		}
	}
	return found, nil
}
