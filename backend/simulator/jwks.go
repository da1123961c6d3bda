package simulator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeySet  = 64 << 10
	maxKeys    = 50
	keySetWait = 5 * time.Second
	// keySetLife is how long a fetched key set is kept where its answer does not say; what it says is kept within the other two.
	keySetLife    = 5 * time.Minute
	minKeySetLife = 10 * time.Second
	maxKeySetLife = time.Hour
	// keySetPause is the least time between two fetches of one set for keys
	// that are not in it, so that nonsense cannot make this server flood another.
	keySetPause = time.Second
)

// checkKeySet tells what SMART has no use for in a client's public keys (SMART
// App Launch 2.2, "Client Authentication: Asymmetric").
func checkKeySet(set jose.JSONWebKeySet) error {
	if len(set.Keys) == 0 {
		return errors.New("the key set holds no key that can be read")
	}
	if len(set.Keys) > maxKeys {
		return fmt.Errorf("the key set holds more than %d keys", maxKeys)
	}
	seen := map[string]bool{}
	for i, k := range set.Keys {
		switch {
		case !k.Valid():
			return fmt.Errorf("key %d of the set is not valid", i+1)
		case !k.IsPublic():
			return fmt.Errorf("key %d of the set is not a public key; a private key must never leave its app", i+1)
		case k.KeyID == "":
			return fmt.Errorf("key %d of the set has no kid", i+1)
		case seen[k.KeyID]:
			return fmt.Errorf("the kid %q stands twice in the set", clip(k.KeyID, 60))
		}
		seen[k.KeyID] = true
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < 2048 {
				return fmt.Errorf("key %d of the set has %d bits; 2048 are the least", i+1, key.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if key.Curve != elliptic.P384() {
				return fmt.Errorf("key %d of the set is on the curve %s; ES384 needs P-384", i+1, key.Curve.Params().Name)
			}
		default:
			return fmt.Errorf("key %d of the set is neither RSA nor EC", i+1)
		}
	}
	return nil
}

// checkKeySetURL keeps to https, and to http on this computer.
func checkKeySetURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("the jwks_uri %q is not an absolute URL", clip(raw, 200))
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return fmt.Errorf("the jwks_uri %q is not https, nor http on this computer", clip(raw, 200))
	}
	return nil
}

// newKeyClient makes the client that fetches key sets. It follows no redirect,
// since the registered address is the one that was agreed, and keeps no connection.
func newKeyClient() *http.Client {
	return &http.Client{
		Timeout:       keySetWait,
		Transport:     &http.Transport{DisableKeepAlives: true, TLSHandshakeTimeout: keySetWait, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// keySets fetches the key sets that clients publish, and keeps them.
type keySets struct {
	client *http.Client
	now    func() time.Time

	mu   sync.Mutex // protects sets
	sets map[string]*fetchedKeys
}

type fetchedKeys struct {
	mu             sync.Mutex // held while fetching, so that one fetch serves all who wait; protects the rest
	set            jose.JSONWebKeySet
	fetched, until time.Time
}

func newKeySets(client *http.Client, now func() time.Time) *keySets {
	return &keySets{client: client, now: now, sets: map[string]*fetchedKeys{}}
}

func (k *keySets) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sets = map[string]*fetchedKeys{}
}

// find gives the key with this kid. A kid that a kept set lacks has the set
// fetched again, as keys rotate.
func (k *keySets) find(ctx context.Context, address, kid string) (jose.JSONWebKey, error) {
	k.mu.Lock()
	entry, ok := k.sets[address]
	if !ok {
		entry = &fetchedKeys{}
		k.sets[address] = entry
	}
	k.mu.Unlock()

	entry.mu.Lock()
	defer entry.mu.Unlock()
	now := k.now()
	if now.Before(entry.until) {
		if key, ok := keyIn(entry.set, kid); ok {
			return key, nil
		}
		if now.Before(entry.fetched.Add(keySetPause)) {
			return jose.JSONWebKey{}, fmt.Errorf("the key set at %s has no key with the kid %q", address, clip(kid, 60))
		}
	}
	set, life, err := k.fetch(ctx, address)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("the key set at %s cannot be used: %w", address, err)
	}
	entry.set, entry.fetched, entry.until = set, now, now.Add(life)
	if key, ok := keyIn(set, kid); ok {
		return key, nil
	}
	return jose.JSONWebKey{}, fmt.Errorf("the key set at %s has no key with the kid %q", address, clip(kid, 60))
}

func keyIn(set jose.JSONWebKeySet, kid string) (jose.JSONWebKey, bool) {
	for _, key := range set.Key(kid) {
		return key, true
	}
	return jose.JSONWebKey{}, false
}

func (k *keySets) fetch(ctx context.Context, address string) (jose.JSONWebKeySet, time.Duration, error) {
	var set jose.JSONWebKeySet
	ctx, cancel := context.WithTimeout(ctx, keySetWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return set, 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return set, 0, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return set, 0, fmt.Errorf("its server answered %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return set, 0, err
	}
	if len(raw) > maxKeySet {
		return set, 0, fmt.Errorf("it has more than %d bytes", maxKeySet)
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return set, 0, errors.New("it is no JSON Web Key Set")
	}
	return set, lifeOf(resp.Header.Get("Cache-Control")), checkKeySet(set)
}

var maxAge = regexp.MustCompile(`(?:^|[\s,])max-age="?(\d{1,9})`)

// lifeOf reads how long an answer may be kept.
func lifeOf(cacheControl string) time.Duration {
	m := maxAge.FindStringSubmatch(cacheControl)
	if m == nil {
		return keySetLife
	}
	seconds, err := strconv.Atoi(m[1])
	if err != nil {
		return keySetLife
	}
	return min(max(time.Duration(seconds)*time.Second, minKeySetLife), maxKeySetLife)
}
