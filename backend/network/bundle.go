package network

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
)

const (
	// maxBundle is some ten times the authorities that all browsers trust together.
	maxBundle = 2 << 20

	// expiresSoon is when an authority's end is worth a notice.
	expiresSoon = 30 * 24 * time.Hour
)

// The codes of notices about certificates.
const (
	NoticeExpired      = "certificate-expired"
	NoticeExpiresSoon  = "certificate-expires-soon"
	NoticeNotYetValid  = "certificate-not-yet-valid"
	NoticeNotAuthority = "certificate-not-authority"
	NoticeNotForClient = "certificate-not-for-client"
)

// Bundle is a set of authorities that are trusted beside the system's.
type Bundle struct {
	// Name says whose it is: the workstation's, or a registration's.
	Name        string
	authorities []*x509.Certificate
}

// Authorities describes what is in the bundle.
func (b Bundle) Authorities() []CertificateInfo {
	infos := make([]CertificateInfo, len(b.authorities))
	for i, c := range b.authorities {
		infos[i] = Describe(c)
	}
	return infos
}

// PEM gives the bundle in the form that ParseBundle reads, without whatever
// else stood in the file.
func (b Bundle) PEM() []byte {
	var out []byte
	for _, c := range b.authorities {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// ParseBundle reads the certificates of authorities from a PEM file (RFC 7468),
// or one from DER. Text between them is passed over. What is no authority or has
// expired is left out with a notice; where nothing is left, that is the fault.
//
// Faults: ca-bundle-too-large, ca-bundle-empty, ca-bundle-damaged,
// ca-bundle-private-key, ca-bundle-not-certificates, ca-bundle-expired,
// ca-bundle-not-authority.
func ParseBundle(name string, data []byte, now time.Time) (Bundle, []Notice, error) {
	blocks, err := readCertificates(data)
	if err != nil {
		return Bundle{}, nil, err
	}
	b := Bundle{Name: name}
	var notices []Notice
	note := func(code, format string, args ...any) {
		notices = append(notices, Notice{code, fmt.Sprintf(format, args...)})
	}
	for _, c := range blocks {
		switch {
		case slices.ContainsFunc(b.authorities, c.Equal):
			continue
		case !isAuthority(c):
			note(NoticeNotAuthority, "“%s” is not the certificate of an authority, so it is left out.", nameOf(c.Subject))
			continue
		case now.After(c.NotAfter):
			note(NoticeExpired, "“%s” expired on %s, so it is left out.", nameOf(c.Subject), day(c.NotAfter))
			continue
		case now.Before(c.NotBefore):
			note(NoticeNotYetValid, "“%s” does not count before %s.", nameOf(c.Subject), day(c.NotBefore))
		case now.Add(expiresSoon).After(c.NotAfter):
			note(NoticeExpiresSoon, "“%s” expires on %s.", nameOf(c.Subject), day(c.NotAfter))
		}
		b.authorities = append(b.authorities, c)
	}
	if len(b.authorities) > 0 {
		return b, notices, nil
	}
	// Each was left out, so there is a notice.
	first := notices[0]
	if slices.ContainsFunc(notices, func(n Notice) bool { return n.Code == NoticeExpired }) {
		return Bundle{}, notices, fault.New("ca-bundle-expired", "No authority in the file still counts: "+strings.TrimSuffix(first.Message, ", so it is left out.")+".",
			"Ask your IT department for the certificate of the authority that is used now.")
	}
	return Bundle{}, notices, fault.New("ca-bundle-not-authority", "There is no authority in the file: "+strings.TrimSuffix(first.Message, ", so it is left out.")+".",
		"Ask your IT department for the certificate of the authority (the root) that signs, not for that of a server.")
}

// readCertificates reads each certificate of a file, and refuses a file with
// anything else in it.
func readCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxBundle {
		return nil, fault.Newf("ca-bundle-too-large", "Give a file with only the authorities that your network needs.", "The file of authorities is larger than %s.", size(maxBundle))
	}
	if c, err := x509.ParseCertificate(data); err == nil {
		return []*x509.Certificate{c}, nil
	}
	var found []*x509.Certificate
	rest := data
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch kind := block.Type; {
		case strings.HasSuffix(kind, "PRIVATE KEY"):
			clear(block.Bytes)
			return nil, fault.New("ca-bundle-private-key", "There is a private key in the file of authorities.",
				"Give a file with certificates only. If the key is an authority's, tell your IT department that it has been handed out.")
		case kind != "CERTIFICATE":
			return nil, fault.Newf("ca-bundle-not-certificates", "Give a file with the authorities' certificates in PEM (“BEGIN CERTIFICATE”).",
				"There is something else than certificates in the file of authorities (%s).", Clean(kind, 40))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, damagedBundle(len(found) + 1).Because(err)
		}
		found = append(found, c)
	}
	// pem.Decode passes over what it cannot read.
	if begun := bytes.Count(data, []byte("-----BEGIN ")); begun != len(found) {
		return nil, damagedBundle(len(found) + 1)
	}
	if len(found) == 0 {
		return nil, fault.New("ca-bundle-empty", "There is no certificate in the file of authorities.",
			"Give a file with the authorities' certificates in PEM (“BEGIN CERTIFICATE”). A PKCS#7 file (.p7b) has to be converted: openssl pkcs7 -print_certs.")
	}
	return found, nil
}

func damagedBundle(number int) *fault.Error {
	return fault.Newf("ca-bundle-damaged", "Ask for the file again, and copy it whole, with its BEGIN and END lines.", "Certificate %d in the file of authorities cannot be read.", number)
}

// isAuthority tells whether c may sign certificates (RFC 5280 sections 4.2.1.3
// and 4.2.1.9). Roots of version 1 have no extensions to say so, and sign.
func isAuthority(c *x509.Certificate) bool {
	if c.Version < 3 {
		return bytes.Equal(c.RawIssuer, c.RawSubject)
	}
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0)
}
