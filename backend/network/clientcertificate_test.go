package network_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
)

// pair gives certificate and key in PEM; the key in PKCS#8.
func pair(t testing.TB, c tls.Certificate) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", c.Certificate[0]), block("PRIVATE KEY", der)
}

func parseClient(t testing.TB, data []byte, passphrase string) *network.ClientCertificate {
	t.Helper()
	c, notices, err := network.ParseClientCertificate(data, secret.New(passphrase), time.Now())
	if err != nil || len(notices) != 0 {
		t.Fatal(err, notices)
	}
	return c
}

func TestWhatAClientCertificateMayBe(t *testing.T) {
	ca := newAuthority(t, pkix.Name{CommonName: "Hospital root"})
	good := ca.issue(t, "ward-7")
	cert, key := pair(t, good)
	other, otherKey := pair(t, ca.issue(t, "ward-8"))
	ec, err := x509.MarshalECPrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(e *pkcs12.Encoder, password string) []byte {
		b, err := e.Encode(good.PrivateKey, good.Leaf, []*x509.Certificate{ca.cert}, password)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	changed := func(f func(*x509.Certificate)) []byte {
		c, k := pair(t, ca.issue(t, "ward-7", f))
		return join(c, k)
	}
	trust, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.cert}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	slow := encode(pkcs12.LegacyDES.WithIterations(0x010203), "canary-pass")
	slow = bytes.ReplaceAll(slow, []byte{2, 3, 1, 2, 3}, []byte{2, 3, 0x7f, 0xff, 0xff})
	for _, c := range []struct {
		name       string
		data       []byte
		passphrase string
		code       string
		chain      int
		notices    string
	}{
		{"PEM", join(cert, key), "", "", 1, ""},
		{"PEM, the key first", join(key, cert, ca.pem()), "", "", 2, ""},
		{"PKCS#12", encode(pkcs12.Modern, "canary-pass"), "canary-pass", "", 2, ""},
		{"PKCS#12 of Windows", encode(pkcs12.LegacyDES, "canary-pass"), "canary-pass", "", 2, ""},
		{"PKCS#12 with RC2", encode(pkcs12.LegacyRC2, "canary-pass"), "canary-pass", "", 2, ""},
		{"PKCS#12 without a passphrase", encode(pkcs12.Passwordless, ""), "", "", 2, ""},
		{"not for clients", changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "", "", 1, network.NoticeNotForClient},
		{"for nothing named", changed(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), "", "", 1, ""},
		{"ending soon", changed(func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 3) }), "", "", 1, network.NoticeExpiresSoon},
		{"from next week", changed(func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(0, 0, 7) }), "", "", 1, network.NoticeNotYetValid},

		{"expired", changed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "", "client-certificate-expired", 0, ""},
		{"wrong passphrase", encode(pkcs12.Modern, "canary-pass"), "canary-past", "client-certificate-passphrase", 0, ""},
		{"no passphrase", encode(pkcs12.Modern, "canary-pass"), "", "client-certificate-passphrase", 0, ""},
		{"authorities only", trust, "changeit", "client-certificate-unreadable", 0, ""},
		{"cut PKCS#12", encode(pkcs12.Modern, "canary-pass")[:500], "canary-pass", "client-certificate-unreadable", 0, ""},
		{"a passphrase of too much work", slow, "canary-pass", "client-certificate-unreadable", 0, ""},
		{"nothing", nil, "", "client-certificate-unreadable", 0, ""},
		{"no key", cert, "", "client-certificate-no-key", 0, ""},
		{"no certificate", key, "", "client-certificate-unreadable", 0, ""},
		{"another's key", join(cert, otherKey), "", "client-certificate-mismatch", 0, ""},
		{"another's key in EC form", join(cert, block("EC PARAMETERS", []byte("x")), block("EC PRIVATE KEY", ec)), "", "client-certificate-mismatch", 0, ""},
		{"another's certificate first", join(other, cert, key), "", "client-certificate-mismatch", 0, ""},
		{"two keys", join(cert, key, otherKey), "", "client-certificate-several", 0, ""},
		{"an encrypted key", join(cert, block("ENCRYPTED PRIVATE KEY", []byte("x"))), "", "client-certificate-key-encrypted", 0, ""},
		{"an encrypted key of old", join(cert, []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\naGVsbG8=\n-----END RSA PRIVATE KEY-----\n")), "", "client-certificate-key-encrypted", 0, ""},
		{"a cut key", join(cert, key[:60]), "", "client-certificate-unreadable", 0, ""},
		{"a request", join(cert, key, block("CERTIFICATE REQUEST", []byte("x"))), "", "client-certificate-unreadable", 0, ""},
		{"too large", bytes.Repeat(cert, 1000), "", "client-certificate-too-large", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, notices, err := network.ParseClientCertificate(c.data, secret.New(c.passphrase), time.Now())
			if fault.Code(err) != c.code {
				t.Fatalf("%v (%s)", err, fault.Code(err))
			}
			if err != nil {
				if out := fmt.Sprintf("%+v %v", err, fault.From(err).Unwrap()); strings.Contains(out, "canary") || fault.From(err).Advice == "" {
					t.Error(out)
				}
				return
			}
			var told []string
			for _, n := range notices {
				told = append(told, n.Code)
			}
			info, err := got.Info()
			if err != nil || info.Subject != "ward-7" || info.Issuer != "Hospital root" || len(got.Chain) != c.chain || strings.Join(told, "|") != c.notices {
				t.Errorf("%+v, chain of %d, notices %v, %v", info, len(got.Chain), notices, err)
			}
			if _, err := x509.ParsePKCS8PrivateKey(got.Key.Bytes()); err != nil {
				t.Errorf("the key: %v", err)
			}
			b, err := json.Marshal(got)
			if out := fmt.Sprintf("%+v %s %v", got, b, err); !strings.Contains(out, "‹secret›") || bytes.Contains([]byte(out), got.Key.Bytes()) {
				t.Error("the key shows")
			}
		})
	}
}

