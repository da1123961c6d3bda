package loopback

import (
	"bytes"
	"crypto/tls"
	"log"
	"net"
)

// Certificates gives the certificate for https on this computer, in the form of
// crypto/tls.Config.GetCertificate. It is called for each connection.
type Certificates func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Why no request came, as OnRefused hears it.
const (
	refusedCertificate = "certificate-refused"
	refusedPlain       = "not-https"
)

// secured makes the connections of l those of https. To plain http net/http
// answers 400 by itself, with a sentence and without looking at the request: to
// send the browser on to https would make a way in of what was never registered.
func secured(l net.Listener, certificates Certificates) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: certificates,
	})
}

// tlsEar hears what net/http has to say of connections.
type tlsEar struct{ hear func(reason string) }

// hearTLS gives the ErrorLog of a server of https. A browser that does not trust
// a certificate sends no request, only an alert, and net/http tells of it nowhere else.
func hearTLS(hear func(reason string)) *log.Logger { return log.New(tlsEar{hear}, "", 0) }

// Write is given one line.
func (e tlsEar) Write(line []byte) (int, error) {
	has := func(text string) bool { return bytes.Contains(line, []byte(text)) }
	switch {
	case !has("TLS handshake error"):
		log.Print(string(line)) // as it would be without this ear
	case e.hear == nil:
	case has("client sent an HTTP request to an HTTPS server"):
		e.hear(refusedPlain)
	case has("remote error: tls: unknown certificate"), has("remote error: tls: bad certificate"):
		e.hear(refusedCertificate)
	}
	return len(line), nil
}
