package network_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"chartkey/backend/network"
	"chartkey/backend/secret"
)

func newEC(c tls.Certificate) *ecdsa.PrivateKey { return c.PrivateKey.(*ecdsa.PrivateKey) }

func TestEachFailureOfTLSHasItsFault(t *testing.T) {
	trusted := newAuthority(t, pkix.Name{CommonName: "Trusted root"})
	hospital := newAuthority(t, pkix.Name{CommonName: "St. Elsewhere Root CA", Organization: []string{"St. Elsewhere"}})
	inspector := newAuthority(t, pkix.Name{CommonName: "Zscaler Root CA"})
	byOrganization := newAuthority(t, pkix.Name{CommonName: "Firewall 3", Organization: []string{"Fortinet Ltd."}})
	self := newAuthority(t, pkix.Name{CommonName: "127.0.0.1"}, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	with := func(c tls.Certificate, more ...*x509.Certificate) *tls.Config {
		for _, m := range more {
			c.Certificate = append(c.Certificate, m.Raw)
		}
		return &tls.Config{Certificates: []tls.Certificate{c}}
	}
	dated := func(from, until int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(from, 2, 3, 0, 0, 0, 0, time.UTC), time.Date(until, 2, 3, 0, 0, 0, 0, time.UTC)
		}
	}
	oldAuthority := newAuthority(t, pkix.Name{CommonName: "Middle"}, dated(2001, 2002))
	oldAuthority.cert = sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Middle"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2002, 2, 3, 0, 0, 0, 0, time.UTC),
	}, trusted.cert, oldAuthority.key.Public(), trusted.key)
	tooOld := with(trusted.issue(t, "127.0.0.1"))
	tooOld.MinVersion, tooOld.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	noCommon := with(trusted.issue(t, "127.0.0.1"))
	noCommon.MaxVersion, noCommon.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		name   string
		config *tls.Config
		code   string
		says   []string
		not    string
	}{
		{"unknown", with(hospital.issue(t, "127.0.0.1")), network.CodeTLSUntrusted, []string{"“St. Elsewhere Root CA”", "does not trust"}, "inspects"},
		{"unknown, with its root", with(hospital.issue(t, "127.0.0.1"), hospital.cert), network.CodeTLSUntrusted, []string{"“St. Elsewhere Root CA”"}, "itself"},
		{"an inspecting proxy", with(inspector.issue(t, "127.0.0.1"), inspector.cert), network.CodeTLSUntrusted, []string{"“Zscaler Root CA”", "looks like a proxy that inspects"}, "itself"},
		{"told by its organization", with(byOrganization.issue(t, "127.0.0.1")), network.CodeTLSUntrusted, []string{"“Firewall 3”", "looks like a proxy"}, ""},
		{"signed by itself", with(tls.Certificate{Certificate: [][]byte{self.cert.Raw}, PrivateKey: self.key}), network.CodeTLSUntrusted, []string{"signed by itself"}, "“"},
		{"expired", with(trusted.issue(t, "127.0.0.1", dated(2019, 2020))), network.CodeTLSExpired, []string{"The certificate of 127.0.0.1", "2019-02-03", "2020-02-03"}, "above"},
		{"not yet", with(trusted.issue(t, "127.0.0.1", dated(2119, 2120))), network.CodeTLSExpired, []string{"2119-02-03"}, ""},
		{"an authority that expired", with(oldAuthority.issue(t, "127.0.0.1"), oldAuthority.cert), network.CodeTLSExpired, []string{"authority's certificate above", "2002-02-03"}, ""},
		{"another name", with(trusted.issue(t, "ehr.example", func(c *x509.Certificate) { c.DNSNames = []string{"a.example", "b.example", "c.example", "d.example"} })), network.CodeTLSWrongHost, []string{"(a.example, b.example, c.example, …)"}, "d.example"},
		{"too old", tooOld, network.CodeTLSTooOld, []string{"too old"}, ""},
		{"no common cipher", noCommon, network.CodeTLSFailed, nil, ""},
		{"not for servers", with(trusted.issue(t, "127.0.0.1", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), network.CodeTLSFailed, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := serve(t, c.config, false)
			_, f := fetch(t, client(t, network.Options{ExtraCAs: []network.Bundle{trusted.bundle(t)}}), server.URL)
			if f == nil || f.Code != c.code || f.Retryable || f.Advice == "" {
				t.Fatalf("%+v (%v)", f, errorOf(f))
			}
			for _, want := range c.says {
				if !strings.Contains(f.Message, want) {
					t.Errorf("%q is not in: %s", want, f.Message)
				}
			}
			if c.not != "" && strings.Contains(f.Message, c.not) {
				t.Errorf("%q is in: %s", c.not, f.Message)
			}
		})
	}
}

func TestTLS12IsSpoken(t *testing.T) {
	ca := newAuthority(t, pkix.Name{CommonName: "Root"})
	server := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1")}, MaxVersion: tls.VersionTLS12}, false)
	if body, f := fetch(t, client(t, network.Options{ExtraCAs: []network.Bundle{ca.bundle(t)}}), server.URL); body != "hello " {
		t.Error(f)
	}
}

