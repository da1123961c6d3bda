package smart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/scope"
)

// Where a Configuration was read.
const (
	FromSmartConfiguration  = "smart-configuration"
	FromCapabilityStatement = "capability-statement"
)

// The lifetime of a discovery document: Cache-Control's max-age within bounds,
// so that neither each click asks again nor a changed endpoint stays hidden
// for more than a day.
const (
	defaultLifetime = time.Hour
	minLifetime     = time.Minute
	maxLifetime     = 24 * time.Hour
)

// oauthURIs is the extension of SMART 1.0 that names the endpoints in a CapabilityStatement.
const oauthURIs = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"

// Configuration is what a server says of itself (SMART App Launch 2.2,
// "Conformance"). Endpoints are absolute, and https or on this machine.
type Configuration struct {
	// FHIRBaseURL is the base that was asked, exactly as given.
	FHIRBaseURL string `json:"fhir_base_url"`
	// Issuer is that of the id_tokens, exactly as the server writes it. It is
	// not the FHIR base, which a SMART launch calls iss.
	Issuer                string `json:"issuer,omitempty"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	JWKSURI               string `json:"jwks_uri,omitempty"`
	RegistrationEndpoint  string `json:"registration_endpoint,omitempty"`
	RevocationEndpoint    string `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint string `json:"introspection_endpoint,omitempty"`
	ManagementEndpoint    string `json:"management_endpoint,omitempty"`

	Capabilities                      []string `json:"capabilities,omitempty"`
	ScopesSupported                   []string `json:"scopes_supported,omitempty"`
	GrantTypesSupported               []string `json:"grant_types_supported,omitempty"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported,omitempty"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	// TokenEndpointAuthSigningAlgValuesSupported are the signatures that the
	// server takes in assertions; none where it does not tell.
	TokenEndpointAuthSigningAlgValuesSupported []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	ResponseTypesSupported                     []string `json:"response_types_supported,omitempty"`
	// AuthorizationResponseIssParameterSupported promises iss on the callback (RFC 9207).
	AuthorizationResponseIssParameterSupported bool `json:"authorization_response_iss_parameter_supported,omitempty"`

	// Source is FromSmartConfiguration or FromCapabilityStatement.
	Source    string    `json:"source"`
	FetchedAt time.Time `json:"fetched_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// Warnings are sentences on what is odd and still usable.
	Warnings []string `json:"warnings,omitempty"`
}

// Has tells whether the server lists a capability.
func (c Configuration) Has(capability string) bool {
	return slices.Contains(c.Capabilities, capability)
}

// ScopeVersion gives the scope grammar to write: version 1 where the server
// lists permission-v1 alone or is known from its CapabilityStatement only.
func (c Configuration) ScopeVersion() scope.Version {
	if c.Source == FromCapabilityStatement || (c.Has("permission-v1") && !c.Has("permission-v2")) {
		return scope.V1
	}
	return scope.V2
}

// Discover reads the server's smart-configuration, or the CapabilityStatement
// where there is none (SMART 1.0). A fault about the first is returned when
// neither helps.
func (c *Client) Discover(ctx context.Context, fhirBaseURL string) (Configuration, error) {
	if problems := CheckBaseURL(fhirBaseURL); len(problems) > 0 {
		return Configuration{}, problems[0].Fault()
	}
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	base := strings.TrimRight(fhirBaseURL, "/")

	doc, err := c.document(ctx, base+"/.well-known/smart-configuration", "application/json", discoveryLimit)
	var cfg Configuration
	if err == nil {
		cfg, err = parseSmartConfiguration(fhirBaseURL, doc.body)
	}
	if err == nil {
		return c.dated(cfg, doc.header), nil
	}
	first := fault.From(err)
	if !triesMetadata(first.Code) {
		return Configuration{}, first
	}
	doc, err = c.document(ctx, base+"/metadata", "application/fhir+json", metadataLimit)
	if err == nil {
		cfg, err = parseCapabilityStatement(fhirBaseURL, doc.body)
	}
	if err != nil {
		second := fault.From(err)
		if second.Code == "discovery-endpoint-insecure" || second.Code == network.CodeCancelled || second.Code == network.CodeTimeout {
			return Configuration{}, second
		}
		return Configuration{}, first
	}
	cfg.Warnings = append([]string{"The server's smart-configuration could not be used, so its CapabilityStatement was read instead: " + first.Message}, cfg.Warnings...)
	return c.dated(cfg, doc.header), nil
}

