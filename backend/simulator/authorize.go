package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"chartkey/backend/scope"
)

// authorizationRequest is a request that passed every check.
type authorizationRequest struct {
	client      Client
	redirectURI string
	state       string
	nonce       string
	challenge   string
	// scopes are those that may be granted.
	scopes scope.Set
	// context is that of the EHR launch which the app showed, and launched who and what was launched.
	context  launchContext
	launched launch
}

// oauthError is an error of RFC 6749, sections 4.1.2.1 and 5.2.
type oauthError struct {
	code        string
	description string
}

func refuse(code, format string, args ...any) *oauthError {
	return &oauthError{code: code, description: fmt.Sprintf(format, args...)}
}

func invalidRequest(format string, args ...any) *oauthError {
	return refuse("invalid_request", format, args...)
}

func invalidGrant(format string, args ...any) *oauthError {
	return refuse("invalid_grant", format, args...)
}

// authorize takes an authorization request by GET or by form POST (SMART App
// Launch 2.2, "Obtain authorization code") and sends the browser to the sign-in page.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			s.errorPage(w, r, http.StatusBadRequest, "The sign-in request cannot be read", "The form that the app sent is malformed.")
			return
		}
		query, err = r.PostForm, nil
		if len(r.PostForm.Encode()) > maxQuery {
			s.errorPage(w, r, http.StatusBadRequest, "The sign-in request cannot be read", "The form that the app sent is too long.")
			return
		}
	}
	if err != nil {
		s.errorPage(w, r, http.StatusBadRequest, "The sign-in request cannot be read", "The address that the app opened is malformed.")
		return
	}

	// Until client and redirect URI are known good, nothing is sent anywhere (RFC 6749 section 4.1.2.1).
	client, oerr := s.redirectTarget(query)
	identify(r, query.Get("client_id"))
	if oerr != nil {
		s.refuseApp(w, r, query, oerr.description)
		return
	}
	target := authorizationRequest{client: client, redirectURI: query.Get("redirect_uri"), state: query.Get("state")}
	req, dropped, oerr := s.checkAuthorization(target, query)
	if oerr != nil && s.trait(traitErrorPage) {
		s.refuseApp(w, r, query, oerr.code+": "+oerr.description)
		return
	}
	if oerr != nil {
		judge(r, "sent back with %s: %s", oerr.code, oerr.description)
		s.sendBack(w, r, target, url.Values{"error": {oerr.code}, "error_description": {oerr.description}})
		return
	}

	verdict := "well-formed"
	if req.context.ehr {
		verdict = "well-formed, from an EHR launch by " + req.launched.account.Username
	}
	if len(dropped) > 0 {
		verdict += ". Not on offer here, so left out: " + strings.Join(dropped, ", ")
	}
	ses := s.seated(session{request: req})
	if due := s.due(ses); query.Get("prompt") == "none" && due != stepDone {
		oerr := refuse(map[string]string{stepSignIn: "login_required", stepConsent: "consent_required"}[due], "the person must be asked")
		if oerr.code == "" {
			oerr.code = "interaction_required"
		}
		judge(r, "sent back with %s, as the %s page is due", oerr.code, due)
		s.sendBack(w, r, target, url.Values{"error": {oerr.code}, "error_description": {oerr.description}})
		return
	}
	ses = s.ledger.begin(ses, s.browserOf(w, r), s.Settings().SignInLife)
	judge(r, "%s", verdict)
	s.advance(w, r, ses, verdict)
}

// redirectTarget finds the client and checks its redirect URI.
func (s *Server) redirectTarget(query url.Values) (Client, *oauthError) {
	for _, name := range []string{"client_id", "redirect_uri"} {
		switch len(query[name]) {
		case 0:
			return Client{}, invalidRequest("The request has no %s.", name)
		case 1:
		default:
			return Client{}, invalidRequest("The request has %s more than once.", name)
		}
	}
	client, ok := s.client(query.Get("client_id"))
	if !ok {
		return Client{}, invalidRequest("No app is registered here with the client ID %q.", clip(query.Get("client_id"), 100))
	}
	if uri := query.Get("redirect_uri"); !s.redirectRegistered(client, uri) {
		return Client{}, invalidRequest("The redirect URI %q is not one that is registered for %s. It must match to the letter%s.", clip(uri, 300), client.ID, redirectMiss(uri, client.RedirectURIs))
	}
	return client, nil
}

