// Package trace keeps what an operation said to a server and heard from it, in
// a form that can be shown and sent on: tokens, secrets, codes, keys, and what
// tells of a patient are replaced by marks before anything is kept.
//
// It owns the http.RoundTripper that listens, the rules on what may be kept,
// and the exports (HAR, Markdown, text, a sequence of arrows). The rules name
// what may stay; everything else goes. The same secret has the same mark
// throughout a trace, because marks are looked up by a keyed hash whose key
// lives and dies with the Recorder. Values in, values out: it stores nothing,
// reads no clock of its own, and changes nothing of what it listens to. It must
// never hold a secret unredacted once the call that carried it is over.
package trace

import (
	"time"
)

// The servers and programs between which messages go, as Arrow and Exchange name them.
const (
	Browser             = "browser"
	Chartkey            = "chartkey"
	AuthorizationServer = "authorization-server"
	FHIRServer          = "fhir-server"
)

// What an exchange is about (Exchange.Kind).
const (
	KindDiscovery     = "discovery" // smart-configuration and OpenID's and OAuth's metadata
	KindCapabilities  = "capabilities"
	KindKeys          = "keys" // a JWK set
	KindToken         = "token"
	KindRegistration  = "registration"
	KindIntrospection = "introspection"
	KindRevocation    = "revocation"
	KindFHIR          = "fhir"
	KindOther         = "other"
)

// The steps that are no HTTP exchange of Chartkey's own (Recorder.Note). Any
// other word may be noted as well.
const (
	StepAuthorize = "authorize" // the browser was sent to the authorization endpoint
	StepCallback  = "callback"  // the browser came back to the redirect URI
	StepLaunch    = "launch"    // an EHR launched the app
)

// Trace is what is kept of one operation. Its JSON is for storage: the caller
// seals it.
type Trace struct {
	// Operation is the caller's name for it, such as "connect".
	Operation string `json:"operation"`
	// Program is the name and version of who recorded it.
	Program string    `json:"program"`
	Started time.Time `json:"started" ts_type:"string"`
	// Ended is zero while the operation is under way.
	Ended time.Time `json:"ended" ts_type:"string"`
	// Outcome is "ok", the code of the fault that the operation ended with, or ""
	// while it is under way.
	Outcome   string     `json:"outcome"`
	Exchanges []Exchange `json:"exchanges"`
	Notes     []Note     `json:"notes"`
	// LeftOut says in sentences what the limits kept out.
	LeftOut []string `json:"left_out"`
}

// Exchange is one request and its answer.
type Exchange struct {
	// Seq numbers exchanges and notes together, from 1, in the order in which they began.
	Seq int       `json:"seq"`
	At  time.Time `json:"at" ts_type:"string"`
	// Wait is until the headers of the answer were there, Duration until its body
	// was read or given up.
	Wait     time.Duration `json:"wait_ns"`
	Duration time.Duration `json:"duration_ns"`
	// Kind is one of the Kind… constants, Title says the same in words, and Server is
	// AuthorizationServer or FHIRServer.
	Kind   string `json:"kind"`
	Title  string `json:"title"`
	Server string `json:"server"`

	Method string  `json:"method"`
	URL    string  `json:"url"`
	Query  []Field `json:"query"`
	// Protocol is such as "HTTP/1.1" or "HTTP/2.0", that of the answer.
	Protocol string  `json:"protocol"`
	Request  Message `json:"request"`
	// Status is 0 where no answer came.
	Status   int     `json:"status"`
	Response Message `json:"response"`
	// Error is the code of what went wrong on the way, or "". An answer that
	// refuses something is no such error.
	Error string `json:"error"`
	// Open tells that the answer was not read to its end when the trace was taken.
	Open bool `json:"open"`

	TLS *TLS `json:"tls"`
	// Proxy is the host and port of the proxy that was used, or "".
	Proxy string `json:"proxy"`
	// Reused tells that a connection from before was used again.
	Reused bool `json:"reused"`
	// JWTs are the signed tokens that the exchange carried, each the first time that it is seen.
	JWTs []JWT `json:"jwts"`
}

// Message is one side of an exchange.
type Message struct {
	Headers []Field `json:"headers"`
	Body    Body    `json:"body"`
}

// Field is a name with its redacted value.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Body is what is kept of a body.
type Body struct {
	// MediaType is the Content-Type without its parameters.
	MediaType string `json:"media_type"`
	// Size is the number of bytes that went over, after decompression by the client.
	Size int64 `json:"size"`
	// Text is the redacted form: JSON, lines of a form, or a sentence on what it is.
	Text string `json:"text"`
	// Form holds the same where the body was a form.
	Form []Field `json:"form"`
	// LeftOut says what is missing beside what was redacted, or "".
	LeftOut string `json:"left_out"`
}

// Note is a step that is no HTTP exchange of Chartkey's own.
type Note struct {
	Seq    int       `json:"seq"`
	At     time.Time `json:"at" ts_type:"string"`
	Step   string    `json:"step"`
	Detail string    `json:"detail"`
	Values []Field   `json:"values"`
}

// TLS is how the connection was secured.
type TLS struct {
	Version string `json:"version"`
	Cipher  string `json:"cipher"`
	// Issuer is who issued the server's certificate, as its distinguished name. A
	// proxy that opens TLS shows here.
	Issuer string `json:"issuer"`
}

// Limits bound what a Recorder keeps. A zero stands for its default.
type Limits struct {
	// Exchanges is how many are kept: 50. Of more, the first half and the latest stay.
	Exchanges int
	// Body is the redacted size of one body in bytes: 16 KiB.
	Body int
	// Total is the redacted size of a trace in bytes: 256 KiB.
	Total int
	// Capture is how much of a body is looked into, in bytes: 1 MiB. It is held
	// while the body is read, and of a longer one little more than the size is told.
	Capture int
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, standard int) {
		if *v <= 0 {
			*v = standard
		}
	}
	set(&l.Exchanges, 50)
	set(&l.Body, 16<<10)
	set(&l.Total, 256<<10)
	set(&l.Capture, 1<<20)
	return l
}

// strings hands each string that came from outside to f, which may change it.
func (e *Exchange) strings(f func(*string)) {
	f(&e.URL)
	f(&e.Proxy)
	fields(e.Query, f)
	for _, m := range []*Message{&e.Request, &e.Response} {
		fields(m.Headers, f)
		f(&m.Body.MediaType)
		f(&m.Body.Text)
		fields(m.Body.Form, f)
	}
	if e.TLS != nil {
		f(&e.TLS.Issuer)
	}
	for i := range e.JWTs {
		e.JWTs[i].strings(f)
	}
}

func (n *Note) strings(f func(*string)) {
	f(&n.Step)
	f(&n.Detail)
	fields(n.Values, f)
}

func fields(list []Field, f func(*string)) {
	for i := range list {
		f(&list[i].Name)
		f(&list[i].Value)
	}
}

// overhead is what an exchange takes in JSON beside its strings, roughly.
const overhead = 600

func (e *Exchange) size() int {
	n := overhead
	e.strings(func(s *string) { n += len(*s) + 8 })
	return n
}

func (n *Note) size() int {
	size := overhead / 4
	n.strings(func(s *string) { size += len(*s) + 8 })
	return size
}
