package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"sync"
	"time"

	"chartkey/backend/fault"
)

const (
	// leafLife is longer than any sign-in, and short enough for nobody to want the key.
	leafLife = 24 * time.Hour
	// leafFresh is how long one is shown before another is made.
	leafFresh = 12 * time.Hour
)

// Issuer makes the certificate that a listener of this computer shows. Its key
// is in memory only. It may be used by several listeners at once.
type Issuer struct {
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	now       func() time.Time

	mu   sync.Mutex // protects the two below
	leaf *tls.Certificate
	made time.Time
}

// Issuer opens the authority for use.
//
// Faults: localhost-authority-unusable, localhost-authority-expired.
func (a Authority) Issuer(now func() time.Time) (*Issuer, error) {
	c, key, err := a.open()
	if err != nil {
		return nil, err
	}
	i := &Issuer{authority: c, key: key, now: now}
	if _, err := i.GetCertificate(nil); err != nil {
		return nil, err
	}
	return i, nil
}

// GetCertificate gives a certificate for localhost, 127.0.0.1 and ::1, whatever
// name is asked for. It has the form of crypto/tls.Config.GetCertificate.
//
// Fault: localhost-authority-expired.
func (i *Issuer) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	if now.After(i.authority.NotAfter) {
		return nil, fault.New("localhost-authority-expired", "The authority for https on this computer has expired.", "Make a new one, and let the browser trust it in place of the old one.")
	}
	// A clock that was set back must not leave a certificate of the future.
	if age := now.Sub(i.made); i.leaf != nil && age >= 0 && age < leafFresh && now.Before(i.leaf.Leaf.NotAfter) {
		return i.leaf, nil
	}
	leaf, err := i.issue(now)
	if err != nil {
		return nil, err
	}
	i.leaf, i.made = leaf, now
	return leaf, nil
}

func (i *Issuer) issue(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	until := now.Add(leafLife)
	if until.After(i.authority.NotAfter) {
		until = i.authority.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-backdating), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.authority, key.Public(), i.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