func TestAProxyThatInspects(t *testing.T) {
	real, fake := newAuthority(t, pkix.Name{CommonName: "Public root"}), newAuthority(t, pkix.Name{CommonName: "IT Security 2026"})
	proxy := newConnectProxy(t, "")
	proxy.inspect = &tls.Config{Certificates: []tls.Certificate{fake.issue(t, "ehr.example")}}
	proxy.start()
	o := network.Options{Proxy: network.Proxy{URL: proxy.URL}, ExtraCAs: []network.Bundle{real.bundle(t)}}
	_, f := fetch(t, client(t, o), "https://ehr.example/")
	if f == nil || f.Code != network.CodeTLSUntrusted || !strings.Contains(f.Message, "“IT Security 2026”") || !strings.Contains(f.Message, "went through the proxy "+proxy.Listener.Addr().String()) {
		t.Errorf("%v", f)
	}
	o.ExtraCAs = append(o.ExtraCAs, fake.bundle(t))
	if body, f := fetch(t, client(t, o), "https://ehr.example/"); body != "inspected" {
		t.Errorf("with its authority: %v", f)
	}
}

func TestServersThatAskForAClientCertificate(t *testing.T) {
	ca := newAuthority(t, pkix.Name{CommonName: "Server root"})
	clients, others := newAuthority(t, pkix.Name{CommonName: "Client root"}), newAuthority(t, pkix.Name{CommonName: "Other root"})
	make := func(a authority, change ...func(*x509.Certificate)) *network.ClientCertificate {
		cert, key := pair(t, a.issue(t, "ward-7", change...))
		c, _, err := network.ParseClientCertificate(join(cert, key), secret.Value{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	good, foreign := make(clients), make(others)
	stale := make(clients, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Second) })
	time.Sleep(1100 * time.Millisecond)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, h2 := range []bool{false, true} {
			for _, c := range []struct {
				name    string
				auth    tls.ClientAuthType
				present *network.ClientCertificate
				code    string
				says    string
			}{
				{"required and given", tls.RequireAndVerifyClientCert, good, "", "hello ward-7"},
				{"required and not given", tls.RequireAndVerifyClientCert, nil, network.CodeClientCertificateRequired, "asks for a client certificate"},
				{"of another authority", tls.RequireAndVerifyClientCert, foreign, network.CodeClientCertificateRefused, "did not accept"},
				{"expired", tls.RequireAndVerifyClientCert, stale, network.CodeClientCertificateRefused, "did not accept"},
				{"wished and not given", tls.VerifyClientCertIfGiven, nil, "", "hello "},
				{"wished and given", tls.VerifyClientCertIfGiven, good, "", "hello ward-7"},
				{"not asked", tls.NoClientCert, good, "", "hello "},
			} {
				t.Run(fmt.Sprintf("%s, %s, h2 %v", c.name, tls.VersionName(version), h2), func(t *testing.T) {
					server := serve(t, &tls.Config{
						Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1")}, ClientCAs: clients.pool(), ClientAuth: c.auth,
						MinVersion: version, MaxVersion: version,
					}, h2)
					h := client(t, network.Options{ExtraCAs: []network.Bundle{ca.bundle(t)}, ClientCertificate: c.present})
					for range 5 { // the alert of TLS 1.3 races with the request
						body, f := fetch(t, h, server.URL)
						if c.code == "" {
							if body != c.says {
								t.Fatalf("%q, %v (%v)", body, f, errorOf(f))
							}
							continue
						}
						if f == nil || f.Code != c.code || !strings.Contains(f.Message, c.says) || f.Retryable {
							t.Fatalf("%+v (%v)", f, errorOf(f))
						}
					}
				})
			}
		}
	}
}

func TestAClientCertificateGoesThroughAProxy(t *testing.T) {
	ca := newAuthority(t, pkix.Name{CommonName: "Root"})
	server := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "ehr.example")}, ClientCAs: ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert}, true)
	proxy := newConnectProxy(t, server.Listener.Addr().String()).start()
	cert, key := pair(t, ca.issue(t, "ward-7"))
	o := network.Options{Proxy: network.Proxy{URL: proxy.URL}, ExtraCAs: []network.Bundle{ca.bundle(t)}, ClientCertificate: parseClient(t, join(cert, key), "")}
	if body, f := fetch(t, client(t, o), "https://ehr.example/"); body != "hello ward-7" {
		t.Errorf("%v (%v)", f, errorOf(f))
	}
	r := settle(t, "https://ehr.example/", o)
	if r.ClientCertificate == nil || r.ClientCertificate.Subject != "ward-7" || len(r.Authorities) != 1 || r.Authorities[0].Name != "test" || r.Authorities[0].Certificates[0].Subject != "Root" {
		t.Errorf("%+v", r)
	}
}
