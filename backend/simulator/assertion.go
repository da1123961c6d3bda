package simulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionType is that of RFC 7523 section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionAlgorithms are the two that SMART has servers support.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS384, jose.ES384}

// instanceAlgorithms are those of registered copies, whose documentation at Epic names more.
var instanceAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES384}

const (
	// assertionLife is the longest that SMART lets an assertion live.
	assertionLife = 5 * time.Minute
	// assertionLeeway forgives the clocks of two computers.
	assertionLeeway = 10 * time.Second
	maxAssertion    = 16 << 10
	maxSeenIDs      = 100_000
)

// seenIDs remembers the jti of assertions until they expire.
type seenIDs struct {
	mu    sync.Mutex // protects the rest
	until map[ticket]time.Time
	swept time.Time
}

// first tells whether this is the first time that a client shows a jti.
func (s *seenIDs) first(clientID, jti string, now, expires time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = map[ticket]time.Time{}
	}
	if now.Sub(s.swept) > time.Minute || now.Before(s.swept) {
		s.swept = now
		for t, until := range s.until {
			if now.After(until) {
				delete(s.until, t)
			}
		}
	}
	t := ticketOf(fmt.Sprintf("%q %q", clientID, jti))
	// Past the bound nothing new is taken: a forgotten jti could be replayed.
	if _, seen := s.until[t]; seen || len(s.until) >= maxSeenIDs {
		return false
	}
	s.until[t] = expires.Add(assertionLeeway)
	return true
}

func (s *seenIDs) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = nil
}

// assertionIssuer tells which client an assertion claims to be of, unchecked.
func assertionIssuer(raw string) (string, error) {
	token, err := parseAssertion(raw, assertionAlgorithms)
	if err != nil {
		return "", err
	}
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return "", errors.New("the claims of the assertion cannot be read")
	}
	return claims.Issuer, nil
}

func parseAssertion(raw string, algorithms []jose.SignatureAlgorithm) (*jwt.JSONWebToken, error) {
	if len(raw) > maxAssertion {
		return nil, fmt.Errorf("the assertion has more than %d bytes", maxAssertion)
	}
	token, err := jwt.ParseSigned(raw, algorithms)
	if err != nil {
		words := "RS384 or ES384"
		if len(algorithms) > 2 {
			words = "RS256, RS384, RS512 or ES384"
		}
		return nil, errors.New("the assertion is no JWT signed with " + words)
	}
	return token, nil
}

// checkAssertion checks a JWT by which a client proves itself or claims a
// grant (SMART App Launch 2.2, "Client Authentication: Asymmetric"; RFC 7523
// section 3). The error says which check failed. audiences are the addresses that it may be made for.
func (s *Server) checkAssertion(ctx context.Context, client Client, raw string, audiences ...string) error {
	algorithms := assertionAlgorithms
	if client.standing != nil {
		algorithms = instanceAlgorithms
	}
	token, err := parseAssertion(raw, algorithms)
	if err != nil {
		return err
	}
	header := token.Headers[0]
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	switch {
	case typ != "JWT":
		return fmt.Errorf("the assertion's header has the typ %q and not JWT", clip(typ, 40))
	case header.KeyID == "" && client.standing == nil:
		return errors.New("the assertion's header has no kid")
	}
	if jku, sent := header.ExtraHeaders["jku"]; sent && jku != client.JWKSURI {
		return errors.New("the assertion's header has a jku that is not the registered jwks_uri")
	}
	key, err := s.assertionKey(ctx, client, header.KeyID)
	if err != nil {
		return err
	}
	var claims jwt.Claims
	if err := token.Claims(key.Key, &claims); err != nil {
		return fmt.Errorf("the signature of the assertion does not fit the key %q", clip(header.KeyID, 60))
	}
	now := s.now()
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return errors.New("iss and sub of the assertion must both be the client ID")
	case !slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(claims.Audience, a) }):
		return fmt.Errorf("aud of the assertion is not the token endpoint %s", audiences[0])
	case claims.Expiry == nil:
		return errors.New("the assertion has no exp")
	case !now.Before(claims.Expiry.Time().Add(assertionLeeway)):
		return errors.New("the assertion has expired")
	case claims.Expiry.Time().After(now.Add(assertionLife + assertionLeeway)):
		return errors.New("exp of the assertion is more than five minutes ahead")
	case claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(assertionLeeway)):
		return errors.New("nbf of the assertion is ahead of this server's clock")
	case claims.IssuedAt != nil && claims.IssuedAt.Time().After(now.Add(assertionLeeway)):
		return errors.New("iat of the assertion is ahead of this server's clock")
	case claims.ID == "":
		return errors.New("the assertion has no jti")
	case !s.seen.first(client.ID, claims.ID, now, claims.Expiry.Time()):
		return errors.New("the jti of the assertion was used before")
	}
	return nil
}

func (s *Server) assertionKey(ctx context.Context, client Client, kid string) (jose.JSONWebKey, error) {
	if client.JWKS != nil {
		if keys := client.JWKS.Keys; client.standing != nil && len(keys) == 1 && (kid == "" || keys[0].KeyID == "") {
			return keys[0], nil // a copy of an app has one key, which needs no name
		}
		if key, ok := keyIn(*client.JWKS, kid); ok {
			return key, nil
		}
		if client.JWKSURI == "" {
			return jose.JSONWebKey{}, fmt.Errorf("no key with the kid %q is registered for the client", clip(kid, 60))
		}
	}
	if client.JWKSURI == "" {
		return jose.JSONWebKey{}, errors.New("no public key is registered for the client yet")
	}
	return s.keySets.find(ctx, client.JWKSURI, kid)
}
