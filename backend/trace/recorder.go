package trace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"chartkey/backend/fault"
)

// Options are what a Recorder is made with.
type Options struct {
	// Operation is the name of what is recorded, such as "connect".
	Operation string
	// Program is the name and version of who records; "" is "Chartkey".
	Program string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// FHIRBaseURL, where known, tells which paths are a base's and which name a resource.
	FHIRBaseURL string
	// Endpoints are further URLs that are configuration, so that their paths are
	// kept: those of the discovery that the caller has from before. The recorder
	// learns those of a discovery that it sees.
	Endpoints []string
	// ErrorCode names an error of the transport; it must quote nothing of it. nil
	// tells cancelled, timeout and failed apart.
	ErrorCode func(error) string
	Limits    Limits
}

// Recorder collects the exchanges of one operation. It is safe for concurrent
// use: what it listens to may go on while a Trace is taken.
type Recorder struct {
	now       func() time.Time
	errorCode func(error) string
	limits    Limits

	mu      sync.Mutex // protects the rest
	marks   *marks
	trace   Trace
	seq     int
	records []*record // kept, in the order of seq
	dropped int
	blanked int
}

// record is an exchange or a note while it is kept.
type record struct {
	exchange *Exchange
	note     *Note
	size     int
	// generation is that of the marks when it was last looked through.
	generation int
}

func (r *record) strings(f func(*string)) {
	if r.note != nil {
		r.note.strings(f)
		return
	}
	r.exchange.strings(f)
}

// NewRecorder makes a Recorder for one operation, which begins now.
func NewRecorder(o Options) *Recorder {
	r := &Recorder{now: o.Now, errorCode: o.ErrorCode, limits: o.Limits.withDefaults(), marks: newMarks()}
	if r.now == nil {
		r.now = time.Now
	}
	if r.errorCode == nil {
		r.errorCode = errorCode
	}
	if o.Program == "" {
		o.Program = "Chartkey"
	}
	r.trace = Trace{Operation: clean(o.Operation), Program: clean(o.Program), Started: r.now().UTC()}
	if o.FHIRBaseURL != "" {
		r.marks.learn(o.FHIRBaseURL, "", true)
	}
	for _, endpoint := range o.Endpoints {
		r.marks.learn(endpoint, "", false)
	}
	return r
}

func errorCode(err error) string {
	var slow net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return "timeout"
	}
	return "failed"
}

// Note keeps a step that is no HTTP exchange of ours. detail is a URL, which
// is redacted as one, or a sentence; values are redacted by their names.
func (r *Recorder) Note(step, detail string, values url.Values) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.marks
	// The secrets among the values first: the detail may quote them.
	n := &Note{At: r.now().UTC(), Step: cut(m.scrub(step), longestName), Values: []Field{}}
	for _, pair := range strings.Split(values.Encode(), "&") {
		if pair != "" {
			n.Values = append(n.Values, m.parameters(pair, false, "")...)
		}
	}
	if u, err := url.Parse(detail); err == nil && u.Scheme != "" && u.Host != "" {
		n.Detail = m.address(detail).text
	} else {
		n.Detail = m.words(detail)
	}
	m.jwts = nil
	r.seq++
	n.Seq = r.seq
	r.keep(&record{note: n, size: n.size()})
}

// End says that the operation is over, with the fault it ended with or nil.
// Later calls change nothing.
func (r *Recorder) End(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trace.Outcome != "" {
		return
	}
	r.trace.Ended, r.trace.Outcome = r.now().UTC(), "ok"
	if err == nil {
		return
	}
	if r.trace.Outcome = fault.Code(err); r.trace.Outcome == "" {
		r.trace.Outcome = r.errorCode(err)
	}
}

// keep adds a record, and holds the limits.
func (r *Recorder) keep(add *record) {
	r.records = append(r.records, add)
	r.hold()
}

// hold drops records from the middle where there are too many, and blanks
// bodies where they are too large.
func (r *Recorder) hold() {
	total := 0
	for _, k := range r.records {
		total += k.size
	}
	first := r.limits.Exchanges / 2
	for len(r.records) > r.limits.Exchanges || total > r.limits.Total && len(r.records) > 1 {
		// The oldest after the first half, or where there are few, what is before the latest.
		at := min(first, len(r.records)-2)
		total -= r.records[at].size
		r.records = append(r.records[:at], r.records[at+1:]...)
		r.dropped++
	}
	if total > r.limits.Total && len(r.records) == 1 && r.records[0].exchange != nil {
		e := r.records[0].exchange
		for _, b := range []*Body{&e.Request.Body, &e.Response.Body} {
			if b.Text != "" {
				b.Text, b.Form, b.LeftOut = "", []Field{}, "It is larger than what is kept of a trace."
				r.blanked++
			}
		}
		r.records[0].size = e.size()
	}
}

// Trace gives what is kept so far. It is a copy.
func (r *Recorder) Trace() Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.trace
	t.Exchanges, t.Notes, t.LeftOut = []Exchange{}, []Note{}, []string{}
	for _, k := range r.records {
		// What became known as a secret later is looked for in what was kept before.
		if k.generation != r.marks.generation {
			k.strings(func(s *string) { *s = r.marks.again(*s) })
			k.generation = r.marks.generation
		}
		if k.note != nil {
			t.Notes = append(t.Notes, k.note.clone())
		} else {
			t.Exchanges = append(t.Exchanges, k.exchange.clone())
		}
	}
	if r.dropped > 0 {
		t.LeftOut = append(t.LeftOut, plural(r.dropped, "%d step in the middle is left out, as the trace is long.", "%d steps in the middle are left out, as the trace is long."))
	}
	if r.blanked > 0 {
		t.LeftOut = append(t.LeftOut, fmt.Sprintf("Bodies are left out, as they are larger than %s together.", size(int64(r.limits.Total))))
	}
	if r.marks.full {
		t.LeftOut = append(t.LeftOut, "So many secrets and identifiers were seen that from then on no words of a server are kept.")
	}
	return t
}

func (e *Exchange) clone() Exchange {
	out := *e
	out.Query = copied(e.Query)
	for _, m := range []*Message{&out.Request, &out.Response} {
		m.Headers, m.Body.Form = copied(m.Headers), copied(m.Body.Form)
	}
	if e.TLS != nil {
		t := *e.TLS
		out.TLS = &t
	}
	out.JWTs = make([]JWT, len(e.JWTs))
	for i, j := range e.JWTs {
		j.Header, j.Claims, j.times = copied(j.Header), copied(j.Claims), nil
		out.JWTs[i] = j
	}
	return out
}

func (n *Note) clone() Note {
	out := *n
	out.Values = copied(n.Values)
	return out
}

// copied is slices.Clone without nil, which would be null in JSON.
func copied[T any](list []T) []T { return append(make([]T, 0, len(list)), list...) }
