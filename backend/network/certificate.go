package network

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"time"
)

// CertificateInfo is what people compare of a certificate.
type CertificateInfo struct {
	// Subject and Issuer are common names or, without one, the most telling part of the name.
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before" ts_type:"string"`
	NotAfter  time.Time `json:"not_after" ts_type:"string"`
	// Fingerprint is the SHA-256 of the certificate, as browsers and openssl show it.
	Fingerprint string `json:"fingerprint"`
}

// Describe gives what people compare of c.
func Describe(c *x509.Certificate) CertificateInfo {
	return CertificateInfo{
		Subject: nameOf(c.Subject), Issuer: nameOf(c.Issuer), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Fingerprint: Fingerprint(c.Raw),
	}
}

// Fingerprint gives the SHA-256 of a certificate in DER, in upper-case
// hexadecimal with a colon between bytes.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Notice is something about what was given that does not keep it from being used.
type Notice struct {
	// Code is a stable kebab-case word that programs match on.
	Code string `json:"code"`
	// Message is a sentence for people.
	Message string `json:"message"`
}

func nameOf(n pkix.Name) string {
	name := n.CommonName
	for _, more := range [][]string{n.OrganizationalUnit, n.Organization} {
		if name == "" && len(more) > 0 {
			name = more[0]
		}
	}
	if name == "" {
		name = n.String()
	}
	if name = Clean(name, 100); name == "" {
		return "(no name)"
	}
	return name
}
