// Package fhir reads a FHIR R4 server: its capabilities, resources, searches
// with their pages, and the OperationOutcome of a failure, and it puts a
// resource into a few lines for a person. It never writes, keeps nothing, and
// never sends the access token to another origin than that of its base URL.
// When to refresh a token is not its business: a refused one comes back as the
// fault "fhir-unauthorized".
package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

const (
	// bodyLimit bounds one answer. Bundles of a thousand entries are a few MiB.
	bodyLimit = 16 << 20
	// readTimeout bounds one request; a context with an earlier deadline wins.
	readTimeout = 45 * time.Second
)

// Client reads one server. It must not be copied.
type Client struct {
	// HTTP carries the requests; nil means a hardened client of its own. Its
	// redirect policy is not used: redirects are followed within the origin only.
	HTTP *http.Client
	// BaseURL is the FHIR base URL, with or without a trailing slash.
	BaseURL string
	// Token gives the access token for each request; nil sends none.
	Token func(context.Context) (string, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	once sync.Once
	own  *http.Client
}

// Resource is one resource as the server sent it.
type Resource struct {
	Type        string
	ID          string
	VersionID   string
	LastUpdated string
	Raw         json.RawMessage
	// Issues are what the server says of the answer, taken from the
	// OperationOutcome entries of a Bundle.
	Issues []Issue
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Client) client() *http.Client {
	c.once.Do(func() {
		h := c.HTTP
		if h == nil {
			h = network.NewClient()
		}
		own := *h
		own.CheckRedirect = network.FollowSameOrigin
		c.own = &own
	})
	return c.own
}

// Get reads what stands at path: relative to the base ("Patient/1",
// "Observation?patient=1"), or an absolute URL below the base, as references
// and fhirUser may be.
func (c *Client) Get(ctx context.Context, path string) (Resource, error) {
	address, err := c.resolve(path)
	if err != nil {
		return Resource{}, err
	}
	return c.get(ctx, address, true)
}

// get fetches an address that was checked. The token is sent where signed.
func (c *Client) get(ctx context.Context, address *url.URL, signed bool) (Resource, error) {
	if !network.MaySend(address) {
		return Resource{}, fault.New("fhir-insecure", "The FHIR base URL is not an https address, so no patient data is read over it.", "Enter the https address of the server.")
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return Resource{}, badPath("it is no address").Because(err)
	}
	req.Header.Set("Accept", "application/fhir+json")
	if signed && c.Token != nil {
		token, err := c.Token(ctx)
		if err != nil {
			return Resource{}, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return Resource{}, network.Fault(err, address.Host)
	}
	defer resp.Body.Close()
	body, err := network.Read(resp.Body, bodyLimit)
	if err != nil {
		return Resource{}, network.Fault(err, address.Host)
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := kind == "" || strings.Contains(kind, "json")
	if resp.StatusCode != http.StatusOK {
		if !isJSON {
			body = nil
		}
		return Resource{}, statusFault(resp, body, c.now())
	}
	return readResource(body, isJSON, kind, address.Host)
}

func readResource(body []byte, isJSON bool, kind, host string) (Resource, error) {
	host = network.Clean(host, 200)
	var head struct {
		ResourceType string `json:"resourceType"`
		ID           string `json:"id"`
		Meta         struct {
			VersionID   string `json:"versionId"`
			LastUpdated string `json:"lastUpdated"`
		} `json:"meta"`
	}
	if !isJSON || json.Unmarshal(body, &head) != nil || head.ResourceType == "" {
		if kind == "" {
			kind = "unknown content"
		}
		return Resource{}, fault.Newf("fhir-bad-answer", "Check the FHIR base URL. A network sign-in page in between is another cause.",
			"%s answered with something else than a FHIR resource in JSON (%s).", host, network.Clean(kind, 60))
	}
	r := Resource{Type: head.ResourceType, ID: head.ID, VersionID: head.Meta.VersionID, LastUpdated: head.Meta.LastUpdated, Raw: body}
	if r.Type == "Bundle" {
		r.Issues = bundleIssues(body)
	}
	return r, nil
}

// base parses BaseURL, without its trailing slashes.
func (c *Client) base() (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(c.BaseURL, "/"))
	if err != nil || !u.IsAbs() || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, fault.New("base-url-not-a-url", "The FHIR base URL is not an address that can be used.", "Correct it in the registration.")
	}
	return u, nil
}

// resolve checks path and gives its address below the base.
func (c *Client) resolve(path string) (*url.URL, error) {
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, badPath("it is empty")
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }) || strings.ContainsAny(path, `\#`) {
		return nil, badPath("it has characters that no FHIR path has")
	}
	way, query, hasQuery := strings.Cut(path, "?")
	if scheme, _, ok := strings.Cut(way, "://"); ok && !strings.Contains(scheme, "/") {
		full, err := url.Parse(way)
		if err != nil {
			return nil, badPath("it is no address")
		}
		rest, below := strings.CutPrefix(full.EscapedPath(), base.EscapedPath()+"/")
		if !network.SameOrigin(full, base) || !below {
			return nil, fault.New("fhir-other-server", "That address is on another server, which the access token must not reach.",
				"Give an address below the FHIR base URL of this registration, or a path like Patient/123.")
		}
		way = rest
	}
	if strings.HasPrefix(way, "/") {
		return nil, badPath("it begins with a slash")
	}
	for _, segment := range strings.Split(way, "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "." || plain == ".." || strings.ContainsAny(plain, `/\ :`) || (plain == "" && way != "") ||
			strings.ContainsFunc(plain, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return nil, badPath("it has a step that no FHIR path has")
		}
	}
	address := *base
	address.Path, address.RawPath = "", ""
	joined := base.EscapedPath() + "/" + way
	if way == "" {
		joined = base.EscapedPath() // a search over all types
	}
	if address.Path, err = url.PathUnescape(joined); err != nil {
		return nil, badPath("it is no address")
	}
	address.RawPath = joined
	if hasQuery {
		address.RawQuery = escapeQuery(query)
	}
	return &address, nil
}

// escapeQuery encodes what may not stand in a query as it is. People write
// the | of a token search and spaces plainly, and some servers refuse them.
func escapeQuery(query string) string {
	var b strings.Builder
	for i := 0; i < len(query); i++ {
		ch := query[i]
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', strings.IndexByte("-._~!$&'()*+,;=:@/?", ch) >= 0:
			b.WriteByte(ch)
		case ch == '%' && i+2 < len(query) && isHex(query[i+1]) && isHex(query[i+2]):
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "%%%02X", ch)
		}
	}
	return b.String()
}

func isHex(ch byte) bool {
	return '0' <= ch && ch <= '9' || 'a' <= ch && ch <= 'f' || 'A' <= ch && ch <= 'F'
}

func badPath(why string) *fault.Error {
	return fault.New("fhir-path-invalid", "That is not a path to read: "+why+".", "Write it relative to the FHIR base URL, like Patient/123 or Observation?patient=123.")
}
