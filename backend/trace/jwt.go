package trace

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// JWT is a signed token, read and not verified. Its signature is not kept.
type JWT struct {
	// Where is what it was used as, such as "id_token" or "assertion".
	Where  string  `json:"where"`
	Mark   string  `json:"mark"`
	Header []Claim `json:"header"`
	Claims []Claim `json:"claims"`
	// Signature says what there was of it.
	Signature string `json:"signature"`

	times []timeClaim
}

// Claim is one claim, its value redacted.
type Claim struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Meaning explains it in a sentence; of times it also tells how they stand to
	// the exchange and the server's clock.
	Meaning string `json:"meaning"`
}

type timeClaim struct {
	index int
	at    time.Time
}

func (j *JWT) strings(f func(*string)) {
	f(&j.Where)
	f(&j.Signature)
	for _, list := range [][]Claim{j.Header, j.Claims} {
		for i := range list {
			f(&list[i].Name)
			f(&list[i].Value)
		}
	}
}

// maxClaims bounds what is shown of a JWT, and maxJWT what is read, in bytes.
const (
	maxClaims = 60
	maxJWT    = 128 << 10
)

// claimRules are the claims that are kept; sub, jti and fhirUser have marks.
var claimRules = map[string]rule{
	"iss": {as: asAddress}, "aud": {as: asAddress}, "exp": {as: asNumber}, "iat": {as: asNumber}, "nbf": {as: asNumber}, "auth_time": {as: asNumber},
	"azp": {as: asClient}, "client_id": {as: asClient}, "scope": {as: asWords}, "scp": {as: asWords}, "acr": {as: asWord}, "amr": {as: asWord}, "token_type": {as: asWord},
	"sub": {kind: Subject}, "jti": {kind: TokenID}, "nonce": {kind: Nonce}, "sid": {kind: Session}, "fhirUser": {as: asRefers, kind: User}, "profile": {as: asRefers, kind: User},
	"patient": {as: asRefers, kind: Patient}, "encounter": {as: asRefers, kind: Encounter}, "name": {kind: Person}, "given_name": {kind: Person}, "family_name": {kind: Person},
	"preferred_username": {kind: Person}, "email": {kind: Person}, "at_hash": {kind: someOpaque}, "c_hash": {kind: someOpaque}, "s_hash": {kind: someOpaque},
}

var jwtHeaderRules = map[string]rule{
	"alg": {as: asWord}, "typ": {as: asWord}, "cty": {as: asWord}, "kid": {as: asClient}, "jku": {as: asAddress}, "enc": {as: asWord}, "zip": {as: asWord},
}

// meanings explain claims (RFC 7515, 7519, 9068; OpenID Connect Core 1.0; SMART App Launch 2.2).
var meanings = map[string]string{
	"alg": "How it is signed, or how its key is encrypted.", "typ": "What kind of token it is.", "kid": "Which key signed it; the verifier finds it by this name.", "jku": "Where the public key is published.",
	"enc": "How it is encrypted.",
	"iss": "Who issued it.", "aud": "Whom it is for; everyone else must refuse it.", "sub": "Whom it is about.", "azp": "Which app it was issued to.",
	"client_id": "Which app it was issued to.", "jti": "Its own number, by which a second use is noticed.", "nonce": "Ties it to the sign-in that asked for it.",
	"scope": "What it allows.", "scp": "What it allows.", "fhirUser": "The FHIR resource of who signed in.", "profile": "The FHIR resource of who signed in, as SMART 1 named it.",
	"at_hash": "Ties it to the access token that came with it.", "c_hash": "Ties it to the code that it came with.", "acr": "How strongly the person was authenticated.",
	"amr": "By which means the person was authenticated.", "sid": "The session at the server.", "patient": "The patient in context.", "encounter": "The encounter in context.",
	"exp": "When it runs out", "iat": "When it was issued", "nbf": "From when on it is in force", "auth_time": "When the person signed in",
}

