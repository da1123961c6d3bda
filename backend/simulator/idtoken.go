package simulator

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"

	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// idTokenLife is short: an id_token proves a sign-in that just happened.
const idTokenLife = 10 * time.Minute

// signingKeys owns the key that signs id_tokens. It is made at first use, as
// an RSA key takes longer than everything else at start, and lives as long as the server.
type signingKeys struct {
	key func() (jose.JSONWebKey, error)
}

func newSigningKeys() *signingKeys {
	return &signingKeys{key: sync.OnceValues(func() (jose.JSONWebKey, error) {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		k := jose.JSONWebKey{Key: private, Algorithm: string(jose.RS256), Use: "sig"}
		thumb, err := k.Thumbprint(crypto.SHA256)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		k.KeyID = base64.RawURLEncoding.EncodeToString(thumb[:12])
		return k, nil
	})}
}

// jwks publishes the public half (RFC 7517).
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	key, err := s.keys.key()
	if err != nil {
		judge(r, "the signing key cannot be made: %v", err)
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	judge(r, "signing keys handed out")
	cacheable(w)
	writePublic(w, s.publishedKeys(r, key))
}

// idToken signs who the person is (OpenID Connect Core section 2, SMART's fhirUser).
func (s *Server) idToken(out issue) (string, error) {
	key, err := s.signingKey()
	if err != nil {
		return "", err
	}
	now := s.now().Add(s.skew())
	claims := map[string]any{
		"iss":       s.issuer(),
		"sub":       out.grant.account.subject,
		"aud":       out.grant.clientID,
		"iat":       now.Unix(),
		"exp":       now.Add(idTokenLife).Unix(),
		"auth_time": out.grant.signedIn.Unix(),
	}
	if out.grant.nonce != "" {
		claims["nonce"] = out.grant.nonce
	}
	if out.scopes.Has("fhirUser") || out.scopes.Has("profile") {
		claims["fhirUser"] = s.FHIRBaseURL() + "/" + out.grant.fhirUser
		claims["name"] = out.grant.account.Name
	}
	s.spoilClaims(claims)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	compact, err := signed.CompactSerialize()
	return s.spoilSignature(compact), err
}
