package localca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/localca"
	"chartkey/backend/network"
	"chartkey/backend/secret"
)

func newAuthority(t testing.TB) localca.Authority {
	t.Helper()
	a, err := localca.New("ward-7", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func parsed(t testing.TB, a localca.Authority) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func trusting(t testing.TB, a localca.Authority) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(parsed(t, a))
	return pool
}

func TestTheAuthorityIsForThisComputerAlone(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	a, err := localca.New("ward-7", now)
	if err != nil {
		t.Fatal(err)
	}
	c := parsed(t, a)
	if !c.IsCA || !c.BasicConstraintsValid || c.MaxPathLen != 0 || !c.MaxPathLenZero || c.KeyUsage != x509.KeyUsageCertSign || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Errorf("%+v", c)
	}
	if !c.PermittedDNSDomainsCritical || len(c.PermittedDNSDomains) != 1 || c.PermittedDNSDomains[0] != "localhost" || fmt.Sprint(c.PermittedIPRanges) != "[127.0.0.1/32 ::1/128]" {
		t.Errorf("constraints %v %v", c.PermittedDNSDomains, c.PermittedIPRanges)
	}
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("%T", c.PublicKey)
	}
	if life := c.NotAfter.Sub(now); c.NotBefore.After(now) || life < 729*24*time.Hour || life > 731*24*time.Hour {
		t.Errorf("from %v to %v", c.NotBefore, c.NotAfter)
	}
	info, err := a.Info()
	if err != nil || !strings.HasPrefix(info.Subject, "Chartkey localhost authority ") || c.Subject.Organization[0] != "Chartkey on ward-7" {
		t.Errorf("%+v %v", info, err)
	}
	if block, rest := pem.Decode(a.PEM()); block == nil || len(rest) != 0 || network.Fingerprint(block.Bytes) != info.Fingerprint {
		t.Error("the PEM is another certificate")
	}
	other := newAuthority(t)
	if parsed(t, other).Subject.CommonName == c.Subject.CommonName || bytes.Equal(parsed(t, other).RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) {
		t.Error("two authorities have a name or a key in common")
	}
	b, err := json.Marshal(a)
	if out := fmt.Sprintf("%+v %#v %s %v", a, a, b, err); bytes.Contains([]byte(out), a.Key.Bytes()) || !strings.Contains(out, "‹secret›") {
		t.Error("the key shows")
	}
}

// signed makes a server with a certificate of the authority's key for whatever
// names, as somebody who stole the key would.
func signed(t testing.TB, a localca.Authority, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	stolen, err := x509.ParsePKCS8PrivateKey(a.Key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "stolen"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, parsed(t, a), key.Public(), stolen)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestAStolenKeySignsForNobodyElse(t *testing.T) {
	a := newAuthority(t)
	for _, c := range []struct {
		host string
		good bool
	}{
		{"localhost", true}, {"127.0.0.1", true}, {"::1", true},
		{"example.com", false}, {"localhost.example.com", false}, {"notlocalhost", false},
		{"127.0.0.2", false}, {"10.0.0.1", false}, {"8.8.8.8", false}, {"::2", false}, {"::ffff:8.8.8.8", false},
	} {
		cert := signed(t, a, func(x *x509.Certificate) {
			if ip := net.ParseIP(c.host); ip != nil {
				x.IPAddresses = []net.IP{ip}
			} else {
				x.DNSNames = []string{c.host}
			}
		})
		_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: c.host, Roots: trusting(t, a)})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.host, err)
		}
		if invalid := (x509.CertificateInvalidError{}); !c.good && (!errors.As(err, &invalid) || invalid.Reason != x509.CANotAuthorizedForThisName) {
			t.Errorf("%s is refused for another reason: %v", c.host, err)
		}
	}
	both := signed(t, a, func(x *x509.Certificate) { x.DNSNames = []string{"localhost", "example.com"} })
	if _, err := both.Leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: trusting(t, a)}); err == nil {
		t.Error("a certificate for localhost and another name is trusted")
	}
	// An authority below it, or a certificate for something else than servers.
	below := signed(t, a, func(x *x509.Certificate) {
		x.IsCA, x.BasicConstraintsValid, x.KeyUsage, x.DNSNames = true, true, x509.KeyUsageCertSign, []string{"localhost"}
	})
	key, err := x509.MarshalPKCS8PrivateKey(below.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	deeper := signed(t, localca.Authority{Certificate: below.Certificate[0], Key: secret.New(key)}, func(x *x509.Certificate) { x.DNSNames = []string{"localhost"} })
	pool := x509.NewCertPool()
	pool.AddCert(below.Leaf)
	if _, err := deeper.Leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: trusting(t, a), Intermediates: pool}); err == nil {
		t.Error("an authority below it is trusted")
	}
	mail := signed(t, a, func(x *x509.Certificate) {
		x.EmailAddresses, x.ExtKeyUsage = []string{"a@example.com"}, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth}
	})
	if _, err := mail.Leaf.Verify(x509.VerifyOptions{Roots: trusting(t, a), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}); err == nil {
		t.Error("a certificate for mail is trusted")
	}
}

