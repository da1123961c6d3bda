package loopback

import (
	"context"
	"net/http"
)

// LaunchHandlerForTest gives what answers launches, without a port.
func LaunchHandlerForTest(launchURL string, handle LaunchHandler) http.Handler {
	t, err := parseTarget(launchURL, nil)
	if err != nil {
		panic(err)
	}
	return &LaunchListener{target: t, handle: handle, ctx: context.Background()}
}
