package loopback_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
)

// launchBench is a listener whose handler tells what reached it.
type launchBench struct {
	at       string
	got      []loopback.Launch
	refused  []string
	listener *loopback.LaunchListener
}

func listenLaunch(t *testing.T) *launchBench {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := &launchBench{at: fmt.Sprintf("http://localhost:%d/launch", port)}
	b.listener, err = loopback.ListenLaunch(t.Context(), b.at, func(reason string) { b.refused = append(b.refused, reason) },
		func(_ context.Context, in loopback.Launch) loopback.LaunchAnswer {
			b.got = append(b.got, in)
			return loopback.LaunchAnswer{Redirect: "https://ehr.example/authorize?state=x"}
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := b.listener.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *launchBench) send(t *testing.T, method, address, body string, header map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "evil") {
		t.Errorf("the page repeats what was sent: %s", text)
	}
	if resp.Header.Get("X-Frame-Options") != "DENY" || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the answer lacks its protection: %v", resp.Header)
	}
	return resp
}

const form = "application/x-www-form-urlencoded"

func TestALaunchComesInByLinkAndByForm(t *testing.T) {
	b := listenLaunch(t)
	// The vector: + is a space, %2B a plus.
	query := "iss=https%3A%2F%2Fehr.example%2Ffhir%2F&launch=a%2Bb+c"
	for _, send := range []func() *http.Response{
		func() *http.Response { return b.send(t, http.MethodGet, b.at+"?"+query, "", nil) },
		func() *http.Response {
			return b.send(t, http.MethodPost, b.at, query, map[string]string{"Content-Type": form})
		},
		func() *http.Response {
			return b.send(t, http.MethodPost, b.at+"?epic=1", query, map[string]string{"Content-Type": form + "; charset=utf-8"})
		},
		func() *http.Response {
			return b.send(t, http.MethodGet, b.at+"?"+query+"&more=things", "", map[string]string{"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-User": "?1"})
		},
	} {
		resp := send()
		if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "https://ehr.example/authorize?state=x" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	}
	for _, got := range b.got {
		if got != (loopback.Launch{Issuer: "https://ehr.example/fhir/", Value: "a+b c"}) {
			t.Errorf("%+v", got)
		}
	}
	if len(b.got) != 4 || len(b.refused) != 0 {
		t.Errorf("%d launches, refused %v", len(b.got), b.refused)
	}
}

func TestALaunchThatAPageStartedIsToldApart(t *testing.T) {
	b := listenLaunch(t)
	for site, unattended := range map[string]bool{"cross-site": true, "same-site": true, "none": false, "": false} {
		header := map[string]string{"Sec-Fetch-Dest": "document"}
		if site != "" {
			header["Sec-Fetch-Site"] = site
		}
		b.got = nil
		b.send(t, http.MethodGet, b.at+"?iss=https://ehr.example&launch=x", "", header)
		if len(b.got) != 1 || b.got[0].Unattended != unattended {
			t.Errorf("Sec-Fetch-Site %q: %+v", site, b.got)
		}
	}
}

