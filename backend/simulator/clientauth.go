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
		if len(values) > 1 && slices.Contains(append(single, "client_id", "client_secret", "client_assertion", "client_assertion_type"), name) {
			return Client{}, invalidRequest("%s stands more than once", name)
		}
	}
	return s.authenticate(r)
}

// authenticate checks the client by client_secret_basic, client_secret_post or
// private_key_jwt, or takes a public client at its word (RFC 6749 sections 2.3.1 and 3.2.1).
// The answer to every failure is the same invalid_client; the log knows which.
func (s *Server) authenticate(r *http.Request) (Client, *oauthError) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	hasSecret := r.PostForm.Has("client_secret")
	if header := r.Header.Get("Authorization"); header != "" {
		if hasSecret {
			return Client{}, invalidRequest("the client authenticates in two ways at once")
		}
		basicID, basicSecret, ok := s.basic(header)
		if !ok {
			return Client{}, refuse("invalid_client", "the Authorization header is no Basic authentication with form-encoded credentials")
		}
		if id != "" && id != basicID {
			return Client{}, invalidRequest("client_id differs from the client that authenticates")
		}
		id, secret, hasSecret = basicID, basicSecret, true
	}
	assertion := r.PostForm.Get("client_assertion")
	if r.PostForm.Has("client_assertion") || r.PostForm.Has("client_assertion_type") {
		switch {
		case hasSecret:
			return Client{}, invalidRequest("the client authenticates in two ways at once")
		case r.PostForm.Get("client_assertion_type") != assertionType:
			return Client{}, invalidRequest("client_assertion_type must be %s", assertionType)
		}
		issuer, err := assertionIssuer(assertion)
		if err != nil {
			return Client{}, refuse("invalid_client", "%v", err)
		}
		if id != "" && id != issuer {
			return Client{}, invalidRequest("client_id differs from the client that authenticates")
		}
		id = issuer
	}
	identify(r, id)
	client, ok := s.client(id)
	switch {
	case id == "":
		return Client{}, refuse("invalid_client", "no client is named")
	case !ok:
		return Client{}, refuse("invalid_client", "no such client is registered")
	case client.Type == Public && (hasSecret || assertion != ""):
		return Client{}, refuse("invalid_client", "a public client sent a secret or an assertion")
	case client.Type == Public:
		return client, nil
	case client.Type == ConfidentialAsymmetric:
		if assertion == "" {
			return Client{}, refuse("invalid_client", "an asymmetric client sent no client_assertion")
		}
		if err := s.checkAssertion(r.Context(), client, assertion, s.tokenEndpoint(), s.Origin()+r.URL.Path); err != nil {
			return Client{}, refuse("invalid_client", "%s", ascii(err.Error()))
		}
		return client, nil
	case assertion != "":
		return Client{}, refuse("invalid_client", "a client with a secret sent an assertion")
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