// challengeForm is an S256 challenge: 32 bytes in base64url without padding (RFC 7636 section 4.2).
var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// checkAuthorization checks all that is answered by a redirect. dropped are the
// scopes that the server does not offer.
func (s *Server) checkAuthorization(req authorizationRequest, query url.Values) (authorizationRequest, []string, *oauthError) {
	fail := func(oerr *oauthError) (authorizationRequest, []string, *oauthError) { return req, nil, oerr }
	for name, values := range query {
		if len(values) > 1 && slices.Contains([]string{"response_type", "scope", "state", "aud", "launch", "nonce", "code_challenge", "code_challenge_method", "response_mode", "prompt", "request", "request_uri"}, name) {
			return fail(invalidRequest("%s stands more than once", name))
		}
	}
	if !req.client.may(grantCode) {
		return fail(refuse("unauthorized_client", "the client is not registered for sign-ins"))
	}
	switch query.Get("response_type") {
	case "code":
	case "":
		return fail(invalidRequest("response_type is missing"))
	default:
		return fail(refuse("unsupported_response_type", "response_type must be code"))
	}
	switch {
	case query.Has("request"):
		return fail(refuse("request_not_supported", "request objects are not supported"))
	case query.Has("request_uri"):
		return fail(refuse("request_uri_not_supported", "request objects are not supported"))
	case query.Get("response_mode") != "" && query.Get("response_mode") != "query":
		return fail(invalidRequest("response_mode must be query"))
	case req.state == "":
		return fail(invalidRequest("state is missing; SMART App Launch requires it"))
	}
	switch aud := query.Get("aud"); {
	case aud == "":
		return fail(invalidRequest("aud is missing; it must be the FHIR base URL %s", s.FHIRBaseURL()))
	case strings.TrimSuffix(aud, "/") != s.FHIRBaseURL():
		return fail(invalidRequest("aud is not this server's FHIR base URL %s", s.FHIRBaseURL()))
	}
	switch query.Get("code_challenge_method") {
	case "S256":
	case "", "plain":
		// An absent method means plain (RFC 7636 section 4.3).
		if query.Get("code_challenge") == "" {
			return fail(invalidRequest("code_challenge is missing; PKCE with S256 is required"))
		}
		return fail(invalidRequest("code_challenge_method must be S256; plain is refused"))
	default:
		return fail(invalidRequest("code_challenge_method must be S256"))
	}
	if req.challenge = query.Get("code_challenge"); !challengeForm.MatchString(req.challenge) {
		return fail(invalidRequest("code_challenge is not 43 characters of base64url"))
	}
	req.nonce = query.Get("nonce")
	scopes, dropped, oerr := s.offered(req.client, query.Get("scope"), "patient", "user")
	if oerr != nil {
		return fail(oerr)
	}
	req.scopes = scopes
	switch launched := query.Get("launch"); {
	case launched == "" && scopes.Has("launch"):
		return fail(invalidRequest("the scope launch needs the launch parameter of an EHR launch; a standalone app asks for launch/patient"))
	case launched != "" && !scopes.Has("launch"):
		return fail(invalidRequest("the launch parameter needs the scope launch"))
	case launched != "":
		// Last of all, as it spends the launch.
		if req.launched, oerr = s.launches.take(launched, req.client.ID); oerr != nil {
			return fail(oerr)
		}
		req.context = s.contextOf(req.launched.request)
	}
	return req, dropped, nil
}

// sendBack answers the app through the browser. iss is RFC 9207's: the app can
// tell which server answered.
func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, req authorizationRequest, answer url.Values) {
	if req.state != "" {
		answer.Set("state", req.state)
	}
	answer.Set("iss", s.issuer())
	s.spoilCallback(r, answer)
	// The query that a redirect URI was registered with is kept (RFC 6749 section 3.1.2).
	separator := "?"
	if strings.Contains(req.redirectURI, "?") {
		separator = "&"
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", req.redirectURI+separator+answer.Encode())
	w.WriteHeader(http.StatusSeeOther)
}
