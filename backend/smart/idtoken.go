package smart

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"

	"github.com/coreos/go-oidc/v3/oidc"
)

// idTokenLeeway is how far the workstation's clock may be off.
const idTokenLeeway = 120 * time.Second

// idTokenAlgorithms are the signatures accepted: RS256 is OpenID Connect's
// own, RS384 and ES384 are SMART's, ES256 is seen. None and HS* never are.
var idTokenAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.ES256, oidc.ES384}

// identify verifies the id_token of a sign-in (OpenID Connect Core 3.1.3.7)
// and takes from it who signed in. Where the server gives no means to verify,
// the token is ignored with a warning.
func (c *Client) identify(ctx context.Context, cfg Configuration, a Authorization, raw string, t *TokenResponse) error {
	warn := func(sentence string) { t.Warnings = append(t.Warnings, sentence) }
	switch {
	case a.Nonce == "" && raw == "":
		return nil
	case a.Nonce == "":
		warn("The server sent an id_token that was not asked for; it is ignored.")
		return nil
	case raw == "":
		warn("The server sent no id_token, so who signed in is not known.")
		return nil
	case cfg.Issuer == "" || cfg.JWKSURI == "":
		warn("The server names no issuer or keys, so its id_token cannot be verified and is ignored.")
		return nil
	}
	claims, err := c.verifyIDToken(ctx, cfg, a, raw, t.AccessToken)
	if err != nil {
		return err
	}
	t.IDToken = secret.New(raw)
	t.Context.Subject = network.Clean(claims.Subject, 256)
	t.Context.FHIRUser = claims.user()
	if t.Context.FHIRUser == "" && (t.Scopes.Has("fhirUser") || t.Scopes.Has("profile")) {
		warn("The id_token does not name the user's FHIR resource (fhirUser).")
	}
	return nil
}

// idClaims are the claims that are read after verification.
type idClaims struct {
	Subject  string          `json:"sub"`
	Nonce    string          `json:"nonce"`
	AZP      string          `json:"azp"`
	FHIRUser json.RawMessage `json:"fhirUser"`
	// Profile carried the same in SMART 1.
	Profile json.RawMessage `json:"profile"`
}

// user gives the URL of the user's resource, absolute or relative as the
// server wrote it, or "" where it is none.
func (c idClaims) user() string {
	for _, value := range []string{text(c.FHIRUser), text(c.Profile)} {
		parts := strings.Split(strings.TrimRight(value, "/"), "/")
		if _, bad := hiddenCharacter(value); bad || len(value) > 2000 || len(parts) < 2 {
			continue
		}
		if slices.Contains([]string{"Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"}, parts[len(parts)-2]) {
			return value
		}
	}
	return ""
}

func (c *Client) verifyIDToken(ctx context.Context, cfg Configuration, a Authorization, raw string, accessToken secret.Value) (idClaims, error) {
	const advice = "Do not go on. Sign in again; if it happens again, tell the health system."
	refuse := func(code, message string) *fault.Error {
		return fault.New(code, "The sign-in is refused: "+message, advice)
	}
	alg, ok := idTokenAlgorithm(raw)
	if !ok {
		return idClaims{}, refuse("id-token-malformed", "the server's id_token is not a signed token.")
	}
	if !slices.Contains(idTokenAlgorithms, alg) {
		return idClaims{}, refuse("id-token-algorithm", fmt.Sprintf("the id_token is signed with %q, which is not accepted.", network.Clean(alg, 20)))
	}

	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	// The keys are read anew for each sign-in, once: a key that replaced another
	// is never missed, and a token with an unknown kid makes no further request.
	h := c.http(network.FollowSameOrigin)
	h.Transport = &keyTransport{next: transport(h), ctx: ctx}
	keys := &keySet{remote: oidc.NewRemoteKeySet(oidc.ClientContext(ctx, h), cfg.JWKSURI)}
	now := c.now()
	token, err := oidc.NewVerifier(cfg.Issuer, keys, &oidc.Config{
		ClientID:             a.ClientID,
		SupportedSigningAlgs: idTokenAlgorithms,
		Now:                  func() time.Time { return now.Add(-idTokenLeeway) },
	}).Verify(ctx, raw)
	if err != nil {
		return idClaims{}, idTokenFault(err, keys, cfg, a, now, refuse)
	}
	var claims idClaims
	if err := token.Claims(&claims); err != nil {
		return idClaims{}, refuse("id-token-malformed", "the claims of the id_token cannot be read.")
	}
	switch {
	case claims.Nonce != a.Nonce:
		return idClaims{}, refuse("id-token-nonce", "the id_token belongs to another sign-in (nonce).")
	case claims.AZP != "" && claims.AZP != a.ClientID, claims.AZP == "" && len(token.Audience) > 1:
		return idClaims{}, refuse("id-token-azp", "the id_token was made for another app (azp).")
	case token.IssuedAt.After(now.Add(idTokenLeeway)):
		return idClaims{}, refuse("id-token-issued-later", "the id_token was issued in the future: this workstation's clock is behind the server's.")
	case claims.Subject == "":
		return idClaims{}, refuse("id-token-subject", "the id_token does not say who signed in (sub).")
	case token.AccessTokenHash != "" && token.VerifyAccessToken(accessToken.Reveal()) != nil: // OpenID Connect Core 3.1.3.8
		return idClaims{}, refuse("id-token-access-token", "the id_token came with another access token than it was made for (at_hash).")
	}
	return claims, nil
}

