package simulator

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestHostIsChecked(t *testing.T) {
	r := start(t, Options{})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.Origin(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for host, status := range map[string]int{
		"localhost:" + port: 200, "LOCALHOST:" + port: 200, "127.0.0.1:" + port: 200, "[::1]:" + port: 200,
		"localhost": 421, "localhost:1": 421, "evil.example:" + port: 421, "localhost.evil.example:" + port: 421, "127.0.0.2:" + port: 421, "localhost:" + port + "x": 421,
	} {
		req := mustRequest(t, r.Origin()+"/fhir/metadata")
		req.Host = host
		if resp, _ := r.do(req); resp.StatusCode != status {
			t.Errorf("Host %q: %d", host, resp.StatusCode)
		}
	}
}

func TestBothLoopbackAddressesServe(t *testing.T) {
	r := start(t, Options{})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.Origin(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{"127.0.0.1"}
	if hasIPv6Loopback(t.Context()) {
		addresses = append(addresses, "::1")
	}
	for _, a := range addresses {
		if resp, _ := r.do(mustRequest(t, "http://"+net.JoinHostPort(a, port)+"/fhir/metadata")); resp.StatusCode != 200 {
			t.Errorf("%s: %d", a, resp.StatusCode)
		}
	}
}

func TestLimits(t *testing.T) {
	r := start(t, Options{})
	if resp, _ := r.do(mustRequest(t, r.Origin()+"/auth/authorize?state="+strings.Repeat("x", maxQuery))); resp.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("an endless query: %d", resp.StatusCode)
	}
	form := exchangeForm("x")
	form.Set("padding", strings.Repeat("x", maxBody))
	if resp, body := r.post("/auth/token", form, nil); resp.StatusCode != 400 || body["error"] != "invalid_request" {
		t.Errorf("an endless body: %d %v", resp.StatusCode, body)
	}
	if resp, _ := r.do(mustRequest(t, r.Origin()+"/nowhere")); resp.StatusCode != 404 || r.lastVerdict() == "" {
		t.Errorf("an unknown page: %d %q", resp.StatusCode, r.lastVerdict())
	}
}

type brokenRandom struct{}

func (brokenRandom) Read([]byte) (int, error) { return 0, errors.New("empty") }

func TestABrokenSourceOfRandomnessIssuesNothing(t *testing.T) {
	r := start(t, Options{Rand: brokenRandom{}})
	resp, _ := r.authorize(r.request(nil))
	if resp.StatusCode != 500 || !strings.Contains(r.lastVerdict(), "randomness") {
		t.Errorf("%d %q", resp.StatusCode, r.lastVerdict())
	}
	if resp, _ := r.get("metadata", "", nil); resp.StatusCode != 200 {
		t.Errorf("the server is gone: %d", resp.StatusCode)
	}
}

// TestTheLogKeepsNoSecret goes through everything with secrets in it and looks for them in the log.
func TestTheLogKeepsNoSecret(t *testing.T) {
	var mu sync.Mutex
	var told []Request
	r := start(t, Options{Log: func(q Request) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, q)
	}})
	code := r.signIn(map[string]string{"client_id": "chartkey-confidential"}, Choice{}).Get("code")
	form := exchangeForm(code)
	form.Del("client_id")
	_, body := r.post("/auth/token", form, basic("chartkey-confidential", SandboxSecret))
	access, refresh := word(body["access_token"]), word(body["refresh_token"])
	r.get("Patient/amara-nwosu?access_token="+access, "", nil)
	r.get("Observation?code=8867-4&client_secret="+SandboxSecret, access, nil)
	r.do(mustRequest(t, r.Origin()+"/auth/authorize?code="+code+"&client_secret="+SandboxSecret+"&%63ode="+code+"&broken=%zz&refresh_token="+refresh))
	r.do(mustRequest(t, r.Origin()+"/auth/token?code="+code))
	r.post("/auth/revoke", map[string][]string{"token": {refresh}}, basic("chartkey-confidential", SandboxSecret))

	mu.Lock()
	defer mu.Unlock()
	kept := r.Requests()
	if len(kept) != len(told) || len(kept) < 10 {
		t.Fatalf("%d requests kept, %d told", len(kept), len(told))
	}
	all := fmt.Sprintf("%+v", kept)
	for name, secret := range map[string]string{"code": code, "access token": access, "refresh token": refresh, "id_token": word(body["id_token"]), "client secret": SandboxSecret, "verifier": testVerifier, "password": patientPassword, "state": "state-of-the-test", "nonce": "nonce-of-the-test"} {
		if secret == "" || strings.Contains(all, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	for _, q := range kept {
		if q.Status == 0 || q.Verdict == "" || q.Duration < 0 || q.Number == 0 {
			t.Errorf("an incomplete line: %+v", q)
		}
	}
	if !strings.Contains(all, "code=8867-4") {
		t.Error("the log hides a FHIR search")
	}
}

func TestTheLogIsBounded(t *testing.T) {
	l := newRequestLog(nil)
	for range keptRequests + 50 {
		l.add(&logEntry{}, newClock().Now())
	}
	all := l.all()
	if len(all) != keptRequests || all[0].Number != 51 || all[len(all)-1].Number != keptRequests+50 {
		t.Errorf("%d kept, from %d", len(all), all[0].Number)
	}
}
