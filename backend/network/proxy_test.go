package network_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
)

var quiet = log.New(io.Discard, "", 0)

func TestServersAreReachedThroughAProxy(t *testing.T) {
	ca := newAuthority(t, pkix.Name{CommonName: "Test root"})
	server := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "ehr.example")}}, true)
	for _, c := range []struct {
		name, password, user, sent string
		code, says                 string
	}{
		{name: "open"},
		{name: "with user and password", password: "s3cret:with/signs", user: "nurse", sent: "s3cret:with/signs"},
		{name: "without the user it asks for", password: "s3cret", code: network.CodeProxySignIn, says: "asks for a user and a password (it offers: Basic)"},
		{name: "with a wrong password", password: "s3cret", user: "nurse", sent: "wrong-canary", code: network.CodeProxySignIn, says: "does not accept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy := newConnectProxy(t, server.Listener.Addr().String())
			proxy.password = c.password
			proxy.start()
			h := client(t, network.Options{
				Proxy:    network.Proxy{URL: proxy.URL, User: c.user, Password: secret.New(c.sent)},
				ExtraCAs: []network.Bundle{ca.bundle(t)},
			})
			body, f := fetch(t, h, "https://ehr.example/metadata")
			if c.code == "" {
				if f != nil || body != "hello " {
					t.Fatalf("%q, %v (%v)", body, f, errorOf(f))
				}
				if got := proxy.targets(); len(got) != 1 || got[0] != "CONNECT ehr.example:443" {
					t.Errorf("the proxy was asked %v", got)
				}
				return
			}
			if f == nil || f.Code != c.code || !strings.Contains(f.Message, c.says) || f.Retryable {
				t.Fatalf("%q, %+v (%v)", body, f, errorOf(f))
			}
			if out := fmt.Sprintf("%+v %v", f, errorOf(f)); strings.Contains(out, "canary") {
				t.Errorf("the password shows: %s", out)
			}
		})
	}
}

func errorOf(f *fault.Error) error {
	if f == nil {
		return nil
	}
	return f.Unwrap()
}

func TestASocksProxy(t *testing.T) {
	ca := newAuthority(t, pkix.Name{CommonName: "Test root"})
	server := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "ehr.example")}}, false)
	for name, c := range map[string]struct {
		answer byte // to the request (RFC 1928 section 6)
		method byte // chosen of those offered (section 3)
		code   string
	}{
		"open":         {0, 0, ""},
		"not allowed":  {2, 0, network.CodeProxyRefused},
		"asks to sign": {0, 0xff, network.CodeProxySignIn},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				buf := make([]byte, 300)
				if _, err := io.ReadAtLeast(conn, buf, 3); err != nil {
					return
				}
				_, _ = conn.Write([]byte{5, c.method})
				n, err := io.ReadAtLeast(conn, buf, 7)
				if err != nil || !strings.Contains(string(buf[:n]), "ehr.example") {
					return
				}
				_, _ = conn.Write([]byte{5, c.answer, 0, 1, 0, 0, 0, 0, 0, 0})
				to, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(to, conn)
					_ = to.Close()
				}()
				_, _ = io.Copy(conn, to)
			}()
			h := client(t, network.Options{Proxy: network.Proxy{URL: "socks5h://" + l.Addr().String()}, ExtraCAs: []network.Bundle{ca.bundle(t)}})
			body, f := fetch(t, h, "https://ehr.example/")
			if c.code == "" && body != "hello " || c.code != "" && (f == nil || f.Code != c.code) {
				t.Errorf("%q %v (%v)", body, f, errorOf(f))
			}
		})
	}
}

