package network_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, []byte("\n")) }

func TestWhatABundleOfAuthoritiesMayHold(t *testing.T) {
	named := func(name string, change ...func(*x509.Certificate)) authority {
		return newAuthority(t, pkix.Name{CommonName: name}, change...)
	}
	one, two := named("Root one"), named("Root two")
	old := named("Old root", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
	})
	ending := named("Ending root", func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 9) })
	coming := named("Coming root", func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(0, 0, 9) })
	noSigning := named("Not for signing", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	leaf := block("CERTIFICATE", one.issue(t, "ehr.example").Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(one.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		data    []byte
		code    string
		kept    string
		notices string
	}{
		{"one", one.pem(), "", "Root one", ""},
		{"two, with text between", join([]byte("# Root one\r\n"), one.pem(), []byte("Subject: CN=Root two"), two.pem()), "", "Root one|Root two", ""},
		{"one twice", join(one.pem(), one.pem()), "", "Root one", ""},
		{"DER", one.cert.Raw, "", "Root one", ""},
		{"an old one beside", join(old.pem(), one.pem()), "", "Root one", network.NoticeExpired},
		{"one that ends soon", ending.pem(), "", "Ending root", network.NoticeExpiresSoon},
		{"one that begins later", coming.pem(), "", "Coming root", network.NoticeNotYetValid},
		{"a server's beside", join(leaf, one.pem()), "", "Root one", network.NoticeNotAuthority},
		{"one that may not sign", join(noSigning.pem(), one.pem()), "", "Root one", network.NoticeNotAuthority},

		{"nothing", nil, "ca-bundle-empty", "", ""},
		{"text", []byte("hello"), "ca-bundle-empty", "", ""},
		{"old ones only", old.pem(), "ca-bundle-expired", "", network.NoticeExpired},
		{"a server's only", leaf, "ca-bundle-not-authority", "", network.NoticeNotAuthority},
		{"a private key", join(one.pem(), block("PRIVATE KEY", key)), "ca-bundle-private-key", "", ""},
		{"a private key first", join(block("EC PRIVATE KEY", key), one.pem()), "ca-bundle-private-key", "", ""},
		{"an encrypted key", block("ENCRYPTED PRIVATE KEY", key), "ca-bundle-private-key", "", ""},
		{"a request", block("CERTIFICATE REQUEST", one.cert.Raw), "ca-bundle-not-certificates", "", ""},
		{"a PKCS#7 file", block("PKCS7", one.cert.Raw), "ca-bundle-not-certificates", "", ""},
		{"no certificate inside", block("CERTIFICATE", []byte("hello")), "ca-bundle-damaged", "", ""},
		{"a cut one", one.pem()[:300], "ca-bundle-damaged", "", ""},
		{"a cut one after another", join(two.pem(), one.pem()[:300]), "ca-bundle-damaged", "", ""},
		{"a bad letter", bytes.Replace(one.pem(), []byte("MII"), []byte("M*I"), 1), "ca-bundle-damaged", "", ""},
		{"too large", bytes.Repeat(one.pem(), 5000), "ca-bundle-too-large", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, notices, err := network.ParseBundle("Ward", c.data, time.Now())
			if fault.Code(err) != c.code {
				t.Fatalf("%v (%s)", err, fault.Code(err))
			}
			var kept, told []string
			for _, a := range b.Authorities() {
				kept = append(kept, a.Subject)
			}
			for _, n := range notices {
				told = append(told, n.Code)
			}
			if strings.Join(kept, "|") != c.kept || strings.Join(told, "|") != c.notices {
				t.Errorf("kept %v, notices %v", kept, notices)
			}
			if err != nil {
				return
			}
			again, _, err := network.ParseBundle("Ward", b.PEM(), time.Now())
			if err != nil || !bytes.Equal(again.PEM(), b.PEM()) || again.Name != "Ward" {
				t.Errorf("what is kept does not read again: %v", err)
			}
			if bytes.Contains(b.PEM(), []byte("#")) {
				t.Error("the text of the file is kept")
			}
		})
	}
}

func TestExtraAuthoritiesAreTrustedBesideTheSystems(t *testing.T) {
	a, b := newAuthority(t, pkix.Name{CommonName: "A"}), newAuthority(t, pkix.Name{CommonName: "B"})
	// A stands for the system's own.
	servers := map[string]string{}
	for name, ca := range map[string]authority{"a": a, "b": b} {
		servers[name] = serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1")}}, false).URL
	}
	if _, f := fetch(t, client(t, network.Options{}), servers["b"]); f == nil || f.Code != network.CodeTLSUntrusted {
		t.Errorf("without a bundle: %v", f)
	}
	h := client(t, network.Options{ExtraCAs: []network.Bundle{a.bundle(t), b.bundle(t)}})
	for name, address := range servers {
		if body, f := fetch(t, h, address); body != "hello " {
			t.Errorf("%s: %v", name, f)
		}
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(a.cert)
	roots.AddCert(b.cert)
	if got := network.RootsForTest(h); !got.Equal(roots) {
		t.Error("the system's authorities are not among those that are trusted")
	}
}

func FuzzParseBundle(f *testing.F) {
	one := newAuthority(f, pkix.Name{CommonName: "Root"})
	for _, seed := range [][]byte{
		nil, one.pem(), one.cert.Raw, join(one.pem(), one.pem()[:100]), block("PRIVATE KEY", []byte("x")), block("CERTIFICATE", nil),
		[]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"), []byte("-----BEGIN A-----\nB: c\n\n-----END A-----"), []byte("-----BEGIN "),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Now()
		b, notices, err := network.ParseBundle("fuzz", data, now)
		if (err == nil) != (len(b.Authorities()) > 0) {
			t.Fatalf("%v with %d authorities", err, len(b.Authorities()))
		}
		if err != nil {
			if f := fault.From(err); f.Code == "internal" || f.Advice == "" {
				t.Fatalf("%+v", f)
			}
			return
		}
		if bytes.Contains(data, []byte("PRIVATE KEY-----\n")) && bytes.HasPrefix(data, []byte("-----BEGIN PRIVATE KEY")) {
			t.Fatalf("a key was passed over: %v", notices)
		}
		for _, a := range b.Authorities() {
			if now.After(a.NotAfter) || a.Subject == "" {
				t.Fatalf("%+v is trusted", a)
			}
		}
		again, more, err := network.ParseBundle("fuzz", b.PEM(), now)
		if err != nil || !bytes.Equal(again.PEM(), b.PEM()) || len(more) > len(notices) {
			t.Fatalf("does not read again: %v %v", err, more)
		}
	})
}