// triesMetadata tells whether a fault of the smart-configuration leaves hope
// for the CapabilityStatement. A server that is down or cannot be reached, and
// one that names unsafe endpoints, do not.
func triesMetadata(code string) bool {
	switch code {
	case "discovery-not-found", "discovery-not-allowed", "discovery-failed", "discovery-not-json", "discovery-invalid",
		"discovery-incomplete", network.CodeTooLarge, network.CodeRedirect:
		return true
	}
	return false
}

type document struct {
	body   []byte
	header http.Header
}

// document fetches a JSON document and checks that it is one.
func (c *Client) document(ctx context.Context, address, accept string, limit int64) (document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return document{}, fault.New("base-url-not-a-url", "The FHIR base URL is not an address that can be used.", "Check it for missing or wrong characters.").Because(err)
	}
	req.Header.Set("Accept", accept)
	host := req.URL.Host
	resp, err := c.http(network.FollowSameOrigin).Do(req)
	if err != nil {
		return document{}, network.Fault(err, host)
	}
	defer resp.Body.Close()
	if f := discoveryStatus(resp, c.now()); f != nil {
		return document{}, f
	}
	body, err := network.Read(resp.Body, limit)
	if err != nil {
		return document{}, network.Fault(err, host)
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	// Epic's own site answers unknown paths with 200 and a page, so the status says little.
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.Contains(kind, "html") || bytes.HasPrefix(body, []byte("<")) {
		return document{}, fault.Newf("discovery-not-json", "Check the path of the FHIR base URL, letter by letter and in case. A network sign-in page in between is another cause.",
			"%s answered with a web page where its SMART configuration should be.", network.Clean(host, 200)).Because(fmt.Errorf("content type %q", kind))
	}
	if !json.Valid(body) || !bytes.HasPrefix(body, []byte("{")) {
		return document{}, fault.Newf("discovery-invalid", "Check the FHIR base URL. If it is right, tell the health system that its discovery document is broken.",
			"%s answered with a discovery document that is not valid JSON.", network.Clean(host, 200))
	}
	return document{body, resp.Header}, nil
}

// discoveryStatus maps a status other than 200 to its fault.
func discoveryStatus(resp *http.Response, now time.Time) *fault.Error {
	host := network.Clean(resp.Request.URL.Host, 200)
	switch s := resp.StatusCode; {
	case s == http.StatusOK:
		return nil
	case s == http.StatusNotFound, s == http.StatusGone:
		return fault.Newf("discovery-not-found", "Check the path of the FHIR base URL, letter by letter and in case. At Epic it ends in /api/FHIR/R4.",
			"%s has no SMART configuration at this FHIR base URL.", host)
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return fault.Newf("discovery-not-allowed", "Check the address, and whether this workstation must be on the health system's network.",
			"%s does not let Chartkey read its SMART configuration (HTTP %d).", host, s)
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable, s == http.StatusBadGateway, s == http.StatusGatewayTimeout:
		return fault.Newf("server-unavailable", "Try again later.", "%s is busy or down for now (HTTP %d%s).", host, s, waitText(resp.Header, now)).CanRetry()
	default:
		f := fault.Newf("discovery-failed", "Check the FHIR base URL, and try again later.", "%s answered with HTTP %d where its SMART configuration should be.", host, s)
		if s >= http.StatusInternalServerError {
			return f.CanRetry()
		}
		return f
	}
}

// waitText says for how long a server asks to wait.
func waitText(h http.Header, now time.Time) string {
	if d := network.RetryAfter(h, now); d > 0 {
		return fmt.Sprintf("; it asks to wait %s", d)
	}
	return ""
}

func (c *Client) dated(cfg Configuration, h http.Header) Configuration {
	cfg.FetchedAt = c.now()
	cfg.ExpiresAt = cfg.FetchedAt.Add(lifetime(h))
	return cfg
}

func lifetime(h http.Header) time.Duration {
	for _, d := range strings.Split(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minLifetime
		case "max-age":
			n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if err == nil {
				return min(max(time.Duration(n)*time.Second, minLifetime), maxLifetime)
			}
		}
	}
	return defaultLifetime
}

