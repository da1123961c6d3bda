package loopback_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freePort gives a port that is free on both loopback addresses.
func freePort(t testing.TB) int {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l6, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
		_ = l.Close()
		if err == nil {
			_ = l6.Close()
			return port
		}
		if !hasIPv6() {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

func newReceiver(t testing.TB) *loopback.Receiver {
	r := loopback.NewReceiver(time.Now)
	t.Cleanup(func() { closeReceiver(t, r) })
	return r
}

func closeReceiver(t testing.TB, r *loopback.Receiver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func always(state string) func(string) (string, error) {
	return func(string) (string, error) { return state, nil }
}

func welcome(context.Context, url.Values) loopback.Page {
	return loopback.Page{OK: true, Title: "You are signed in", Message: "Chartkey is connected."}
}

func begin(t testing.TB, r *loopback.Receiver, uri, state string, h loopback.Handler) *loopback.Login {
	t.Helper()
	l, err := r.Begin(context.Background(), []string{uri}, always(state), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// browser follows redirects as a browser does, and keeps no connection.
func browser(t testing.TB) *http.Client {
	tr := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

type answer struct {
	status int
	header http.Header
	body   string
	at     string
}

func get(t testing.TB, c *http.Client, address string) answer {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, c, q)
}

func do(t testing.TB, c *http.Client, q *http.Request) answer {
	t.Helper()
	resp, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b), resp.Request.URL.String()}
}

func listening(port int) bool {
	c, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func eventually(t testing.TB, within time.Duration, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

func TestASignInComesBack(t *testing.T) {
	hosts := []string{"localhost", "127.0.0.1"}
	if hasIPv6() {
		hosts = append(hosts, "[::1]")
	}
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			r := newReceiver(t)
			port := freePort(t)
			uri := fmt.Sprintf("http://%s:%d/callback", host, port)
			var got url.Values
			l := begin(t, r, uri, "state-1", func(_ context.Context, q url.Values) loopback.Page {
				got = q
				return welcome(context.Background(), nil)
			})
			if l.RedirectURI() != uri {
				t.Errorf("redirect URI %q", l.RedirectURI())
			}
			c := browser(t)
			a := get(t, c, uri+"?code=s3cr3t-c0de&state=state-1&iss=https%3A%2F%2Fehr.example%2F")
			if a.status != http.StatusOK || !strings.Contains(a.body, "You are signed in") || !strings.Contains(a.body, "close this tab") {
				t.Errorf("%d %s", a.status, a.body)
			}
			if got.Get("code") != "s3cr3t-c0de" || got.Get("iss") != "https://ehr.example/" {
				t.Errorf("the handler got %v", got)
			}
			if strings.Contains(a.at, "s3cr3t") || strings.Contains(a.at, "?") || !strings.Contains(a.at, "/done/") {
				t.Errorf("the address bar shows %s", a.at)
			}
			if strings.Contains(a.body, "s3cr3t") || strings.Contains(a.body, "state-1") {
				t.Error("the page repeats the query")
			}
			if again := get(t, c, a.at); again.body != a.body {
				t.Error("the page cannot be reloaded")
			}
			l.Close()
			eventually(t, time.Second, "the listener stops", func() bool { return !listening(port) })
		})
	}
}

func TestEveryAnswerIsProtected(t *testing.T) {
	r := newReceiver(t)
	uri := fmt.Sprintf("http://localhost:%d/callback", freePort(t))
	begin(t, r, uri, "s", welcome)
	c := browser(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	first := get(t, c, uri+"?state=s&code=c")
	if first.status != http.StatusSeeOther {
		t.Fatalf("status %d", first.status)
	}
	done, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	done.Path = first.header.Get("Location")
	for name, a := range map[string]answer{"redirect": first, "result": get(t, c, done.String()), "refusal": get(t, c, uri)} {
		for k, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
		} {
			if got := a.header.Get(k); got != want {
				t.Errorf("%s: %s = %q", name, k, got)
			}
		}
		csp := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "style-src 'sha256-", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", name, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: policy %q", name, csp)
		}
		if name == "redirect" {
			continue
		}
		for _, want := range []string{`<html lang="en">`, "<title>", "<h1", `role="status"`, `name="viewport"`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s: the page lacks %s", name, want)
			}
		}
		if strings.Contains(a.body, "<script") {
			t.Errorf("%s: a script", name)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	port := freePort(t)
	host := fmt.Sprintf("localhost:%d", port)
	for _, c := range []struct {
		name, method, host, path string
		status                   int
		reason                   string
	}{
		{"another name", "GET", fmt.Sprintf("evil.example:%d", port), "/callback?state=good", 421, "host"},
		{"a name that begins alike", "GET", fmt.Sprintf("localhost.evil.example:%d", port), "/callback?state=good", 421, "host"},
		{"another loopback name", "GET", fmt.Sprintf("127.0.0.1:%d", port), "/callback?state=good", 421, "host"},
		{"another port", "GET", "localhost:1", "/callback?state=good", 421, "host"},
		{"no port", "GET", "localhost", "/callback?state=good", 421, "host"},
		{"the root dot", "GET", fmt.Sprintf("localhost.:%d", port), "/callback?state=good", 421, "host"},
		{"a result under another name", "GET", "evil.example", "/done/x", 421, "host"},
		{"an absolute address", "GET", host, "http://evil.example/callback?state=good", 421, "host"},
		{"the root", "GET", host, "/", 404, "path"},
		{"a longer path", "GET", host, "/callback/?state=good", 404, "path"},
		{"another case", "GET", host, "/Callback?state=good", 404, "path"},
		{"an encoded path", "GET", host, "/c%61llback?state=good", 404, "path"},
		{"a path with dots", "GET", host, "/x/../callback?state=good", 404, "path"},
		{"an unknown result", "GET", host, "/done/AAAA", 404, "path"},
		{"an icon", "GET", host, "/favicon.ico", 404, "path"},
		{"the server itself", "OPTIONS", host, "*", 404, "path"},
		{"HEAD", "HEAD", host, "/callback?state=good", 405, "method"},
		{"POST", "POST", host, "/callback?state=good", 405, "method"},
		{"OPTIONS", "OPTIONS", host, "/callback?state=good", 405, "method"},
		{"made-up method", "BREW", host, "/callback?state=good", 405, "method"},
		{"POST of a result", "POST", host, "/done/x", 405, "method"},
		{"a long query", "GET", host, "/callback?state=good&code=" + strings.Repeat("x", 16<<10), 414, "query-too-long"},
		{"bad escapes", "GET", host, "/callback?state=good&code=%zz", 400, "query-malformed"},
		{"semicolons", "GET", host, "/callback?state=good;code=x", 400, "query-malformed"},
		{"no state", "GET", host, "/callback?code=x", 400, "state-missing"},
		{"no query", "GET", host, "/callback", 400, "state-missing"},
		{"an empty state", "GET", host, "/callback?state=&code=x", 400, "state-missing"},
		{"two states", "GET", host, "/callback?state=good&state=good", 400, "state-repeated"},
		{"an unknown state", "GET", host, "/callback?state=b%3Ci%3Ead&code=x", 400, "state-unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReceiver(t)
			heard := make(chan string, 2)
			r.OnRefused = func(reason string) { heard <- reason }
			var handled atomic.Int32
			l := begin(t, r, "http://"+host+"/callback", "good", func(context.Context, url.Values) loopback.Page {
				handled.Add(1)
				return welcome(context.Background(), nil)
			})
			a := raw(t, port, c.method+" "+c.path+" HTTP/1.1\r\nHost: "+c.host+"\r\nConnection: close\r\n\r\n")
			if a.status != c.status {
				t.Errorf("status %d", a.status)
			}
			select {
			case got := <-heard:
				if got != c.reason {
					t.Errorf("reason %q", got)
				}
			default: // it is heard before the answer is sent
				t.Error("the refusal is not heard")
			}
			if c.method != "HEAD" && !strings.Contains(a.body, "<h1") {
				t.Errorf("no page: %q", a.body)
			}
			if strings.Contains(a.body, "<i>") || strings.Contains(a.body, "evil") || strings.Contains(a.body, "code=") {
				t.Error("the page repeats the request")
			}
			if c.status == 405 && a.header.Get("Allow") != "GET" {
				t.Error("no Allow")
			}
			if handled.Load() != 0 {
				t.Fatal("the handler was called")
			}
			// What was refused used nothing up.
			if a := get(t, browser(t), l.RedirectURI()+"?state=good&code=x"); a.status != 200 || handled.Load() != 1 {
				t.Errorf("the sign-in no longer works: %d", a.status)
			}
		})
	}
}

