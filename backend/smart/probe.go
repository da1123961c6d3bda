package smart

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"

	"github.com/go-jose/go-jose/v4"
)

// Statement is one of the two documents in which a server says what it is.
type Statement struct {
	// Source is FromSmartConfiguration or FromCapabilityStatement.
	Source string
	Body   []byte
	// ContentType is the media type in lower case, without parameters.
	ContentType string
	base        string
	answer      answer
}

// Statement asks for one document, once, and judges nothing but that it is a
// JSON object. Discover is what a sign-in uses.
//
// Faults: those of Discover about one document.
func (c *Client) Statement(ctx context.Context, fhirBaseURL, source string) (Statement, error) {
	if problems := CheckBaseURL(fhirBaseURL); len(problems) > 0 {
		return Statement{}, problems[0].Fault()
	}
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	path, accept, limit := "/.well-known/smart-configuration", "application/json", int64(discoveryLimit)
	if source == FromCapabilityStatement {
		path, accept, limit = "/metadata", "application/fhir+json", metadataLimit
	}
	doc, err := c.document(ctx, strings.TrimRight(fhirBaseURL, "/")+path, accept, limit)
	if err != nil {
		return Statement{}, err
	}
	return Statement{
		Source: source, Body: doc.body, ContentType: contentType(doc.header), base: fhirBaseURL, answer: answer{header: doc.header, received: c.now()},
	}, nil
}

// Configuration reads the endpoints, and all else that the document says.
// Faults: discovery-invalid, discovery-incomplete, discovery-endpoint-insecure.
func (s Statement) Configuration() (Configuration, error) {
	if s.Source == FromCapabilityStatement {
		return parseCapabilityStatement(s.base, s.Body)
	}
	return parseSmartConfiguration(s.base, s.Body)
}

// ClockOffset tells how far the server's clock is ahead, to about a second,
// and whether it told.
func (s Statement) ClockOffset() (time.Duration, bool) { return s.answer.clockOffset() }

func contentType(h http.Header) string {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return network.Clean(kind, 60)
}

// Probe is what an endpoint answered to a request that asks for nothing.
type Probe struct {
	Status      int
	ContentType string // without parameters
	// Location is where a redirect leads, made absolute; nil where there is none.
	Location *url.URL
	// Error is the OAuth error (RFC 6749 section 5.2); "" where the answer has none.
	Error string
}

// ProbeToken posts an empty form to the token endpoint: a request without grant
// type, client and secret, which has to be refused and changes nothing. Faults:
// discovery-endpoint-insecure, those of network.Fault.
func (c *Client) ProbeToken(ctx context.Context, endpoint string) (Probe, error) {
	if !maySend(endpoint) {
		return Probe{}, insecure("token endpoint")
	}
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	a, f := c.send(ctx, endpoint, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, nil, nil)
	if f != nil {
		return Probe{}, f
	}
	return Probe{Status: a.status, ContentType: contentType(a.header), Location: location(endpoint, a.header), Error: network.Clean(text(a.raw["error"]), 60)}, nil
}

// ProbeAuthorization asks for the authorization endpoint without a request for
// anything, as a browser would, and follows no redirect. Faults:
// discovery-endpoint-insecure, those of network.Fault.
func (c *Client) ProbeAuthorization(ctx context.Context, endpoint string) (Probe, error) {
	if !maySend(endpoint) {
		return Probe{}, insecure("authorization endpoint")
	}
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return Probe{}, insecure("authorization endpoint")
	}
	req.Header.Set("Accept", "text/html")
	resp, err := c.http(network.NoRedirects).Do(req)
	if err != nil {
		return Probe{}, network.Fault(err, req.URL.Host)
	}
	// What the page says is for people in a browser.
	defer resp.Body.Close()
	return Probe{Status: resp.StatusCode, ContentType: contentType(resp.Header), Location: location(endpoint, resp.Header)}, nil
}

// location resolves the Location of an answer (RFC 9110 section 10.2.2).
func location(endpoint string, h http.Header) *url.URL {
	value := h.Get("Location")
	base, err := url.Parse(endpoint)
	if value == "" || err != nil {
		return nil
	}
	to, err := base.Parse(value)
	if err != nil {
		return nil
	}
	return to
}

// PublishedKeys are the keys at a server's jwks_uri, counted.
type PublishedKeys struct {
	// Usable can verify an id_token here; Others cannot, or are not understood.
	Usable, Others int
	// Private tells that a key is shown with what should be secret of it.
	Private bool
}

// PublishedKeys reads the keys with which a server signs id_tokens (RFC 7517).
// Faults: discovery-endpoint-insecure, keys-unreadable, those of network.Fault.
func (c *Client) PublishedKeys(ctx context.Context, uri string) (PublishedKeys, error) {
	var out PublishedKeys
	if !maySend(uri) {
		return out, insecure("jwks_uri")
	}
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return out, insecure("jwks_uri")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.http(network.FollowSameOrigin).Do(req)
	if err != nil {
		return out, network.Fault(err, req.URL.Host)
	}
	defer resp.Body.Close()
	body, err := network.Read(resp.Body, keysLimit)
	if err != nil {
		return out, network.Fault(err, req.URL.Host)
	}
	unreadable := func(what string) *fault.Error {
		return fault.New("keys-unreadable", what, "Try again later. If it stays so, tell the health system.")
	}
	if resp.StatusCode != http.StatusOK {
		return out, unreadable(fmt.Sprintf("The keys cannot be read: %s answered with HTTP %d.", network.Clean(req.URL.Host, 200), resp.StatusCode))
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || set.Keys == nil {
		return out, unreadable("What stands there is no set of keys (JWKS).").Because(err)
	}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		// Kinds of keys that are not known here are passed over (RFC 7517 section 5).
		if key.UnmarshalJSON(raw) != nil || !key.Valid() {
			out.Others++
			continue
		}
		out.Private = out.Private || !key.IsPublic()
		if signsIDTokens(key) {
			out.Usable++
		} else {
			out.Others++
		}
	}
	return out, nil
}

// signsIDTokens tells whether an id_token that is signed by key can be verified here.
func signsIDTokens(key jose.JSONWebKey) bool {
	if key.Use == "enc" || (key.Algorithm != "" && !slices.Contains(idTokenAlgorithms, key.Algorithm)) {
		return false
	}
	switch public := key.Public().Key.(type) {
	case *rsa.PublicKey:
		return true
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256() || public.Curve == elliptic.P384()
	}
	return false
}
