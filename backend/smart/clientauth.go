package smart

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
)

// ClientType is how the app is registered at the EHR.
type ClientType string

// The client types of SMART App Launch.
const (
	Public                 ClientType = "public"
	ConfidentialSymmetric  ClientType = "confidential-symmetric"
	ConfidentialAsymmetric ClientType = "confidential-asymmetric"
)

// AuthMethod is how the client shows who it is at the token endpoint.
type AuthMethod string

// The methods. RFC 6749 section 2.3.1 has ID and secret form-encoded before
// they are put in a Basic header; some servers want them raw.
const (
	AuthNone          AuthMethod = "none"
	AuthBasic         AuthMethod = "client_secret_basic"
	AuthBasicRaw      AuthMethod = "client_secret_basic_raw"
	AuthPost          AuthMethod = "client_secret_post"
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"
)

// ClientAuth is who the client is. Method is what worked before
// (TokenResponse.AuthMethod), or "" where nothing is known.
type ClientAuth struct {
	Type     ClientType
	ClientID string
	// Secret is that of a confidential-symmetric client.
	Secret secret.Value
	Method AuthMethod
	// Key signs for a confidential-asymmetric client, and for a registered copy
	// of an app. Of several keys the caller gives the one to use.
	Key ClientKey
	// JWKSURL, where set, is named in each assertion (jku). It must be the one
	// that is registered, to the letter.
	JWKSURL string
	// ClockOffset is how far the server's clock is ahead of this workstation's
	// (TokenResponse.ServerClockOffset): assertions are dated by the server's.
	ClockOffset time.Duration
}

// methods gives the methods to try, in order; the second only after the first
// was answered with invalid_client. There is a second only where it sends
// something else than the first.
func (a ClientAuth) methods(cfg Configuration) ([]AuthMethod, *fault.Error) {
	if a.ClientID == "" {
		return nil, fault.New("client-id-missing", "The registration has no client ID.", "Enter the client ID that the EHR shows for the app.")
	}
	switch a.Type {
	case Public:
		return []AuthMethod{AuthNone}, nil
	case ConfidentialSymmetric:
	case ConfidentialAsymmetric:
		return []AuthMethod{AuthPrivateKeyJWT}, a.checkKey()
	default:
		return nil, fault.Newf("client-type-unknown", "Choose public, confidential-symmetric or confidential-asymmetric.", "The client type %q is not known.", string(a.Type))
	}
	if a.Secret.IsEmpty() {
		return nil, fault.New("client-secret-missing", "The registration is confidential and has no client secret.",
			"Enter the client secret that the EHR showed when it was made, or register the app as public.")
	}
	listed := cfg.TokenEndpointAuthMethodsSupported
	if slices.Contains(listed, string(AuthPost)) && !slices.Contains(listed, string(AuthBasic)) {
		return []AuthMethod{AuthPost}, nil
	}
	if a.Method == AuthPost { // the server may have registered the client for it
		return []AuthMethod{AuthPost, AuthBasic}, nil
	}
	if url.QueryEscape(a.ClientID) == a.ClientID && url.QueryEscape(a.Secret.Reveal()) == a.Secret.Reveal() {
		return []AuthMethod{AuthBasic}, nil
	}
	if a.Method == AuthBasicRaw {
		return []AuthMethod{AuthBasicRaw, AuthBasic}, nil
	}
	return []AuthMethod{AuthBasic, AuthBasicRaw}, nil
}

// checkKey tells whether an asymmetric client can sign.
func (a ClientAuth) checkKey() *fault.Error {
	if a.Key.IsZero() {
		return noKey()
	}
	if u, err := url.Parse(a.JWKSURL); a.JWKSURL != "" && (err != nil || !network.MaySend(u)) {
		return fault.New("client-jwks-url", "The JWKS URL of the registration is not an https address.", "Enter it as it is registered at the EHR, or leave it out.")
	}
	return nil
}

// sign puts into a form and its header what a method shows, and gives the
// assertion where there is one: it must not be quoted.
func (c *Client) sign(a ClientAuth, m AuthMethod, audience string, form url.Values, header http.Header) (secret.Value, *fault.Error) {
	switch m {
	case AuthNone:
		form.Set("client_id", a.ClientID)
	case AuthPost:
		form.Set("client_id", a.ClientID)
		form.Set("client_secret", a.Secret.Reveal())
	case AuthBasic:
		basic(header, url.QueryEscape(a.ClientID), url.QueryEscape(a.Secret.Reveal()))
	case AuthBasicRaw:
		basic(header, a.ClientID, a.Secret.Reveal())
	case AuthPrivateKeyJWT:
		// No client_id: the assertion says it (SMART App Launch 2.2).
		assertion, f := c.assertion(a, audience)
		if f != nil {
			return secret.Value{}, f
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion.Reveal())
		return assertion, nil
	}
	return secret.Value{}, nil
}

func basic(header http.Header, id, password string) {
	r := http.Request{Header: header}
	r.SetBasicAuth(id, password)
}
