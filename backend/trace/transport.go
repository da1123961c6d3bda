package trace

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"
)

// Transport gives a RoundTripper that keeps what next carries. Requests and
// answers pass as they are: bodies are listened to while they are read, and
// never held up. nil is http.DefaultTransport.
//
// The request is redacted before it is sent, the head of the answer before
// RoundTrip returns, and its body when it was read or closed.
func (r *Recorder) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{r, next}
}

type transport struct {
	recorder *Recorder
	next     http.RoundTripper
}

// Unwrap gives what carries the requests.
func (t *transport) Unwrap() http.RoundTripper { return t.next }

// CloseIdleConnections passes on what http.Client asks of its transport.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip carries one request.
func (t *transport) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.URL == nil { // next says what is wrong with it, and closes its body
		return t.next.RoundTrip(q)
	}
	r := t.recorder
	l := &listening{recorder: r, started: r.now()}
	sent := l.request(q)
	resp, err := t.next.RoundTrip(sent)
	if err != nil {
		l.failed(err)
		return resp, err
	}
	l.answered(resp)
	return resp, nil
}

// listening follows one exchange.
type listening struct {
	recorder *Recorder
	started  time.Time
	way      way
	url      address
	direct   string // host and port, as the first hop is without a proxy
	// signed tells that the request carried a credential.
	signed bool
	asked  *capture // of a request body that could not be read beforehand
	kind   facts    // of the request

	media, encoding string // of the answer
	length          int64
	record          *record
}

// way is what the transport tells of the connection, from goroutines that may
// outlive the request.
type way struct {
	mu     sync.Mutex // protects the rest
	first  string     // host and port of the first hop
	reused bool
}

