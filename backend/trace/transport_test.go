package trace_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chartkey/backend/trace"
)

// pattern gives n bytes that repeat late, so that a lost or doubled piece shows.
func pattern(n int64) io.Reader { return io.LimitReader(&counting{}, n) }

type counting struct{ n uint32 }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n = c.n*1664525 + 1013904223
		p[i] = byte(c.n >> 24)
	}
	return len(p), nil
}

// TestALargeBodyStreamsThrough sends 50 MB in both directions. Nothing of it
// may be changed, or held.
func TestALargeBodyStreamsThrough(t *testing.T) {
	const size = 50 << 20
	want := sha256.New()
	if _, err := io.Copy(want, pattern(size)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		got := sha256.New()
		n, err := io.Copy(got, q.Body)
		if err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("the server got %d bytes, %v", n, err)
		}
		w.Header().Set("Content-Type", "application/fhir+json")
		_, _ = io.Copy(w, pattern(size))
	}))
	defer server.Close()
	r := trace.NewRecorder(trace.Options{Operation: "read"})
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/fhir/Binary", pattern(size))
	if err != nil {
		t.Fatal(err)
	}
	q.ContentLength = size
	resp, err := r.Transport(server.Client().Transport).RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got, buf, most := sha256.New(), make([]byte, 64<<10), uint64(0)
	var n int64
	for err == nil {
		var k int
		k, err = resp.Body.Read(buf)
		_, _ = got.Write(buf[:k])
		if n += int64(k); n%(8<<20) < int64(k) {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if !errors.Is(err, io.EOF) || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("the caller got %d bytes, %v", n, err)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are held", grown)
	}
	e := r.Trace().Exchanges[0]
	if e.Request.Body.Size != size || e.Response.Body.Size != size || e.Response.Body.Text != "not readable as JSON, 52.4 MB" || e.Open {
		t.Errorf("%+v\n%+v", e.Request.Body, e.Response.Body)
	}
}

// body tells whether it was closed.
type body struct {
	io.Reader
	closed atomic.Bool
}

func (b *body) Close() error { b.closed.Store(true); return nil }

