package loopback_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/localca"
	"chartkey/backend/loopback"
)

func newAuthority(t testing.TB) localca.Authority {
	t.Helper()
	a, err := localca.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func certificates(t testing.TB, a localca.Authority) loopback.Certificates {
	t.Helper()
	i, err := a.Issuer(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return i.GetCertificate
}

// trustingBrowser is a browser that trusts a, and nobody else.
func trustingBrowser(t testing.TB, a localca.Authority) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM())
	c := browser(t)
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	return c
}

func hears(t testing.TB, heard <-chan string, want string) {
	t.Helper()
	select {
	case got := <-heard:
		if got != want {
			t.Errorf("heard %s rather than %s", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s is not heard", want)
	}
}

func hosts() []string {
	if hasIPv6() {
		return []string{"localhost", "127.0.0.1", "[::1]"}
	}
	return []string{"localhost", "127.0.0.1"}
}

func TestASignInComesBackByHTTPS(t *testing.T) {
	a := newAuthority(t)
	for _, host := range hosts() {
		t.Run(host, func(t *testing.T) {
			r := newReceiver(t)
			r.Certificates = certificates(t, a)
			port := freePort(t)
			uri := fmt.Sprintf("https://%s:%d/callback", host, port)
			var got url.Values
			l := begin(t, r, uri, "state-1", func(_ context.Context, q url.Values) loopback.Page {
				got = q
				return welcome(context.Background(), nil)
			})
			page := get(t, trustingBrowser(t, a), uri+"?code=s3cr3t-c0de&state=state-1")
			if page.status != http.StatusOK || !strings.Contains(page.body, "You are signed in") || got.Get("code") != "s3cr3t-c0de" || l.RedirectURI() != uri {
				t.Errorf("%d %s, the handler got %v", page.status, page.body, got)
			}
			if !strings.HasPrefix(page.at, fmt.Sprintf("https://%s:%d/done/", host, port)) || page.header.Get("Content-Security-Policy") == "" {
				t.Errorf("at %s with %v", page.at, page.header)
			}
			l.Close()
			eventually(t, time.Second, "the listener stops", func() bool { return !listening(port) })
		})
	}
}

func TestHTTPSChecksWhatHTTPDoes(t *testing.T) {
	a := newAuthority(t)
	r := newReceiver(t)
	r.Certificates = certificates(t, a)
	heard := make(chan string, 4)
	r.OnRefused = func(reason string) { heard <- reason }
	port := freePort(t)
	uri := fmt.Sprintf("https://localhost:%d/callback", port)
	begin(t, r, uri, "good", welcome)
	for _, c := range []struct {
		name, host, path string
		status           int
		reason           string
	}{
		{"another name", fmt.Sprintf("evil.example:%d", port), "/callback?state=good", 421, "host"},
		{"another loopback name", fmt.Sprintf("127.0.0.1:%d", port), "/callback?state=good", 421, "host"},
		{"another path", fmt.Sprintf("localhost:%d", port), "/x?state=good", 404, "path"},
		{"another state", fmt.Sprintf("localhost:%d", port), "/callback?state=bad", 400, "state-unknown"},
	} {
		q, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://localhost:%d%s", port, c.path), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Host = c.host
		if got := do(t, trustingBrowser(t, a), q); got.status != c.status {
			t.Errorf("%s: %d", c.name, got.status)
		}
		hears(t, heard, c.reason)
	}
	if page := get(t, trustingBrowser(t, a), uri+"?state=good"); page.status != 200 {
		t.Errorf("the sign-in no longer works: %d", page.status)
	}
}

func TestWhatIsNotHTTPSGetsNowhere(t *testing.T) {
	a := newAuthority(t)
	r := newReceiver(t)
	r.Certificates = certificates(t, a)
	heard := make(chan string, 9)
	r.OnRefused = func(reason string) { heard <- reason }
	port := freePort(t)
	uri := fmt.Sprintf("https://localhost:%d/callback", port)
	l := begin(t, r, uri, "good", welcome)

	plain := raw(t, port, fmt.Sprintf("GET /callback?state=good&code=c HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", port))
	if plain.status != http.StatusBadRequest || !strings.Contains(plain.body, "HTTPS server") || plain.header.Get("Location") != "" || strings.Contains(plain.body, "good") {
		t.Errorf("%d %s", plain.status, plain.body)
	}
	hears(t, heard, "not-https")
	if _, err := browser(t).Get(uri + "?state=good"); err == nil {
		t.Error("a browser that does not trust it was served")
	}
	hears(t, heard, "certificate-refused")
	for version, served := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}})
		if (err == nil) != served {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			if proto := conn.ConnectionState().NegotiatedProtocol; proto != "http/1.1" {
				t.Error(proto)
			}
			_ = conn.Close()
		}
	}
	// A connection that says nothing is given up, and neither it nor the others use the sign-in up.
	silent, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_ = silent.SetReadDeadline(time.Now().Add(15 * time.Second))
	began := time.Now()
	if _, err := io.ReadAll(silent); err != nil || time.Since(began) > 12*time.Second {
		t.Errorf("the silent connection: %v after %v", err, time.Since(began))
	}
	if page := get(t, trustingBrowser(t, a), l.RedirectURI()+"?state=good"); page.status != 200 {
		t.Errorf("the sign-in no longer works: %d", page.status)
	}
}