func TestHostileLaunchesAreRefused(t *testing.T) {
	b := listenLaunch(t)
	good := "?iss=https://ehr.example/evil&launch=evil"
	port := b.at[len("http://localhost:") : len(b.at)-len("/launch")]
	for name, c := range map[string]struct {
		method, address, body string
		header                map[string]string
		status                int
	}{
		"another host":         {http.MethodGet, b.at + good, "", map[string]string{"Host": "evil.example:" + port}, 421},
		"an address for name":  {http.MethodGet, b.at + good, "", map[string]string{"Host": "127.0.0.1:" + port}, 421},
		"another port":         {http.MethodGet, b.at + good, "", map[string]string{"Host": "localhost:1"}, 421},
		"another path":         {http.MethodGet, b.at + "/x" + good, "", nil, 404},
		"PUT":                  {http.MethodPut, b.at + good, "", nil, 405},
		"HEAD":                 {http.MethodHead, b.at + good, "", nil, 405},
		"OPTIONS":              {http.MethodOptions, b.at + good, "", nil, 405},
		"JSON":                 {http.MethodPost, b.at, `{"iss":"x"}`, map[string]string{"Content-Type": "application/json"}, 415},
		"multipart":            {http.MethodPost, b.at, "", map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, 415},
		"no type":              {http.MethodPost, b.at, "iss=a&launch=b", nil, 415},
		"no iss":               {http.MethodGet, b.at + "?launch=evil", "", nil, 400},
		"empty iss":            {http.MethodGet, b.at + "?iss=&launch=evil", "", nil, 400},
		"two iss":              {http.MethodGet, b.at + good + "&iss=https://evil.example", "", nil, 400},
		"iss in body and link": {http.MethodPost, b.at + good, "iss=https://evil.example", map[string]string{"Content-Type": form}, 400},
		"no launch":            {http.MethodGet, b.at + "?iss=https://evil.example", "", nil, 400},
		"two launches":         {http.MethodGet, b.at + good + "&launch=evil", "", nil, 400},
		"bad escapes":          {http.MethodGet, b.at + "?iss=%zz&launch=evil", "", nil, 400},
		"a huge launch":        {http.MethodGet, b.at + "?iss=https://ehr.example&launch=" + strings.Repeat("a", 9<<10), "", nil, 413},
		"a huge iss":           {http.MethodGet, b.at + "?launch=a&iss=https://ehr.example/" + strings.Repeat("a", 3<<10), "", nil, 413},
		"a huge form":          {http.MethodPost, b.at, "iss=a&launch=" + strings.Repeat("a", 40<<10), map[string]string{"Content-Type": form}, 413},
		"a frame":              {http.MethodGet, b.at + good, "", map[string]string{"Sec-Fetch-Dest": "iframe"}, 403},
		"an image":             {http.MethodGet, b.at + good, "", map[string]string{"Sec-Fetch-Dest": "image"}, 403},
		"a script":             {http.MethodGet, b.at + good, "", map[string]string{"Sec-Fetch-Dest": "empty"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(b.refused)
			resp := b.send(t, c.method, c.address, c.body, c.header)
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			if len(b.refused) != before+1 {
				t.Error("the refusal was not told")
			}
		})
	}
	if len(b.got) != 0 {
		t.Errorf("the handler saw %+v", b.got)
	}
}

func TestALaunchPortThatIsTakenIsNamed(t *testing.T) {
	b := listenLaunch(t)
	_, err := loopback.ListenLaunch(t.Context(), b.at, nil, nil)
	if fault.Code(err) != "launch-port-taken" || !strings.Contains(err.Error(), b.at) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"https://localhost:18330/launch", "http://0.0.0.0:18330/launch", "http://ehr.example:18330/launch", "http://localhost/launch"} {
		if _, err := loopback.ListenLaunch(t.Context(), bad, nil, nil); err == nil {
			t.Errorf("%s was listened at", bad)
		}
	}
}

func FuzzLaunch(f *testing.F) {
	for _, q := range []string{"iss=https://ehr.example&launch=x", "iss=a&iss=b&launch=c", "launch=%2B+&iss=%zz", "iss=&launch=", "a;b=c&iss=x&launch=y"} {
		f.Add(q, true)
		f.Add(q, false)
	}
	var calls atomic.Int32
	handler := loopback.LaunchHandlerForTest("http://localhost:18330/launch", func(_ context.Context, in loopback.Launch) loopback.LaunchAnswer {
		calls.Add(1)
		if in.Issuer == "" || in.Value == "" || len(in.Issuer) > 2<<10 || len(in.Value) > 8<<10 {
			panic("a launch without form reached the handler")
		}
		return loopback.LaunchAnswer{Redirect: "https://ehr.example/"}
	})
	f.Fuzz(func(t *testing.T, raw string, post bool) {
		q := httptest.NewRequest(http.MethodGet, "http://localhost:18330/launch", nil)
		q.URL.RawQuery = raw
		if post {
			q = httptest.NewRequest(http.MethodPost, "http://localhost:18330/launch", strings.NewReader(raw))
			q.Header.Set("Content-Type", form)
		}
		before := calls.Load()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, q)
		values, err := url.ParseQuery(raw)
		fits := err == nil && len(values["iss"]) == 1 && len(values["launch"]) == 1
		if (calls.Load() == before+1) != (w.Code == http.StatusFound) || (w.Code == http.StatusFound && !fits) {
			t.Errorf("status %d for %q", w.Code, raw)
		}
	})
}
