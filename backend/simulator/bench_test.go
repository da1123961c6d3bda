package simulator

import (
	"net/http"
	"strings"
	"testing"

	"chartkey/backend/scope"
)

// BenchmarkTokenCycle is a consent, the exchange of its code and one refresh, without HTTP.
func BenchmarkTokenCycle(b *testing.B) {
	s, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	allowed := grant{clientID: "x", account: publishedAccounts()[0], scopes: scope.Grammar([]string{"patient/*.rs"}), refreshUntil: s.now().AddDate(0, 1, 0)}
	same := func(set scope.Set) (scope.Set, *oauthError) { return set, nil }
	b.ReportAllocs()
	for b.Loop() {
		code := s.ledger.allow(allowed, authorizationRequest{redirectURI: "r", challenge: testChallenge}, s.Settings().CodeLife)
		out, oerr := s.ledger.redeem(code, "x", "r", testVerifier, s.Settings())
		if oerr != nil {
			b.Fatal(oerr.description)
		}
		if _, oerr = s.ledger.renew(out.refreshToken, "x", same, s.Settings()); oerr != nil {
			b.Fatal(oerr.description)
		}
	}
}

// BenchmarkRefreshHTTP is a refresh over the loopback connection, with an id_token signed.
func BenchmarkRefreshHTTP(b *testing.B) {
	r := start(b, Options{Settings: Settings{FixedRefreshTokens: true}})
	token := word(r.connect(nil, Choice{})["refresh_token"])
	for b.Loop() {
		if resp, body := r.post("/auth/token", refreshForm(token), nil); resp.StatusCode != 200 {
			b.Fatal(body)
		}
	}
}

// BenchmarkSearchHTTP is a page of one patient's laboratory results.
func BenchmarkSearchHTTP(b *testing.B) {
	r := start(b, Options{})
	token := word(r.connect(nil, Choice{})["access_token"])
	for b.Loop() {
		req, err := http.NewRequest(http.MethodGet, r.FHIRBaseURL()+"/Observation?patient=amara-nwosu&category=laboratory&date=ge2024&_sort=-date", strings.NewReader(""))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := r.http.Do(req)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
