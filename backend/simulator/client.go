package simulator

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"

	"chartkey/backend/scope"
)

// The client types that can be registered.
const (
	Public                = "public"
	ConfidentialSymmetric = "confidential-symmetric"
	// ConfidentialAsymmetric clients prove themselves by a signed JWT.
	ConfidentialAsymmetric = "confidential-asymmetric"
)

// The grant types that a client can be registered for.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	// grantService is a backend service's own.
	grantService = "client_credentials"
)

// grantTypes are all that the token endpoint serves.
var grantTypes = []string{grantCode, grantRefresh, grantService, grantInstance}

// SandboxSecret is the secret of the preset confidential client. It is
// published on purpose: it guards nothing but invented patients.
const SandboxSecret = "sandbox-secret"

// Client is one registered app.
type Client struct {
	ID   string `json:"client_id"`
	Name string `json:"client_name,omitempty"`
	// Type is "public", "confidential-symmetric" or "confidential-asymmetric".
	Type   string `json:"client_type"`
	Secret string `json:"client_secret,omitempty"`
	// RedirectURIs are compared to the letter.
	RedirectURIs []string `json:"redirect_uris"`
	// LaunchURL, where set, is where the app takes EHR launches.
	LaunchURL string `json:"launch_url,omitempty"`
	// Scopes, where set, are all that the client can be granted.
	Scopes string `json:"scopes,omitempty"`
	// JWKS holds the public keys of an asymmetric client; JWKSURI is where it
	// publishes them: https, or http on this computer.
	JWKS    *jose.JSONWebKeySet `json:"jwks,omitempty"`
	JWKSURI string              `json:"jwks_uri,omitempty"`
	// GrantTypes are what the client may use: authorization_code and
	// refresh_token where none is named. A backend service has client_credentials.
	GrantTypes []string `json:"grant_types,omitempty"`

	// standing is what a registered copy of an app may take up with its key.
	standing *grant
}

// may tells whether the client is registered for a grant type.
func (c Client) may(grantType string) bool {
	if len(c.GrantTypes) == 0 {
		return grantType == grantCode || grantType == grantRefresh
	}
	return slices.Contains(c.GrantTypes, grantType)
}

// String leaves the secret out.
func (c Client) String() string { return c.ID + " (" + c.Type + ")" }

func (c Client) clone() Client {
	c.RedirectURIs, c.GrantTypes = slices.Clone(c.RedirectURIs), slices.Clone(c.GrantTypes)
	if c.JWKS != nil {
		c.JWKS = &jose.JSONWebKeySet{Keys: slices.Clone(c.JWKS.Keys)}
	}
	return c
}

// display is the name shown to people.
func (c Client) display() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

// secretIs compares in constant time, and through a hash so that not even the length shows.
func (c Client) secretIs(secret string) bool {
	want, got := sha256.Sum256([]byte(c.Secret)), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// presetRedirects are the callback addresses that Chartkey uses, under both
// names of the loopback host, as servers compare them to the letter.
func presetRedirects() []string {
	var out []string
	for _, port := range []string{"18320", "18321", "18322"} {
		out = append(out, "http://localhost:"+port+"/callback", "http://127.0.0.1:"+port+"/callback")
	}
	return out
}

// presetLaunchURL is where Chartkey listens for EHR launches.
const presetLaunchURL = "http://localhost:18330/launch"

// presetKeySetURL is where Chartkey publishes its public keys while it talks to
// a server on this computer.
const presetKeySetURL = "http://localhost:18331/jwks.json"

// presetClients are registered in every simulator.
func presetClients() []Client {
	return []Client{
		{ID: "chartkey-demo", Name: "Chartkey", Type: Public, RedirectURIs: presetRedirects(), LaunchURL: presetLaunchURL},
		{ID: "chartkey-confidential", Name: "Chartkey (confidential)", Type: ConfidentialSymmetric, Secret: SandboxSecret, RedirectURIs: presetRedirects(), LaunchURL: presetLaunchURL},
		{ID: "chartkey-provider", Name: "Chartkey for clinicians", Type: Public, RedirectURIs: presetRedirects(), LaunchURL: presetLaunchURL},
		// These two have the keys of whoever publishes there: a key that is handed out with the program would prove nothing.
		{ID: "chartkey-asymmetric", Name: "Chartkey (with a key)", Type: ConfidentialAsymmetric, RedirectURIs: presetRedirects(), LaunchURL: presetLaunchURL, JWKSURI: presetKeySetURL},
		{ID: "chartkey-backend", Name: "Chartkey (backend service)", Type: ConfidentialAsymmetric, GrantTypes: []string{grantService}, Scopes: "system/*.rs", JWKSURI: presetKeySetURL},
	}
}

type clientList map[string]Client

func newClientList(added []Client) (clientList, error) {
	list := clientList{}
	for _, c := range presetClients() {
		list[c.ID] = c
	}
	seen := map[string]bool{}
	for i, c := range added {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("client %d: %w", i+1, err)
		}
		if seen[c.ID] {
			return nil, fmt.Errorf("client %d: the client_id %q stands twice", i+1, c.ID)
		}
		seen[c.ID] = true
		list[c.ID] = c.clone()
	}
	return list, nil
}

// clientBook owns the clients of a running server.
type clientBook struct {
	mu      sync.RWMutex // protects the rest
	list    clientList
	dynamic []string // IDs of those that registered themselves, oldest first
}

