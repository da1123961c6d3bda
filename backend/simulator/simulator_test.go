package simulator

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	good := Client{ID: "x", Type: Public, RedirectURIs: []string{testRedirect}}
	for name, opts := range map[string]Options{
		"a public host":     {Host: "ehr.example"},
		"a public address":  {Host: "192.0.2.1"},
		"no port":           {Port: -1},
		"too high a port":   {Port: 70_000},
		"a negative life":   {Settings: Settings{AccessTokenLife: -time.Second}},
		"a client twice":    {Clients: []Client{good, good}},
		"a nameless client": {Clients: []Client{{Type: Public, RedirectURIs: []string{testRedirect}}}},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestStartAndClose(t *testing.T) {
	r := start(t, Options{})
	if err := r.Start(t.Context()); err == nil {
		t.Error("it started twice")
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.Origin(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(Options{Port: n})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), port) {
		t.Errorf("a taken port: %v", err)
	}
	if err := second.Close(t.Context()); err != nil {
		t.Errorf("closing what never started: %v", err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func TestAPortTakenOnIPv6Only(t *testing.T) {
	if !hasIPv6Loopback(t.Context()) {
		t.Log("this computer has no IPv6: the port is served on 127.0.0.1 alone")
		return
	}
	other, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s, err := New(Options{Port: other.Addr().(*net.TCPAddr).Port})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil {
		_ = s.Close(t.Context())
		t.Error("it started beside another program on the same port")
	}
}

func TestCloseDoesNotWaitForever(t *testing.T) {
	r := start(t, Options{})
	conn, err := net.Dial("tcp", strings.Replace(strings.TrimPrefix(r.Origin(), "http://"), "localhost", "127.0.0.1", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /auth/token HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestHome(t *testing.T) {
	r := start(t, Options{Clients: []Client{{ID: "their-app", Type: Public, RedirectURIs: []string{"com.example.app:/callback"}}}})
	_, body := r.do(mustRequest(t, r.PortalURL()))
	for _, want := range []string{r.FHIRBaseURL(), "their-app", "com.example.app:/callback", "chartkey-demo", "dr.okafor", patientPassword, "<h1>"} {
		if !strings.Contains(word(body["page"]), want) {
			t.Errorf("the home page lacks %q", want)
		}
	}
}
