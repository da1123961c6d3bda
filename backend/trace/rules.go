package trace

import (
	"regexp"
	"strings"
)

// form is how a value is kept or marked.
type form int

const (
	asSecret  form = iota // by the mark of its kind
	asWord                // a registered word: grant types, methods, codes of errors
	asWords               // several, as scope and prompt have
	asAddress             // a URL, redacted
	asClient              // a client ID, which is public
	asNumber              // a number, or text of one
	asSpoken              // a server's own words
	asRefers              // a FHIR reference or an id
	asSearch              // codes of a search
)

// rule is what becomes of the value of a name.
type rule struct {
	as   form
	kind Kind
	jwt  bool // it may be a JWT, whose claims are worth telling
}

// fieldRules are for the parameters and members of the messages of OAuth 2.0
// (RFC 6749, 7009, 7523, 7591, 7592, 7636, 7662, 9207), OpenID Connect and SMART
// App Launch 2.2. What is not here becomes a mark of its length.
var fieldRules = map[string]rule{
	"grant_type": {as: asWord}, "response_type": {as: asWords}, "response_mode": {as: asWord}, "scope": {as: asWords}, "prompt": {as: asWords},
	"display": {as: asWord}, "max_age": {as: asNumber}, "redirect_uri": {as: asAddress}, "client_id": {as: asClient}, "token_type": {as: asWord},
	"token_type_hint": {as: asWord}, "expires_in": {as: asNumber}, "refresh_expires_in": {as: asNumber}, "refresh_token_expires_in": {as: asNumber},
	"error": {as: asWord}, "error_description": {as: asSpoken}, "error_uri": {as: asAddress}, "code_challenge_method": {as: asWord},
	"client_assertion_type": {as: asWord}, "aud": {as: asAddress}, "iss": {as: asAddress}, "need_patient_banner": {as: asWord}, "smart_style_url": {as: asAddress},
	"intent": {as: asWord}, "active": {as: asWord}, "exp": {as: asNumber}, "iat": {as: asNumber}, "nbf": {as: asNumber},

	"client_id_issued_at": {as: asNumber}, "client_secret_expires_at": {as: asNumber}, "redirect_uris": {as: asAddress},
	"launch_url": {as: asAddress}, "initiate_login_uri": {as: asAddress}, "token_endpoint_auth_method": {as: asWord},
	"token_endpoint_auth_signing_alg": {as: asWord}, "grant_types": {as: asWord}, "response_types": {as: asWords}, "software_id": {as: asClient},
	"software_version": {as: asWord}, "jwks_uri": {as: asAddress}, "client_uri": {as: asAddress}, "logo_uri": {as: asAddress}, "policy_uri": {as: asAddress},
	"tos_uri": {as: asAddress}, "registration_client_uri": {as: asAddress}, "client_name": {as: asSpoken}, "application_type": {as: asWord},

	"access_token": {kind: AccessToken, jwt: true}, "refresh_token": {kind: RefreshToken, jwt: true}, "id_token": {kind: IDToken, jwt: true},
	"id_token_hint": {kind: IDToken}, "token": {kind: SomeToken, jwt: true}, "subject_token": {kind: SomeToken, jwt: true}, "actor_token": {kind: SomeToken, jwt: true},
	"registration_access_token": {kind: RegistrationToken}, "code": {kind: Code}, "code_verifier": {kind: Verifier}, "code_challenge": {kind: Challenge},
	"state": {kind: State}, "nonce": {kind: Nonce}, "client_secret": {kind: ClientSecret}, "client_assertion": {kind: Assertion, jwt: true},
	"assertion": {kind: Assertion, jwt: true}, "launch": {kind: LaunchValue}, "software_statement": {kind: Statement, jwt: true}, "password": {kind: Password},
	"username": {kind: Person}, "login_hint": {kind: Person}, "sub": {kind: Subject}, "jti": {kind: TokenID}, "sid": {kind: Session}, "session_state": {kind: Session},
	"request": {kind: Assertion, jwt: true}, "user_code": {kind: Code}, "device_code": {kind: Code}, "api_key": {kind: SomeToken}, "apikey": {kind: SomeToken},

	"patient": {as: asRefers, kind: Patient}, "encounter": {as: asRefers, kind: Encounter}, "fhirUser": {as: asRefers, kind: User},
	"profile": {as: asRefers, kind: User}, "reference": {as: asRefers, kind: "reference id"},

	// Of key sets (RFC 7517). What makes a public key is told by kid.
	"kty": {as: asWord}, "crv": {as: asWord}, "alg": {as: asWord}, "use": {as: asWord}, "kid": {as: asClient}, "key_ops": {as: asWord}, "e": {as: asWord},
	"d": {kind: PrivateKey}, "p": {kind: PrivateKey}, "q": {kind: PrivateKey}, "dp": {kind: PrivateKey}, "dq": {kind: PrivateKey}, "qi": {kind: PrivateKey}, "k": {kind: PrivateKey},
}

