package away

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"time"
)

const (
	// ioregLimit is far more than the root's properties need, which is some 50 KB.
	ioregLimit   = 4 << 20
	ioregTimeout = 3 * time.Second
)

func (w *watch) sources() []func(context.Context) {
	return []func(context.Context){
		func(ctx context.Context) { w.keep(ctx, "console", w.console) },
	}
}

// console asks every few seconds how the person's session is, until ctx ends or
// there is no answer.
func (w *watch) console(ctx context.Context) error {
	ticks := time.NewTicker(look)
	defer ticks.Stop()
	for was := presenceUnknown; ; {
		list, err := readConsole(ctx)
		if err != nil {
			return err
		}
		is, err := consolePresence(list, os.Getuid())
		if err != nil {
			return err
		}
		if is != was {
			switch is {
			case presenceLocked:
				w.tell(ctx, ScreenLocked)
			case presenceSwitched:
				w.tell(ctx, SessionSwitched)
			}
		}
		was = is
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
	}
}

// readConsole gives the properties of the I/O registry's root as a property list.
func readConsole(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, ioregTimeout)
	defer cancel()
	out := limited{left: ioregLimit}
	cmd := exec.CommandContext(ctx, "/usr/sbin/ioreg", "-n", "Root", "-d", "1", "-a")
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// limited takes what is written up to a limit.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errors.New("ioreg says too much")
	}
	return l.Buffer.Write(p)
}
