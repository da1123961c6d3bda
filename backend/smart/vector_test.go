package smart

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"chartkey/backend/secret"

	"github.com/go-jose/go-jose/v4"
)

// These tests hold the signing of client keys to what specifications publish.
// They stand inside the package because a request never shows a chosen jti or time.

func vectorKey(t *testing.T, name string) ClientKey {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ImportClientKey(secret.Own(b))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The claims and tokens of SMART App Launch, "Example: authorization JWKS and signatures".
var smartClaims = assertionClaims{
	Issuer: "https://bili-monitor.example.com", Subject: "https://bili-monitor.example.com", Audience: "https://authorize.smarthealthit.org/token",
	Expires: 1422568860, ID: "random-non-reusable-jwt-id-123",
}

const (
	smartRS384 = "eyJhbGciOiJSUzM4NCIsImtpZCI6ImVlZTlmMTdhM2I1OThmZDg2NDE3YTk4MGI1OTFmYmU2IiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2JpbGktbW9uaXRvci5leGFtcGxlLmNvbSIsInN1YiI6Imh0dHBzOi8vYmlsaS1tb25pdG9yLmV4YW1wbGUuY29tIiwiYXVkIjoiaHR0cHM6Ly9hdXRob3JpemUuc21hcnRoZWFsdGhpdC5vcmcvdG9rZW4iLCJleHAiOjE0MjI1Njg4NjAsImp0aSI6InJhbmRvbS1ub24tcmV1c2FibGUtand0LWlkLTEyMyJ9.D5kAqNJwaftCqsRdVVQDq6dMBxuGFOF5svQJuXbcYp-oEyg5qOwK9ZE5cGLTHxqwfpUPNzRKgVdIGuhawAA-8g0s1nKQae8CuKs33hhKh4J34xSEwW3MYs1gwI4GHTtR_g3kYSX6QCi14Ed3GIAvYFgqRqt-gD7sewMUXL4SB8I8cXcDbCqVizm7uPVhjw6QaeKZygJJ_AVLhM4Xs9LTy4HAhdCHpN0FrNmCerUIYJvHDpcod7A0jDmxdoeW1KIBYlhdhQNwjtsTvT1ce4qacN_3KIv_fIzCKLIgDv9eWxkjAtxOmIm8aW5gX9xX7X0nbd0QglIyiic_bZVNNEh0kg"
	smartES384 = "eyJhbGciOiJFUzM4NCIsImtpZCI6ImNkNTIwMjExZTU2NjFkYmJhMjI1NmY2N2Y2ZDUzZjk3IiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2JpbGktbW9uaXRvci5leGFtcGxlLmNvbSIsInN1YiI6Imh0dHBzOi8vYmlsaS1tb25pdG9yLmV4YW1wbGUuY29tIiwiYXVkIjoiaHR0cHM6Ly9hdXRob3JpemUuc21hcnRoZWFsdGhpdC5vcmcvdG9rZW4iLCJleHAiOjE0MjI1Njg4NjAsImp0aSI6InJhbmRvbS1ub24tcmV1c2FibGUtand0LWlkLTEyMyJ9.ddl5N8dt5PYI_7syKg_dm1wj1LR3dYVztFlTODs6pU1vKH1Zv3d9NctbnAsZ4aZ1K7HE83_fA_hIAL0JsU1GoB7roLmrpj8zfygG9Q1ZBAmKNoR60pyONPZsGTihoR29"
)

// An RS384 signature has no randomness: the whole token must come out.
func TestSMARTsExampleOfRS384ComesOut(t *testing.T) {
	got, err := vectorKey(t, "smart-RS384.private.json").signJWT(smartClaims, "")
	if err != nil || got.Reveal() != smartRS384 {
		t.Errorf("%v\n%s\nwant\n%s", err, got.Reveal(), smartRS384)
	}
}

// An ES384 signature is another each time: what is signed must be the same, and
// SMART's own signature must verify with the public half as it is handed out.
func TestSMARTsExampleOfES384Verifies(t *testing.T) {
	k := vectorKey(t, "smart-ES384.private.json")
	got, err := k.signJWT(smartClaims, "")
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.LastIndex(smartES384, ".")
	if !strings.HasPrefix(got.Reveal(), smartES384[:cut+1]) || len(got.Reveal()) != len(smartES384) {
		t.Errorf("%s\nwant the beginning of\n%s", got.Reveal(), smartES384)
	}
	verifies(t, k, smartES384, jose.ES384)
	verifies(t, k, got.Reveal(), jose.ES384)
}

// verifies checks a token by the public half that goes to an EHR.
func verifies(t *testing.T, k ClientKey, token string, alg jose.SignatureAlgorithm) {
	t.Helper()
	b, err := k.PublicJWK()
	if err != nil {
		t.Fatal(err)
	}
	var public jose.JSONWebKey
	if err := json.Unmarshal(b, &public); err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(public.Key); err != nil {
		t.Errorf("the signature does not verify: %v", err)
	}
}

// RFC 7515 appendix A.2: the key goes through import and export unchanged if
// the signature that the RFC made with it still verifies.
func TestRFC7515A2Verifies(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	verifies(t, vectorKey(t, "rfc7515-a2-rsa.json"), token, jose.RS256)
}

// RFC 7638 section 3.1 names the thumbprint of the key of RFC 7517 appendix
// A.2. Without the kid and the alg of that key it is what the key is known by.
func TestRFC7638Thumbprint(t *testing.T) {
	const want = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	b, err := os.ReadFile("testdata/vectors/rfc7517-a2-rsa.json")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "alg")
	for _, kid := range []string{"2011-04-29", ""} {
		if m["kid"] = kid; kid == "" {
			delete(m, "kid")
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ImportClientKey(secret.Own(text))
		if err != nil || k.Thumbprint() != want || (kid == "" && k.ID() != want) || (kid != "" && k.ID() != kid) {
			t.Errorf("kid %q: %v, thumbprint %s, %v", kid, k, k.Thumbprint(), err)
		}
	}
}

// The header carries what SMART asks for and no more, and jku where it is registered.
func TestTheHeaderOfAnAssertion(t *testing.T) {
	k := vectorKey(t, "smart-RS384.private.json")
	for jku, want := range map[string]string{
		"":                              `{"alg":"RS384","kid":"eee9f17a3b598fd86417a980b591fbe6","typ":"JWT"}`,
		"https://app.example/jwks.json": `{"alg":"RS384","jku":"https://app.example/jwks.json","kid":"eee9f17a3b598fd86417a980b591fbe6","typ":"JWT"}`,
	} {
		token, err := k.signJWT(smartClaims, jku)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(token.Reveal(), ".")
		if b, err := base64.RawURLEncoding.DecodeString(head); err != nil || string(b) != want {
			t.Errorf("%s %v, want %s", b, err, want)
		}
	}
}