// raw sends bytes as they are, which net/http's client would not.
func raw(t testing.TB, port int, request string) answer {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	// A server that has not read all of a request resets the connection in the end.
	if err != nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
}

func TestWhatTheProtocolItselfRefuses(t *testing.T) {
	r := newReceiver(t)
	port := freePort(t)
	begin(t, r, fmt.Sprintf("http://localhost:%d/callback", port), "good", welcome)
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"no host":        {"GET /callback?state=good HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
		"two hosts":      {"GET /callback?state=good HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"no host in 1.0": {"GET /callback?state=good HTTP/1.0\r\n\r\n", 421},
		"huge headers":   {"GET /callback?state=good HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", 431},
	} {
		if a := raw(t, port, c.request); a.status != c.status {
			t.Errorf("%s: status %d", name, a.status)
		}
	}
}

func TestAStateCountsOnceAndOnlyAtItsOwnAddress(t *testing.T) {
	r := newReceiver(t)
	port := freePort(t)
	one := fmt.Sprintf("http://localhost:%d/one", port)
	two := fmt.Sprintf("http://localhost:%d/two", port)
	var calls atomic.Int32
	count := func(context.Context, url.Values) loopback.Page {
		calls.Add(1)
		return loopback.Page{Title: "It did not work", Message: "The EHR said <no>."}
	}
	begin(t, r, one, "state-one", count)
	begin(t, r, two, "state-two", count)
	c := browser(t)

	if a := get(t, c, two+"?state=state-one"); a.status != 400 || calls.Load() != 0 {
		t.Errorf("at another's address: %d", a.status)
	}
	a := get(t, c, one+"?state=state-one")
	if a.status != 200 || calls.Load() != 1 || !strings.Contains(a.body, "The EHR said &lt;no&gt;.") || strings.Contains(a.body, "✓") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := get(t, c, one+"?state=state-one"); a.status != 409 || !strings.Contains(a.body, "already answered") || calls.Load() != 1 {
		t.Errorf("a second time: %d %s", a.status, a.body)
	}
	if _, err := r.Begin(t.Context(), []string{one}, always("state-one"), count); fault.Code(err) != "state-reused" {
		t.Errorf("beginning with a used state: %v", err)
	}
	if _, err := r.Begin(t.Context(), []string{one}, always("state-two"), count); fault.Code(err) != "state-reused" {
		t.Errorf("beginning with a waiting state: %v", err)
	}
	if a := get(t, c, two+"?state=state-two"); a.status != 200 || calls.Load() != 2 {
		t.Errorf("the other: %d", a.status)
	}
}

func TestTwoAnswersAtOnceCountOnce(t *testing.T) {
	r := newReceiver(t)
	uri := fmt.Sprintf("http://127.0.0.1:%d/callback", freePort(t))
	var calls atomic.Int32
	begin(t, r, uri, "s", func(context.Context, url.Values) loopback.Page {
		calls.Add(1)
		time.Sleep(20 * time.Millisecond)
		return welcome(context.Background(), nil)
	})
	var ok, used atomic.Int32
	var wg sync.WaitGroup
	c := browser(t)
	for range 20 {
		wg.Go(func() {
			switch a := get(t, c, uri+"?state=s"); a.status {
			case 200:
				ok.Add(1)
			case 409:
				used.Add(1)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 1 || ok.Load() != 1 || used.Load() != 19 {
		t.Errorf("calls %d, ok %d, used %d", calls.Load(), ok.Load(), used.Load())
	}
}

func TestFiftySignInsAtOnce(t *testing.T) {
	r := newReceiver(t)
	ports := []int{freePort(t), freePort(t)}
	c := browser(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			uri := fmt.Sprintf("http://localhost:%d/callback/%d", ports[i%2], i%5)
			state := fmt.Sprintf("state-%d", i)
			want := fmt.Sprintf("code-%d", i)
			got := make(chan string, 1)
			l, err := r.Begin(context.Background(), []string{uri}, always(state), func(_ context.Context, q url.Values) loopback.Page {
				got <- q.Get("code")
				return loopback.Page{OK: true, Title: "Title " + want}
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			a := get(t, c, uri+"?state="+state+"&code="+want)
			if a.status != 200 || !strings.Contains(a.body, "Title "+want+"<") {
				t.Errorf("%d: %d %s", i, a.status, a.body)
			}
			if code := <-got; code != want {
				t.Errorf("%d got %s", i, code)
			}
		})
	}
	wg.Wait()
	for _, p := range ports {
		eventually(t, 3*time.Second, "the listener stops", func() bool { return !listening(p) })
	}
}

func TestTheFirstFreePortIsTaken(t *testing.T) {
	networks := map[string]string{"tcp4": "127.0.0.1"}
	if hasIPv6() {
		networks["tcp6"] = "::1"
	}
	for network, address := range networks {
		t.Run(network, func(t *testing.T) {
			busy, free := freePort(t), freePort(t)
			other, err := net.Listen(network, net.JoinHostPort(address, fmt.Sprint(busy)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			r := newReceiver(t)
			uris := []string{fmt.Sprintf("http://localhost:%d/callback", busy), fmt.Sprintf("http://localhost:%d/callback", free)}
			var asked string
			l, err := r.Begin(t.Context(), uris, func(uri string) (string, error) { asked = uri; return "s", nil }, welcome)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if l.RedirectURI() != uris[1] || asked != uris[1] {
				t.Errorf("%s, %s", l.RedirectURI(), asked)
			}
			_, err = r.Begin(t.Context(), uris[:1], always("s2"), welcome)
			f := fault.From(err)
			if f.Code != "ports-taken" || !strings.Contains(f.Message, fmt.Sprint(busy)) || f.Advice == "" || !f.Retryable {
				t.Errorf("%+v", f)
			}
			// A port that failed on one address is not kept on the other.
			_ = other.Close()
			again, err := r.Begin(t.Context(), uris[:1], always("s3"), welcome)
			if err != nil {
				t.Fatal(err)
			}
			again.Close()
		})
	}
}

func TestAllTakenPortsAreNamed(t *testing.T) {
	var uris, ports []string
	for range 3 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
		ports = append(ports, port)
		uris = append(uris, "http://localhost:"+port+"/callback")
	}
	_, err := newReceiver(t).Begin(t.Context(), uris, always("s"), welcome)
	want := "ports " + ports[0] + ", " + ports[1] + " and " + ports[2]
	if f := fault.From(err); f.Code != "ports-taken" || !strings.Contains(f.Message, want) {
		t.Errorf("%+v", f)
	}
}

func TestBeginRefusesWhatCannotWork(t *testing.T) {
	r := newReceiver(t)
	port := freePort(t)
	uri := fmt.Sprintf("http://localhost:%d/callback", port)
	own := errors.New("own")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		uris  []string
		state func(string) (string, error)
		code  string
	}{
		"no redirect URI":  {t.Context(), nil, always("s"), "redirect-uri-missing"},
		"a remote one":     {t.Context(), []string{uri, "http://ehr.example:8765/x"}, always("s"), "redirect-uri-invalid"},
		"no state":         {t.Context(), []string{uri}, always(""), "state-reused"},
		"cancelled before": {cancelled, []string{uri}, always("s"), "cancelled"},
	} {
		if l, err := r.Begin(c.ctx, c.uris, c.state, welcome); l != nil || fault.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Begin(t.Context(), []string{uri}, func(string) (string, error) { return "", own }, welcome); !errors.Is(err, own) {
		t.Errorf("%v", err)
	}
	eventually(t, time.Second, "no listener is left", func() bool { return !listening(port) })
	closeReceiver(t, r)
	if _, err := r.Begin(t.Context(), []string{uri}, always("s"), welcome); fault.Code(err) != "receiver-closed" {
		t.Errorf("%v", err)
	}
}

func TestAWithdrawnSignInIsUnknown(t *testing.T) {
	r := newReceiver(t)
	port := freePort(t)
	uri := fmt.Sprintf("http://localhost:%d/callback", port)
	stays := begin(t, r, uri, "stays", welcome)
	never := func(context.Context, url.Values) loopback.Page {
		t.Error("the handler was called")
		return loopback.Page{}
	}
	closed := begin(t, r, uri, "closed", never)
	closed.Close()
	closed.Close()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := r.Begin(ctx, []string{uri}, always("cancelled"), never)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cancel()
	c := browser(t)
	if a := get(t, c, uri+"?state=closed"); a.status != 400 || !strings.Contains(a.body, "No sign-in is waiting") {
		t.Errorf("%d", a.status)
	}
	// The end of the context is noticed on its own.
	eventually(t, time.Second, "cancelled", func() bool {
		again, err := r.Begin(t.Context(), []string{uri}, always("cancelled"), welcome)
		if err == nil {
			again.Close()
		}
		return err == nil
	})
	if a := get(t, c, uri+"?state=cancelled"); a.status != 400 {
		t.Errorf("%d", a.status)
	}
	stays.Close()
	eventually(t, time.Second, "the listener stops", func() bool { return !listening(port) })
}

func TestAPageThatNobodyFetchesKeepsThePortForTwoSeconds(t *testing.T) {
	r := newReceiver(t)
	port := freePort(t)
	uri := fmt.Sprintf("http://localhost:%d/callback", port)
	l := begin(t, r, uri, "s", welcome)
	c := browser(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := get(t, c, uri+"?state=s"); a.status != 303 {
		t.Fatal(a.status)
	}
	l.Close()
	began := time.Now()
	time.Sleep(500 * time.Millisecond)
	if !listening(port) {
		t.Error("the browser is too late after half a second")
	}
	eventually(t, 3*time.Second, "the listener stops", func() bool { return !listening(port) })
	if d := time.Since(began); d < 1900*time.Millisecond {
		t.Errorf("it stopped after %v", d)
	}
}

func TestCloseLetsTheLastPageBeFetched(t *testing.T) {
	r := loopback.NewReceiver(time.Now)
	port := freePort(t)
	uri := fmt.Sprintf("http://localhost:%d/callback", port)
	handling, finish := make(chan struct{}), make(chan struct{})
	begin(t, r, uri, "s", func(context.Context, url.Values) loopback.Page {
		close(handling)
		<-finish
		return welcome(context.Background(), nil)
	})
	waiting := begin(t, r, uri, "other", welcome)
	var a answer
	var wg sync.WaitGroup
	wg.Go(func() { a = get(t, browser(t), uri+"?state=s") })
	<-handling
	began := time.Now()
	wg.Go(func() { closeReceiver(t, r) })
	time.Sleep(50 * time.Millisecond)
	close(finish)
	wg.Wait()
	if a.status != 200 || !strings.Contains(a.body, "You are signed in") {
		t.Errorf("the last page: %d %s", a.status, a.body)
	}
	if d := time.Since(began); d > 2500*time.Millisecond {
		t.Errorf("closing took %v", d)
	}
	if listening(port) {
		t.Error("it still listens")
	}
	waiting.Close()
}

func TestCloseEndsAHandlerThatTakesTooLong(t *testing.T) {
	r := loopback.NewReceiver(time.Now)
	uri := fmt.Sprintf("http://localhost:%d/callback", freePort(t))
	handling := make(chan struct{})
	begin(t, r, uri, "s", func(ctx context.Context, _ url.Values) loopback.Page {
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > time.Minute {
			t.Errorf("deadline %v", d)
		}
		close(handling)
		<-ctx.Done()
		return loopback.Page{}
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if resp, err := browser(t).Get(uri + "?state=s"); err == nil {
			_ = resp.Body.Close()
		}
	})
	<-handling
	began := time.Now()
	closeReceiver(t, r)
	if d := time.Since(began); d < 1900*time.Millisecond || d > 5*time.Second {
		t.Errorf("closing took %v", d)
	}
	wg.Wait()
}

func TestClosingTheTabDoesNotEndTheSignIn(t *testing.T) {
	r := newReceiver(t)
	port := freePort(t)
	handling, gone, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	begin(t, r, fmt.Sprintf("http://localhost:%d/callback", port), "s", func(ctx context.Context, _ url.Values) loopback.Page {
		close(handling)
		<-gone
		time.Sleep(50 * time.Millisecond)
		ended <- ctx.Err()
		return welcome(context.Background(), nil)
	})
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /callback?state=s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", port); err != nil {
		t.Fatal(err)
	}
	<-handling
	_ = conn.Close()
	close(gone)
	if err := <-ended; err != nil {
		t.Errorf("the handler's context ended: %v", err)
	}
}

func TestIdleConnectionsNeitherBlockNorDelay(t *testing.T) {
	r := loopback.NewReceiver(time.Now)
	port := freePort(t)
	uri := fmt.Sprintf("http://localhost:%d/callback", port)
	l := begin(t, r, uri, "s", welcome)
	for range 100 {
		conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	if a := get(t, browser(t), uri+"?state=s"); a.status != 200 {
		t.Errorf("%d", a.status)
	}
	l.Close()
	began := time.Now()
	closeReceiver(t, r)
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("closing took %v", d)
	}
}

func TestAUsedStateIsForgottenInTheEnd(t *testing.T) {
	var clock atomic.Int64
	start := time.Now()
	r := loopback.NewReceiver(func() time.Time { return start.Add(time.Duration(clock.Load())) })
	defer closeReceiver(t, r)
	uri := fmt.Sprintf("http://localhost:%d/callback", freePort(t))
	begin(t, r, uri, "s", welcome)
	begin(t, r, uri, "keeps the port", welcome)
	c := browser(t)
	get(t, c, uri+"?state=s")
	clock.Store(int64(14 * time.Minute))
	if a := get(t, c, uri+"?state=s"); a.status != 409 {
		t.Errorf("after 14 minutes: %d", a.status)
	}
	clock.Store(int64(16 * time.Minute))
	if a := get(t, c, uri+"?state=s"); a.status != 400 {
		t.Errorf("after 16 minutes: %d", a.status)
	}
}

func TestPagesWithoutWordsStillSayWhetherItWorked(t *testing.T) {
	for ok, want := range map[bool]string{true: "You are signed in", false: "The sign-in did not work"} {
		r := newReceiver(t)
		uri := fmt.Sprintf("http://localhost:%d/callback", freePort(t))
		begin(t, r, uri, "s", func(context.Context, url.Values) loopback.Page { return loopback.Page{OK: ok} })
		if a := get(t, browser(t), uri+"?state=s"); !strings.Contains(a.body, want) {
			t.Error(a.body)
		}
	}
}

func FuzzCallback(f *testing.F) {
	r := loopback.NewReceiver(time.Now)
	f.Cleanup(func() { closeReceiver(f, r) })
	port := freePort(f)
	uri := fmt.Sprintf("http://localhost:%d/callback", port)
	var handled atomic.Int32
	begin(f, r, uri, "a-state-nobody-guesses", func(context.Context, url.Values) loopback.Page {
		handled.Add(1)
		return welcome(context.Background(), nil)
	})
	for _, q := range []string{
		"code=c&state=s", "", "state", "state=", "state=a&state=b", "state=%00", "state=%zz", "state;", "code=" + strings.Repeat("x", 17<<10),
		"error=access_denied&error_description=%3Cscript%3E&state=x", "STATE=x", "state[]=x", "%73tate=x", "state=a%20b", "&&&=", "?state=x", "#state=x",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, c := range query {
			if c <= ' ' || c == 0x7f {
				return // not a request line
			}
		}
		a := raw(t, port, fmt.Sprintf("GET /callback?%s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n", query, port))
		switch a.status {
		case 400, 404, 414, 421, 431:
		default:
			t.Fatalf("%q: status %d", query, a.status)
		}
		if handled.Load() != 0 {
			t.Fatalf("%q: the handler was called", query)
		}
		if v, err := url.ParseQuery(query); err == nil {
			for _, s := range v["state"] {
				if len(s) > 8 && strings.ContainsAny(s, "<>&") && strings.Contains(a.body, s) {
					t.Fatalf("%q is repeated", s)
				}
			}
		}
	})
}

func TestASignInIsSentOnToAnotherRequest(t *testing.T) {
	r := newReceiver(t)
	uri := fmt.Sprintf("http://localhost:%d/callback", freePort(t))
	var states []string
	var l *loopback.Login
	next, withdrawn := "state-2", false
	handle := func(_ context.Context, q url.Values) loopback.Page {
		states = append(states, q.Get("state"))
		page := welcome(context.Background(), nil)
		if q.Get("error") != "" {
			page = loopback.Page{Title: "Refused"}
			// The server answers the next request at once.
			page.Next = &loopback.Next{URL: uri + "?state=" + next + "&code=x", State: next}
		}
		if withdrawn {
			l.Close()
		}
		return page
	}
	l = begin(t, r, uri, "state-1", handle)
	c := browser(t)
	if a := get(t, c, uri+"?state=state-1&error=invalid_scope"); !strings.Contains(a.body, "You are signed in") || strings.Join(states, " ") != "state-1 state-2" {
		t.Errorf("%v %s", states, a.body)
	}
	for _, used := range []string{"state-1", "state-2"} {
		if a := get(t, c, uri+"?state="+used+"&code=x"); a.status != http.StatusConflict {
			t.Errorf("%s counts again: %d", used, a.status)
		}
	}

	// A state that is not new, and a sign-in that has ended, lead nowhere: the page is shown.
	l = begin(t, r, uri, "state-3", handle)
	next = "state-1"
	if a := get(t, c, uri+"?state=state-3&error=x"); !strings.Contains(a.body, "Refused") {
		t.Errorf("sent on with a used state: %s", a.body)
	}
	l = begin(t, r, uri, "state-4", handle)
	next, withdrawn = "state-5", true
	if a := get(t, c, uri+"?state=state-4&error=x"); !strings.Contains(a.body, "Refused") {
		t.Errorf("sent on though withdrawn: %s", a.body)
	}
}