// parseSmartConfiguration reads the document of SMART App Launch 2.2. Members
// of an unexpected type count as missing.
func parseSmartConfiguration(base string, body []byte) (Configuration, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return Configuration{}, fault.New("discovery-invalid", "The server's discovery document is not a JSON object.", "Check the FHIR base URL.").Because(err)
	}
	cfg := Configuration{FHIRBaseURL: base, Source: FromSmartConfiguration}
	e := endpoints{base: base}
	if authorization := text(raw["authorization_endpoint"]); authorization != "" || hasSignIn(texts(raw["capabilities"])) {
		cfg.AuthorizationEndpoint = e.required("authorization_endpoint", authorization)
	}
	cfg.TokenEndpoint = e.required("token_endpoint", text(raw["token_endpoint"]))
	if e.fault != nil {
		return Configuration{}, e.fault
	}
	cfg.JWKSURI = e.optional("jwks_uri", text(raw["jwks_uri"]))
	cfg.RegistrationEndpoint = e.optional("registration_endpoint", text(raw["registration_endpoint"]))
	cfg.RevocationEndpoint = e.optional("revocation_endpoint", text(raw["revocation_endpoint"]))
	cfg.IntrospectionEndpoint = e.optional("introspection_endpoint", text(raw["introspection_endpoint"]))
	cfg.ManagementEndpoint = e.optional("management_endpoint", text(raw["management_endpoint"]))
	cfg.Issuer = text(raw["issuer"])
	cfg.Capabilities = texts(raw["capabilities"])
	cfg.ScopesSupported = texts(raw["scopes_supported"])
	cfg.GrantTypesSupported = texts(raw["grant_types_supported"])
	cfg.CodeChallengeMethodsSupported = texts(raw["code_challenge_methods_supported"])
	cfg.TokenEndpointAuthMethodsSupported = texts(raw["token_endpoint_auth_methods_supported"])
	cfg.TokenEndpointAuthSigningAlgValuesSupported = texts(raw["token_endpoint_auth_signing_alg_values_supported"])
	cfg.ResponseTypesSupported = texts(raw["response_types_supported"])
	cfg.AuthorizationResponseIssParameterSupported = flag(raw["authorization_response_iss_parameter_supported"])

	warn := func(sentence string) { e.warnings = append(e.warnings, sentence) }
	if !slices.Contains(cfg.CodeChallengeMethodsSupported, "S256") {
		warn("The server does not say that it supports PKCE with S256; Chartkey uses it anyway.")
	}
	if slices.Contains(cfg.CodeChallengeMethodsSupported, "plain") {
		warn("The server also accepts the weak PKCE method plain; Chartkey never uses it.")
	}
	if len(cfg.Capabilities) == 0 {
		warn("The server lists no capabilities.")
	}
	if cfg.Has("sso-openid-connect") && (cfg.Issuer == "" || cfg.JWKSURI == "") {
		warn("The server offers OpenID Connect without naming its issuer and keys, so who signed in cannot be verified.")
	}
	if u, err := url.Parse(cfg.Issuer); cfg.Issuer != "" && (err != nil || !network.MaySend(u)) {
		warn("The server's issuer is not an https address.")
	}
	cfg.Warnings = e.warnings
	return cfg, nil
}

// hasSignIn tells whether a server has a sign-in, and must so name its
// authorization endpoint (SMART App Launch 2.2, "Conformance"): one that is for
// backend services alone lists no launch. One that lists nothing is taken to have one.
func hasSignIn(capabilities []string) bool {
	return len(capabilities) == 0 || slices.ContainsFunc(capabilities, func(c string) bool { return strings.HasPrefix(c, "launch-") })
}

