package network

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

const (
	maxClientCertificate = 256 << 10
	// maxIterations bounds the work of a PKCS#12 passphrase to seconds. The programs
	// that write such files take from 2,000 to some 100,000.
	maxIterations = 5_000_000
)

// ClientCertificate is what this workstation shows to a server that asks who
// connects (mutual TLS). Chain is public; Key is to be sealed.
type ClientCertificate struct {
	// Chain is the certificate and then what leads up from it, in DER.
	Chain [][]byte
	// Key is the private key, in PKCS#8 DER.
	Key secret.Value
}

// Info describes the certificate itself. Fault: client-certificate-unusable.
func (c *ClientCertificate) Info() (CertificateInfo, error) {
	if len(c.Chain) == 0 {
		return CertificateInfo{}, unusableCertificate(nil)
	}
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return CertificateInfo{}, unusableCertificate(err)
	}
	return Describe(leaf), nil
}

func unusableCertificate(cause error) *fault.Error {
	f := fault.New("client-certificate-unusable", "The stored client certificate cannot be used.", "Add the client certificate again.")
	if cause != nil {
		f = f.Because(cause)
	}
	return f
}

// forTLS gives the certificate in the form of crypto/tls.
func (c *ClientCertificate) forTLS() (tls.Certificate, error) {
	var chain []byte
	for _, der := range c.Chain {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: c.Key.Bytes()})
	defer clear(key)
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, unusableCertificate(err)
	}
	return pair, nil
}

// ParseClientCertificate reads a certificate with its private key, from PKCS#12
// (.p12, .pfx; RFC 7292) that passphrase opens, or from PEM: one file with both,
// or the two files one after the other. The caller wipes data.
//
// Faults: client-certificate-too-large, client-certificate-passphrase,
// client-certificate-unreadable, client-certificate-no-key,
// client-certificate-key-encrypted, client-certificate-several,
// client-certificate-mismatch, client-certificate-expired.
func ParseClientCertificate(data []byte, passphrase secret.Value, now time.Time) (*ClientCertificate, []Notice, error) {
	if len(data) > maxClientCertificate {
		return nil, nil, fault.Newf("client-certificate-too-large", "Give the file that the health system sent, with one certificate in it.", "The file of the client certificate is larger than %s.", size(maxClientCertificate))
	}
	read := readPKCS12
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		read = readPEMPair
	}
	c, leaf, err := read(data, passphrase)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.forTLS(); err != nil { // also compares the keys
		return nil, nil, fault.New("client-certificate-mismatch", "The certificate and the private key in the file do not belong together.", "Give the key that the certificate was asked for with.").Because(errors.Unwrap(err))
	}
	name := nameOf(leaf.Subject)
	var notices []Notice
	switch {
	case now.After(leaf.NotAfter):
		return nil, nil, fault.Newf("client-certificate-expired", "Ask the health system for a new one.", "The client certificate “%s” expired on %s.", name, day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		notices = append(notices, Notice{NoticeNotYetValid, fmt.Sprintf("“%s” does not count before %s.", name, day(leaf.NotBefore))})
	case now.Add(expiresSoon).After(leaf.NotAfter):
		notices = append(notices, Notice{NoticeExpiresSoon, fmt.Sprintf("“%s” expires on %s.", name, day(leaf.NotAfter))})
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		notices = append(notices, Notice{NoticeNotForClient, fmt.Sprintf("“%s” is not made for clients, so servers may refuse it.", name)})
	}
	return c, notices, nil
}

func readPKCS12(data []byte, passphrase secret.Value) (*ClientCertificate, *x509.Certificate, error) {
	unreadable := fault.New("client-certificate-unreadable", "The file of the client certificate cannot be read.",
		"Give a PKCS#12 file (.p12, .pfx), or PEM with the certificate and its private key.")
	if iterations(data) > maxIterations {
		return nil, nil, unreadable
	}
	key, leaf, more, err := pkcs12.DecodeChain(data, passphrase.Reveal())
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, fault.New("client-certificate-passphrase", "The passphrase does not open the file of the client certificate.", "Enter the passphrase that came with the file.").Because(err)
	case err != nil:
		return nil, nil, unreadable.Because(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, unreadable.Because(err)
	}
	c := &ClientCertificate{Chain: [][]byte{leaf.Raw}, Key: secret.Own(der)}
	for _, m := range more {
		c.Chain = append(c.Chain, m.Raw)
	}
	return c, leaf, nil
}

// iterations gives how often a PKCS#12 file says to hash the passphrase before
// anything in it is known to be whole (RFC 7292 section 4). 0 is a file of
// another form, which its reader judges.
func iterations(data []byte) int {
	var file struct {
		Version  int
		AuthSafe asn1.RawValue
		Mac      struct {
			Mac        asn1.RawValue
			Salt       []byte
			Iterations int `asn1:"optional,default:1"`
		} `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(data, &file); err != nil {
		return 0
	}
	return file.Mac.Iterations
}

func readPEMPair(data []byte, _ secret.Value) (*ClientCertificate, *x509.Certificate, error) {
	unreadable := fault.New("client-certificate-unreadable", "The file of the client certificate cannot be read.",
		"Give PEM with the certificate and its private key, whole and with their BEGIN and END lines, or a PKCS#12 file (.p12, .pfx).")
	c := &ClientCertificate{}
	var leaf *x509.Certificate
	found := 0
	for rest := data; ; found++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
			parsed, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, unreadable.Because(err)
			}
			c.Chain = append(c.Chain, parsed.Raw)
			if leaf == nil {
				leaf = parsed
			}
		case "EC PARAMETERS": // openssl writes the curve before the key
		case "ENCRYPTED PRIVATE KEY":
			return nil, nil, encryptedKey()
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, nil, encryptedKey()
			}
			if !c.Key.IsEmpty() {
				return nil, nil, fault.New("client-certificate-several", "There are several private keys in the file of the client certificate.", "Give a file with one certificate and its key.")
			}
			der, err := pkcs8(block)
			clear(block.Bytes)
			if err != nil {
				return nil, nil, unreadable.Because(err)
			}
			c.Key = secret.Own(der)
		default:
			return nil, nil, unreadable
		}
	}
	switch {
	case found != bytes.Count(data, []byte("-----BEGIN ")) || leaf == nil:
		return nil, nil, unreadable
	case c.Key.IsEmpty():
		return nil, nil, fault.New("client-certificate-no-key", "There is no private key in the file of the client certificate.", "Give a PKCS#12 file (.p12, .pfx), or the certificate and its private key in PEM.")
	}
	return c, leaf, nil
}

func encryptedKey() *fault.Error {
	return fault.New("client-certificate-key-encrypted", "The private key in the PEM file is encrypted, which Chartkey does not read in this form.",
		"Make a PKCS#12 file of it: openssl pkcs12 -export -in certificate.pem -inkey key.pem -out certificate.p12.")
}

// pkcs8 gives the key of a PEM block in PKCS#8, whichever of the three forms it has.
func pkcs8(block *pem.Block) ([]byte, error) {
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}