func (l *listening) request(q *http.Request) *http.Request {
	r := l.recorder
	ctx := httptrace.WithClientTrace(q.Context(), &httptrace.ClientTrace{
		GetConn: func(first string) {
			l.way.mu.Lock()
			defer l.way.mu.Unlock()
			l.way.first = first
		},
		GotConn: func(c httptrace.GotConnInfo) {
			l.way.mu.Lock()
			defer l.way.mu.Unlock()
			l.way.reused = c.Reused
		},
	})
	sent := q.WithContext(ctx)
	var raw []byte
	var whole bool
	if q.Body != nil && q.Body != http.NoBody {
		if b, all, ok := beforehand(q, r.limits.Capture); ok {
			raw, whole = b, all
			defer clear(raw)
		} else {
			l.asked = &capture{limit: r.limits.Capture}
			sent.Body = &tee{ReadCloser: q.Body, to: l.asked}
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.marks
	m.jwts = nil
	e := &Exchange{At: l.started.UTC(), Method: m.method(cmp.Or(q.Method, http.MethodGet)), Query: []Field{}, JWTs: []JWT{}, Open: true}
	l.signed = q.Header.Get("Authorization") != "" || q.Header.Get("Cookie") != ""
	e.Request.Headers = m.headers(q.Header)
	l.direct = direct(q.URL)
	plain := *q.URL
	plain.User, plain.RawQuery, plain.Fragment = nil, "", ""
	if base, ok := baseOf(plain.String()); ok && !l.signed && e.Method == http.MethodGet {
		m.learn(base, "", true)
	}
	l.url = m.address(q.URL.String())
	e.URL, e.Query = l.url.text, l.url.query
	if e.Query == nil {
		e.Query = []Field{}
	}
	e.Request.Body.Form, e.Response.Body.Form, e.Response.Headers = []Field{}, []Field{}, []Field{}
	if raw != nil {
		e.Request.Body, l.kind = m.body(message{
			contentType: q.Header.Get("Content-Type"), encoding: q.Header.Get("Content-Encoding"), raw: raw, size: sizeOf(q.ContentLength, raw), whole: whole, url: l.url, limit: r.limits.Body,
		})
	}
	l.classify(e, q)
	e.JWTs, m.jwts = append(e.JWTs, m.jwts...), nil
	r.seq++
	e.Seq = r.seq
	l.record = &record{exchange: e, size: e.size()}
	r.keep(l.record)
	return sent
}

func sizeOf(length int64, raw []byte) int64 {
	if length > 0 {
		return length
	}
	return int64(len(raw))
}

func (m *marks) method(method string) string {
	if plainWord.MatchString(method) && len(method) < longWord {
		return m.scrub(method)
	}
	return m.text(method)
}

// beforehand reads the start of a request's body where it can be had twice.
func beforehand(q *http.Request, limit int) (raw []byte, whole, ok bool) {
	if q.GetBody == nil {
		return nil, false, false
	}
	body, err := q.GetBody()
	if err != nil {
		return nil, false, false
	}
	defer body.Close()
	raw, err = io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err != nil {
		clear(raw)
		return nil, false, false
	}
	if len(raw) > limit {
		clear(raw[limit:])
		return raw[:limit], false, true
	}
	return raw, true, true
}

// failed ends an exchange that has no answer.
func (l *listening) failed(err error) {
	r := l.recorder
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := l.record.exchange
	l.askedBody(e)
	e.Wait = max(0, now.Sub(l.started))
	e.Duration, e.Open = e.Wait, false
	e.Error = r.errorCode(err)
	l.connection(e, nil)
	l.finish(e, "")
}

// askedBody redacts a request body that was listened to. The lock is held.
func (l *listening) askedBody(e *Exchange) {
	if l.asked == nil {
		return
	}
	raw, n := l.asked.take()
	defer clear(raw)
	content := ""
	for _, f := range e.Request.Headers {
		if f.Name == "Content-Type" {
			content = f.Value
		}
	}
	m := l.recorder.marks
	e.Request.Body, l.kind = m.body(message{contentType: content, raw: raw, size: n, whole: n == int64(len(raw)), url: l.url, limit: l.recorder.limits.Body})
	l.classify(e, nil)
	l.asked = nil
}

// answered redacts the head of an answer, and listens to its body.
func (l *listening) answered(resp *http.Response) {
	r := l.recorder
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.marks
	m.jwts = nil
	e := l.record.exchange
	l.askedBody(e)
	e.Wait = max(0, now.Sub(l.started))
	e.Duration = e.Wait
	e.Status, e.Protocol = resp.StatusCode, m.scrub(resp.Proto)
	e.Response.Headers = m.headers(resp.Header)
	l.connection(e, resp.TLS)
	l.length = resp.ContentLength
	l.media, l.encoding = resp.Header.Get("Content-Type"), resp.Header.Get("Content-Encoding")
	e.JWTs, m.jwts = append(e.JWTs, m.jwts...), nil
	date := resp.Header.Get("Date")
	for i := range e.JWTs {
		e.JWTs[i].date(l.started, date)
	}
	// After a change of protocol the body is a connection, to be written to as well.
	if resp.Body == nil || resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		e.Open = false
		l.finish(e, date)
		return
	}
	c := &capture{limit: r.limits.Capture}
	resp.Body = &tee{ReadCloser: resp.Body, to: c, done: func(err error) { l.body(c, date, err) }}
}

// body ends an exchange whose answer was read, given up or broke off.
func (l *listening) body(c *capture, date string, err error) {
	raw, n := c.take()
	defer clear(raw)
	r := l.recorder
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.marks
	m.jwts = nil
	e := l.record.exchange
	e.Duration, e.Open = max(e.Wait, now.Sub(l.started)), false
	var f facts
	e.Response.Body, f = m.body(message{
		contentType: l.media, encoding: l.encoding, raw: raw, size: n, whole: n == int64(len(raw)), url: l.url, limit: r.limits.Body, refused: e.Status >= 400,
		open: e.Method == http.MethodGet && !l.signed && e.Status == http.StatusOK && (e.Kind == KindDiscovery || e.Kind == KindCapabilities),
	})
	switch {
	case errors.Is(err, errGivenUp) && n == l.length: // who knows the length need not read on for the end
	case errors.Is(err, errGivenUp):
		e.Response.Body.LeftOut = strings.TrimSpace(e.Response.Body.LeftOut + " It was not read to its end.")
	case err != nil:
		e.Error = r.errorCode(err)
	}
	l.judge(e, f)
	e.JWTs, m.jwts = append(e.JWTs, m.jwts...), nil
	l.finish(e, date)
}

// finish brings what is known last. The lock is held.
func (l *listening) finish(e *Exchange, date string) {
	for i := range e.JWTs {
		e.JWTs[i].date(l.started, date)
	}
	l.record.size = e.size()
	l.recorder.hold()
}

// connection says how the server was reached.
func (l *listening) connection(e *Exchange, secured *tls.ConnectionState) {
	l.way.mu.Lock()
	first := l.way.first
	e.Reused = l.way.reused
	l.way.mu.Unlock()
	m := l.recorder.marks
	if first != "" && !strings.EqualFold(first, l.direct) {
		e.Proxy = m.scrub(first)
	}
	if secured == nil {
		return
	}
	e.TLS = &TLS{Version: tls.VersionName(secured.Version), Cipher: tls.CipherSuiteName(secured.CipherSuite)}
	if len(secured.PeerCertificates) > 0 {
		e.TLS.Issuer = cut(m.scrub(secured.PeerCertificates[0].Issuer.String()), shownWords)
	}
}

// direct is the host and port that a URL is reached at without a proxy.
func direct(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
		if port == "" {
			port = "443"
		}
	}
	host := u.Hostname()
	if plain, err := idna.Lookup.ToASCII(host); err == nil {
		host = plain // as the transport calls it
	}
	return net.JoinHostPort(host, port)
}

// errGivenUp is a body that was closed before its end.
var errGivenUp = errors.New("given up")

// tee hands a body through, and what was read of it to a capture. It must not
// slow or change anything for the reader.
type tee struct {
	io.ReadCloser
	to   *capture
	done func(error) // once, with nil at the end of the body; may be nil
	once sync.Once
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if n > 0 {
		t.to.add(p[:n])
	}
	if err != nil && t.done != nil {
		if errors.Is(err, io.EOF) {
			t.once.Do(func() { t.done(nil) })
		} else {
			t.once.Do(func() { t.done(err) })
		}
	}
	return n, err
}

