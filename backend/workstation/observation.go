package workstation

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"chartkey/backend/diagnose"
	"chartkey/backend/fhir"
	"chartkey/backend/network"
	"chartkey/backend/trace"
)

// maxObserved is how much of an answer is looked at for a diagnosis.
const maxObserved = 16 << 10

// observation is what is seen of the exchanges of one operation, so that its
// failure can be diagnosed. It keeps an excerpt without what may be a secret,
// of the last answer that was no success.
type observation struct {
	now func() time.Time

	mu    sync.Mutex // protects the rest
	http  diagnose.HTTPFacts
	oauth diagnose.OAuthFacts
	issue []diagnose.IssueFacts
	clock diagnose.ClockFacts
	began time.Time
	// recorder keeps the trace, once it is known of what.
	recorder *trace.Recorder
}

type observationKey struct{}

// watched gives a context whose exchanges are observed.
func (w *Workstation) watched(ctx context.Context) context.Context {
	if observationOf(ctx) != nil {
		return ctx
	}
	return context.WithValue(ctx, observationKey{}, &observation{now: w.now, began: time.Now()})
}

func observationOf(ctx context.Context) *observation {
	o, _ := ctx.Value(observationKey{}).(*observation)
	return o
}

// observing lets what passes be observed, without changing it.
type observing struct{ next http.RoundTripper }

// Unwrap gives what carries the requests.
func (t observing) Unwrap() http.RoundTripper { return t.next }

func (t observing) RoundTrip(req *http.Request) (*http.Response, error) {
	o := observationOf(req.Context())
	o.begins()
	next := t.next
	if r := o.recording(); r != nil {
		next = r.Transport(next)
	}
	res, err := next.RoundTrip(req)
	if o == nil || err != nil {
		return res, err
	}
	contentType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var start []byte
	if res.StatusCode >= 300 || !strings.Contains(contentType, "json") {
		// What the reader gets is the same: the start, then the rest. A failure to read is told to it.
		var failed error
		start, failed = io.ReadAll(io.LimitReader(res.Body, maxObserved))
		rest := io.Reader(res.Body)
		if failed != nil {
			rest = failingReader{failed}
		}
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(start), rest), res.Body}
	}
	o.saw(req, res, contentType, start)
	return res, nil
}

// begins forgets the answer before: where none comes now, that one says nothing.
func (o *observation) begins() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.http, o.oauth, o.issue = diagnose.HTTPFacts{}, diagnose.OAuthFacts{}, nil
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func (o *observation) saw(req *http.Request, res *http.Response, contentType string, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		o.clock = diagnose.ClockFacts{Known: true, Offset: date.Sub(now.Truncate(time.Second))}
	}
	o.http = diagnose.HTTPFacts{
		Status: res.StatusCode, ContentType: contentType, Host: req.URL.Host, Body: diagnose.Excerpt(body),
		WWWAuthenticate: diagnose.Excerpt([]byte(res.Header.Get("WWW-Authenticate"))), RetryAfter: network.RetryAfter(res.Header, now), Server: network.Clean(res.Header.Get("Server"), 80),
	}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		URI         string `json:"error_uri"`
		Issue       []struct {
			Severity string `json:"severity"`
			Code     string `json:"code"`
			Details  struct {
				Text   string `json:"text"`
				Coding []struct {
					System string `json:"system"`
					Code   string `json:"code"`
				} `json:"coding"`
			} `json:"details"`
			Diagnostics string `json:"diagnostics"`
		} `json:"issue"`
	}
	o.oauth, o.issue = diagnose.OAuthFacts{}, nil
	if json.Unmarshal(body, &answer) != nil {
		return
	}
	o.oauth = diagnose.OAuthFacts{Error: network.Clean(answer.Error, 80), Description: diagnose.Excerpt([]byte(answer.Description)), URI: diagnose.Excerpt([]byte(answer.URI))}
	for _, i := range answer.Issue[:min(len(answer.Issue), 10)] {
		f := diagnose.IssueFacts{Severity: network.Clean(i.Severity, 20), Code: network.Clean(i.Code, 40), Text: diagnose.Excerpt([]byte(i.Details.Text + " " + i.Diagnostics))}
		for _, c := range i.Details.Coding {
			if fhir.IsEpics(c.System) {
				f.EpicCode = network.Clean(c.Code, 20)
			}
		}
		o.issue = append(o.issue, f)
	}
}

// fill puts what was seen into the facts.
func (o *observation) fill(f *diagnose.Facts) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f.HTTP, f.Outcome, f.Clock, f.Elapsed = o.http, o.issue, o.clock, time.Since(o.began)
	if f.OAuth.Error == "" {
		f.OAuth = o.oauth
	}
}
