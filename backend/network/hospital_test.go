package network_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

// authority signs certificates in a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, c, parent *x509.Certificate, key crypto.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if c.SerialNumber == nil {
		c.SerialNumber = big.NewInt(time.Now().UnixNano())
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func newAuthority(t testing.TB, subject pkix.Name, change ...func(*x509.Certificate)) authority {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{Subject: subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	for _, f := range change {
		f(c)
	}
	return authority{sign(t, c, c, key.Public(), key), key}
}

// issue makes a certificate for name, as a server or a client.
func (a authority) issue(t testing.TB, name string, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	for _, f := range change {
		f(c)
	}
	made := sign(t, c, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{made.Raw}, PrivateKey: key, Leaf: made}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// bundle gives the authority as one that a workstation trusts.
func (a authority) bundle(t testing.TB) network.Bundle {
	t.Helper()
	b, notices, err := network.ParseBundle("test", a.pem(), time.Now())
	if err != nil || len(notices) != 0 {
		t.Fatal(err, notices)
	}
	return b
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// serve is an https server whose certificate is c.
func serve(t testing.TB, config *tls.Config, h2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		who := ""
		if len(q.TLS.PeerCertificates) > 0 {
			who = q.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = io.WriteString(w, "hello "+who)
	}))
	s.TLS, s.EnableHTTP2 = config, h2
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// connectProxy is a proxy that knows CONNECT, and sends every connection to one server.
type connectProxy struct {
	*httptest.Server
	to string // host and port
	// password of user "nurse"; "" asks for none.
	password string
	// answer, where it is set, is how every CONNECT is answered.
	answer func(http.ResponseWriter)
	// inspect, where it is set, answers TLS itself.
	inspect *tls.Config

	mu    sync.Mutex
	asked []string
}

func newConnectProxy(t testing.TB, to string) *connectProxy {
	t.Helper()
	p := &connectProxy{to: to}
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = quiet
	t.Cleanup(p.Close)
	return p
}

func (p *connectProxy) start() *connectProxy {
	p.Start()
	return p
}

func (p *connectProxy) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, q.Method+" "+q.Host)
	p.mu.Unlock()
	switch {
	case p.answer != nil:
		p.answer(w)
		return
	case p.password != "" && q.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("nurse:"+p.password)):
		w.Header().Set("Proxy-Authenticate", `Basic realm="Ward 7, second floor"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	case q.Method != http.MethodConnect:
		http.Error(w, "not here", http.StatusMethodNotAllowed)
		return
	}
	browser, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer browser.Close()
	_, _ = io.WriteString(browser, "HTTP/1.1 200 Connection established\r\n\r\n")
	if p.inspect != nil {
		answering := tls.Server(browser, p.inspect)
		if request, err := http.ReadRequest(bufio.NewReader(answering)); err == nil {
			_ = request.Body.Close()
			_, _ = io.WriteString(answering, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ninspected")
		}
		_ = answering.Close()
		return
	}
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, buffered)
		_ = server.Close()
	}()
	_, _ = io.Copy(browser, server)
}

func client(t testing.TB, o network.Options) *http.Client {
	t.Helper()
	if o.Getenv == nil {
		o.Getenv = environment(nil)
	}
	c, err := network.NewClientWith(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func environment(set map[string]string) func(string) string {
	return func(name string) string { return set[name] }
}

// fetch gives the body of address, or the fault.
func fetch(t testing.TB, c *http.Client, address string) (string, *fault.Error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(q)
	if err != nil {
		return "", network.Fault(err, q.URL.Hostname())
	}
	defer resp.Body.Close()
	b, err := network.Read(resp.Body, 1<<10)
	if err != nil {
		return "", network.Fault(err, q.URL.Hostname())
	}
	return string(b), nil
}
