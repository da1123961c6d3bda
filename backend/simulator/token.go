package simulator

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"chartkey/backend/scope"
)

// tokenResponse is RFC 6749 section 5.1 with SMART's launch context beside it.
type tokenResponse struct {
	AccessToken       string `json:"access_token"`
	TokenType         string `json:"token_type"`
	ExpiresIn         int64  `json:"expires_in"`
	Scope             string `json:"scope"`
	RefreshToken      string `json:"refresh_token,omitempty"`
	IDToken           string `json:"id_token,omitempty"`
	Patient           string `json:"patient,omitempty"`
	Encounter         string `json:"encounter,omitempty"`
	NeedPatientBanner *bool  `json:"need_patient_banner,omitempty"`
	SMARTStyleURL     string `json:"smart_style_url,omitempty"`

	Intent      string            `json:"intent,omitempty"`
	FHIRContext []FHIRContextItem `json:"fhirContext,omitempty"`
	Tenant      string            `json:"tenant,omitempty"`
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	client, oerr := s.clientForm(r, "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "assertion")
	if oerr != nil {
		s.refuseToken(w, r, oerr)
		return
	}
	form := r.PostForm
	s.spend(r, form.Get("code"), form.Get("refresh_token"))
	var out issue
	var dropped []string
	switch grantType := form.Get("grant_type"); {
	case grantType == "":
		oerr = invalidRequest("grant_type is missing")
	case !slices.Contains(grantTypes, grantType):
		oerr = refuse("unsupported_grant_type", "grant_type must be one of %s", strings.Join(grantTypes, ", "))
	case !client.may(grantType):
		oerr = refuse("unauthorized_client", "the client is not registered for the grant type %s", grantType)
	case grantType == grantCode:
		out, oerr = s.exchange(client, form.Get("code"), form.Get("redirect_uri"), form.Get("code_verifier"))
	case grantType == grantRefresh:
		out, oerr = s.refresh(client, form.Get("refresh_token"), form.Get("scope"))
	case grantType == grantService:
		out, dropped, oerr = s.serviceGrant(client, form.Get("scope"))
	case grantType == grantInstance:
		out, oerr = s.instanceGrant(r, client, form.Get("assertion"))
	}
	if oerr != nil {
		s.refuseToken(w, r, oerr)
		return
	}

	answer := tokenResponse{
		AccessToken: out.accessToken, TokenType: "Bearer", ExpiresIn: int64(out.life.Seconds()),
		Scope: out.scopes.String(), RefreshToken: out.refreshToken,
		Patient: out.grant.patient, Encounter: out.grant.encounter,
	}
	if c := out.grant.context; c.ehr {
		answer.NeedPatientBanner, answer.SMARTStyleURL = c.banner, c.styleURL
		answer.Intent, answer.FHIRContext, answer.Tenant = c.intent, c.fhirContext, c.tenant
	} else if out.grant.patient != "" {
		banner := true
		answer.NeedPatientBanner, answer.SMARTStyleURL = &banner, s.Origin()+"/smart-style.json"
	}
	if out.scopes.Has("openid") && form.Get("grant_type") != grantInstance {
		idToken, err := s.idToken(out)
		if err != nil {
			judge(r, "the id_token cannot be signed: %v", err)
			writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
			return
		}
		answer.IDToken = idToken
	}
	verdict := "tokens issued from the code"
	switch form.Get("grant_type") {
	case grantRefresh:
		verdict = "access renewed"
		if answer.RefreshToken != "" {
			verdict += "; the refresh token was replaced"
		}
	case grantInstance:
		verdict = "a token issued to a registered copy of the app"
	case grantService:
		verdict = "a token issued to the backend service"
		if len(dropped) > 0 {
			verdict += ". Not on offer here, so left out: " + strings.Join(dropped, ", ")
		}
	default:
		if answer.RefreshToken == "" {
			verdict += "; no refresh token, as neither offline_access nor online_access was granted"
		}
	}
	judge(r, "%s", verdict)
	writeJSON(w, http.StatusOK, s.told(r, answer))
}

func (s *Server) exchange(client Client, code, redirectURI, verifier string) (issue, *oauthError) {
	switch {
	case code == "":
		return issue{}, invalidRequest("code is missing")
	case redirectURI == "":
		return issue{}, invalidRequest("redirect_uri is missing")
	case verifier == "":
		return issue{}, invalidRequest("code_verifier is missing; PKCE is required")
	}
	return s.ledger.redeem(code, client.ID, redirectURI, verifier, s.Settings())
}

func (s *Server) refresh(client Client, refreshToken, asked string) (issue, *oauthError) {
	if refreshToken == "" {
		return issue{}, invalidRequest("refresh_token is missing")
	}
	narrow := func(granted scope.Set) (scope.Set, *oauthError) {
		if strings.TrimSpace(asked) == "" {
			return granted, nil
		}
		want, errs := scope.ParseList(asked)
		if len(errs) > 0 {
			return nil, refuse("invalid_scope", "%s", ascii(errs[0].Error()))
		}
		if more := want.Without(granted); len(more) > 0 {
			return nil, refuse("invalid_scope", "a refresh cannot ask for more than was granted: %s", more)
		}
		return want, nil
	}
	settings := s.Settings()
	if s.faults.has(faultRefreshEmpty) {
		settings.FixedRefreshTokens = true // what is not told must not be replaced
	}
	return s.ledger.renew(refreshToken, client.ID, narrow, settings)
}

// verifierForm is RFC 7636 section 4.1.
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

func challengeMatches(challenge, verifier string) bool {
	if !verifierForm.MatchString(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// refuseToken answers an error of the token and revocation endpoints (RFC 6749 section 5.2).
func (s *Server) refuseToken(w http.ResponseWriter, r *http.Request, oerr *oauthError) {
	judge(r, "refused with %s: %s", oerr.code, oerr.description)
	status := http.StatusBadRequest
	if oerr.code == "invalid_client" {
		status = http.StatusUnauthorized
		if r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="Chartkey sandbox"`)
		}
	}
	writeJSON(w, status, s.tokenError(oerr))
}

// writeJSON answers with JSON that no cache keeps (RFC 6749 section 5.1).
func writeJSON(w http.ResponseWriter, status int, value any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	// A client that hung up is no concern of the server's.
	_ = json.NewEncoder(w).Encode(value)
}
