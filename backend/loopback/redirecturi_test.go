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
		{"chartkey://callback", "redirect-uri-unsupported"},
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

func FuzzCheckRedirectURI(f *testing.F) {
	for _, s := range []string{"http://localhost:8765/callback", "http://[::1]:8765/", "https://localhost:1/", "http://127.0.0.1:65536/x", "http://localhost:8765/%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if loopback.CheckRedirectURI(uri) != nil {
			return
		}
		lower := strings.ToLower(uri)
		if !strings.HasPrefix(lower, "http://localhost:") && !strings.HasPrefix(lower, "http://127.0.0.1:") && !strings.HasPrefix(lower, "http://[::1]:") {
			t.Fatalf("%q is accepted", uri)
		}
	})
}