func (t *tee) Close() error {
	err := t.ReadCloser.Close()
	if t.done != nil {
		t.once.Do(func() { t.done(errGivenUp) })
	}
	return err
}

// capture holds the start of a body, and counts the rest.
type capture struct {
	limit int

	mu   sync.Mutex // protects the rest
	held []byte
	n    int64
	over bool
}

func (c *capture) add(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.n += int64(len(p))
	take := min(len(p), c.limit-len(c.held))
	if need := len(c.held) + take; need > cap(c.held) {
		// Grown here, so that what was held is wiped and not left behind.
		grown := make([]byte, len(c.held), min(c.limit, max(need, 2*cap(c.held), 4<<10)))
		copy(grown, c.held)
		clear(c.held)
		c.held = grown
	}
	c.held = append(c.held, p[:take]...)
}

// take gives what was captured, for the caller to wipe, and takes no more.
func (c *capture) take() ([]byte, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.held
	c.held, c.over = nil, true
	return out, c.n
}

// publicDocuments are the ends of the paths at which documents are public (RFC 8414, OpenID Connect Discovery, SMART App Launch 2.2).
var publicDocuments = []string{"/.well-known/smart-configuration", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}

// classify says what a request is about.
func (l *listening) classify(e *Exchange, q *http.Request) {
	get := e.Method == http.MethodGet
	if q != nil {
		e.Kind, e.Title, e.Server = KindOther, "Request", AuthorizationServer
		path := q.URL.Path
		known, ok := l.recorder.marks.at(q.URL, func(p place) bool { return p.kind != "" })
		switch {
		case get && slices.ContainsFunc(publicDocuments, func(end string) bool { return strings.HasSuffix(path, end) }), strings.Contains(path, "/.well-known/oauth-authorization-server"):
			e.Kind, e.Title = KindDiscovery, "Discovery"
			if strings.HasSuffix(path, publicDocuments[0]) {
				e.Server = FHIRServer
			}
		case get && strings.HasSuffix(path, "/metadata"):
			e.Kind, e.Title, e.Server = KindCapabilities, "Capabilities", FHIRServer
		case l.url.isFHIR:
			e.Kind, e.Title, e.Server = KindFHIR, fhirTitle(e.Method, l.url), FHIRServer
		case ok:
			e.Kind, e.Title = known.kind, kindTitles[known.kind]
		}
	}
	grant := l.kind.form.Get("grant_type")
	switch {
	case grant != "":
		e.Kind, e.Title = KindToken, grantTitles[grant]
		if e.Title == "" {
			e.Title = kindTitles[KindToken]
		}
	case e.Kind != KindOther:
	case l.kind.form.Has("token") && l.kind.form.Has("token_type_hint"):
		e.Kind, e.Title = KindRevocation, kindTitles[KindRevocation]
	case l.kind.form.Has("token"):
		e.Kind, e.Title = KindIntrospection, kindTitles[KindIntrospection]
	case l.kind.registration:
		e.Kind, e.Title = KindRegistration, kindTitles[KindRegistration]
	}
	l.kind.form = nil // it holds what was sent
}

var kindTitles = map[string]string{
	KindToken: "Tokens", KindRegistration: "Registration of the app", KindIntrospection: "Question about a token", KindRevocation: "Revocation", KindKeys: "Keys",
}

var grantTitles = map[string]string{
	"authorization_code": "Code for tokens", "refresh_token": "Refresh", "client_credentials": "Token for a backend service",
	"urn:ietf:params:oauth:grant-type:jwt-bearer": "Token for a registered copy",
}

func fhirTitle(method string, a address) string {
	if method != http.MethodGet && method != http.MethodHead {
		return "FHIR request"
	}
	switch {
	case a.query != nil && isType(a.fhir):
		return "Search for " + a.fhir
	case isType(a.fhir):
		return "Read of " + a.fhir
	}
	return "FHIR request"
}

// judge corrects by the answer what the request was about, and learns the
// endpoints of a discovery document.
func (l *listening) judge(e *Exchange, f facts) {
	m := l.recorder.marks
	switch {
	case e.Kind == KindOther && f.keys:
		e.Kind, e.Title = KindKeys, kindTitles[KindKeys]
	case (e.Kind == KindOther || e.Kind == KindRevocation) && f.active:
		e.Kind, e.Title = KindIntrospection, kindTitles[KindIntrospection]
	case e.Kind == KindOther && f.resourceType != "":
		e.Kind, e.Title, e.Server = KindFHIR, "FHIR request", FHIRServer
	}
	if l.signed || e.Status != http.StatusOK {
		return
	}
	if e.Kind == KindDiscovery {
		for name, kind := range map[string]string{
			"token_endpoint": KindToken, "registration_endpoint": KindRegistration, "introspection_endpoint": KindIntrospection, "revocation_endpoint": KindRevocation,
			"jwks_uri": KindKeys, "authorization_endpoint": "", "management_endpoint": "", "issuer": "",
		} {
			if v := f.json.get(name); v.kind == '"' {
				m.learn(v.text, kind, false)
			}
		}
	}
}