func newClientBook(added []Client) (*clientBook, error) {
	list, err := newClientList(added)
	return &clientBook{list: list}, err
}

func (b *clientBook) find(id string) (Client, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	c, ok := b.list[id]
	return c, ok
}

func (b *clientBook) sorted() []Client {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.list.sorted()
}

func (l clientList) sorted() []Client {
	out := make([]Client, 0, len(l))
	for _, c := range l {
		out = append(out, c.clone())
	}
	slices.SortFunc(out, func(a, b Client) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// check tells what is wrong with a registration, in words for its author.
func (c Client) check() error {
	if c.ID == "" {
		return errors.New("client_id is missing")
	}
	for _, r := range c.ID {
		if r < 0x20 || r > 0x7e {
			return fmt.Errorf("client_id %q has a character outside printable ASCII (RFC 6749 appendix A.1)", c.ID)
		}
	}
	switch c.Type {
	case Public:
		if c.Secret != "" {
			return fmt.Errorf("%s: a public client has no client_secret; make it %q or leave the secret out", c.ID, ConfidentialSymmetric)
		}
	case ConfidentialSymmetric:
		if c.Secret == "" {
			return fmt.Errorf("%s: a %s client needs a client_secret", c.ID, ConfidentialSymmetric)
		}
	case ConfidentialAsymmetric:
		if c.Secret != "" {
			return fmt.Errorf("%s: a %s client has keys and no client_secret", c.ID, ConfidentialAsymmetric)
		}
		if c.JWKS == nil && c.JWKSURI == "" {
			return fmt.Errorf("%s: a %s client needs jwks or jwks_uri", c.ID, ConfidentialAsymmetric)
		}
	case "":
		return fmt.Errorf("%s: client_type is missing; it is %q, %q or %q", c.ID, Public, ConfidentialSymmetric, ConfidentialAsymmetric)
	default:
		return fmt.Errorf("%s: the client_type %q is not known here; it is %q, %q or %q", c.ID, c.Type, Public, ConfidentialSymmetric, ConfidentialAsymmetric)
	}
	if err := c.checkKeys(); err != nil {
		return fmt.Errorf("%s: %w", c.ID, err)
	}
	for _, g := range c.GrantTypes {
		if g != grantCode && g != grantRefresh && g != grantService {
			return fmt.Errorf("%s: the grant type %q is not served here", c.ID, clip(g, 80))
		}
	}
	if c.may(grantService) && c.Type != ConfidentialAsymmetric {
		return fmt.Errorf("%s: a backend service is a %s client", c.ID, ConfidentialAsymmetric)
	}
	if err := c.checkRedirectURIs(); err != nil {
		return err
	}
	if c.LaunchURL != "" {
		if err := checkLaunchURL(c.LaunchURL); err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
	}
	if _, errs := scope.ParseList(c.Scopes); len(errs) > 0 {
		return fmt.Errorf("%s: %w", c.ID, errors.Join(errs...))
	}
	return nil
}

func (c Client) checkRedirectURIs() error {
	if len(c.RedirectURIs) == 0 && c.may(grantCode) {
		return fmt.Errorf("%s: redirect_uris is empty", c.ID)
	}
	for _, raw := range c.RedirectURIs {
		u, err := url.Parse(raw)
		switch {
		case err != nil || !u.IsAbs():
			return fmt.Errorf("%s: the redirect URI %q is not an absolute URI", c.ID, raw)
		case strings.Contains(raw, "#"):
			return fmt.Errorf("%s: the redirect URI %q has a fragment, which RFC 6749 section 3.1.2 forbids", c.ID, raw)
		case slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about"}, u.Scheme):
			return fmt.Errorf("%s: a redirect URI cannot have the scheme %q", c.ID, u.Scheme)
		case (u.Scheme == "http" || u.Scheme == "https") && u.Host == "":
			return fmt.Errorf("%s: the redirect URI %q names no host", c.ID, raw)
		}
	}
	return nil
}

func (c Client) checkKeys() error {
	if c.Type != ConfidentialAsymmetric && (c.JWKS != nil || c.JWKSURI != "") {
		return fmt.Errorf("a %s client has no keys; make it %q or leave them out", c.Type, ConfidentialAsymmetric)
	}
	if c.JWKS != nil {
		if err := checkKeySet(*c.JWKS); err != nil {
			return err
		}
	}
	if c.JWKSURI != "" {
		return checkKeySetURL(c.JWKSURI)
	}
	return nil
}

// LoadClients reads clients from a JSON file: an array of objects with
// client_id, client_type, client_secret, redirect_uris, and optionally
// client_name, launch_url, scopes, grant_types, and jwks or jwks_uri. It fails where the file cannot be read, has a member
// that is not known, or a client would not be accepted.
func LoadClients(path string) ([]Client, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the clients file cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, maxBody))
	if err != nil {
		return nil, fmt.Errorf("the clients file cannot be read: %w", err)
	}
	clients, err := parseClients(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return clients, nil
}

func parseClients(raw []byte) ([]Client, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var clients []Client
	if err := dec.Decode(&clients); err != nil {
		return nil, fmt.Errorf("it is not a JSON array of clients: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the array of clients")
	}
	if _, err := newClientList(clients); err != nil {
		return nil, err
	}
	return clients, nil
}
