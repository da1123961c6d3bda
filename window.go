//go:build !headless

package main

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"runtime"

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
	"github.com/wailsapp/wails/v2/pkg/options/windows"
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
	app := &App{}
	if err := app.open(ctx, o); err != nil {
		return err
	}
	defer app.close()
	return wails.Run(&options.App{
		Title: "Chartkey", Width: 1120, Height: 760, MinWidth: 880, MinHeight: 600,
		// The window shows when the page is ready, so that nobody sees it empty.
		StartHidden:      true,
		AssetServer:      &assetserver.Options{Assets: page},
		BackgroundColour: &options.RGBA{R: 250, G: 250, B: 249, A: 255},
		Bind:             []any{app},
		LogLevel:         logger.ERROR, LogLevelProduction: logger.ERROR,
		ErrorFormatter: func(err error) any { return session.PageError(err) },
		OnStartup:      app.startup(o),
		OnDomReady:     func(ctx context.Context) { wails_runtime.WindowShow(ctx) },
		Linux:          &linux.Options{ProgramName: "chartkey", WebviewGpuPolicy: linux.WebviewGpuPolicyOnDemand},
		Windows:        &windows.Options{WebviewIsTransparent: false},
	})
}

func (a *App) open(ctx context.Context, o cli.WindowOptions) error {
	desk, err := workstation.Open(ctx, workstation.Options{Home: o.Home, Keyring: vault.NewKeyring(vault.KeyringOptions{}), Passphrase: o.Passphrase, Log: o.Log})
	a.desk = desk
	return err
}

// startup gives the session the window's events, clipboard and browser. That
// SIGINT and SIGTERM close the window is Wails' own doing: closing it twice
// crashes GTK.
func (a *App) startup(o cli.WindowOptions) func(context.Context) {
	return func(ctx context.Context) {
		a.session = session.New(a.desk, session.Hooks{
			Emit:        func(name string, data any) { wails_runtime.EventsEmit(ctx, name, data) },
			OpenBrowser: browser.OpenURL,
			Copy:        func(text string) error { return wails_runtime.ClipboardSetText(ctx, text) },
		}, simulator.DefaultPort)
		if o.Sandbox {
			if _, err := a.session.SandboxRegister(); err != nil {
				wails_runtime.EventsEmit(ctx, "failed", workstation.Fault(err))
			}
		}
	}
}

func (a *App) close() {
	if a.session != nil {
		a.session.Close()
	}
	if err := a.desk.Close(); err != nil {
		println("chartkey:", workstation.Fault(err).Message)
	}
}
