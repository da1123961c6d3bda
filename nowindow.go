//go:build headless

package main

import (
	"context"

	"chartkey/backend/cli"
	"chartkey/backend/fault"
)

// openWindow says that this build has none.
func openWindow(context.Context, cli.WindowOptions) error {
	return fault.New("no-window", "This build of Chartkey has no window.",
		"Use a command (chartkey --help lists them), or install the desktop build.")
}
