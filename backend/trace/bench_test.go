package trace_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"chartkey/backend/trace"
)

// answering gives the same answer to each request, at no cost.
func answering(media, body string) roundTrip {
	return func(q *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(strings.NewReader(body)), Request: q, ContentLength: -1}, nil
	}
}

func carry(b *testing.B, r *trace.Recorder, next http.RoundTripper, q *http.Request) {
	b.Helper()
	resp, err := r.Transport(next).RoundTrip(q)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// BenchmarkRead is what listening adds to a search that answers with 500 kB.
func BenchmarkRead(b *testing.B) {
	entry := `{"resource":{"resourceType":"Observation","id":"o-1","status":"final","code":{"text":"` + strings.Repeat("x", 400) + `"}}},`
	bundle := `{"resourceType":"Bundle","type":"searchset","entry":[` + strings.Repeat(entry, 1000) + `{}]}`
	b.SetBytes(int64(len(bundle)))
	r := trace.NewRecorder(trace.Options{})
	for b.Loop() {
		q, _ := http.NewRequest(http.MethodGet, "https://ehr.example/fhir/Observation?patient=p1", nil)
		q.Header.Set("Authorization", "Bearer 0123456789abcdefghijklmnop")
		carry(b, r, answering("application/fhir+json", bundle), q)
	}
}

// BenchmarkTrace takes a full trace after a secret that is new.
func BenchmarkTrace(b *testing.B) {
	r := trace.NewRecorder(trace.Options{})
	list := `{"capabilities":["` + strings.Repeat(`permission-patient","`, 250) + `x"]}`
	for i := range 45 {
		q, _ := http.NewRequest(http.MethodGet, "https://ehr.example/fhir/.well-known/smart-configuration", nil)
		carry(b, r, answering("application/json", list), q)
		r.Note("x", "", url.Values{"state": {fmt.Sprintf("state-%d-0123456789-abcdef", i)}})
	}
	i := 0
	for b.Loop() {
		i++
		r.Note("x", "", url.Values{"state": {fmt.Sprintf("later-%d-0123456789-abcdef", i)}})
		_ = r.Trace()
	}
}
