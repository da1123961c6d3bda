//go:build !headless

package main

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"chartkey/backend/audit"
	"chartkey/backend/cli"
	"chartkey/backend/fault"
	"chartkey/backend/session"
	"chartkey/backend/simulator"
	"chartkey/backend/vault"
	"chartkey/backend/workstation"

	"github.com/cli/browser"
	"github.com/wailsapp/wails/v2"
	"github.com/wailsapp/wails/v2/pkg/logger"
	"github.com/wailsapp/wails/v2/pkg/options"
	"github.com/wailsapp/wails/v2/pkg/options/assetserver"
	"github.com/wailsapp/wails/v2/pkg/options/linux"
	wails_runtime "github.com/wailsapp/wails/v2/pkg/runtime"
)

//go:embed all:frontend/dist
var assets embed.FS

// openWindow runs the window until it is closed or the process is told to end.
func openWindow(ctx context.Context, o cli.WindowOptions) error {
	if runtime.GOOS == "linux" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return fault.New("no-display", "There is no display to open a window on.",
			"Run a command instead (chartkey --help lists them), or chartkey demo to see the main job without a display.")
	}
	page, err := fs.Sub(assets, "frontend/dist")
	if err != nil {
		return err
	}
	desk, err := workstation.Open(ctx, workstation.Options{Home: o.Home, Keyring: vault.NewKeyring(vault.KeyringOptions{}), Passphrase: o.Passphrase, StoredPassphrase: o.Passphrase, Log: o.Log, Origin: audit.FromWindow, Version: version})
	if err != nil {
		return err
	}
	// The page may call before Wails has told that the window is there, so the session exists first.
	shown := &window{ready: make(chan struct{})}
	app := &App{desk: desk, session: session.New(desk, session.Hooks{Emit: shown.emit, OpenBrowser: browser.OpenURL, Copy: shown.copy, SaveFile: shown.saveFile}, simulator.DefaultPort)}
	err = wails.Run(&options.App{
		Title: "Chartkey", Width: 1120, Height: 760, MinWidth: 880, MinHeight: 600,
		// The window shows when the page is ready, so that nobody sees it empty.
		StartHidden:      true,
		AssetServer:      &assetserver.Options{Assets: page},
		BackgroundColour: &options.RGBA{R: 250, G: 250, B: 249, A: 255},
		Bind:             []any{app},
		LogLevel:         logger.ERROR, LogLevelProduction: logger.ERROR,
		ErrorFormatter: func(err error) any { return session.PageError(err) },
		OnStartup: func(ctx context.Context) {
			shown.open(ctx)
			if o.Sandbox {
				if _, err := app.session.SandboxRegister(); err != nil {
					shown.emit("failed", workstation.Fault(err))
				}
			}
		},
		OnDomReady: func(ctx context.Context) { wails_runtime.WindowShow(ctx) },
		OnShutdown: func(context.Context) { shown.close() },
		Linux:      &linux.Options{ProgramName: "chartkey", WebviewGpuPolicy: linux.WebviewGpuPolicyOnDemand},
	})
	shown.close()
	app.session.Close()
	if err != nil {
		err = fault.New("window-failed", "The window could not be opened.", "Run a command instead (chartkey --help lists them), and look at what the system says on the terminal.").Because(err)
	}
	return errors.Join(err, desk.Close())
}

// window is the window as the session's hooks reach it: from when it opens
// until it closes. Nothing is said to one that is gone.
type window struct {
	ready chan struct{}
	once  sync.Once

	mu     sync.Mutex // protects the two below
	ctx    context.Context
	closed bool
}

func (w *window) open(ctx context.Context) {
	w.mu.Lock()
	w.ctx = ctx
	w.mu.Unlock()
	w.once.Do(func() { close(w.ready) })
}

func (w *window) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.once.Do(func() { close(w.ready) })
}

// while runs do with the window's context, or not where the window is gone.
func (w *window) while(do func(context.Context)) {
	<-w.ready
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		do(w.ctx)
	}
}

func (w *window) emit(name string, data any) {
	w.while(func(ctx context.Context) { wails_runtime.EventsEmit(ctx, name, data) })
}

// saveFile asks where to save. It is not in while: the person may take their time.
func (w *window) saveFile(suggested string) (string, error) {
	<-w.ready
	w.mu.Lock()
	ctx, closed := w.ctx, w.closed
	w.mu.Unlock()
	if closed {
		return "", nil
	}
	return wails_runtime.SaveFileDialog(ctx, wails_runtime.SaveDialogOptions{Title: "Save as", DefaultFilename: suggested})
}

func (w *window) copy(text string) (err error) {
	w.while(func(ctx context.Context) { err = wails_runtime.ClipboardSetText(ctx, text) })
	return err
}
