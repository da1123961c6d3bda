package simulator

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// trusting is a client that trusts the server's authority.
func (r running) trusting() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(r.Authority())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: r.http.CheckRedirect}
}

func TestAnAuthorityThatNobodyTrusts(t *testing.T) {
	r := start(t, Options{TLS: TLSUnknownAuthority})
	if !strings.HasPrefix(r.FHIRBaseURL(), "https://localhost:") {
		t.Fatal(r.FHIRBaseURL())
	}
	_, err := r.http.Do(mustRequest(t, r.FHIRBaseURL()+"/metadata"))
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
	logged := func() bool {
		for _, q := range r.Requests() {
			if strings.Contains(q.Verdict, "no secure connection was made") && strings.Contains(q.Verdict, "certificate") && !strings.Contains(q.Verdict, "127.0.0.1") {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(5 * time.Second); !logged(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell: %+v", r.Requests())
		}
	}

	// Who trusts it is served as ever, under each name of this computer.
	trusting := r.trusting()
	for _, host := range []string{"localhost", "127.0.0.1"} {
		resp, err := trusting.Do(mustRequest(t, strings.Replace(r.FHIRBaseURL(), "localhost", host, 1)+"/.well-known/smart-configuration"))
		if err != nil || resp.StatusCode != http.StatusOK || resp.TLS.Version < tls.VersionTLS12 {
			t.Fatalf("%s: %v", host, err)
		}
		resp.Body.Close()
	}
	must(t, r.SetFaults("discovery-reset"))
	if _, err := trusting.Do(mustRequest(t, r.FHIRBaseURL()+"/metadata")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset within TLS: %v", err)
	}
}

func TestACertificateThatRanOut(t *testing.T) {
	r := start(t, Options{TLS: TLSExpired})
	for name, client := range map[string]*http.Client{"trusting": r.trusting(), "not trusting": r.http} {
		_, err := client.Do(mustRequest(t, r.FHIRBaseURL()+"/metadata"))
		var invalid x509.CertificateInvalidError
		if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownTLS(t *testing.T) {
	if _, err := New(Options{TLS: "teapot"}); err == nil || !strings.Contains(err.Error(), TLSExpired) {
		t.Errorf("%v", err)
	}
	s, err := New(Options{})
	must(t, err)
	if s.Authority() != nil || !strings.HasPrefix(s.Origin(), "http://") {
		t.Errorf("without TLS: %v, %s", s.Authority(), s.Origin())
	}
}