// readJWT adds a value to the message's JWTs where it is one that was not seen before.
func (m *marks) readJWT(where, raw, mark string) {
	parts := strings.Split(raw, ".")
	if (len(parts) != 3 && len(parts) != 5) || len(raw) > maxJWT || m.told[mark] || len(m.told) >= maxPlaces {
		return
	}
	header, ok := part(parts[0])
	if !ok || header.get("alg").kind != '"' {
		return
	}
	m.told[mark] = true
	j := JWT{Where: where, Mark: mark, Header: []Claim{}, Claims: []Claim{}}
	j.Header = m.claims(header, jwtHeaderRules)
	if len(parts) == 5 {
		j.Signature = "It is encrypted, so nothing more can be read."
		m.jwts = append(m.jwts, j)
		return
	}
	claims, ok := part(parts[1])
	if !ok {
		j.Signature = "Its claims cannot be read."
		m.jwts = append(m.jwts, j)
		return
	}
	rules := claimRules
	if iss := claims.get("iss").text; iss != "" && iss == claims.get("sub").text {
		// Of a client itself (RFC 7523 section 3): the client ID.
		rules = map[string]rule{"iss": {as: asClient}, "sub": {as: asClient}}
		for name, r := range claimRules {
			if _, ok := rules[name]; !ok {
				rules[name] = r
			}
		}
	}
	j.Claims = m.claims(claims, rules)
	for i, c := range j.Claims {
		switch c.Name {
		case "exp", "iat", "nbf", "auth_time":
			if n, err := strconv.ParseFloat(c.Value, 64); err == nil && n > 0 && n < 253402300799 {
				j.times = append(j.times, timeClaim{i, time.Unix(int64(n), 0).UTC()})
			}
		}
	}
	if n := len(parts[2]); n == 0 {
		j.Signature = "none: anybody could have written it"
	} else {
		j.Signature = fmt.Sprintf("%d bytes, left out", base64.RawURLEncoding.DecodedLen(n))
	}
	m.jwts = append(m.jwts, j)
}

func part(text string) (node, bool) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return node{}, false
	}
	n, whole, ok := parseJSON(b)
	return n, ok && whole && n.kind == '{'
}

func (m *marks) claims(n node, rules map[string]rule) []Claim {
	out := []Claim{}
	for _, mem := range n.members {
		var value node
		if r, ok := rules[mem.name]; ok {
			value = m.value(mem.value, &r, false)
		} else {
			value = m.value(mem.value, nil, false)
		}
		if len(out) == maxClaims {
			continue // what is not shown is marked all the same
		}
		text := value.text
		if value.kind == '{' || value.kind == '[' {
			text, _ = value.printed(1000)
			text = strings.Join(strings.Fields(text), " ")
		}
		out = append(out, Claim{Name: m.name(mem.name), Value: text, Meaning: meanings[mem.name]})
	}
	return out
}

// date tells how the times of a JWT stand to the exchange and the server's Date header.
func (j *JWT) date(at time.Time, server string) {
	clock, err := http.ParseTime(server)
	at = at.Truncate(time.Second) // as the times of a JWT are
	for _, t := range j.times {
		c := &j.Claims[t.index]
		c.Meaning = meanings[c.Name] + ": " + t.at.Format("2006-01-02 15:04:05") + " UTC, " + distance(t.at.Sub(at)) + " the exchange"
		if err == nil {
			c.Meaning += ", and " + distance(t.at.Sub(clock)) + " the server's clock"
		}
		c.Meaning += "."
	}
	j.times = nil
}

func distance(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d == 0:
		return "at the time of"
	case d < 0:
		return inUnits(-d) + " before"
	}
	return inUnits(d) + " after"
}

// inUnits is a duration in its two largest units.
func inUnits(d time.Duration) string {
	switch {
	case d < time.Minute:
		return plural(int(d/time.Second), "%d second", "%d seconds")
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return plural(int(d/(24*time.Hour)), "%d day", "%d days")
}
