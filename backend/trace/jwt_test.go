package trace_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"chartkey/backend/trace"
)

func jwt(t testing.TB, header, claims map[string]any, signature string) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(header) + "." + part(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte(signature))
}

func TestJWTsAreExplained(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 300_000_000, time.UTC)
	signature := "a signature that must not be kept"
	assertion := jwt(t, map[string]any{"alg": "RS384", "kid": "key-1", "typ": "JWT", "jku": "https://app.example/jwks"},
		map[string]any{"iss": "b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69", "sub": "b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69", "aud": "https://ehr.example/token", "jti": "the-number-of-it", "exp": at.Unix() + 150, "iat": at.Unix() - 120}, signature)
	access := jwt(t, map[string]any{"alg": "ES256"}, map[string]any{"iss": "https://ehr.example", "sub": "amara", "exp": 1.7723664e9 + 3600, "scope": "patient/*.rs", "patient": "p-77", "custom": map[string]any{"name": "Nwosu", "n": 7}, "aud": []string{"https://ehr.example/fhir", "x"}}, signature)
	encrypted := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + ".a2V5.aXY.dGV4dA.dGFn"
	r := trace.NewRecorder(trace.Options{Now: func() time.Time { return at }})
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", at.Add(10*time.Minute).Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"access_token": access, "id_token": encrypted, "refresh_token": "a.b.c"})
	}
	send(t, r, post(t, "/token", url.Values{"client_assertion": {assertion}}), answer)
	again := get(t, "/fhir/Patient")
	again.Header.Set("Authorization", "Bearer "+access)
	send(t, r, again, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	tr := r.Trace()
	all := tr.Exchanges[0].JWTs
	if len(all) != 3 || len(tr.Exchanges[1].JWTs) != 0 {
		t.Fatalf("%+v", tr.Exchanges)
	}
	var lines []string
	for _, j := range all {
		lines = append(lines, j.Where+" "+j.Mark)
		for _, c := range append(j.Header, j.Claims...) {
			lines = append(lines, c.Name+": "+c.Value+" | "+c.Meaning)
		}
		lines = append(lines, j.Signature)
	}
	want := `assertion ‹assertion 1›
alg: RS384 | How it is signed, or how its key is encrypted.
jku: https://app.example/jwks | Where the public key is published.
kid: key-1 | Which key signed it; the verifier finds it by this name.
typ: JWT | What kind of token it is.
aud: https://ehr.example/token | Whom it is for; everyone else must refuse it.
exp: 1772366550 | When it runs out: 2026-03-01 12:02:30 UTC, 2 min 30 s after the exchange, and 7 min 30 s before the server's clock.
iat: 1772366280 | When it was issued: 2026-03-01 11:58:00 UTC, 2 min 0 s before the exchange, and 12 min 0 s before the server's clock.
iss: b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69 | Who issued it.
jti: ‹token id 1› | Its own number, by which a second use is noticed.
sub: b3f8c9a0-6f5e-4c6e-9a4f-1f2d3c4b5a69 | Whom it is about.
33 bytes, left out
access token ‹access token 1›
alg: ES256 | How it is signed, or how its key is encrypted.
aud: [ "https://ehr.example/fhir", "x" ] | Whom it is for; everyone else must refuse it.
custom: { "n": "‹number›", "name": "‹text, 5 characters›" } | 
exp: 1772370000 | When it runs out: 2026-03-01 13:00:00 UTC, 1 h 0 min after the exchange, and 50 min 0 s after the server's clock.
iss: https://ehr.example | Who issued it.
patient: ‹patient 1› | The patient in context.
scope: patient/*.rs | What it allows.
sub: ‹subject 1› | Whom it is about.
33 bytes, left out
id_token ‹id_token 1›
alg: RSA-OAEP | How it is signed, or how its key is encrypted.
enc: A256GCM | How it is encrypted.
It is encrypted, so nothing more can be read.`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("%s", got)
	}
	for export, text := range exports(t, tr) {
		for _, private := range []string{"amara", "p-77", "Nwosu", "the-number-of-it", base64.RawURLEncoding.EncodeToString([]byte(signature)), signature} {
			if strings.Contains(text, private) {
				t.Errorf("%q is in the %s", private, export)
			}
		}
	}
}

// FuzzJWT has tokens of any content; the secret that is in them must stay there.
func FuzzJWT(f *testing.F) {
	f.Add(`{"alg":"RS256"}`, `{"sub":"§","exp":1e9,"a":["§",{"§":"§"}]}`, "s")
	f.Add(`{"alg":"none","kid":"x"}`, `{"exp":"9999999999999","iat":-1,"iss":"https://x/§","sub":"§"}`, "")
	f.Add(`{"alg":1}`, `[]`, "§")
	f.Fuzz(func(t *testing.T, header, claims, signature string) {
		const canary = "Zx81Qm2xVb9kTtLw8NcJpE1rYs6"
		in := func(s string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(s, "§", canary)))
		}
		r := trace.NewRecorder(trace.Options{})
		r.Note("x", "", url.Values{"code": {canary}})
		send1 := roundTrip(func(q *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: q}, nil
		})
		q := post(t, "https://ehr.example/token", url.Values{"id_token": {in(header) + "." + in(claims) + "." + in(signature)}})
		resp, err := r.Transport(send1).RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		for name, text := range exports(t, r.Trace()) {
			if strings.Contains(text, canary) {
				t.Errorf("%s: %s", name, text)
			}
		}
	})
}
