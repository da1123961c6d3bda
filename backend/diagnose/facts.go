package diagnose

import (
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Facts is what was seen of one failure. Every member may be left empty; the
// more are given, the better the ranking. No member may hold a code, a token or
// a secret, and none that does is ever shown: free text is only searched.
type Facts struct {
	Stage Stage `json:"stage"`
	// Fault is the failure as the rest of the program tells it.
	Fault        FaultFacts        `json:"fault,omitzero"`
	HTTP         HTTPFacts         `json:"http,omitzero"`
	OAuth        OAuthFacts        `json:"oauth,omitzero"`
	Outcome      []IssueFacts      `json:"outcome,omitempty"`
	Registration RegistrationFacts `json:"registration,omitzero"`
	Discovery    DiscoveryFacts    `json:"discovery,omitzero"`
	Request      RequestFacts      `json:"request,omitzero"`
	Callback     CallbackFacts     `json:"callback,omitzero"`
	Grant        GrantFacts        `json:"grant,omitzero"`
	History      HistoryFacts      `json:"history,omitzero"`
	Clock        ClockFacts        `json:"clock,omitzero"`
	Network      NetworkFacts      `json:"network,omitzero"`
	// Elapsed is how long it took until it failed, or worked.
	Elapsed time.Duration `json:"elapsed,omitempty"`
	// Probes are the results of probes that were run, by probe; see Probe.Results.
	Probes map[ProbeID]string `json:"probes,omitempty"`
	// Pasted is what Recognize has read from a person's text.
	Pasted PastedFacts `json:"pasted,omitzero"`
}

// FaultFacts are those of a fault.Error.
type FaultFacts struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// HTTPFacts are what an answer over HTTP had, apart from OAuth and FHIR.
type HTTPFacts struct {
	// Status is 0 where no answer came.
	Status      int    `json:"status,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	// Host is whom the request went to.
	Host string `json:"host,omitempty"`
	// Body is an excerpt made by Excerpt.
	Body            string        `json:"body,omitempty"`
	WWWAuthenticate string        `json:"www_authenticate,omitempty"`
	RetryAfter      time.Duration `json:"retry_after,omitempty"`
	Server          string        `json:"server,omitempty"`
}

// OAuthFacts are the error of a redirect (RFC 6749 section 4.1.2.1) or of the
// token endpoint (section 5.2).
type OAuthFacts struct {
	Error       string `json:"error,omitempty"`
	Description string `json:"description,omitempty"`
	URI         string `json:"uri,omitempty"`
}

// IssueFacts are an issue of an OperationOutcome.
type IssueFacts struct {
	Severity string `json:"severity,omitempty"`
	// Code is of FHIR's value set issue-type, EpicCode of Epic's own list.
	Code     string `json:"code,omitempty"`
	EpicCode string `json:"epic_code,omitempty"`
	Text     string `json:"text,omitempty"`
}

// RegistrationFacts are what is saved here of the app's registration.
type RegistrationFacts struct {
	EHR         string      `json:"ehr,omitempty"`         // epic | other
	Environment string      `json:"environment,omitempty"` // sandbox | production
	FHIRBaseURL string      `json:"fhir_base_url,omitempty"`
	ClientID    string      `json:"client_id,omitempty"`
	ClientType  string      `json:"client_type,omitempty"` // public | confidential-symmetric | confidential-asymmetric
	Secret      SecretFacts `json:"secret,omitzero"`
	// Key tells that a key to sign with is there; JWKSURL where its public half is
	// published, "" where it was handed over.
	Key          bool     `json:"key,omitempty"`
	JWKSURL      string   `json:"jwks_url,omitempty"`
	Audience     string   `json:"audience,omitempty"` // patient | provider
	RedirectURIs []string `json:"redirect_uris,omitempty"`
}

// SecretFacts are the shape of a client secret, by ShapeOf.
type SecretFacts struct {
	Set bool `json:"set,omitempty"`
	// Space: white space or an invisible character in it.
	Space bool `json:"space,omitempty"`
	// IsClientID: the same as the client ID. LikeClientID: a UUID, as client IDs are.
	IsClientID   bool `json:"is_client_id,omitempty"`
	LikeClientID bool `json:"like_client_id,omitempty"`
	// Encoded: has percent signs followed by two hexadecimal digits.
	Encoded bool `json:"encoded,omitempty"`
	// Special: has characters that a form writes otherwise, so that HTTP Basic
	// with and without encoding differ (RFC 6749 section 2.3.1).
	Special bool `json:"special,omitempty"`
	// Hash: looks like the hash of a secret, or a masked one, in place of itself.
	Hash bool `json:"hash,omitempty"`
	// Quoted: stands in quotation marks.
	Quoted bool `json:"quoted,omitempty"`
	// Short: fewer than 8 characters.
	Short bool `json:"short,omitempty"`
}

// DiscoveryFacts are what the server says of itself.
type DiscoveryFacts struct {
	// Known is false where discovery did not succeed.
	Known bool `json:"known,omitempty"`
	// FromMetadata: read from the CapabilityStatement, as on servers of SMART 1.
	FromMetadata          bool     `json:"from_metadata,omitempty"`
	Issuer                string   `json:"issuer,omitempty"`
	AuthorizationEndpoint string   `json:"authorization_endpoint,omitempty"`
	TokenEndpoint         string   `json:"token_endpoint,omitempty"`
	JWKSURI               string   `json:"jwks_uri,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint,omitempty"`
	Capabilities          []string `json:"capabilities,omitempty"`
	ScopesSupported       []string `json:"scopes_supported,omitempty"`
	GrantTypes            []string `json:"grant_types,omitempty"`
	ChallengeMethods      []string `json:"challenge_methods,omitempty"`
	AuthMethods           []string `json:"auth_methods,omitempty"`
	FHIRVersion           string   `json:"fhir_version,omitempty"`
	// Age is how long ago it was read.
	Age time.Duration `json:"age,omitempty"`
}

// RequestFacts are what was asked for.
type RequestFacts struct {
	Scopes      []string `json:"scopes,omitempty"`
	RedirectURI string   `json:"redirect_uri,omitempty"`
	// Aud is "" where it is the FHIR base URL of the registration.
	Aud string `json:"aud,omitempty"`
	// EHRLaunch tells that the sign-in came from an EHR launch.
	EHRLaunch bool `json:"ehr_launch,omitempty"`
	// Service tells that no person signs in (client_credentials).
	Service bool `json:"service,omitempty"`
	// Resource is the type that a FHIR request was about; Search that it was a search.
	Resource string `json:"resource,omitempty"`
	Search   bool   `json:"search,omitempty"`
	// AuthMethod is how the client authenticated: none, client_secret_basic, …
	AuthMethod string `json:"auth_method,omitempty"`
	// KeyID is of the key that signed the request.
	KeyID string `json:"key_id,omitempty"`
	// SinceCode is how long ago the browser brought the code.
	SinceCode time.Duration `json:"since_code,omitempty"`
}

// CallbackFacts are what the listener saw while a sign-in waited.
type CallbackFacts struct {
	// Refused are the reasons for which it refused requests, in its own words:
	// host, path, method, query-too-long, query-malformed, state-missing,
	// state-repeated, state-unknown, state-used, certificate-refused, not-https;
	// of launches body, too-long, iss-missing-or-repeated,
	// launch-missing-or-repeated, framed, form.
	Refused []string `json:"refused,omitempty"`
	// Launch is why a launch was not gone on with: issuer-unknown,
	// issuer-refused, several-registrations, used-before, too-many.
	Launch string `json:"launch,omitempty"`
}

// GrantFacts are what a token answer gave, apart from the tokens.
type GrantFacts struct {
	// Known is false where there was no such answer.
	Known      bool     `json:"known,omitempty"`
	Scopes     []string `json:"scopes,omitempty"`
	ScopesTold bool     `json:"scopes_told,omitempty"`
	Patient    bool     `json:"patient,omitempty"`
	Refresh    bool     `json:"refresh,omitempty"`
	IDToken    bool     `json:"id_token,omitempty"`
	TokenType  string   `json:"token_type,omitempty"`
	// ExpiresTold tells whether the server said for how long.
	ExpiresTold bool `json:"expires_told,omitempty"`
}

// HistoryFacts are what happened before with this registration.
type HistoryFacts struct {
	// Connected tells that a sign-in has worked; SinceSuccess how long ago anything last did.
	Connected    bool          `json:"connected,omitempty"`
	SinceSuccess time.Duration `json:"since_success,omitempty"`
	// SameValues tells that nothing of the registration was edited since.
	SameValues bool `json:"same_values,omitempty"`
	// Edited are the fields that were, in the names of the registration's JSON.
	Edited []string `json:"edited,omitempty"`
	// Age is that of the registration here, SinceEdit how long ago it was edited.
	// Zero means not known.
	Age       time.Duration `json:"age,omitempty"`
	SinceEdit time.Duration `json:"since_edit,omitempty"`
	// OtherWorks tells that another registration at the same host works.
	OtherWorks bool `json:"other_works,omitempty"`
	// AnswerLost tells that the answer to an earlier refresh never came.
	AnswerLost bool `json:"answer_lost,omitempty"`
	// Failures is how many times in a row it has failed, this one included.
	Failures int `json:"failures,omitempty"`
}

// ClockFacts compare this workstation's clock with the server's Date header.
type ClockFacts struct {
	Known bool `json:"known,omitempty"`
	// Offset is how far the server's clock is ahead.
	Offset time.Duration `json:"offset,omitempty"`
}

// NetworkFacts are how this workstation reaches servers.
type NetworkFacts struct {
	// Proxy is host and port of the proxy in use, or "".
	Proxy             string `json:"proxy,omitempty"`
	ExtraAuthorities  bool   `json:"extra_authorities,omitempty"`
	ClientCertificate bool   `json:"client_certificate,omitempty"`
	// OthersAnswer is "yes" or "no" where other servers were asked at about the same time.
	OthersAnswer string `json:"others_answer,omitempty"`
}

var (
	uuidForm    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	encodedForm = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	hashForm    = regexp.MustCompile(`^(sha256|\$2[aby]\$|\$argon2|\{SSHA|pbkdf2)|^[•*●]+$`)
)

// ShapeOf tells of a client secret what may be told: its shape.
func ShapeOf(secret, clientID string) SecretFacts {
	trimmed := strings.TrimSpace(secret)
	hidden := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
	special := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
	}
	quoted := len(trimmed) > 1 && strings.ContainsRune(`"'`, rune(trimmed[0])) && trimmed[0] == trimmed[len(trimmed)-1]
	return SecretFacts{
		Set:          secret != "",
		Space:        strings.ContainsFunc(secret, hidden),
		IsClientID:   trimmed != "" && strings.EqualFold(trimmed, strings.TrimSpace(clientID)),
		LikeClientID: uuidForm.MatchString(trimmed),
		Encoded:      encodedForm.MatchString(secret),
		Special:      strings.ContainsFunc(trimmed, special),
		Hash:         hashForm.MatchString(trimmed),
		Quoted:       quoted,
		Short:        trimmed != "" && len(trimmed) < 8,
	}
}
