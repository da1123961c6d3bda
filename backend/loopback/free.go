package loopback

import "context"

// Free gives those of the redirect URIs whose port could be listened on now.
// Ports that this process listens on count as taken: ask before a sign-in, not during one.
func Free(ctx context.Context, redirectURIs []string) []string {
	var free []string
	for _, raw := range redirectURIs {
		t, err := parseTarget(raw)
		if err != nil {
			continue
		}
		listeners, err := bind(ctx, t.port)
		if err != nil {
			continue
		}
		for _, l := range listeners {
			_ = l.Close() // nothing was accepted
		}
		free = append(free, raw)
	}
	return free
}
