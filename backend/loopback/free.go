package loopback

import "context"

// Free gives those of the redirect URIs that a sign-in could come back to
// now: their port is ours already, or nobody's.
func (r *Receiver) Free(ctx context.Context, redirectURIs []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var free []string
	for _, raw := range redirectURIs {
		t, err := parseTarget(raw, r.Certificates)
		if err != nil {
			continue
		}
		if p := r.ports[t.port]; p != nil && p.secure != t.secure {
			continue
		} else if p == nil {
			listeners, err := r.bind(ctx, t.port)
			if err != nil {
				continue
			}
			for _, l := range listeners {
				_ = l.Close() // nothing was accepted
			}
		}
		free = append(free, raw)
	}
	return free
}
