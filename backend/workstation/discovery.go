package workstation

import (
	"context"
	"encoding/json"
	"errors"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// cachedDiscovery gives what the server last said of itself, however old, or
// nil where it was never asked.
func (w *Workstation) cachedDiscovery(ctx context.Context, base string) (*smart.Configuration, error) {
	row, err := w.store.Discovery(ctx, base)
	if errors.Is(err, store.ErrNoRow) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var cfg smart.Configuration
	if err := json.Unmarshal([]byte(row.Configuration), &cfg); err != nil {
		// A cache that cannot be read is as good as none.
		w.log.Warn("the cached discovery of a server cannot be read", "fhir_base_url", base, "error", err)
		return nil, nil
	}
	return &cfg, nil
}

// discovered gives what every server that was asked said of itself, by FHIR base URL.
func (w *Workstation) discovered(ctx context.Context) (map[string]smart.Configuration, error) {
	rows, err := w.store.AllDiscovery(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]smart.Configuration, len(rows))
	for _, row := range rows {
		var cfg smart.Configuration
		if err := json.Unmarshal([]byte(row.Configuration), &cfg); err == nil {
			out[row.FHIRBaseURL] = cfg
		}
	}
	return out, nil
}

// discover gives the server's configuration from the cache while it is
// fresh, else from the server.
func (w *Workstation) discover(ctx context.Context, base string) (smart.Configuration, error) {
	cached, err := w.cachedDiscovery(ctx, base)
	if err != nil {
		return smart.Configuration{}, err
	}
	if cached != nil && w.now().Before(cached.ExpiresAt) {
		return *cached, nil
	}
	return w.discoverAnew(ctx, base)
}

// checkIssuerIsItsOwn refuses a server that claims the issuer of another one.
// The issuer tells the answers of two servers apart (RFC 9207, mix-up), so it
// must not stand for two token endpoints. Fault: issuer-claimed.
func (w *Workstation) checkIssuerIsItsOwn(ctx context.Context, cfg smart.Configuration) error {
	if cfg.Issuer == "" {
		return nil
	}
	rows, err := w.store.AllDiscovery(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		var other smart.Configuration
		if err := json.Unmarshal([]byte(row.Configuration), &other); err != nil || other.Issuer != cfg.Issuer {
			continue
		}
		if err := (grantOrigin{TokenEndpoint: other.TokenEndpoint}).sameServer(cfg.TokenEndpoint); err != nil {
			return fault.Newf("issuer-claimed", "Remove the registration that you do not trust. If both are right, ask their operators.",
				"%s and %s both say that they are the issuer %s, with different token endpoints.", cfg.FHIRBaseURL, other.FHIRBaseURL, network.Clean(cfg.Issuer, 200)).Because(err)
		}
	}
	return nil
}

// discoverAnew asks the server and keeps the answer.
func (w *Workstation) discoverAnew(ctx context.Context, base string) (smart.Configuration, error) {
	way, err := w.to(ctx, base)
	if err != nil {
		return smart.Configuration{}, err
	}
	cfg, err := way.smart.Discover(ctx, base)
	if err != nil {
		return cfg, err
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return cfg, err
	}
	return cfg, w.store.SaveDiscovery(ctx, store.SaveDiscoveryParams{
		FHIRBaseURL: base, Configuration: string(text), FetchedAt: cfg.FetchedAt.UnixMilli(), ExpiresAt: cfg.ExpiresAt.UnixMilli(),
	})
}
