package loopback

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// donePath is where result pages are shown. A callback redirects there, so
	// that no code stays in the address bar or the history.
	donePath = "/done/"

	// maxQuery bounds a callback's query. The longest codes seen are about 4 KiB.
	maxQuery = 16 << 10
)

// Why a request is refused, as OnRefused hears it.
const (
	refusedHost      = "host"
	refusedPath      = "path"
	refusedMethod    = "method"
	refusedLong      = "query-too-long"
	refusedMalformed = "query-malformed"
	refusedMissing   = "state-missing"
	refusedRepeated  = "state-repeated"
	refusedUnknown   = "state-unknown"
	refusedUsed      = "state-used"
)

// refusals says how each is answered. No word of the request is repeated.
var refusals = map[string]struct {
	status int
	page   Page
}{
	refusedHost:      {http.StatusMisdirectedRequest, Page{Title: "This address is not answered here"}},
	refusedPath:      {http.StatusNotFound, Page{Title: "There is nothing here"}},
	refusedMethod:    {http.StatusMethodNotAllowed, Page{Title: "This kind of request is not answered here"}},
	refusedLong:      {http.StatusRequestURITooLong, Page{Title: "The answer of the sign-in is too long", Message: "Start the sign-in again from Chartkey."}},
	refusedMalformed: {http.StatusBadRequest, Page{Title: "The answer of the sign-in is not readable", Message: "Start the sign-in again from Chartkey."}},
	refusedMissing:   {http.StatusBadRequest, Page{Title: "The answer of the sign-in is incomplete", Message: "It does not say which sign-in it belongs to. Start the sign-in again from Chartkey."}},
	refusedRepeated:  {http.StatusBadRequest, Page{Title: "The answer of the sign-in is not readable", Message: "It says more than once which sign-in it belongs to. Start the sign-in again from Chartkey."}},
	refusedUnknown:   {http.StatusBadRequest, Page{Title: "No sign-in is waiting for this answer", Message: "It took too long, was cancelled, or was started elsewhere. Start the sign-in again from Chartkey."}},
	refusedUsed:      {http.StatusConflict, Page{Title: "This sign-in was already answered", Message: "Each answer counts once. Look in Chartkey for how it ended."}},
}

func (p *port) refuse(w http.ResponseWriter, reason string) {
	if hear := p.receiver.OnRefused; hear != nil {
		hear(reason)
	}
	p.show(w, refusals[reason].status, refusals[reason].page)
}

// ServeHTTP answers one request. A browser that was lured to this port under
// another name (DNS rebinding) fails the Host check.
func (p *port) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	protect(w.Header())
	host := strings.ToLower(q.Host)
	path := q.URL.EscapedPath()
	hostKnown, pathKnown := p.knows(host, path)
	id, isDone := strings.CutPrefix(path, donePath)
	switch {
	case !hostKnown:
		p.refuse(w, refusedHost)
	case !pathKnown && !isDone:
		p.refuse(w, refusedPath)
	case q.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		p.refuse(w, refusedMethod)
	case isDone:
		page, found := p.receiver.fetch(p, id)
		if !found {
			p.refuse(w, refusedPath)
			return
		}
		p.show(w, http.StatusOK, page)
	default:
		p.callback(w, q, host+path)
	}
}

func (p *port) knows(host, path string) (hostKnown, pathKnown bool) {
	p.receiver.mu.Lock()
	defer p.receiver.mu.Unlock()
	return p.hosts[host], p.paths[host+path]
}

// callback checks the state of a request to the redirect URI at, runs the
// handler of its sign-in, and sends the browser on to the result.
func (p *port) callback(w http.ResponseWriter, q *http.Request, at string) {
	query, state, reason := readQuery(q.URL.RawQuery)
	if reason != "" {
		p.refuse(w, reason)
		return
	}
	l, reason := p.receiver.take(p, at, state)
	if reason != "" {
		p.refuse(w, reason)
		return
	}
	defer p.receiver.release(p)

	// The server's own limits are for idle connections; this answer may take as
	// long as the handler.
	limits := http.NewResponseController(w)
	_ = limits.SetReadDeadline(time.Time{})
	_ = limits.SetWriteDeadline(time.Now().Add(handlerTimeout + writeTimeout))

	ctx, cancel := context.WithTimeout(l.ctx, handlerTimeout)
	defer cancel()
	defer context.AfterFunc(p.receiver.closed, cancel)()
	page := l.handle(ctx, query)
	if page.Next != nil && p.receiver.again(l, page.Next.State) {
		w.Header().Set("Location", page.Next.URL)
		w.WriteHeader(http.StatusSeeOther)
		return
	}

	w.Header().Set("Location", p.receiver.finish(p, page))
	w.WriteHeader(http.StatusSeeOther)
}

// readQuery parses a callback's query and finds its one state.
func readQuery(raw string) (query url.Values, state, reason string) {
	if len(raw) > maxQuery {
		return nil, "", refusedLong
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, "", refusedMalformed
	}
	switch states := query["state"]; {
	case len(states) > 1:
		return nil, "", refusedRepeated
	case len(states) == 0 || states[0] == "":
		return nil, "", refusedMissing
	default:
		return query, states[0], ""
	}
}
