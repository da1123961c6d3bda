package simulator

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"chartkey/backend/scope"
)

// introspection is RFC 7662's answer with SMART's launch context (SMART App
// Launch 2.2, "Token Introspection").
type introspection struct {
	Active            bool              `json:"active"`
	Scope             string            `json:"scope,omitempty"`
	ClientID          string            `json:"client_id,omitempty"`
	TokenType         string            `json:"token_type,omitempty"`
	Expires           int64             `json:"exp,omitempty"`
	Issuer            string            `json:"iss,omitempty"`
	Subject           string            `json:"sub,omitempty"`
	Username          string            `json:"username,omitempty"`
	FHIRUser          string            `json:"fhirUser,omitempty"`
	Patient           string            `json:"patient,omitempty"`
	Encounter         string            `json:"encounter,omitempty"`
	Intent            string            `json:"intent,omitempty"`
	FHIRContext       []FHIRContextItem `json:"fhirContext,omitempty"`
	NeedPatientBanner *bool             `json:"need_patient_banner,omitempty"`
	SMARTStyleURL     string            `json:"smart_style_url,omitempty"`
	Tenant            string            `json:"tenant,omitempty"`
}

// introspect tells a client that proves itself what a token is worth. One that
// shows an access token of its own instead is told of its own tokens only.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	if s.trait(traitNoIntrospection) {
		s.unknownPath(w, r)
		return
	}
	var bearerOf string
	if scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		a, problem := s.ledger.bearer(strings.TrimSpace(secret))
		if problem != "" {
			judge(r, "refused: %s", problem)
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.issuer()+`", error="invalid_token"`)
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token", "error_description": problem})
			return
		}
		bearerOf = a.clientID
		identify(r, bearerOf)
		if err := r.ParseForm(); err != nil {
			s.refuseToken(w, r, invalidRequest("the form cannot be read"))
			return
		}
	} else {
		client, oerr := s.clientForm(r, "token", "token_type_hint")
		if oerr == nil && client.Type == Public {
			oerr = refuse("invalid_client", "introspection is for clients that prove themselves, or that show an access token")
		}
		if oerr != nil {
			s.refuseToken(w, r, oerr)
			return
		}
	}
	token := r.PostForm.Get("token")
	if token == "" {
		s.refuseToken(w, r, invalidRequest("token is missing"))
		return
	}
	known, reason := s.ledger.look(token)
	if reason == "" && bearerOf != "" && known.grant.clientID != bearerOf {
		reason = "it is another client's"
	}
	if reason != "" {
		// Why is for the log: the asker learns no more than "no" (RFC 7662 section 2.2).
		judge(r, "not active: %s", reason)
		writeJSON(w, http.StatusOK, introspection{})
		return
	}
	judge(r, "active: a token of %s", known.grant.clientID)
	writeJSON(w, http.StatusOK, s.introspectionOf(known))
}

func (s *Server) introspectionOf(t knownToken) introspection {
	g := t.grant
	out := introspection{
		Active: true, Scope: t.scopes.String(), ClientID: g.clientID, TokenType: t.kind, Expires: t.expires.Unix(), Issuer: s.issuer(),
		Subject: g.account.subject, Username: g.account.Username, Patient: g.patient, Encounter: g.encounter,
		Intent: g.context.intent, FHIRContext: g.context.fhirContext, NeedPatientBanner: g.context.banner, SMARTStyleURL: g.context.styleURL, Tenant: g.context.tenant,
	}
	if out.Subject == "" {
		out.Subject = g.clientID // a backend service is its own subject
	}
	if slices.ContainsFunc(t.scopes, func(sc scope.Scope) bool { return sc.Text == "fhirUser" || sc.Text == "profile" }) && g.fhirUser != "" {
		out.FHIRUser = s.FHIRBaseURL() + "/" + g.fhirUser
	}
	return out
}

// knownToken is what a token that is in force stands for.
type knownToken struct {
	grant   grant // a copy: read only
	scopes  scope.Set
	expires time.Time
	kind    string
}

// look gives what a token stands for, or the reason why it is no good.
func (l *ledger) look(secret string) (knownToken, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, now := ticketOf(secret), l.now()
	if a, ok := l.access[t]; ok {
		if !now.Before(a.expires) {
			return knownToken{}, "the access token has expired"
		}
		return knownToken{*a.grant, a.scopes, a.expires, "Bearer"}, ""
	}
	g, ok := l.refresh[t]
	switch {
	case !ok:
		return knownToken{}, l.gone(t, "the token", "the token is not known").description
	case g.current != t:
		return knownToken{}, "the refresh token was replaced"
	case !now.Before(g.refreshUntil):
		return knownToken{}, "the refresh token has expired"
	}
	return knownToken{*g, g.scopes, g.refreshUntil, "refresh_token"}, ""
}
