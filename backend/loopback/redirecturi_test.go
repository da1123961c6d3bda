package loopback_test

import (
	"strings"
	"testing"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
)

func TestWhichRedirectURIsAreReceived(t *testing.T) {
	for _, c := range []struct{ uri, code string }{
		{"http://localhost:8765/callback", ""},
		{"http://127.0.0.1:8765/callback", ""},
		{"http://[::1]:8765/callback", ""},
		{"http://LocalHost:8765/callback", ""},
		{"http://localhost:1024/", ""},
		{"http://localhost:65535/a/b/", ""},

		{"", "redirect-uri-invalid"},
		{"localhost:8765/callback", "redirect-uri-unsupported"}, // "localhost" is read as a scheme
		{"//localhost:8765/callback", "redirect-uri-invalid"},
		{"http://localhost:8765", "redirect-uri-invalid"},
		{"http://localhost:8765/call back", "redirect-uri-invalid"},
		{"http://localhost:8765/call%20back", "redirect-uri-invalid"},
		{"http://localhost:8765/a/../b", "redirect-uri-invalid"},
		{"http://localhost:8765//b", "redirect-uri-invalid"},
		{`http://localhost:8765/a\b`, "redirect-uri-invalid"},
		{"http://localhost:8765/callback?x=1", "redirect-uri-invalid"},
		{"http://localhost:8765/callback?", "redirect-uri-invalid"},
		{"http://localhost:8765/callback#x", "redirect-uri-invalid"},
		{"http://localhost:8765/callback#", "redirect-uri-invalid"},
		{"http://user@localhost:8765/callback", "redirect-uri-invalid"},
		{"http://localhost:8765/done/x", "redirect-uri-invalid"},
		{"http://example.org:8765/callback", "redirect-uri-invalid"},
		{"http://localhost.example.org:8765/callback", "redirect-uri-invalid"},
		{"http://localhost.:8765/callback", "redirect-uri-invalid"},
		{"http://127.0.0.2:8765/callback", "redirect-uri-invalid"},
		{"http://0.0.0.0:8765/callback", "redirect-uri-invalid"},
		{"http://[::]:8765/callback", "redirect-uri-invalid"},
		{"http://[::1%25lo]:8765/callback", "redirect-uri-invalid"},
		{"https://example.org/callback", "redirect-uri-invalid"},
		{"http://localhost/callback", "redirect-uri-port"},
		{"http://localhost:/callback", "redirect-uri-port"},
		{"http://localhost:80/callback", "redirect-uri-port"},
		{"http://localhost:0/callback", "redirect-uri-port"},
		{"http://localhost:65536/callback", "redirect-uri-port"},
		{"http://localhost:08765/callback", "redirect-uri-port"},
		{"https://localhost:8765/callback", "redirect-uri-unsupported"},
		{"chartkey://elsewhere", "redirect-uri-unsupported"},
		{"org.example.chartkey:/callback", "redirect-uri-unsupported"},
	} {
		err := loopback.CheckRedirectURI(c.uri)
		if fault.Code(err) != c.code {
			t.Errorf("%q: %v (%q)", c.uri, err, fault.Code(err))
		}
		if err != nil && !strings.Contains(fault.From(err).Advice, "http://localhost:") {
			t.Errorf("%q: the advice %q shows no example", c.uri, fault.From(err).Advice)
		}
	}
}

func TestHTTPSRedirectURIsNeedCertificates(t *testing.T) {
	r := newReceiver(t)
	with := newReceiver(t)
	with.Certificates = certificates(t, newAuthority(t))
	for _, c := range []struct{ uri, without, with string }{
		{"https://localhost:8765/callback", "redirect-uri-unsupported", ""},
		{"https://127.0.0.1:8765/callback", "redirect-uri-unsupported", ""},
		{"https://[::1]:8765/callback", "redirect-uri-unsupported", ""},
		{"http://localhost:8765/callback", "", ""},
		{"https://localhost/callback", "redirect-uri-unsupported", "redirect-uri-port"},
		{"https://localhost:443/callback", "redirect-uri-unsupported", "redirect-uri-port"},
		{"https://localhost:8765/callback?x", "redirect-uri-unsupported", "redirect-uri-invalid"},
		{"https://localhost:8765/done/x", "redirect-uri-unsupported", "redirect-uri-invalid"},
		{"https://user@localhost:8765/callback", "redirect-uri-unsupported", "redirect-uri-invalid"},
		{"https://ehr.example:8765/callback", "redirect-uri-invalid", "redirect-uri-invalid"},
		{"wss://localhost:8765/callback", "redirect-uri-unsupported", "redirect-uri-unsupported"},
	} {
		for which, err := range map[string]error{"function": loopback.CheckRedirectURI(c.uri), "without": r.CheckRedirectURI(c.uri)} {
			if fault.Code(err) != c.without {
				t.Errorf("%s, %s: %v", c.uri, which, err)
			}
		}
		if err := with.CheckRedirectURI(c.uri); fault.Code(err) != c.with {
			t.Errorf("%s: %v", c.uri, err)
		}
		if _, err := r.Begin(t.Context(), []string{c.uri}, always("s"), welcome); c.without != "" && fault.Code(err) != c.without {
			t.Errorf("%s, begun without: %v", c.uri, err)
		}
	}
}

func FuzzCheckRedirectURI(f *testing.F) {
	for _, s := range []string{"http://localhost:8765/callback", "http://[::1]:8765/", "https://localhost:1/", "https://localhost:8765/x", "http://127.0.0.1:65536/x", "http://localhost:8765/%2e"} {
		f.Add(s)
	}
	r := newReceiver(f)
	r.Certificates = certificates(f, newAuthority(f))
	f.Fuzz(func(t *testing.T, uri string) {
		plain, secure := loopback.CheckRedirectURI(uri) == nil, r.CheckRedirectURI(uri) == nil
		lower := strings.ToLower(uri)
		rest, isPlain := strings.CutPrefix(lower, "http://")
		if !isPlain {
			rest, _ = strings.CutPrefix(lower, "https://")
		}
		if plain != (secure && isPlain) {
			t.Fatalf("%q: %v without certificates, %v with", uri, plain, secure)
		}
		if secure && !strings.HasPrefix(rest, "localhost:") && !strings.HasPrefix(rest, "127.0.0.1:") && !strings.HasPrefix(rest, "[::1]:") {
			t.Fatalf("%q is accepted", uri)
		}
	})
}
