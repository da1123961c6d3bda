//go:build !linux && !windows

package network

import (
	"context"
	"net/url"
)

// systemSource names the settings for people.
const systemSource = "the system's settings"

func systemAsker() func(context.Context, *url.URL) ([]string, error) {
	return func(context.Context, *url.URL) ([]string, error) { return nil, errNoSystemProxy }
}
