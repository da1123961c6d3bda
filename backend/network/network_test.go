package network_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"chartkey/backend/network"
)

func get(t *testing.T, client *http.Client, address string, wait time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		_, err = network.Read(resp.Body, 1<<10)
	}
	return err
}

func TestEachTransportProblemHasItsFault(t *testing.T) {
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler())
	defer tlsServer.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/large":
			_, _ = w.Write([]byte(strings.Repeat("x", 2<<10)))
		case "/away":
			http.Redirect(w, r, "https://elsewhere.invalid/", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	}))
	defer plain.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	_ = listener.Close()

	following := network.NewClient()
	following.CheckRedirect = network.FollowSameOrigin
	trusting := network.NewClient()
	trusting.Transport = tlsServer.Client().Transport

	for _, c := range []struct {
		name, address, code string
		client              *http.Client
		retryable           bool
	}{
		{"unknown name", "https://no-such-host.invalid/", network.CodeHostNotFound, network.NewClient(), true},
		{"nobody listens", "http://" + nobody + "/", network.CodeConnectionRefused, network.NewClient(), true},
		{"unknown authority", tlsServer.URL, network.CodeTLSUntrusted, network.NewClient(), false},
		{"certificate for another name", strings.Replace(tlsServer.URL, "127.0.0.1", "localhost", 1), network.CodeTLSWrongHost, trusting, false},
		{"https to an http port", strings.Replace(plain.URL, "http:", "https:", 1), network.CodeTLSFailed, network.NewClient(), false},
		{"no answer", plain.URL + "/slow", network.CodeTimeout, network.NewClient(), true},
		{"too large", plain.URL + "/large", network.CodeTooLarge, network.NewClient(), false},
		{"another origin", plain.URL + "/away", network.CodeRedirect, following, false},
		{"a loop", plain.URL + "/loop", network.CodeRedirect, following, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait := 20 * time.Second // a busy machine must not turn one fault into another
			if c.code == network.CodeTimeout {
				wait = 200 * time.Millisecond
			}
			err := get(t, c.client, c.address, wait)
			if err == nil {
				t.Fatal("no error")
			}
			f := network.Fault(err, "ehr.example")
			if f.Code != c.code || f.Retryable != c.retryable {
				t.Errorf("code %s, retryable %v, for %v", f.Code, f.Retryable, err)
			}
			if f.Advice == "" || !errors.Is(f, err) {
				t.Errorf("%+v lacks advice or its cause", f)
			}
		})
	}

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, plain.URL, nil)
		resp, err := network.NewClient().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		if f := network.Fault(err, "x"); f.Code != network.CodeCancelled {
			t.Error(f.Code)
		}
	})
}

func TestTheDefaultClientFollowsNoRedirect(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/next", http.StatusFound)
	}))
	defer server.Close()
	if err := get(t, network.NewClient(), server.URL, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Errorf("%d requests", asked)
	}
}

func TestMaySend(t *testing.T) {
	for address, want := range map[string]bool{
		"https://ehr.example/":          true,
		"http://ehr.example/":           false,
		"http://localhost:1/":           true,
		"http://LOCALHOST/":             true,
		"http://127.9.9.9/":             true,
		"http://[::1]:80/":              true,
		"http://[::ffff:127.0.0.1]/":    true,
		"http://127.0.0.1.evil.example": false,
		"http://localhost.evil.example": false,
		"http://2130706433/":            false,
		"https://user@ehr.example/":     false,
		"https:///x":                    false,
		"ftp://localhost/":              false,
		"/relative":                     false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if network.MaySend(u) != want {
			t.Errorf("MaySend(%s) = %v", address, !want)
		}
	}
}

func TestCleanAndQuote(t *testing.T) {
	if got := network.Clean("  a\r\n\tb\x00\u202e\u200bc\x1b[31m ", 20); got != "a b c [31m" {
		t.Errorf("%q", got)
	}
	if got := network.Clean(strings.Repeat("ä", 9), 4); got != "ääää…" {
		t.Errorf("%q", got)
	}
	if got := network.Clean("a"+strings.Repeat(" ", 50), 1); got != "a" {
		t.Errorf("%q", got)
	}
	for _, text := range []string{"you sent s3cr+t!", "you sent s3cr%2Bt%21", "you sent s3\u200bcr+t!"} {
		if got := network.Quote(text, 100, "s3cr+t!", "", "ab"); got != "you sent ‹secret›" {
			t.Errorf("%q", got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-3": 0, "x": 0, "99999999999": 24 * time.Hour, "999999": 24 * time.Hour,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):  0,
	} {
		if got := network.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
