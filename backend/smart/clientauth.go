package smart

import (
	"net/http"
	"net/url"
	"slices"

	"chartkey/backend/fault"
	"chartkey/backend/secret"

	"golang.org/x/oauth2"
)

// ClientType is how the app is registered at the EHR.
type ClientType string

// The client types of SMART App Launch.
const (
	Public                ClientType = "public"
	ConfidentialSymmetric ClientType = "confidential-symmetric"
	// ConfidentialAsymmetric is refused for now, with a fault that says so.
	ConfidentialAsymmetric ClientType = "confidential-asymmetric"
)

// AuthMethod is how the client shows who it is at the token endpoint.
type AuthMethod string

// The methods. RFC 6749 section 2.3.1 has ID and secret form-encoded before
// they are put in a Basic header; some servers want them raw.
const (
	AuthNone     AuthMethod = "none"
	AuthBasic    AuthMethod = "client_secret_basic"
	AuthBasicRaw AuthMethod = "client_secret_basic_raw"
	AuthPost     AuthMethod = "client_secret_post"
)

// ClientAuth is who the client is. Method is what worked before
// (TokenResponse.AuthMethod), or "" where nothing is known.
type ClientAuth struct {
	Type     ClientType
	ClientID string
	Secret   secret.Value
	Method   AuthMethod
}

// methods gives the methods to try, in order; the second only after the first
// was answered with invalid_client. There is a second only where it sends
// something else than the first.
func (a ClientAuth) methods(cfg Configuration) ([]AuthMethod, error) {
	if a.ClientID == "" {
		return nil, fault.New("client-id-missing", "The registration has no client ID.", "Enter the client ID that the EHR shows for the app.")
	}
	switch a.Type {
	case Public:
		return []AuthMethod{AuthNone}, nil
	case ConfidentialSymmetric:
	case ConfidentialAsymmetric:
		return nil, fault.New("client-type-unavailable", "Chartkey cannot yet sign in as a confidential client with a key pair.",
			"Register the app as public, or as confidential with a client secret.")
	default:
		return nil, fault.Newf("client-type-unknown", "Choose public or confidential-symmetric.", "The client type %q is not known.", string(a.Type))
	}
	if a.Secret.IsEmpty() {
		return nil, fault.New("client-secret-missing", "The registration is confidential and has no client secret.",
			"Enter the client secret that the EHR showed when it was made, or register the app as public.")
	}
	listed := cfg.TokenEndpointAuthMethodsSupported
	if slices.Contains(listed, string(AuthPost)) && !slices.Contains(listed, string(AuthBasic)) {
		return []AuthMethod{AuthPost}, nil
	}
	if url.QueryEscape(a.ClientID) == a.ClientID && url.QueryEscape(a.Secret.Reveal()) == a.Secret.Reveal() {
		return []AuthMethod{AuthBasic}, nil
	}
	if a.Method == AuthBasicRaw {
		return []AuthMethod{AuthBasicRaw, AuthBasic}, nil
	}
	return []AuthMethod{AuthBasic, AuthBasicRaw}, nil
}

// oauth gives the method in the terms of x/oauth2, which knows all but the raw one.
func (a ClientAuth) oauth(cfg Configuration, m AuthMethod) *oauth2.Config {
	config := &oauth2.Config{
		ClientID: a.ClientID,
		Endpoint: oauth2.Endpoint{AuthURL: cfg.AuthorizationEndpoint, TokenURL: cfg.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader},
	}
	if m == AuthNone || m == AuthPost {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	if m != AuthNone {
		config.ClientSecret = a.Secret.Reveal()
	}
	return config
}

// sign authenticates a request that this package builds itself.
func (a ClientAuth) sign(req *http.Request, m AuthMethod) {
	switch m {
	case AuthBasic:
		req.SetBasicAuth(url.QueryEscape(a.ClientID), url.QueryEscape(a.Secret.Reveal()))
	case AuthBasicRaw:
		req.SetBasicAuth(a.ClientID, a.Secret.Reveal())
	}
}

// form adds what a method puts in the body.
func (a ClientAuth) form(v url.Values, m AuthMethod) {
	switch m {
	case AuthNone:
		v.Set("client_id", a.ClientID)
	case AuthPost:
		v.Set("client_id", a.ClientID)
		v.Set("client_secret", a.Secret.Reveal())
	}
}
