package simulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The ways to serve https, for Options.TLS. Each is a certificate that a client
// must refuse, as no public authority signs one for localhost.
const (
	// TLSUnknownAuthority is a certificate by an authority that nobody trusts,
	// as behind an inspecting proxy or a hospital's own authority. A client that
	// is given Authority to trust is served as usual.
	TLSUnknownAuthority = "unknown-authority"
	// TLSExpired is one that ran out yesterday, which trust does not mend.
	TLSExpired = "expired"
)

// TLSModes gives the values that Options.TLS may have beside "".
func TLSModes() []string { return []string{TLSUnknownAuthority, TLSExpired} }

// newTLS makes an authority and, signed by it, the certificate of a server on
// this computer.
func newTLS(mode, host string, now time.Time) (*tls.Config, *x509.Certificate, error) {
	if !slices.Contains(TLSModes(), mode) {
		return nil, nil, fmt.Errorf("there is no way to serve TLS called %q; there are %s", clip(mode, 60), strings.Join(TLSModes(), ", "))
	}
	from, until := now.Add(-time.Hour), now.AddDate(0, 0, 30)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Chartkey sandbox authority"},
		NotBefore: from.AddDate(0, -1, 0), NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Chartkey sandbox"},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = append(leaf.IPAddresses, ip)
	}
	if mode == TLSExpired {
		leaf.NotBefore, leaf.NotAfter = now.AddDate(0, 0, -15), now.AddDate(0, 0, -1)
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, nil, err
	}
	if authority, err = x509.ParseCertificate(der); err != nil {
		return nil, nil, err
	}
	if der, err = x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey); err != nil {
		return nil, nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12, // SMART App Launch 2.2, "Conformance"
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, authority, nil
}

// Authority is the certificate to trust where Options.TLS is set, else nil.
func (s *Server) Authority() *x509.Certificate { return s.authority }

// handshakes puts a failed TLS handshake into the request log, where a person
// looks for the reason why nothing arrived.
type handshakes struct{ s *Server }

func (h handshakes) Write(line []byte) (int, error) {
	if _, problem, found := strings.Cut(string(line), "TLS handshake error from "); found {
		_, problem, _ = strings.Cut(problem, ": ")
		e := &logEntry{Request: Request{At: h.s.now().UTC(), Method: http.MethodConnect, Verdict: "no secure connection was made: " + clip(strings.TrimSpace(problem), 200)}}
		h.s.log.add(e, h.s.now())
	}
	return len(line), nil
}

// errorLog takes what net/http has to say of connections. All but the
// handshakes stands in the request log already.
func (s *Server) errorLog() *log.Logger { return log.New(handshakes{s}, "", 0) }
