package network_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chartkey/backend/network"
)

func TestTheSystemsProxyComesLast(t *testing.T) {
	asked := map[string]int{}
	answer := func(list []string, err error) func(context.Context, *url.URL) ([]string, error) {
		return func(_ context.Context, origin *url.URL) ([]string, error) {
			asked[origin.String()]++
			return list, err
		}
	}
	for _, c := range []struct {
		name, address string
		o             network.Options
		list          []string
		err           error
		reason, via   string
		asks          bool
		notice        string
	}{
		{name: "named", list: []string{"http://sys.example:8080"}, reason: network.ReasonSystem, via: "http://sys.example:8080", asks: true},
		{name: "a bare host and port", list: []string{"sys.example:8080"}, reason: network.ReasonSystem, via: "http://sys.example:8080", asks: true},
		{name: "the first that can be used", list: []string{"socks4://a.example:1", "rtsp://b.example:1", "socks://c.example:1080"}, reason: network.ReasonSystem, via: "socks5://c.example:1080", asks: true},
		{name: "direct", list: []string{"direct://", "http://sys.example:8080"}, reason: network.ReasonNone, asks: true},
		{name: "nothing", reason: network.ReasonNone, asks: true},
		{name: "none that can be used", list: []string{"rtsp://b.example:1"}, reason: network.ReasonNone, asks: true, notice: "cannot use"},
		{name: "it fails", err: errors.New("canary"), reason: network.ReasonNone, asks: true, notice: "cannot be read"},
		{name: "the environment wins", o: network.Options{Getenv: environment(map[string]string{"HTTPS_PROXY": "env.example:1"})}, list: []string{"http://sys.example:8080"}, reason: network.ReasonEnvironment, via: "http://env.example:1"},
		{name: "NO_PROXY wins", o: network.Options{Getenv: environment(map[string]string{"NO_PROXY": ".example"})}, list: []string{"http://sys.example:8080"}, reason: network.ReasonNoProxy},
		{name: "the setting wins", o: network.Options{Proxy: network.Proxy{URL: "set.example:1"}}, list: []string{"http://sys.example:8080"}, reason: network.ReasonSetting, via: "http://set.example:1"},
		{name: "loopback", address: "https://localhost/", list: []string{"http://sys.example:8080"}, reason: network.ReasonLoopback},
	} {
		t.Run(c.name, func(t *testing.T) {
			clear(asked)
			c.o.System = network.SystemProxyForTest(time.Now, answer(c.list, c.err))
			if c.o.Getenv == nil {
				c.o.Getenv = environment(nil)
			}
			if c.address == "" {
				c.address = "https://EHR.example:8443/fhir/Patient?name=private"
			}
			r := settle(t, c.address, c.o)
			if r.Reason != c.reason || r.Proxy != c.via || r.Detail == "" || (len(asked) == 1) != c.asks {
				t.Errorf("%+v, asked %v", r, asked)
			}
			if c.asks && asked["https://ehr.example:8443/"] != 1 {
				t.Errorf("the system was told %v", asked)
			}
			if told := strings.Join(r.Notices, " "); (told == "") != (c.notice == "") || !strings.Contains(told, c.notice) || strings.Contains(told, "canary") {
				t.Errorf("notices %q", told)
			}
		})
	}
}

func TestTheSystemsAnswerIsRememberedForAWhile(t *testing.T) {
	now, asked := time.Now(), 0
	list := []string{"http://one.example:1"}
	o := network.Options{Getenv: environment(nil), System: network.SystemProxyForTest(func() time.Time { return now }, func(context.Context, *url.URL) ([]string, error) {
		asked++
		return list, nil
	})}
	via := func() string { return settle(t, "https://ehr.example/", o).Proxy }
	via()
	list = []string{"http://two.example:1"}
	if got := via(); got != "http://one.example:1" || asked != 1 {
		t.Errorf("%s after %d questions", got, asked)
	}
	now = now.Add(2 * time.Minute)
	if got := via(); got != "http://two.example:1" || asked != 2 {
		t.Errorf("%s after %d questions", got, asked)
	}
	for i := range 300 { // many servers do not fill the memory
		settle(t, fmt.Sprintf("https://ehr-%d.example/", i), o)
	}
	if via(); asked != 303 {
		t.Errorf("%d questions", asked)
	}
}

func TestASilentSystemDoesNotHoldARequestUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := network.SystemProxyForTest(time.Now, func(ctx context.Context, _ *url.URL) ([]string, error) {
			asked++
			<-ctx.Done()
			return nil, ctx.Err()
		})
		o := network.Options{Getenv: environment(nil), System: s}
		// What the caller gave up says nothing of the system.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if r, err := network.Explain(gone, "https://ehr.example/", o); err != nil || len(r.Notices) != 0 {
			t.Errorf("%+v %v", r, err)
		}
		began := time.Now()
		if r := settle(t, "https://ehr.example/", o); r.Reason != network.ReasonNone || len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "in time") {
			t.Errorf("%+v", r)
		}
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("it took %v", d)
		}
		settle(t, "https://ehr.example/", o)
		if asked != 2 {
			t.Errorf("%d questions", asked)
		}
	})
}

func TestWindowsInternetOptions(t *testing.T) {
	all := map[string]string{"": "all.example:8080"}
	each := map[string]string{"http": "http.example:80", "https": "https.example:443", "socks": "socks.example:1080"}
	for _, c := range []struct {
		name       string
		script     func(string) string
		proxies    map[string]string
		exceptions string
		address    string
		want       string
	}{
		{"none", nil, nil, "", "https://ehr.example/", ""},
		{"one for all", nil, all, "", "https://ehr.example/", "all.example:8080"},
		{"one for each", nil, each, "", "https://ehr.example/", "https.example:443"},
		{"SOCKS for the rest", nil, map[string]string{"http": "a", "socks": "socks.example:1080"}, "", "https://ehr.example/", "socks://socks.example:1080"},
		{"another scheme's only", nil, map[string]string{"http": "a"}, "", "https://ehr.example/", ""},
		{"a script", func(string) string { return "pac.example:1" }, all, "*", "https://ehr.example/", "pac.example:1"},
		{"a script that says DIRECT", func(string) string { return "" }, all, "", "https://ehr.example/", "all.example:8080"},
		{"an exception", nil, all, "*.intra.example,10.*", "https://a.intra.example/", ""},
		{"an address", nil, all, "*.intra.example,10.*", "https://10.9.8.7/", ""},
		{"in upper case", nil, all, "*.INTRA.example", "https://a.intra.example/", ""},
		{"not below", nil, all, "*.intra.example", "https://intra.example/", "all.example:8080"},
		{"local names", nil, all, "<local>", "https://ehr/", ""},
		{"not local", nil, all, "<local>", "https://ehr.example/", "all.example:8080"},
		{"an IPv6 address is not a local name", nil, all, "<local>", "https://[fd00::1]/", "all.example:8080"},
		{"with a scheme", nil, all, "http://ehr.example", "https://ehr.example/", "all.example:8080"},
		{"with its scheme", nil, all, "https://ehr.example", "https://ehr.example/", ""},
		{"with a port", nil, all, "ehr.example:8443", "https://ehr.example:8443/", ""},
		{"with another port", nil, all, "ehr.example:8443", "https://ehr.example/", "all.example:8080"},
		{"with the scheme's own port", nil, all, "ehr.example:443", "https://ehr.example/", ""},
		{"loopback back in", nil, all, "<-loopback>", "https://ehr.example/", "all.example:8080"},
		{"a bad pattern", nil, all, "[", "https://ehr.example/", "all.example:8080"},
	} {
		origin, err := url.Parse(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(network.InternetOptionsForTest(c.script, c.proxies, c.exceptions, origin), "|"); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func FuzzAuthSchemes(f *testing.F) {
	for _, s := range []string{`Basic realm="a, b"`, "Negotiate, NTLM", `Digest realm="\"x, Basic", nonce="y", Basic realm=z`, `"`, `\`, ",,,", "Bearer a=b, c=d", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := network.AuthSchemesForTest([]string{value, value})
		if len(got) > 8 {
			t.Fatal(got)
		}
		for _, s := range got {
			if s == "" || len(s) > 30 || strings.ContainsAny(s, " ,\"\r\n=") || !strings.Contains(value, s) {
				t.Fatalf("%q of %q", s, value)
			}
		}
	})
}

func TestTheNamesOfChallenges(t *testing.T) {
	for value, want := range map[string]string{
		`Basic realm="Ward 7, second floor"`:                       "Basic",
		"Negotiate, NTLM":                                          "Negotiate NTLM",
		`Digest realm="a, NTLM", nonce="x\", Basic, ", qop="auth"`: "Digest",
		`Digest realm="a", nonce=x, Basic realm=b`:                 "Digest Basic",
		"Negotiate oYH1MIHyoAMKAQ==":                               "Negotiate",
		"basic, Basic":                                             "basic",
		"":                                                         "",
		"<script>, a b":                                            "a",
	} {
		if got := strings.Join(network.AuthSchemesForTest([]string{value}), " "); got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
}