// spokenRules are the members in which servers and gateways put an error
// besides OAuth's (RFC 9457 among them). They count in refusals only.
var spokenRules = map[string]rule{
	"message": {as: asSpoken}, "detail": {as: asSpoken}, "title": {as: asSpoken}, "status": {as: asWord}, "type": {as: asAddress}, "error_code": {as: asWord}, "errorCode": {as: asWord},
}

// searchRules are the search parameters whose values say nothing of a person.
var searchRules = map[string]rule{
	"_count": {as: asNumber}, "_offset": {as: asNumber}, "_sort": {as: asSearch}, "category": {as: asSearch}, "status": {as: asSearch}, "clinical-status": {as: asSearch},
	"_summary": {as: asSearch}, "_total": {as: asSearch}, "_format": {as: asSearch}, "_pretty": {as: asSearch}, "_elements": {as: asSearch},
	"_include": {as: asSearch}, "_revinclude": {as: asSearch}, "_type": {as: asSearch},
}

var (
	plainWord   = regexp.MustCompile(`^[A-Za-z0-9_.:+-]{1,100}$`)
	plainName   = regexp.MustCompile(`^[A-Za-z_@$#][A-Za-z0-9_.:#@\[\]$-]{0,63}$`)
	plainNumber = regexp.MustCompile(`^-?\d{1,15}(\.\d{1,6})?$`)
	plainSearch = regexp.MustCompile(`^[A-Za-z0-9_.:|/, *+-]{1,200}$`)
	plainScope  = regexp.MustCompile(`^[!#-\[\]-~]{1,200}$`) // RFC 6749 section 3.3
)

// apply redacts one value.
func (m *marks) apply(r rule, value string) string {
	if value == "" {
		return ""
	}
	switch r.as {
	case asWord:
		if plainWord.MatchString(value) && (!looksOpaque(value) || strings.HasPrefix(value, "urn:")) {
			return m.scrub(value)
		}
	case asWords:
		words := strings.Fields(value)
		for i, word := range words {
			words[i] = m.scopeWord(word)
		}
		return m.again(strings.Join(words, " "))
	case asAddress:
		if m.public[value] { // the aud of an id_token is a client
			return m.scrub(value)
		}
		if a := m.address(value); a.text != "" {
			return a.text
		}
	case asClient:
		if len(value) <= 200 {
			kept := m.scrub(value)
			if kept == value && len(m.public) < 4*maxPlaces {
				m.public[value] = true
			}
			return kept
		}
	case asNumber:
		if plainNumber.MatchString(value) {
			return m.scrub(value)
		}
	case asSpoken:
		return m.words(value)
	case asSearch:
		if plainSearch.MatchString(value) && !looksOpaque(value) {
			return m.scrub(value)
		}
	case asRefers:
		return m.reference(value, r.kind)
	case asSecret:
		mark := m.secret(r.kind, value)
		if r.jwt {
			m.readJWT(string(r.kind), value, mark)
		}
		return mark
	}
	return m.text(value)
}

// scopeWord keeps a scope. Its query, in version 2, is one of a search.
func (m *marks) scopeWord(word string) string {
	name, query, has := strings.Cut(word, "?")
	switch {
	case strings.Contains(name, "://"):
		return m.address(word).text
	case !plainScope.MatchString(name) || looksOpaque(name):
		return m.text(word)
	}
	name = m.scrub(name)
	if has {
		name += "?" + joined(m.parameters(query, true, ""))
	}
	return name
}

// name keeps the name of a parameter, a member or a header.
func (m *marks) name(name string) string {
	if plainName.MatchString(name) && !looksOpaque(name) {
		return m.scrub(name)
	}
	return m.text(name)
}

// speaksOfSecret tells whether a name, known or not, speaks of a secret.
func speaksOfSecret(name string) bool {
	name = lower(name)
	for _, word := range []string{"token", "secret", "password", "passwd", "assertion", "apikey", "api_key", "credential", "signature", "ticket"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
