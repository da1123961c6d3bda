package workstation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// KeySetURL is where the public keys of this workstation are published while
// Chartkey talks to a server on this computer, such as the simulated EHR. No
// other server can reach it.
const KeySetURL = "http://localhost:18331/jwks.json"

// The bounds on a look at what another program publishes at KeySetURL.
const (
	keySetWait  = 2 * time.Second
	keySetLimit = 1 << 20
)

// codeKeysNotPublished: a server of this computer cannot read the keys, because
// the port is another program's.
const codeKeysNotPublished = "keys-not-published"

// publishedKeys publishes the public keys of the data folder, from the first use
// with a server of this computer until the workstation closes.
type publishedKeys struct {
	mu     sync.Mutex // protects those below
	server *loopback.KeySetServer
	closed bool
}

func (p *publishedKeys) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.server == nil {
		return nil
	}
	err := p.server.Close()
	p.server = nil
	return err
}

// readsKeySet tells whether a registration's server is on this computer, and so
// may read the keys where they are published.
func readsKeySet(reg store.Registration) bool {
	return smart.ClientType(reg.ClientType) == smart.ConfidentialAsymmetric && isLocal(reg.FHIRBaseURL)
}

// isLocal tells whether a base URL is one of this computer.
func isLocal(base string) bool {
	u, err := url.Parse(base)
	return err == nil && smart.IsLoopbackHost(u.Hostname())
}

// publishKeys has the keys be readable at KeySetURL: by this process or, where
// it has the port, by another Chartkey of the same data folder. key is the JWK
// that has to be found there. Fault: keys-not-published.
func (w *Workstation) publishKeys(ctx context.Context, key string) error {
	w.published.mu.Lock()
	defer w.published.mu.Unlock()
	if w.published.closed || w.published.server != nil {
		return nil
	}
	server, err := loopback.ServeKeySet(context.WithoutCancel(ctx), w.keySetURL, w.localKeySet)
	if err == nil {
		w.published.server = server
		return nil
	}
	if fault.Code(err) != "port-taken" {
		return err
	}
	there, lookErr := w.publishedElsewhere(ctx)
	if lookErr == nil && slices.Contains(there, key) {
		return nil
	}
	return fault.Newf(codeKeysNotPublished, "End the program that holds the port, or register the public keys at the server by hand (chartkey registration key export).",
		"The EHR cannot read this workstation's public keys at %s, because another program has that port.", w.keySetURL).Because(lookErr)
}

// localKeySet gives the keys of the clients at servers of this computer; those
// of others are nobody's business here. A kid stands in a set once: of two
// different keys the one that signs goes before.
func (w *Workstation) localKeySet(ctx context.Context) ([]byte, error) {
	rows, err := w.store.AllPublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	var public []string
	seen := map[string]bool{}
	for _, row := range rows {
		if isLocal(row.FHIRBaseURL) && !seen[row.Kid] {
			seen[row.Kid] = true
			public = append(public, row.Public)
		}
	}
	return keySet(public)
}

// publishedElsewhere gives the keys that whoever has the port publishes.
func (w *Workstation) publishedElsewhere(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, keySetWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.keySetURL, nil)
	if err != nil {
		return nil, err
	}
	client := network.NewClient()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, network.Fault(err, req.URL.Host)
	}
	defer resp.Body.Close()
	body, err := network.Read(resp.Body, keySetLimit)
	if err != nil {
		return nil, network.Fault(err, req.URL.Host)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %d, and not with keys", resp.StatusCode)
	}
	keys := make([]string, len(set.Keys))
	for i, k := range set.Keys {
		keys[i] = string(bytes.TrimSpace(k))
	}
	return keys, nil
}

// explainRefusal gives the reason of a refusal that lies on this computer: the
// server could not read the key that it was to check.
func (w *Workstation) explainRefusal(ctx context.Context, reg store.Registration, err error) error {
	if fault.Code(err) != smart.CodeClientRefused || !readsKeySet(reg) {
		return err
	}
	row, rowErr := w.store.SigningKey(ctx, reg.ID)
	if rowErr != nil {
		return err
	}
	if why := w.publishKeys(ctx, row.Public); fault.Code(why) == codeKeysNotPublished {
		return fault.From(why).Because(err)
	}
	return err
}

// keyCheck tells whether the EHR can have the key that signs.
func (r *testRun) keyCheck(ctx context.Context) outcome {
	row, err := r.w.signingKey(ctx, r.reg)
	if err != nil {
		return failed(err)
	}
	key, err := publicKeyOf(row)
	if err != nil {
		return failed(err)
	}
	if algs := r.cfg.TokenEndpointAuthSigningAlgValuesSupported; len(algs) > 0 && !slices.Contains(algs, key.Algorithm) {
		return because(Fail, fmt.Sprintf("The server takes no signatures with %s, only %s.", key.Algorithm, network.Clean(fmt.Sprint(algs), 200)),
			"Make a key of the kind that it takes, and have that one sign.")
	}
	signs := fmt.Sprintf("It signs with %s, by the key %s", key.Algorithm, key.ID)
	if !readsKeySet(r.reg) {
		return passed("%s. Its public half has to be registered at the EHR, which only a token request can show.", signs)
	}
	if err := r.w.publishKeys(ctx, row.Public); err != nil {
		f := Fault(err)
		return because(Warning, f.Message, f.Advice)
	}
	return passed("%s, which a server on this computer reads at %s.", signs, r.w.keySetURL)
}