func TestALeafIsMadeAtNeedAndAnewInTime(t *testing.T) {
	a := newAuthority(t)
	now := time.Now()
	i, err := a.Issuer(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	get := func() *x509.Certificate {
		t.Helper()
		c, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: "evil.example"})
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
			if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: trusting(t, a), CurrentTime: now}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
		if c.Leaf.VerifyHostname("evil.example") == nil || c.Leaf.IsCA {
			t.Error("it is for more")
		}
		if left := c.Leaf.NotAfter.Sub(now); left > 25*time.Hour {
			t.Errorf("it counts for %v", left)
		}
		return c.Leaf
	}
	first := get()
	now = now.Add(11 * time.Hour)
	if !get().Equal(first) {
		t.Error("another one after 11 hours")
	}
	now = now.Add(2 * time.Hour)
	second := get()
	if second.Equal(first) || bytes.Equal(second.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Error("the same after 13 hours")
	}
	now = now.Add(-5 * time.Hour)
	if get().Equal(second) {
		t.Error("the same after the clock was set back")
	}
	now = parsed(t, a).NotAfter.Add(-time.Minute)
	if last := get(); last.NotAfter.After(parsed(t, a).NotAfter) {
		t.Error("it outlives its authority")
	}
	now = now.Add(2 * time.Minute)
	if _, err := i.GetCertificate(nil); fault.Code(err) != "localhost-authority-expired" {
		t.Error(err)
	}
	if _, err := a.Issuer(func() time.Time { return now }); fault.Code(err) != "localhost-authority-expired" {
		t.Error(err)
	}

	var wg sync.WaitGroup
	again, err := a.Issuer(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		wg.Go(func() {
			if _, err := again.GetCertificate(nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestABrokenAuthorityIsToldAsOne(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	for name, broken := range map[string]localca.Authority{
		"empty": {}, "no key": {Certificate: a.Certificate}, "another's key": {Certificate: a.Certificate, Key: b.Key},
		"garbage": {Certificate: []byte("x"), Key: a.Key}, "a key in another form": {Certificate: a.Certificate, Key: secret.New("x")},
	} {
		if _, err := broken.Issuer(time.Now); fault.Code(err) != "localhost-authority-unusable" || fault.From(err).Advice == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (localca.Authority{}).Info(); fault.Code(err) != "localhost-authority-unusable" {
		t.Error(err)
	}
	if _, err := (localca.Authority{}).Instructions("linux", "x", nil); fault.Code(err) != "localhost-authority-unusable" {
		t.Error(err)
	}
}

// serve answers https on a port of this computer, and gives its address.
func serve(t testing.TB, config *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<p>reached</p>")
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "https://" + l.Addr().String()
}

func TestRealTLS(t *testing.T) {
	a := newAuthority(t)
	i, err := a.Issuer(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: i.GetCertificate})
	bundle, notices, err := network.ParseBundle("this computer", a.PEM(), time.Now())
	if err != nil || len(notices) != 0 {
		t.Fatal(err, notices)
	}
	client, err := network.NewClientWith(network.Options{ExtraCAs: []network.Bundle{bundle}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		resp, err := client.Get(strings.Replace(address, "127.0.0.1", host, 1))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	_, err = network.NewClient().Get(address)
	if f := network.Fault(err, "localhost"); f.Code != network.CodeTLSUntrusted || !strings.Contains(f.Message, "Chartkey localhost authority") {
		t.Errorf("%v", f)
	}
}
