package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// keptRequests bounds the log: enough for an afternoon of launches.
const keptRequests = 500

// Request is one line of the request log. It holds no code, token, secret,
// verifier or password.
type Request struct {
	// Number counts the requests of this server from 1.
	Number uint64 `json:"number"`
	// At is when the request arrived, in UTC.
	At       time.Time     `json:"at" ts_type:"string"`
	Duration time.Duration `json:"duration_ns"`
	Method   string        `json:"method"`
	Path     string        `json:"path"`
	// Query is the query string with everything secret replaced by "…".
	Query  string `json:"query,omitempty"`
	Status int    `json:"status"`
	// ClientID is the client that asked, where the server found out.
	ClientID string `json:"client_id,omitempty"`
	// Verdict is what the server made of the request, in a sentence: the
	// reason that real servers keep to themselves.
	Verdict string `json:"verdict,omitempty"`
}

type logEntry struct {
	Request
	faults []string // that acted
}

type logKey struct{}

type requestLog struct {
	tell func(Request)

	mu    sync.Mutex // protects kept and count
	kept  []Request
	count uint64
}

func newRequestLog(tell func(Request)) *requestLog { return &requestLog{tell: tell} }

func (l *requestLog) add(e *logEntry, now time.Time) {
	e.Duration = now.UTC().Sub(e.At)
	if len(e.faults) > 0 {
		e.Verdict += " (fault: " + strings.Join(e.faults, ", ") + ")"
	}
	l.mu.Lock()
	l.count++
	e.Number = l.count
	if len(l.kept) >= keptRequests {
		l.kept = slices.Delete(l.kept, 0, len(l.kept)-keptRequests+1)
	}
	l.kept = append(l.kept, e.Request)
	l.mu.Unlock()
	if l.tell != nil {
		l.tell(e.Request)
	}
}

func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}

// judge sets the verdict of a request. A handler may judge twice: the last word stands.
func judge(r *http.Request, format string, args ...any) {
	if e, ok := r.Context().Value(logKey{}).(*logEntry); ok {
		e.Verdict = clip(fmt.Sprintf(format, args...), 600)
	}
}

// blame notes a fault that acted on a request, so that no verdict passes for the server's own.
func blame(r *http.Request, fault string) {
	if e, ok := r.Context().Value(logKey{}).(*logEntry); ok && !slices.Contains(e.faults, fault) {
		e.faults = append(e.faults, fault)
	}
}

// identify notes which client made the request.
func identify(r *http.Request, clientID string) {
	if e, ok := r.Context().Value(logKey{}).(*logEntry); ok {
		e.ClientID = clip(clientID, 100)
	}
}

// plainParameters of the authorization server may be shown; all others are
// replaced, so that a secret sent to the wrong place is not kept either.
var plainParameters = []string{
	"aud", "client_id", "code_challenge_method", "prompt", "redirect_uri", "response_mode", "response_type", "scope",
}

func redactQuery(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	fhir := strings.HasPrefix(r.URL.Path, "/fhir")
	var parts []string
	for pair := range strings.SplitSeq(clip(r.URL.RawQuery, 2000), "&") {
		name, value, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		secret := err != nil || strings.Contains(plain, "token") || strings.Contains(plain, "secret") || strings.Contains(plain, "assertion")
		if has && value != "" && (secret || (!fhir && !slices.Contains(plainParameters, plain))) {
			pair = name + "=…"
		}
		parts = append(parts, pair)
	}
	return strings.Join(parts, "&")
}