func TestKeysOfEachKindAreRead(t *testing.T) {
	ca := newAuthority(t, pkix.Name{CommonName: "Hospital root"})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "ward-7"}}, ca.cert, key.Public(), ca.key)
	parseClient(t, join(block("CERTIFICATE", leaf.Raw), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))), "")
	good := ca.issue(t, "ward-7")
	der, err := x509.MarshalECPrivateKey(newEC(good))
	if err != nil {
		t.Fatal(err)
	}
	parseClient(t, join(block("CERTIFICATE", good.Certificate[0]), block("EC PRIVATE KEY", der)), "")
}

func TestAStoredClientCertificateThatIsBroken(t *testing.T) {
	for name, c := range map[string]network.ClientCertificate{"empty": {}, "no key": {Chain: [][]byte{newAuthority(t, pkix.Name{}).cert.Raw}}, "garbage": {Chain: [][]byte{[]byte("x")}, Key: secret.New("x")}} {
		if _, err := network.NewClientWith(network.Options{ClientCertificate: &c}); fault.Code(err) != "client-certificate-unusable" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := network.Explain(t.Context(), "https://ehr.example", network.Options{ClientCertificate: &network.ClientCertificate{}}); fault.Code(err) != "client-certificate-unusable" {
		t.Error(err)
	}
}

func FuzzParseClientCertificate(f *testing.F) {
	ca := newAuthority(f, pkix.Name{CommonName: "Root"})
	good := ca.issue(f, "ward-7")
	cert, key := pair(f, good)
	p12, err := pkcs12.LegacyDES.WithIterations(1).Encode(good.PrivateKey, good.Leaf, nil, "p")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{join(cert, key), cert, key, p12, nil, []byte("-----BEGIN "), {0x30, 0x80, 0, 0}} {
		f.Add(seed, "p")
	}
	f.Fuzz(func(t *testing.T, data []byte, passphrase string) {
		c, _, err := network.ParseClientCertificate(data, secret.New(passphrase), time.Now())
		if err != nil {
			if f := fault.From(err); f.Code == "internal" || f.Advice == "" {
				t.Fatalf("%+v", f)
			}
			return
		}
		if _, err := network.NewClientWith(network.Options{ClientCertificate: c}); err != nil {
			t.Fatalf("what was read cannot be used: %v", err)
		}
	})
}
