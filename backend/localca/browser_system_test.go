//go:build linux && system

package localca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/localca"
	"chartkey/backend/localca/browsertest"
	"chartkey/backend/secret"
)

// newHome makes a home folder with a Firefox profile, and makes it that of
// what the test starts.
func newHome(t *testing.T) (home string, firefox localca.Store) {
	t.Helper()
	if _, err := exec.LookPath("certutil"); err != nil {
		t.Fatal("install libnss3-tools: ", err)
	}
	home = browsertest.NewHome(t)
	firefox = localca.Store{Kind: localca.KindFirefox, Folder: filepath.Join(home, ".mozilla/firefox/a.default")}
	if err := os.MkdirAll(firefox.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("certutil", "-d", "sql:"+firefox.Folder, "-N", "--empty-password").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return home, firefox
}

func trusted(t *testing.T, s localca.Store, a localca.Authority) bool {
	t.Helper()
	yes, err := s.Trusted(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

func TestBrowsersAreMadeToTrustAndToForget(t *testing.T) {
	home, firefox := newHome(t)
	a, other := newAuthority(t), newAuthority(t)
	stores := localca.Stores(home, os.Getenv)
	if len(stores) != 2 || stores[1] != firefox {
		t.Fatalf("%+v", stores)
	}
	for _, s := range stores {
		if trusted(t, s, a) {
			t.Errorf("%s trusts it before", s.Kind)
		}
		if err := s.Untrust(t.Context(), a); err != nil {
			t.Errorf("%s: forgetting what it does not know: %v", s.Kind, err)
		}
		for range 2 { // a second time changes nothing
			if err := s.Trust(t.Context(), a); err != nil {
				t.Fatalf("%s: %v (%v)", s.Kind, err, fault.From(err).Unwrap())
			}
		}
		if err := s.Trust(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if !trusted(t, s, a) || !trusted(t, s, other) {
			t.Errorf("%s does not trust it", s.Kind)
		}
		if err := s.Untrust(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if trusted(t, s, a) || !trusted(t, s, other) {
			t.Errorf("%s forgot the wrong one", s.Kind)
		}
		// In the store, and not trusted.
		in := exec.Command("certutil", "-d", "sql:"+s.Folder, "-A", "-a", "-t", ",,", "-n", parsed(t, a).Subject.CommonName)
		in.Stdin = strings.NewReader(string(a.PEM()))
		if out, err := in.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if trusted(t, s, a) {
			t.Errorf("%s: what is only known counts as trusted", s.Kind)
		}
	}
	// Another certificate under its name is another's.
	add := exec.Command("certutil", "-d", "sql:"+firefox.Folder, "-A", "-a", "-t", "C,,", "-n", parsed(t, a).Subject.CommonName)
	add.Stdin = strings.NewReader(string(newAuthority(t).PEM()))
	if out, err := exec.Command("certutil", "-d", "sql:"+firefox.Folder, "-D", "-n", parsed(t, a).Subject.CommonName).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if trusted(t, firefox, a) {
		t.Error("another's certificate counts as its own")
	}
	if info, err := os.Stat(stores[0].Folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new database: %v %v", info, err)
	}
	old, err := localca.New("ward-7", time.Now().AddDate(-3, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := firefox.Trust(t.Context(), old); fault.Code(err) != "certutil-failed" {
		t.Errorf("an authority that has expired: %v", err)
	}
}

// The lines that people are told do what Trust and Untrust do.
func TestTheStepsForLinuxWork(t *testing.T) {
	home, _ := newHome(t)
	a := newAuthority(t)
	file := filepath.Join(home, "the authority's.pem")
	if err := os.WriteFile(file, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	stores := localca.Stores(home, os.Getenv)
	list, err := a.Instructions("linux", file, stores)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range stores {
		if out, err := exec.Command("sh", "-ec", strings.Join(list[i].Trust, "\n")).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if !trusted(t, s, a) {
			t.Errorf("%s after %q", s.Kind, list[i].Trust)
		}
		if out, err := exec.Command("sh", "-ec", strings.Join(list[i].Remove, "\n")).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if trusted(t, s, a) {
			t.Errorf("%s after %q", s.Kind, list[i].Remove)
		}
	}
}

func TestWhatCertutilCannotDoIsTold(t *testing.T) {
	home, firefox := newHome(t)
	a := newAuthority(t)
	gone := localca.Store{Kind: localca.KindFirefox, Folder: filepath.Join(home, ".mozilla/firefox/gone")}
	if err := gone.Trust(t.Context(), a); fault.Code(err) != "browser-store-missing" {
		t.Error(err)
	}
	broken := localca.Store{Kind: localca.KindChromium, Folder: filepath.Join(home, ".pki/nssdb")}
	touch(t, broken.Folder)
	if err := os.WriteFile(filepath.Join(broken.Folder, "cert9.db"), []byte("no database at all, and long enough to be looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := broken.Trust(t.Context(), a); fault.Code(err) != "certutil-failed" {
		t.Error(err)
	}
	if yes, err := broken.Trusted(t.Context(), a); yes || fault.Code(err) != "certutil-failed" {
		t.Error(yes, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if yes, err := firefox.Trusted(ended, a); yes || fault.Code(err) != "certutil-failed" {
		t.Error("cancelled: ", yes, err)
	}
	// A database with a password must not make it ask a terminal, or wait.
	guarded := localca.Store{Kind: localca.KindFirefox, Folder: filepath.Join(home, ".mozilla/firefox/b.guarded")}
	if err := os.MkdirAll(guarded.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(home, "password")
	if err := os.WriteFile(password, []byte("a good password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("certutil", "-d", "sql:"+guarded.Folder, "-N", "-f", password).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	began := time.Now()
	err := guarded.Trust(t.Context(), a)
	if fault.Code(err) != "certutil-failed" || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	slow := filepath.Join(home, "slow")
	if err := os.Mkdir(slow, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(slow, "certutil"), []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", slow+":"+os.Getenv("PATH"))
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if yes, err := firefox.Trusted(short, a); yes || fault.Code(err) != "certutil-failed" {
		t.Error("too slow: ", yes, err)
	}
	t.Setenv("PATH", home)
	if err := firefox.Trust(t.Context(), a); fault.Code(err) != "certutil-missing" {
		t.Error(err)
	}
}

// visit tells whether a real Chromium shows the page at address.
func visit(t *testing.T, home, address string) bool {
	t.Helper()
	return strings.Contains(browsertest.Visit(t, home, address), "<p>reached</p>")
}

// unconstrained is an authority as others make it.
func unconstrained(t *testing.T) localca.Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Without constraints"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return localca.Authority{Certificate: der, Key: secret.Own(private)}
}

func trustInChromium(t *testing.T, home string, a localca.Authority) {
	t.Helper()
	for _, s := range localca.Stores(home, os.Getenv) {
		if s.Kind == localca.KindChromium {
			if err := s.Trust(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// local serves a page at https://localhost as a's issuer does.
func local(t *testing.T, a localca.Authority) string {
	t.Helper()
	issuer, err := a.Issuer(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(serve(t, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: issuer.GetCertificate}), "127.0.0.1", "localhost", 1)
}

func TestARealBrowserTrustsItForThisComputerAlone(t *testing.T) {
	home, _ := newHome(t)
	a, other := newAuthority(t), unconstrained(t)
	address := local(t, a)
	if visit(t, home, address) {
		t.Fatal("Chromium trusts it before it is told to")
	}
	trustInChromium(t, home, a)
	trustInChromium(t, home, other)
	for _, at := range []string{address, strings.Replace(address, "localhost", "127.0.0.1", 1)} {
		if !visit(t, home, at) {
			t.Errorf("Chromium does not show %s", at)
		}
	}
	for host, change := range map[string]func(*x509.Certificate){
		"https://example.com": func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} },
		"https://10.1.1.1":    func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 1, 1, 1)} },
		"https://localhost":   func(c *x509.Certificate) { c.DNSNames = []string{"localhost", "example.com"} },
	} {
		for by, shown := range map[*localca.Authority]bool{&a: false, &other: true} {
			at := serve(t, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{signed(t, *by, change)}})
			if visit(t, home, host+at[strings.LastIndex(at, ":"):]) != shown {
				t.Errorf("with a stolen key for %s: shown %v, by %s", host, !shown, parsed(t, *by).Subject.CommonName)
			}
		}
	}
}

func TestABrowserThatWasNeverStartedIsMadeToTrust(t *testing.T) {
	home, _ := newHome(t)
	a := newAuthority(t)
	trustInChromium(t, home, a)
	if address := local(t, a); !visit(t, home, address) {
		t.Errorf("Chromium does not show %s", address)
	}
}