func TestEachFailureOfAProxyHasItsFault(t *testing.T) {
	answers := func(status int, headers ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for _, h := range headers {
				w.Header().Add("Proxy-Authenticate", h)
			}
			w.WriteHeader(status)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	plain := newConnectProxy(t, "").start()
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		url    string
		code   string
		retry  bool
		says   []string
	}{
		{"NTLM only", answers(407, "Negotiate", "NTLM"), "", network.CodeProxySignIn, false, []string{"Negotiate, NTLM", "px or cntlm"}},
		{"several in one value", answers(407, `Negotiate, NTLM, Digest realm="a, Basic", nonce="x"`), "", network.CodeProxySignIn, false, []string{"Negotiate, NTLM, Digest)", "does not support"}},
		{"Basic beside others", answers(407, "NTLM", `Basic realm="x"`), "", network.CodeProxySignIn, false, []string{"NTLM, Basic", "user and password"}},
		{"nothing offered", answers(407), "", network.CodeProxySignIn, false, []string{"none that can be read"}},
		{"forbidden", answers(403), "", network.CodeProxyRefused, false, []string{"does not let requests through to ehr.example", "403"}},
		{"bad gateway", answers(502), "", network.CodeProxyRefused, true, []string{"could not connect to ehr.example", "502"}},
		{"teapot", answers(418), "", network.CodeProxyRefused, false, []string{"418"}},
		{"no content is no tunnel", answers(204), "", network.CodeProxyRefused, false, []string{"204"}},
		{"nobody listens", nil, "http://" + nobody, network.CodeProxyUnreachable, true, []string{nobody}},
		{"unknown name", nil, "http://proxy.no-such-host.invalid:8080", network.CodeProxyNotFound, true, []string{"proxy.no-such-host.invalid:8080"}},
		{"https to an http proxy", nil, strings.Replace(plain.URL, "http:", "https:", 1), network.CodeProxyFailed, false, []string{"No secure connection to the proxy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := c.url
			if address == "" {
				proxy := newConnectProxy(t, "")
				proxy.answer = c.answer
				address = proxy.start().URL
			}
			_, f := fetch(t, client(t, network.Options{Proxy: network.Proxy{URL: address}}), "https://ehr.example/")
			if f == nil || f.Code != c.code || f.Retryable != c.retry || f.Advice == "" {
				t.Fatalf("%+v (%v)", f, errorOf(f))
			}
			u, _ := url.Parse(address)
			for _, want := range append(c.says, u.Host) {
				if !strings.Contains(f.Message+" "+f.Advice, want) {
					t.Errorf("%q is not in: %s %s", want, f.Message, f.Advice)
				}
			}
		})
	}
}

