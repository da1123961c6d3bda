package simulator

import (
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// TestIDToken checks the id_token with a library that others rely on, from discovery on.
func TestIDToken(t *testing.T) {
	r := start(t, Options{})
	ctx := oidc.ClientContext(t.Context(), r.http)
	provider, err := oidc.NewProvider(ctx, r.issuer())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		choice   Choice
		fhirUser string
	}{
		"patient":      {Choice{}, "Patient/amara-nwosu"},
		"practitioner": {Choice{Username: "dr.lindqvist", Password: practitionerPassword, Patient: "walter-eriksen"}, "Practitioner/henrik-lindqvist"},
		"mother":       {Choice{Username: "sofia", Password: patientPassword, Patient: "luca-marchetti"}, "RelatedPerson/sofia-for-luca"},
	} {
		body := r.connect(nil, test.choice)
		token, err := provider.Verifier(&oidc.Config{ClientID: "chartkey-demo"}).Verify(ctx, word(body["id_token"]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var claims struct {
			FHIRUser string `json:"fhirUser"`
		}
		if err := token.Claims(&claims); err != nil {
			t.Fatal(err)
		}
		if token.Nonce != "nonce-of-the-test" || token.Subject == "" || claims.FHIRUser != r.FHIRBaseURL()+"/"+test.fhirUser {
			t.Errorf("%s: nonce %q, sub %q, fhirUser %q", name, token.Nonce, token.Subject, claims.FHIRUser)
		}
		if life := token.Expiry.Sub(token.IssuedAt); life != idTokenLife {
			t.Errorf("%s: lives for %v", name, life)
		}
	}
	body := r.connect(map[string]string{"scope": "openid patient/*.rs", "nonce": "-"}, Choice{})
	token, err := provider.Verifier(&oidc.Config{ClientID: "chartkey-demo"}).Verify(ctx, word(body["id_token"]))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims["fhirUser"] != nil || claims["nonce"] != nil {
		t.Errorf("claims that were not asked for: %v", claims)
	}
	if body := r.connect(map[string]string{"scope": "fhirUser patient/*.rs"}, Choice{}); body["id_token"] != nil {
		t.Error("an id_token without openid")
	}
}

func TestIDTokenFollowsTheClock(t *testing.T) {
	c := newClock()
	r := start(t, Options{Now: c.Now})
	ctx := oidc.ClientContext(t.Context(), r.http)
	provider, err := oidc.NewProvider(ctx, r.issuer())
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: "chartkey-demo", Now: c.Now})
	raw := word(r.connect(nil, Choice{})["id_token"])
	if _, err := verifier.Verify(ctx, raw); err != nil {
		t.Error(err)
	}
	c.add(idTokenLife + time.Second)
	if _, err := verifier.Verify(ctx, raw); err == nil {
		t.Error("the id_token never expires")
	}
}