// TestTheContractOfARoundTripper holds it against what net/http asks of one.
func TestTheContractOfARoundTripper(t *testing.T) {
	t.Run("errors are passed on, and name themselves by code alone", func(t *testing.T) {
		wrong := errors.New("Bearer secret-token-0123456789 was refused")
		r := trace.NewRecorder(trace.Options{})
		resp, err := r.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, wrong })).RoundTrip(get(t, "http://ehr.example/x"))
		if !errors.Is(err, wrong) || resp != nil {
			t.Error(resp, err)
		}
		e := r.Trace().Exchanges[0]
		if e.Error != "failed" || e.Status != 0 || e.Open || strings.Contains(exports(t, r.Trace())["JSON"], "0123456789") {
			t.Errorf("%+v", e)
		}
		r = trace.NewRecorder(trace.Options{ErrorCode: func(err error) string {
			if errors.Is(err, wrong) {
				return "host-not-found"
			}
			return ""
		}})
		_, _ = r.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("x: %w", wrong) })).RoundTrip(get(t, "http://ehr.example/x"))
		r.End(wrong)
		if tr := r.Trace(); tr.Exchanges[0].Error != "host-not-found" || tr.Outcome != "host-not-found" {
			t.Errorf("%+v", tr)
		}
	})
	t.Run("the request is as it was", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{})
		sent := &body{Reader: strings.NewReader("refresh_token=abcdefgh12345678&grant_type=refresh_token")}
		q := get(t, "http://ehr.example/token?a=b")
		q.Method, q.Body, q.ContentLength = http.MethodPost, sent, 54
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		before, header := *q, q.Header.Clone()
		ctx := q.Context()
		answer := &body{Reader: strings.NewReader("{}")}
		resp, err := r.Transport(roundTrip(func(got *http.Request) (*http.Response, error) {
			defer got.Body.Close()
			b, err := io.ReadAll(got.Body)
			if string(b) != "refresh_token=abcdefgh12345678&grant_type=refresh_token" || err != nil || got.ContentLength != 54 {
				t.Errorf("%q %v", b, err)
			}
			if got.Context().Value(http.ServerContextKey) != ctx.Value(http.ServerContextKey) || got.URL.String() != "http://ehr.example/token?a=b" {
				t.Error("another request arrives")
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: answer, Request: got, ContentLength: -1}, nil
		})).RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		if q.Body != before.Body || q.URL != before.URL || fmt.Sprint(q.Header) != fmt.Sprint(header) || !sent.closed.Load() {
			t.Error("the caller's request was changed, or its body left open")
		}
		if answer.closed.Load() {
			t.Error("the answer was closed before its time")
		}
		e := r.Trace().Exchanges[0]
		if field(e.Request.Body.Form, "refresh_token") != "‹refresh token 1›" || e.Title != "Refresh" || !e.Open || e.Status != 200 {
			t.Errorf("%+v", e)
		}
		if err := resp.Body.Close(); err != nil || !answer.closed.Load() {
			t.Error("the answer's body was not closed")
		}
		if e := r.Trace().Exchanges[0]; e.Open || e.Error != "" || e.Response.Body.Text != "" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("a request without a URL", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{})
		sent := &body{Reader: strings.NewReader("x")}
		if _, err := r.Transport(nil).RoundTrip(&http.Request{Body: sent}); err == nil || !sent.closed.Load() {
			t.Error("it has an answer, or its body stays open", err)
		}
	})
	t.Run("the context ends it", func(t *testing.T) {
		stop := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-stop
		}))
		defer server.Close()
		defer close(stop)
		r := trace.NewRecorder(trace.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := r.Transport(server.Client().Transport).RoundTrip(get(t, server.URL).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		cancel()
		if b, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("%q %v", b, err)
		}
		if e := r.Trace().Exchanges[0]; e.Error != "cancelled" || e.Open || e.Response.Body.Size > 4 {
			t.Errorf("%+v", e)
		}
		if _, err := r.Transport(server.Client().Transport).RoundTrip(get(t, server.URL).WithContext(ctx)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if e := r.Trace().Exchanges[1]; e.Error != "cancelled" || e.Status != 0 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("an answer that is not read to its end", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"error":"x"}`+strings.Repeat(" ", 1<<20))
		}))
		defer server.Close()
		resp, err := r.Transport(server.Client().Transport).RoundTrip(get(t, server.URL))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 20)); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if b := r.Trace().Exchanges[0].Response.Body; !strings.Contains(b.LeftOut, "It was not read to its end.") || b.Size != 20 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("a change of protocol", func(t *testing.T) {
		r := trace.NewRecorder(trace.Options{})
		both := struct {
			io.Reader
			io.Writer
			io.Closer
		}{strings.NewReader("x"), io.Discard, io.NopCloser(nil)}
		resp, err := r.Transport(roundTrip(func(q *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 101, Header: http.Header{}, Body: both, Request: q}, nil
		})).RoundTrip(get(t, "http://ehr.example"))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := resp.Body.(io.Writer); !ok {
			t.Error("the connection cannot be written to")
		}
	})
	t.Run("idle connections", func(t *testing.T) {
		closed := false
		h := &http.Client{Transport: trace.NewRecorder(trace.Options{}).Transport(idle{func() { closed = true }})}
		h.CloseIdleConnections()
		if !closed {
			t.Error("they stay open")
		}
	})
}

type idle struct{ close func() }

func (i idle) CloseIdleConnections()                           { i.close() }
func (i idle) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.EOF }

// TestARequestThatIsSentAgain has a server break the connection that was kept
// open: the transport sends the body once more.
func TestARequestThatIsSentAgain(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		if calls.Add(1) == 1 {
			http.Redirect(w, q, "/again", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write(b)
	}))
	defer server.Close()
	r := trace.NewRecorder(trace.Options{})
	h := &http.Client{Transport: r.Transport(server.Client().Transport)}
	resp, err := h.Do(post(t, server.URL+"/first", url.Values{"token": {"abcdefgh12345678"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "token=abcdefgh12345678" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	all := r.Trace().Exchanges
	if len(all) != 2 || all[0].Status != 307 || field(all[1].Request.Body.Form, "token") != "‹token 1›" || field(all[0].Response.Headers, "Location") != "/again" {
		t.Errorf("%+v", all)
	}
}

func TestTheWayToTheServerIsTold(t *testing.T) {
	secured := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer secured.Close()
	r := trace.NewRecorder(trace.Options{})
	h := &http.Client{Transport: r.Transport(secured.Client().Transport)}
	for range 2 {
		resp, err := h.Get(secured.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "by the proxy") }))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("clerk", "proxy-password-1")
	through := &http.Transport{Proxy: http.ProxyURL(address)}
	defer through.CloseIdleConnections()
	h = &http.Client{Transport: r.Transport(through)}
	resp, err := h.Get("http://ehr.example/fhir/metadata")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	tr := r.Trace()
	if e := tr.Exchanges[0]; e.TLS == nil || e.TLS.Version != "TLS 1.3" || !strings.HasPrefix(e.TLS.Cipher, "TLS_") || e.TLS.Issuer != "O=Acme Co" || e.Proxy != "" || e.Reused || !tr.Exchanges[1].Reused {
		t.Errorf("%+v %+v", e, e.TLS)
	}
	if e := tr.Exchanges[2]; e.Proxy != address.Host || e.TLS != nil {
		t.Errorf("%+v", e)
	}
	for export, text := range exports(t, tr) {
		if strings.Contains(text, "clerk") || strings.Contains(text, "proxy-password-1") {
			t.Errorf("the proxy's password is in the %s", export)
		}
	}
}

// TestOneRecorderServesManyAtOnce is for the race detector.
func TestOneRecorderServesManyAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(io.Discard, q.Body)
		_, _ = io.WriteString(w, `{"access_token":"at-`+q.URL.Query().Get("state")+`-0123456789","expires_in":60}`)
	}))
	defer server.Close()
	r := trace.NewRecorder(trace.Options{Limits: trace.Limits{Exchanges: 10}})
	h := &http.Client{Transport: r.Transport(server.Client().Transport)}
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for k := range 5 {
				resp, err := h.Do(post(t, fmt.Sprintf("%s/token?state=s-%d-%d-abcdefgh", server.URL, i, k), url.Values{"code": {fmt.Sprintf("c-%d-%d-abcdefgh", i, k)}}))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				_ = r.Trace()
				r.Note("step", "x", nil)
			}
		})
	}
	work.Wait()
	r.End(nil)
	tr := r.Trace()
	if n := len(tr.Exchanges) + len(tr.Notes); n != 10 || tr.Outcome != "ok" || tr.Ended.IsZero() || strings.Contains(exports(t, tr)["JSON"], "-abcdefgh") {
		t.Errorf("%d kept", n)
	}
}

func TestTheClockIsTheOneGiven(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := trace.NewRecorder(trace.Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
	_, _ = send(t, r, get(t, "/x"), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	r.End(nil)
	tr := r.Trace()
	if e := tr.Exchanges[0]; !tr.Started.Equal(time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)) || e.Wait != time.Second || e.Duration != 2*time.Second || !e.At.Equal(tr.Started.Add(time.Second)) {
		t.Errorf("%+v", e)
	}
}