// idTokenFault names the check that failed. The library flattens its errors,
// so it is worked out from what the key set saw.
func idTokenFault(err error, keys *keySet, cfg Configuration, a Authorization, now time.Time, refuse func(code, message string) *fault.Error) *fault.Error {
	var expired *oidc.TokenExpiredError
	switch {
	case keys.fetch != nil:
		return fault.New("id-token-keys", "The server's signing keys could not be read, so who signed in cannot be verified.",
			"Sign in again. If it happens again, tell the health system.").CanRetry().Because(keys.fetch)
	case keys.payload == nil && keys.asked:
		return refuse("id-token-signature", "the signature of the id_token is not by a key of this server.")
	case keys.payload == nil:
		return refuse("id-token-malformed", "the id_token is not a signed token.")
	case errors.As(err, &expired) && expired.Expiry.Unix() <= 0:
		return refuse("id-token-expired", "the id_token does not say when it runs out (exp).")
	case errors.As(err, &expired):
		return refuse("id-token-expired", fmt.Sprintf("the id_token ran out at %s, and this workstation's clock says %s (exp).",
			expired.Expiry.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	}
	var claims struct {
		Issuer    string          `json:"iss"`
		Audience  json.RawMessage `json:"aud"`
		NotBefore json.RawMessage `json:"nbf"`
	}
	_ = json.Unmarshal(keys.payload, &claims)
	switch {
	case claims.Issuer != cfg.Issuer:
		return refuse("id-token-issuer", fmt.Sprintf("the id_token was issued by %q and not by this server (iss).", network.Clean(claims.Issuer, 200)))
	case !slices.Contains(audience(claims.Audience), a.ClientID):
		return refuse("id-token-audience", "the id_token is for another app (aud).")
	}
	if from := epoch(claims.NotBefore); from.After(now) {
		return refuse("id-token-not-yet", fmt.Sprintf("the id_token is in force from %s on, and this workstation's clock says %s (nbf).", from.Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	}
	return refuse("id-token-malformed", "the claims of the id_token cannot be read.")
}

func audience(raw json.RawMessage) []string {
	if s := text(raw); s != "" {
		return []string{s}
	}
	var list []string
	_ = json.Unmarshal(raw, &list)
	return list
}

// idTokenAlgorithm reads alg from the header of a compact JWS. White space,
// which the library would drop, makes it none.
func idTokenAlgorithm(raw string) (string, bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || strings.ContainsFunc(raw, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}) {
		return "", false
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return "", false
	}
	var header struct {
		Alg string `json:"alg"`
	}
	if json.Unmarshal(b, &header) != nil || header.Alg == "" {
		return "", false
	}
	return header.Alg, true
}

// keySet remembers how the verification of a signature went.
type keySet struct {
	remote  oidc.KeySet
	asked   bool
	payload []byte
	fetch   error // of fetching the keys
}

func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	k.asked = true
	payload, err := k.remote.VerifySignature(ctx, jwt)
	k.payload = payload
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") {
		k.fetch = err
	}
	return payload, err
}

// keyTransport bounds the fetch of the keys in size, and ends it with the
// sign-in: the library's own fetch has no limit and outlives its context.
type keyTransport struct {
	next http.RoundTripper
	ctx  context.Context
}

func (t *keyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	req = req.Clone(ctx)
	req.Header.Set("Accept", "application/json")
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := network.Read(resp.Body, keysLimit)
	if err != nil {
		return nil, err
	}
	out := *resp
	out.Body = io.NopCloser(bytes.NewReader(body))
	return &out, nil
}