func TestHTTPAndHTTPSDoNotShareAPort(t *testing.T) {
	a := newAuthority(t)
	r := newReceiver(t)
	r.Certificates = certificates(t, a)
	one, two := freePort(t), freePort(t)
	at := func(scheme string, port int) string { return fmt.Sprintf("%s://localhost:%d/callback", scheme, port) }
	first := begin(t, r, at("https", one), "s1", welcome)
	if _, err := browser(t).Get(first.RedirectURI()); err == nil { // and nobody listens to why
		t.Error("a browser that does not trust it was served")
	}
	begin(t, r, at("https", one), "s2", welcome)
	if free := r.Free(t.Context(), []string{at("http", one), at("https", one), at("http", two), at("https", two)}); len(free) != 3 || free[0] != at("https", one) {
		t.Errorf("free: %v", free)
	}
	if _, err := r.Begin(t.Context(), []string{at("http", one)}, always("s3"), welcome); fault.Code(err) != "ports-taken" || !strings.Contains(err.Error(), "another sign-in") || !fault.From(err).Retryable {
		t.Error(err)
	}
	second, err := r.Begin(t.Context(), []string{at("http", one), at("http", two)}, always("s4"), welcome)
	if err != nil || second.RedirectURI() != at("http", two) {
		t.Fatal(second, err)
	}
	defer second.Close()
	if page := get(t, trustingBrowser(t, a), first.RedirectURI()+"?state=s1"); page.status != 200 {
		t.Error(page.status)
	}
	if page := get(t, browser(t), second.RedirectURI()+"?state=s4"); page.status != 200 {
		t.Error(page.status)
	}
}

func TestALaunchComesInByHTTPS(t *testing.T) {
	a := newAuthority(t)
	address := fmt.Sprintf("https://localhost:%d/launch", freePort(t))
	if _, err := loopback.ListenLaunch(t.Context(), address, nil, nil); fault.Code(err) != "redirect-uri-unsupported" {
		t.Errorf("without certificates: %v", err)
	}
	var got []loopback.Launch
	heard := make(chan string, 4)
	l, err := loopback.ListenSecureLaunch(t.Context(), address, certificates(t, a), func(reason string) { heard <- reason }, func(_ context.Context, in loopback.Launch) loopback.LaunchAnswer {
		got = append(got, in)
		return loopback.LaunchAnswer{Status: http.StatusOK, Page: loopback.Page{OK: true, Title: "Launched"}}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if page := get(t, trustingBrowser(t, a), address+"?iss=https%3A%2F%2Fehr.example&launch=x"); page.status != 200 || !strings.Contains(page.body, "Launched") {
		t.Errorf("%d %s", page.status, page.body)
	}
	if len(got) != 1 || got[0] != (loopback.Launch{Issuer: "https://ehr.example", Value: "x"}) {
		t.Errorf("%+v", got)
	}
	if _, err := browser(t).Get(address); err == nil {
		t.Error("a browser that does not trust it was served")
	}
	hears(t, heard, "certificate-refused")
	q, err := http.NewRequest(http.MethodGet, address+"?iss=a&launch=b", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Host = "evil.example"
	if page := do(t, trustingBrowser(t, a), q); page.status != 421 {
		t.Error(page.status)
	}
}
