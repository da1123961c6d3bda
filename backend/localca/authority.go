// Package localca is a certificate authority of this computer for this computer
// alone: it lets a browser open https://localhost, for servers that take no
// http redirect URI.
//
// It makes the authority, issues the certificate that a listener shows, and
// tells how a browser is made to trust it and to forget it. It stores nothing:
// the authority's key is the caller's to seal. It touches the certificates of a
// browser only where Trust and Untrust are called, which is to be on a person's
// request.
package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
)

const (
	// authorityLife is how long a person is not asked again to trust a new one.
	authorityLife = 730 * 24 * time.Hour
	// backdating makes up for a clock that was just set.
	backdating = time.Hour
)

// Authority signs for localhost, 127.0.0.1 and ::1, and for nothing else:
// its certificate says so to whoever trusts it (RFC 5280 section 4.2.1.10).
type Authority struct {
	// Certificate is in DER, and public.
	Certificate []byte
	// Key is the private key in PKCS#8 DER, to be sealed.
	Key secret.Value
}

// New makes an authority that counts for about two years from now. computer
// names this computer for people who look at their list of authorities.
func New(computer string, now time.Time) (Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return Authority{}, err
	}
	// The name is new each time: browsers on NSS take certificates of one name for
	// versions of one.
	name := fmt.Sprintf("Chartkey localhost authority %X", serial.Bytes()[:4])
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Chartkey on " + network.Clean(computer, 40)}},
		NotBefore:    now.Add(-backdating), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges:           []*net.IPNet{exactly(net.IPv4(127, 0, 0, 1).To4()), exactly(net.IPv6loopback)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Authority{}, err
	}
	return Authority{Certificate: der, Key: secret.Own(private)}, nil
}

func exactly(ip net.IP) *net.IPNet {
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

// newSerial gives a positive number of 16 bytes, the first of which is not zero.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b), nil
}

// parse gives the certificate. Fault: localhost-authority-unusable.
func (a Authority) parse() (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return nil, unusable().Because(err)
	}
	return c, nil
}

// open gives certificate and key. Fault: localhost-authority-unusable.
func (a Authority) open() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	c, err := a.parse()
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(a.Key.Bytes())
	if err != nil {
		return nil, nil, unusable().Because(err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok || !own.PublicKey.Equal(c.PublicKey) {
		return nil, nil, unusable()
	}
	return c, own, nil
}

func unusable() *fault.Error {
	return fault.New("localhost-authority-unusable", "The authority for https on this computer cannot be used.", "Make a new one, and let the browser trust it in place of the old one.")
}

// Info gives what people compare: name, dates and fingerprint. Fault:
// localhost-authority-unusable.
func (a Authority) Info() (network.CertificateInfo, error) {
	c, err := a.parse()
	if err != nil {
		return network.CertificateInfo{}, err
	}
	return network.Describe(c), nil
}

// PEM gives the certificate for a file that people import.
func (a Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate})
}
