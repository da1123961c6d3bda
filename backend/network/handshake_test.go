package network_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"chartkey/backend/fault"
	"chartkey/backend/network"
)

func TestHandshakeSeesTheConnectionAndSendsNoRequest(t *testing.T) {
	for name, version := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			var complaints bytes.Buffer
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			server.EnableHTTP2 = true
			server.TLS = &tls.Config{MaxVersion: version, MinVersion: version}
			server.Config.ErrorLog = log.New(&complaints, "", 0)
			ended := make(chan struct{}, 1)
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					ended <- struct{}{}
				}
			}
			server.StartTLS()
			u, err := url.Parse(server.URL + "/somewhere")
			if err != nil {
				t.Fatal(err)
			}
			client := server.Client()
			client.Transport = watching{client.Transport}
			state, err := network.Handshake(t.Context(), client, u)
			if err != nil || state.Version != version || !state.HandshakeComplete {
				t.Errorf("%+v %v", state.Version, err)
			}
			if got := network.Expiry(state); !got.Equal(server.Certificate().NotAfter) {
				t.Errorf("it runs out on %s", got)
			}
			<-ended // the server has seen all of it
			if asked.Load() != 0 || complaints.Len() > 0 {
				t.Errorf("%d requests came; the server complains: %s", asked.Load(), complaints.String())
			}
			if _, err = network.Handshake(t.Context(), network.NewClient(), u); fault.Code(err) != network.CodeTLSUntrusted {
				t.Errorf("an unknown authority: %v", err)
			}
			<-ended
			server.Close()
		})
	}
}

// watching is a transport around another, as a recorder is.
type watching struct{ http.RoundTripper }

func (w watching) Unwrap() http.RoundTripper { return w.RoundTripper }

func TestHandshakeThroughAProxy(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	var connects atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects.Add(1)
		to, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		defer to.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, buffered) }()
		_, _ = io.Copy(conn, to)
	}))
	defer proxy.Close()
	via, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(via)
	state, err := network.Handshake(t.Context(), client, &url.URL{Scheme: "https", Host: "example.com"}) // a name of its certificate
	if err != nil || len(state.PeerCertificates) == 0 || connects.Load() != 1 {
		t.Errorf("%v, %d connections", err, connects.Load())
	}
}