// parseCapabilityStatement reads the endpoints from the oauth-uris extension.
func parseCapabilityStatement(base string, body []byte) (Configuration, error) {
	type extension struct {
		URL       string      `json:"url"`
		ValueURI  string      `json:"valueUri"`
		Extension []extension `json:"extension"`
	}
	var statement struct {
		ResourceType string `json:"resourceType"`
		FHIRVersion  string `json:"fhirVersion"`
		Rest         []struct {
			Mode     string `json:"mode"`
			Security struct {
				Extension []extension `json:"extension"`
			} `json:"security"`
		} `json:"rest"`
	}
	if err := json.Unmarshal(body, &statement); err != nil || (statement.ResourceType != "CapabilityStatement" && statement.ResourceType != "Conformance") {
		return Configuration{}, fault.New("discovery-invalid", "What the server shows at /metadata is no CapabilityStatement.", "Check the FHIR base URL.").Because(err)
	}
	uris := map[string]string{}
	for _, rest := range statement.Rest {
		if rest.Mode != "" && rest.Mode != "server" {
			continue
		}
		for _, outer := range rest.Security.Extension {
			if outer.URL != oauthURIs {
				continue
			}
			for _, inner := range outer.Extension {
				if uris[inner.URL] == "" {
					uris[inner.URL] = inner.ValueURI
				}
			}
		}
	}
	cfg := Configuration{FHIRBaseURL: base, Source: FromCapabilityStatement}
	e := endpoints{base: base}
	cfg.AuthorizationEndpoint = e.required("authorize", uris["authorize"])
	cfg.TokenEndpoint = e.required("token", uris["token"])
	if e.fault != nil {
		return Configuration{}, e.fault
	}
	cfg.RegistrationEndpoint = e.optional("register", uris["register"])
	cfg.ManagementEndpoint = e.optional("manage", uris["manage"])
	cfg.IntrospectionEndpoint = e.optional("introspect", uris["introspect"])
	cfg.RevocationEndpoint = e.optional("revoke", uris["revoke"])
	if v := statement.FHIRVersion; v != "" && !strings.HasPrefix(v, "4.") {
		e.warnings = append(e.warnings, "The server speaks FHIR "+network.Clean(v, 20)+", and Chartkey reads R4 (4.0.1).")
	}
	cfg.Warnings = e.warnings
	return cfg, nil
}

// endpoints resolves and checks the endpoints of one document.
type endpoints struct {
	base     string
	warnings []string
	fault    *fault.Error
}

func (e *endpoints) required(name, value string) string {
	if e.fault != nil {
		return ""
	}
	if value == "" {
		e.fault = fault.Newf("discovery-incomplete", "Check that the FHIR base URL is that of an R4 server with SMART App Launch. If it is, tell the health system what is missing.",
			"The server's discovery document names no %s.", name)
		return ""
	}
	resolved, err := resolveEndpoint(e.base, value)
	if err != nil {
		e.fault = fault.Newf("discovery-endpoint-insecure", "Do not go on. Tell the health system that its discovery document is wrong, or check that the FHIR base URL is really theirs.",
			"The server's %s cannot be used safely: %v.", name, err)
	}
	return resolved
}

func (e *endpoints) optional(name, value string) string {
	if value == "" {
		return ""
	}
	resolved, err := resolveEndpoint(e.base, value)
	if err != nil {
		e.warnings = append(e.warnings, fmt.Sprintf("The server's %s is left out: %v.", name, err))
		return ""
	}
	return resolved
}

// resolveEndpoint gives the absolute form of an endpoint. A relative one is
// resolved against the base as a folder (SMART conformance). Plain http is
// accepted only where both base and endpoint are on this machine.
func resolveEndpoint(base, value string) (string, error) {
	if _, bad := hiddenCharacter(value); bad {
		return "", errors.New("it has characters that no address may have")
	}
	b, err := url.Parse(strings.TrimRight(base, "/") + "/")
	if err != nil {
		return "", errors.New("the FHIR base URL is no address")
	}
	ref, err := url.Parse(value)
	if err != nil {
		return "", errors.New("it is no address")
	}
	u := b.ResolveReference(ref)
	switch {
	case u.User != nil:
		return "", errors.New("it has a user name or password before the host")
	case strings.Contains(value, "#"):
		return "", errors.New("it has a part after #") // RFC 6749 section 3.1
	case !network.MaySend(u):
		return "", errors.New("it is not an https address")
	case u.Scheme == "http" && !IsLoopbackHost(b.Hostname()):
		return "", errors.New("it points to this workstation")
	}
	if ref.IsAbs() {
		return value, nil // to the letter
	}
	return u.String(), nil
}

// text reads a JSON string, and gives "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

// texts reads a list of strings; a single string stands for a list of one.
func texts(raw json.RawMessage) []string {
	if s := text(raw); s != "" {
		return strings.Fields(s)
	}
	var parts []json.RawMessage
	_ = json.Unmarshal(raw, &parts)
	var out []string
	for _, p := range parts {
		if s := text(p); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// flag reads a boolean, also one written as a string.
func flag(raw json.RawMessage) bool {
	b := optionalFlag(raw)
	return b != nil && *b
}

func optionalFlag(raw json.RawMessage) *bool {
	var b bool
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if json.Unmarshal(raw, &b) == nil {
		return &b
	}
	if b, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(text(raw)))); err == nil {
		return &b
	}
	return nil
}
