package smart

import (
	"encoding/json"
	"net/url"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"

	"github.com/go-jose/go-jose/v4"
)

// assertionType is that of RFC 7523 section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// SMART and Epic let an assertion end at most five minutes ahead of the
// server's clock. Epic also refuses one that is issued ahead of its clock, or
// lasts more than five minutes from iat or nbf to exp. Begun two minutes ago
// and ending in two and a half, it suits a workstation that is off by two
// minutes in either direction.
const (
	assertionBackdate = 2 * time.Minute
	assertionLife     = 2*time.Minute + 30*time.Second
)

// assertionClaims are in the order of SMART's example.
type assertionClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	Expires   int64  `json:"exp"`
	ID        string `json:"jti"` // a string of 43 characters; Epic takes 151
	NotBefore int64  `json:"nbf,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
}

// assertion makes the JWT by which an asymmetric client shows who it is (SMART
// App Launch 2.2, "Client Authentication: Asymmetric"; RFC 7523 section 3). It
// serves one request: each has a jti of its own.
func (c *Client) assertion(auth ClientAuth, audience string) (secret.Value, *fault.Error) {
	if f := auth.checkKey(); f != nil {
		return secret.Value{}, f
	}
	now := c.now().Add(auth.ClockOffset)
	begin := now.Add(-assertionBackdate).Unix()
	signed, err := auth.Key.signJWT(assertionClaims{
		Issuer: auth.ClientID, Subject: auth.ClientID, Audience: audience, ID: random(),
		IssuedAt: begin, NotBefore: begin, Expires: now.Add(assertionLife).Unix(),
	}, auth.JWKSURL)
	if err != nil {
		return secret.Value{}, keyFault("client-key-failed", "The key could not sign.", "Make or import another key, and register its public half at the EHR.")
	}
	return signed, nil
}

// signJWT signs claims. jku is left out where it is empty.
func (k ClientKey) signJWT(claims assertionClaims, jku string) (secret.Value, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return secret.Value{}, err
	}
	header := map[jose.HeaderKey]any{jose.HeaderType: "JWT"}
	if jku != "" {
		header["jku"] = jku
	}
	return k.sign(payload, header)
}

// audience is what an assertion for an endpoint is made out to: the token
// endpoint, to the letter. An endpoint elsewhere gets one that is good for
// itself alone: discovery could name another server's token endpoint beside
// it, and what it is sent would then open that one.
func (cfg Configuration) audience(endpoint string) string {
	token, err := url.Parse(cfg.TokenEndpoint)
	to, toErr := url.Parse(endpoint)
	if err != nil || toErr != nil || !network.SameOrigin(token, to) {
		return endpoint
	}
	return cfg.TokenEndpoint
}