// settle decides without a request.
func settle(t testing.TB, address string, o network.Options) network.Route {
	t.Helper()
	r, err := network.Explain(context.Background(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhichProxyCountsAndWhy(t *testing.T) {
	const https = "https://ehr.example/fhir?secret=x"
	both := map[string]string{"HTTPS_PROXY": "http://env.example:8080", "NO_PROXY": "intra.example"}
	setting := network.Proxy{URL: "set.example:3128", Except: ".internal.example, 10.0.0.0/8"}
	for _, c := range []struct {
		name, address string
		proxy         network.Proxy
		env           map[string]string
		reason, via   string
		source        string
	}{
		{"nothing", https, network.Proxy{}, nil, network.ReasonNone, "", ""},
		{"the environment", https, network.Proxy{}, both, network.ReasonEnvironment, "http://env.example:8080", "HTTPS_PROXY"},
		{"in lower case", https, network.Proxy{}, map[string]string{"https_proxy": "env.example:1"}, network.ReasonEnvironment, "http://env.example:1", "https_proxy"},
		{"upper before lower", https, network.Proxy{}, map[string]string{"https_proxy": "a.example:1", "HTTPS_PROXY": "b.example:1"}, network.ReasonEnvironment, "http://b.example:1", "HTTPS_PROXY"},
		{"http has its own", https, network.Proxy{}, map[string]string{"HTTP_PROXY": "env.example:1"}, network.ReasonNone, "", ""},
		{"http", "http://ehr.example/", network.Proxy{}, map[string]string{"HTTP_PROXY": "env.example:1"}, network.ReasonEnvironment, "http://env.example:1", "HTTP_PROXY"},
		{"NO_PROXY", "https://x.intra.example/", network.Proxy{}, both, network.ReasonNoProxy, "", "intra.example"},
		{"the setting wins", https, setting, both, network.ReasonSetting, "http://set.example:3128", ""},
		{"with its own exceptions", "https://a.internal.example/", setting, both, network.ReasonSettingException, "", ".internal.example"},
		{"and ranges", "https://10.1.2.3/", setting, both, network.ReasonSettingException, "", "10.0.0.0/8"},
		{"not the environment's", "https://x.intra.example/", setting, both, network.ReasonSetting, "http://set.example:3128", ""},
		{"none by setting", https, network.Proxy{Direct: true}, both, network.ReasonSettingDirect, "", ""},
		{"localhost", "https://localhost:18340/", setting, both, network.ReasonLoopback, "", ""},
		{"localhost with a dot", "http://LOCALHOST.:80/", setting, both, network.ReasonLoopback, "", ""},
		{"below localhost", "https://ehr.localhost/", setting, both, network.ReasonLoopback, "", ""},
		{"127.9.9.9", "https://127.9.9.9/", setting, both, network.ReasonLoopback, "", ""},
		{"::1", "https://[::1]/", setting, both, network.ReasonLoopback, "", ""},
		{"a name that begins alike", "https://localhost.example/", setting, both, network.ReasonSetting, "http://set.example:3128", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := settle(t, c.address, network.Options{Proxy: c.proxy, Getenv: environment(c.env)})
			if r.Reason != c.reason || r.Proxy != c.via || r.Source != c.source || r.Detail == "" || r.Error != nil {
				t.Errorf("%+v", r)
			}
			if b, err := json.Marshal(r); err != nil || strings.Contains(string(b), "secret") {
				t.Errorf("%s %v", b, err)
			}
		})
	}
}

func TestTheRulesOfNoProxy(t *testing.T) {
	for _, c := range []struct {
		list, host string
		rule       string // "" goes through the proxy
	}{
		{"", "ehr.example", ""},
		{"*", "ehr.example", "*"},
		{"*", "10.0.0.1", "*"},
		{"ehr.example", "ehr.example", "ehr.example"},
		{"ehr.example", "EHR.Example", "ehr.example"},
		{"EHR.EXAMPLE", "ehr.example", "EHR.EXAMPLE"},
		{"ehr.example", "a.ehr.example", "ehr.example"},
		{"ehr.example", "notehr.example", ""},
		{".ehr.example", "a.ehr.example", ".ehr.example"},
		{".ehr.example", "ehr.example", ""},
		{"*.ehr.example", "a.ehr.example", "*.ehr.example"},
		{"ehr.example:8443", "ehr.example:8443", "ehr.example:8443"},
		{"ehr.example:8443", "ehr.example", ""},
		{"ehr.example:443", "ehr.example", "ehr.example:443"},
		{"10.0.0.0/8", "10.200.3.4", "10.0.0.0/8"},
		{"10.0.0.0/8", "11.0.0.1", ""},
		{"10.0.0.0/8", "ten.example", ""},
		{"fd00::/8", "[fd12::1]", "fd00::/8"},
		{"10.1.1.1", "10.1.1.1", "10.1.1.1"},
		{"other.example , ehr.example", "ehr.example", "ehr.example"},
		{"ehr.example other.example", "ehr.example", ""},
		{",,", "ehr.example", ""},
		{"xn--bcher-kva.example", "bücher.example", "xn--bcher-kva.example"},
	} {
		for name, o := range map[string]network.Options{
			"environment": {Getenv: environment(map[string]string{"HTTPS_PROXY": "http://p.example:1", "NO_PROXY": c.list})},
			"setting":     {Proxy: network.Proxy{URL: "http://p.example:1", Except: c.list}, Getenv: environment(nil)},
		} {
			r := settle(t, "https://"+c.host+"/", o)
			if r.Source != c.rule && c.rule != "" || (r.Proxy == "") != (c.rule != "") {
				t.Errorf("%s: %q takes %s: %+v", name, c.list, c.host, r)
			}
		}
	}
}

func TestPasswordsOfProxiesAreNotShown(t *testing.T) {
	env := environment(map[string]string{"HTTPS_PROXY": "http://nurse:canary@p.example:8080"})
	r := settle(t, "https://ehr.example/", network.Options{Getenv: env})
	if r.Proxy != "http://p.example:8080" || !r.SignsIn {
		t.Errorf("%+v", r)
	}
	p := network.Proxy{URL: "http://p.example:8080", User: "nurse", Password: secret.New("canary")}
	if r = settle(t, "https://ehr.example/", network.Options{Proxy: p}); !r.SignsIn {
		t.Errorf("%+v", r)
	}
	if out := fmt.Sprintf("%+v %#v", r, p); strings.Contains(out, "canary") {
		t.Error(out)
	}

	for _, value := range []string{"http://nurse:canary@:8080", "http://nurse:canary%zz@p.example", "ftp://nurse:canary@p.example", "http://p.example:canary", "http://p.example/canary.pac", "http://p.example:0", "http://p.example:70000"} {
		o := network.Options{Getenv: environment(map[string]string{"https_proxy": value})}
		r := settle(t, "https://ehr.example/", o)
		if r.Error == nil || r.Error.Code != network.CodeProxyInvalid || !strings.Contains(r.Detail, "https_proxy") {
			t.Errorf("%q: %+v", value, r)
		}
		_, f := fetch(t, client(t, o), "https://ehr.example/")
		if f == nil || f.Code != network.CodeProxyInvalid {
			t.Errorf("%q: %v", value, f)
		}
		if out := fmt.Sprintf("%+v %+v %v", r, f, errorOf(f)); strings.Contains(out, "canary") {
			t.Errorf("the password shows: %s", out)
		}
	}
}

func TestAProxySettingIsChecked(t *testing.T) {
	for _, c := range []struct {
		p    network.Proxy
		code string
	}{
		{network.Proxy{}, ""},
		{network.Proxy{URL: "p.example:8080"}, ""},
		{network.Proxy{URL: "http://p.example"}, ""},
		{network.Proxy{URL: "http://p.example:8080/"}, ""},
		{network.Proxy{URL: "https://[fd00::1]:8080"}, ""},
		{network.Proxy{URL: "socks5h://127.0.0.1:1080", User: "a"}, ""},
		{network.Proxy{URL: "http://nurse:canary@p.example:8080"}, "proxy-url-password"},
		{network.Proxy{URL: "nurse:canary@p.example:8080"}, "proxy-url-password"},
		{network.Proxy{URL: "http://p.example/wpad.dat"}, "proxy-url-invalid"},
		{network.Proxy{URL: "pac+http://p.example"}, "proxy-url-invalid"},
		{network.Proxy{URL: "socks4://p.example"}, "proxy-url-invalid"},
		{network.Proxy{URL: "http://"}, "proxy-url-invalid"},
		{network.Proxy{URL: "http://p.example:99999"}, "proxy-url-invalid"},
		{network.Proxy{URL: "http://p.exa mple"}, "proxy-url-invalid"},
		{network.Proxy{User: "nurse"}, "proxy-user-without-url"},
		{network.Proxy{Password: secret.New("canary")}, "proxy-user-without-url"},
	} {
		err := c.p.Check()
		if fault.Code(err) != c.code || err != nil && strings.Contains(fmt.Sprintf("%+v", fault.From(err)), "canary") {
			t.Errorf("%q: %v", c.p.URL, err)
		}
		if _, other := network.NewClientWith(network.Options{Proxy: c.p}); fault.Code(other) != c.code {
			t.Errorf("%q: a client, %v", c.p.URL, other)
		}
		if _, other := network.Explain(t.Context(), "https://ehr.example", network.Options{Proxy: c.p}); fault.Code(other) != c.code {
			t.Errorf("%q: a route, %v", c.p.URL, other)
		}
	}
	for _, address := range []string{"", "ehr.example", "ftp://ehr.example", "https://", "https://%zz/"} {
		if _, err := network.Explain(t.Context(), address, network.Options{}); fault.Code(err) != "url-invalid" {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestLoopbackIsNeverReachedThroughAProxy(t *testing.T) {
	proxy := newConnectProxy(t, "").start()
	ca := newAuthority(t, pkix.Name{CommonName: "Test root"})
	server := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1")}}, true)
	o := network.Options{
		Proxy: network.Proxy{URL: proxy.URL}, ExtraCAs: []network.Bundle{ca.bundle(t)},
		Getenv: environment(map[string]string{"HTTPS_PROXY": proxy.URL, "HTTP_PROXY": proxy.URL}),
	}
	if body, f := fetch(t, client(t, o), server.URL); body != "hello " {
		t.Error(f)
	}
	if got := proxy.targets(); len(got) != 0 {
		t.Errorf("the proxy was asked %v", got)
	}
}
