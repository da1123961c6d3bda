package simulator

import (
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// clientForm reads the form of a token or revocation request and finds out
// which client sent it. single are the parameters that may stand once only.
func (s *Server) clientForm(r *http.Request, single ...string) (Client, *oauthError) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return Client{}, invalidRequest("the request must be a form (application/x-www-form-urlencoded)")
	}
	if err := r.ParseForm(); err != nil {
		return Client{}, invalidRequest("the form cannot be read")
	}
	if r.URL.RawQuery != "" {
		return Client{}, invalidRequest("parameters belong in the body, not in the query")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && slices.Contains(append(single, "client_id", "client_secret"), name) {
			return Client{}, invalidRequest("%s stands more than once", name)
		}
	}
	return s.authenticate(r)
}

// authenticate checks the client by client_secret_basic or client_secret_post,
// or takes a public client at its word (RFC 6749 sections 2.3.1 and 3.2.1).
// The answer to every failure is the same invalid_client; the log knows which.
func (s *Server) authenticate(r *http.Request) (Client, *oauthError) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	hasSecret := r.PostForm.Has("client_secret")
	if header := r.Header.Get("Authorization"); header != "" {
		if hasSecret {
			return Client{}, invalidRequest("the client authenticates in two ways at once")
		}
		basicID, basicSecret, ok := basicCredentials(header)
		if !ok {
			return Client{}, refuse("invalid_client", "the Authorization header is no Basic authentication with form-encoded credentials")
		}
		if id != "" && id != basicID {
			return Client{}, invalidRequest("client_id differs from the client that authenticates")
		}
		id, secret, hasSecret = basicID, basicSecret, true
	}
	identify(r, id)
	client, ok := s.client(id)
	switch {
	case id == "":
		return Client{}, refuse("invalid_client", "no client is named")
	case !ok:
		return Client{}, refuse("invalid_client", "no such client is registered")
	case client.Type == Public && hasSecret:
		return Client{}, refuse("invalid_client", "a public client sent a secret")
	case client.Type == Public:
		return client, nil
	case !hasSecret:
		return Client{}, refuse("invalid_client", "a confidential client did not authenticate")
	case !client.secretIs(secret):
		return Client{}, refuse("invalid_client", "the client secret is wrong")
	}
	return client, nil
}

// basicCredentials reads RFC 6749's Basic: ID and secret are form-encoded
// before they are joined, which plain HTTP Basic does not do.
func basicCredentials(header string) (id, secret string, ok bool) {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	id, err = url.QueryUnescape(id)
	if err != nil {
		return "", "", false
	}
	secret, err = url.QueryUnescape(secret)
	return id, secret, err == nil
}
