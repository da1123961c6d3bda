package simulator

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"chartkey/backend/scope"

	"github.com/go-jose/go-jose/v4"
)

// Fault is one way in which servers and networks fail, to be turned on while
// this one runs. A client should survive it: end what it was doing with a
// reason, keep what it must keep, and go on when the fault is over.
type Fault struct {
	Name string `json:"name"`
	// Sentence says what happens, and why a client should be ready for it.
	Sentence string `json:"sentence"`
}

// place is the part of the server where a fault acts.
type place string

const (
	atDiscovery place = "discovery"
	atToken     place = "token"
	atKeys      place = "keys"
	atFHIR      place = "fhir"
)

func placeOf(r *http.Request) place {
	path := r.URL.Path
	switch {
	case path == "/fhir/.well-known/smart-configuration", path == "/fhir/metadata", path == "/auth/.well-known/openid-configuration":
		return atDiscovery
	case path == "/auth/token":
		return atToken
	case path == "/auth/jwks":
		return atKeys
	case path == "/fhir", strings.HasPrefix(path, "/fhir/"):
		return atFHIR
	}
	return ""
}

// faultRow is a fault with what it does. A row has the one part through which
// it acts; those without any are asked for by name where they act.
type faultRow struct {
	Fault
	// serve answers a request to the place in the handler's stead, or around it.
	at    place
	serve func(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler)
	// callback changes the query that the browser carries back to the app.
	callback func(s *Server, answer url.Values)
	// answer changes a token answer, and claims an id_token's.
	answer func(answer map[string]any)
	claims func(s *Server, claims map[string]any)
}

// The faults that are asked for by name.
const (
	faultExpiredCode  = "expired-code"
	faultRevokedGrant = "revoked-grant"
	faultFewerScopes  = "fewer-scopes"
	faultLongTokens   = "long-tokens"
	faultClockAhead   = "clock-ahead"
	faultClockBehind  = "clock-behind"
	faultIDSignature  = "id-token-signature"
	faultIDAlgorithm  = "id-token-alg-none"
	faultUnknownKey   = "unknown-key"
	faultRotatedKeys  = "rotated-keys"
	faultLateKeys     = "late-keys"
	faultAnswerLost   = "refresh-answer-lost"
	faultRefreshEmpty = "refresh-token-empty"
)

// The measures of the faults.
const (
	clockOff       = 10 * time.Minute
	slowness       = 2 * time.Second
	longestHang    = 5 * time.Minute
	oversize       = 32 << 20
	longToken      = 64 << 10
	waitAsked      = 2 * time.Minute // by Retry-After
	maxRotatedKeys = 4
)

// faultTable is every fault, in the order in which they are listed. Of two
// that answer at one place, the first is outermost.
var faultTable = sync.OnceValue(func() []faultRow {
	var rows []faultRow
	for _, where := range []struct {
		at   place
		what string
	}{
		{atDiscovery, "the SMART configuration and the CapabilityStatement"}, {atToken, "the token endpoint"}, {atFHIR, "the FHIR server"},
	} {
		rows = append(rows, transportFaults(where.at, where.what)...)
	}
	return append(rows,
		faultRow{Fault: Fault{"no-smart-configuration", "The SMART configuration is not found, and the CapabilityStatement alone names the endpoints, as on servers of SMART 1."}, at: atDiscovery, serve: notFoundSmart},

		faultRow{Fault: Fault{"wrong-state", "The callback carries another state: it was forged, or belongs to another sign-in, and its code must not be redeemed."}, callback: func(s *Server, q url.Values) { q.Set("state", s.random()) }},
		faultRow{Fault: Fault{"missing-state", "The callback carries no state, so nothing ties it to a sign-in."}, callback: func(_ *Server, q url.Values) { q.Del("state") }},
		faultRow{Fault: Fault{"wrong-iss", "The callback names another server (RFC 9207): a mix-up, in which the code would be given to an attacker."}, callback: func(_ *Server, q url.Values) { q.Set("iss", "https://other-ehr.example/auth") }},
		faultRow{Fault: Fault{"missing-iss", "The callback lacks the iss that the metadata promises (RFC 9207 section 2.4): it may come from another server."}, callback: func(_ *Server, q url.Values) { q.Del("iss") }},
		faultRow{Fault: Fault{"missing-code", "The callback carries neither a code nor an error, as behind portals that lose the query."}, callback: func(_ *Server, q url.Values) { q.Del("code") }},

		faultRow{Fault: Fault{faultExpiredCode, "Each code has run out when it is redeemed, as when a person's machine sleeps in between."}},
		faultRow{Fault: Fault{"error-with-200", "The token endpoint answers 200 with an error member, as some servers do for everything."}, at: atToken, serve: errorWith200},
		faultRow{Fault: Fault{"token-redirect", "The token endpoint redirects to another address. A client that follows gives the code, or the refresh token, away."}, at: atToken, serve: redirectToken},
		faultRow{Fault: Fault{faultAnswerLost, "A refresh is carried out, the refresh token replaced, and the answer lost on the way. With the old token the grant ends (RFC 9700 section 4.14), and only a sign-in helps."}, at: atToken, serve: loseRefresh},
		faultRow{Fault: Fault{faultRevokedGrant, "The patient has ended the access: the next use of the grant, by refresh token or access token, finds it gone."}},

		faultRow{Fault: Fault{"missing-patient", "launch/patient is granted and no patient named, as for a clinician who had no chart open."}, answer: without("patient")},
		faultRow{Fault: Fault{faultFewerScopes, "Of the records, only the Patient resource is granted: a registration at an EHR often allows less than the app asks for."}},
		faultRow{Fault: Fault{"no-scope", "The token answer has no scope, which means that what was asked for is granted (RFC 6749 section 5.1)."}, answer: without("scope")},
		faultRow{Fault: Fault{"token-type-lowercase", "token_type is bearer in lower case, as RFC 6749 section 5.1 allows."}, answer: member("token_type", "bearer")},
		faultRow{Fault: Fault{"token-type-missing", "The token answer has no token_type."}, answer: without("token_type")},
		faultRow{Fault: Fault{"token-type-mac", "token_type is mac: a token that a client which knows Bearer alone must not use (RFC 6749 section 7.1)."}, answer: member("token_type", "mac")},
		faultRow{Fault: Fault{"expires-in-string", "expires_in is a string, as several servers write it."}, answer: func(a map[string]any) { a["expires_in"] = fmt.Sprint(a["expires_in"]) }},
		faultRow{Fault: Fault{"expires-in-missing", "The token answer does not say how long the access lasts, so a 401 tells it first."}, answer: without("expires_in")},
		faultRow{Fault: Fault{faultRefreshEmpty, "refresh_token is an empty string, which means none: after a refresh the old one stays."}, answer: member("refresh_token", "")},
		faultRow{Fault: Fault{"access-token-missing", "The token answer has everything but the access token."}, answer: without("access_token")},
		faultRow{Fault: Fault{faultLongTokens, "Access and refresh tokens have 64 KB, as signed ones with many claims can."}},

		faultRow{Fault: Fault{faultClockAhead, "The server's clock is ten minutes ahead, in the Date header and in iat and exp of an id_token, which then is from the future."}},
		faultRow{Fault: Fault{faultClockBehind, "The server's clock is ten minutes behind, so that an id_token runs out as it arrives: only a client that allows for clocks accepts it."}},

		faultRow{Fault: Fault{"id-token-missing", "openid is granted and no id_token sent: access is as good as ever, and who signed in is not known."}, answer: without("id_token")},
		faultRow{Fault: Fault{faultIDSignature, "The signature of the id_token is wrong: someone changed it."}},
		faultRow{Fault: Fault{faultIDAlgorithm, "The id_token has alg none and no signature, so anyone could have written it."}},
		faultRow{Fault: Fault{"id-token-issuer", "The id_token was issued by another server."}, claims: claim("iss", "https://other-ehr.example/auth")},
		faultRow{Fault: Fault{"id-token-audience", "The id_token is for another app, so it was stolen from there."}, claims: claim("aud", "another-app")},
		faultRow{Fault: Fault{"id-token-nonce", "The id_token has the nonce of another sign-in: it is replayed."}, claims: claim("nonce", "of-another-sign-in")},
		faultRow{Fault: Fault{"id-token-expired", "The id_token ran out an hour ago."}, claims: func(s *Server, c map[string]any) {
			c["iat"], c["exp"] = s.now().Add(-2*time.Hour).Unix(), s.now().Add(-time.Hour).Unix()
		}},
		faultRow{Fault: Fault{faultUnknownKey, "The id_token is signed by a key that is not among the published ones, under a kid that nobody knows."}},
		faultRow{Fault: Fault{faultRotatedKeys, "Each id_token is signed by a new key that is published at once: who keeps the keys meets an unknown kid and must fetch them again."}},
		faultRow{Fault: Fault{faultLateKeys, "The signing key was replaced, and the first fetch of the published keys still gets the old ones, as from a cache."}},
		faultRow{Fault: Fault{"keys-500", "The published keys cannot be had, so no id_token can be verified."}, at: atKeys, serve: fail(http.StatusInternalServerError, nil)},

		faultRow{Fault: Fault{"fhir-token-refused", "The FHIR server refuses every access token with 401, however fresh: a client that refreshes and tries again must stop at once."}, at: atFHIR, serve: refuseToken},
	)
})

// transportFaults are what can befall any endpoint.
func transportFaults(at place, what string) []faultRow {
	row := func(kind, sentence string, serve func(*Server, http.ResponseWriter, *http.Request, http.Handler)) faultRow {
		return faultRow{Fault: Fault{string(at) + "-" + kind, strings.ToUpper(what[:1]) + what[1:] + " " + sentence}, at: at, serve: serve}
	}
	// One place is named in the plural.
	verb := func(singular, plural string) string {
		if at == atDiscovery {
			return plural
		}
		return singular
	}
	return []faultRow{
		row("slow", verb("takes", "take")+" two seconds to answer, as in a hospital in the morning: too little to give up.", slow),
		row("hangs", verb("takes", "take")+" the request and never "+verb("answers", "answer")+": each wait needs an end.", hang),
		row("reset", verb("resets", "reset")+" the connection in place of an answer, as firewalls do.", reset),
		row("500", verb("answers", "answer")+" 500: a fault of the server's own, which says nothing of what was sent.", fail(http.StatusInternalServerError, nil)),
		row("502", verb("answers", "answer")+" 502 with a gateway's page: what is behind it was not reached.", fail(http.StatusBadGateway, nil)),
		row("503", verb("answers", "answer")+" 503 with Retry-After: it is maintained, and comes back.", fail(http.StatusServiceUnavailable, retryAfter)),
		row("429", verb("answers", "answer")+" 429 with Retry-After: it was asked too often, and asking on makes it worse.", fail(http.StatusTooManyRequests, retryAfter)),
		row("truncated", verb("breaks", "break")+" off in the middle of the answer, which is no answer, and may have done what was asked.", truncate),
		row("oversized", verb("answers", "answer")+" with 32 MB: a client that reads without a limit runs out of memory.", oversized),
		row("html", verb("answers", "answer")+" 200 with a web page, as a network that wants a sign-in of its own does: the status says nothing.", webPage),
	}
}

// Faults gives the faults that there are.
func Faults() []Fault {
	var out []Fault
	for _, row := range faultTable() {
		out = append(out, row.Fault)
	}
	return out
}

func faultNames() []string {
	var out []string
	for _, row := range faultTable() {
		out = append(out, row.Name)
	}
	return out
}

// SetFaults turns exactly these faults on, for what is asked from now on. It
// fails, and changes nothing, where one is not known.
func (s *Server) SetFaults(names ...string) error {
	if err := s.faults.set(names); err != nil {
		return err
	}
	s.rotation.restart()
	return nil
}

// Faults gives the names of the faults that are on.
func (s *Server) Faults() []string { return s.faults.names() }

// faulty tells whether a fault is on, and has the log say that it acted.
func (s *Server) faulty(r *http.Request, name string) bool {
	if !s.faults.has(name) {
		return false
	}
	blame(r, name)
	return true
}

// withFaults lets the faults of a request's place act around its handler.
func (s *Server) withFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := placeOf(r)
		// Otherwise net/http would tell the time of the machine, whatever clock the server was given.
		now := s.now()
		if !strings.HasPrefix(r.URL.Path, "/control/") {
			now = now.Add(s.skew())
		}
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		handler := next
		if at != "" {
			for _, row := range slices.Backward(faultTable()) {
				if row.at != at || row.serve == nil || !s.faults.has(row.Name) {
					continue
				}
				inner := handler
				handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					blame(r, row.Name)
					row.serve(s, w, r, inner)
				})
			}
		}
		handler.ServeHTTP(w, r)
	})
}

// pause waits, and tells whether someone still waits for the answer. The body
// is read first, as only then a client that hangs up is noticed.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.stopping:
	case <-r.Context().Done():
		return false
	}
	return true
}

func slow(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if !s.pause(r, slowness) {
		judge(r, "the client hung up while it was kept waiting")
		panic(http.ErrAbortHandler)
	}
	next.ServeHTTP(w, r)
}

func hang(s *Server, _ http.ResponseWriter, r *http.Request, _ http.Handler) {
	judge(r, "never answered")
	s.pause(r, longestHang)
	panic(http.ErrAbortHandler)
}

func reset(_ *Server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
	judge(r, "the connection was reset in place of an answer")
	cut(w)
}

// cut ends a connection with a reset, as far as the way of serving lets it.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if secure, ok := conn.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the end is an orderly one, which is not far from the fault
	}
	_ = raw.Close()
}

func retryAfter(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(int(waitAsked.Seconds())))
}

// fail answers with a status and a page, as what stands before a server does.
func fail(status int, more func(http.ResponseWriter)) func(*Server, http.ResponseWriter, *http.Request, http.Handler) {
	return func(_ *Server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		judge(r, "answered %d without looking at the request", status)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if more != nil {
			more(w)
		}
		w.WriteHeader(status)
		// A client that hung up is no concern of the server's, here and below.
		_, _ = fmt.Fprintf(w, "<html><head><title>%d %s</title></head><body>%[2]s</body></html>\n", status, http.StatusText(status))
	}
}

func webPage(_ *Server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
	judge(r, "answered with a web page without looking at the request")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><html><head><title>Guest network</title></head><body><form>Accept the terms of this network to go on.</form></body></html>\n")
}

func oversized(_ *Server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
	judge(r, "answered with %d MB without looking at the request", oversize>>20)
	w.Header().Set("Content-Type", "application/json")
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	_, err := io.WriteString(w, `{"padding":"`)
	for sent := 0; sent < oversize && err == nil; sent += len(chunk) {
		_, err = w.Write(chunk)
	}
	if err == nil {
		_, _ = io.WriteString(w, `"}`)
	}
}

// held is an answer that is kept back until it is known what becomes of it.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }
func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// hold lets the handler answer into memory.
func hold(w http.ResponseWriter, r *http.Request, next http.Handler) *held {
	h := &held{header: w.Header().Clone()}
	next.ServeHTTP(h, r)
	h.WriteHeader(http.StatusOK)
	return h
}

func (h *held) release(w http.ResponseWriter, body []byte) {
	maps.Copy(w.Header(), h.header)
	w.WriteHeader(h.status)
	_, _ = w.Write(body)
}

func truncate(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	h := hold(w, r, next)
	h.header.Set("Content-Length", strconv.Itoa(h.body.Len()))
	h.release(w, h.body.Bytes()[:h.body.Len()/2])
	_ = http.NewResponseController(w).Flush() // what is still in the buffer would be thrown away with the rest
	panic(http.ErrAbortHandler)
}

func notFoundSmart(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if !strings.HasSuffix(r.URL.Path, "/smart-configuration") {
		next.ServeHTTP(w, r)
		return
	}
	judge(r, "answered as if there were no SMART configuration")
	http.NotFound(w, r)
}

func errorWith200(_ *Server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
	judge(r, "answered with an error and 200, without looking at the request")
	writeJSON(w, http.StatusOK, map[string]string{"error": "server_error", "error_description": "An unexpected error has occurred"})
}

func redirectToken(s *Server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
	judge(r, "redirected to an address that is not the token endpoint")
	http.Redirect(w, r, s.Origin()+"/elsewhere/token", http.StatusTemporaryRedirect)
}

func loseRefresh(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	h := hold(w, r, next)
	if r.PostForm.Get("grant_type") != "refresh_token" || h.status != http.StatusOK {
		h.release(w, h.body.Bytes())
		return
	}
	cut(w)
}

func refuseToken(s *Server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.FHIRBaseURL()+`", error="invalid_token"`)
	s.outcome(w, r, http.StatusUnauthorized, "login", "The access token is not accepted.")
	judge(r, "the access token was refused without looking at it")
}

func without(name string) func(map[string]any) {
	return func(answer map[string]any) { delete(answer, name) }
}

func member(name string, value any) func(map[string]any) {
	return func(answer map[string]any) { answer[name] = value }
}

func claim(name, value string) func(*Server, map[string]any) {
	return func(_ *Server, claims map[string]any) { claims[name] = value }
}

// spoilCallback lets faults and traits act on what the browser carries to the app.
func (s *Server) spoilCallback(r *http.Request, answer url.Values) {
	if s.trait(traitNoIssuer) {
		answer.Del("iss")
	}
	for _, row := range faultTable() {
		if row.callback != nil && s.faulty(r, row.Name) {
			row.callback(s, answer)
		}
	}
}

// told is a token answer as it is sent: with the traits' changes, then the faults'.
func (s *Server) told(r *http.Request, answer any) any {
	raw, err := json.Marshal(answer)
	if err != nil {
		return answer
	}
	members := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&members) != nil {
		return answer
	}
	s.quirks(members)
	if _, ok := members["id_token"]; ok {
		for _, name := range []string{faultIDSignature, faultIDAlgorithm, faultUnknownKey, faultRotatedKeys, faultLateKeys} {
			s.faulty(r, name)
		}
	}
	for _, row := range faultTable() {
		switch {
		case row.answer != nil && s.faulty(r, row.Name):
			row.answer(members)
		case row.claims != nil && members["id_token"] != nil:
			s.faulty(r, row.Name)
		}
	}
	for _, name := range []string{faultFewerScopes, faultLongTokens, faultClockAhead, faultClockBehind} {
		s.faulty(r, name)
	}
	return members
}

// narrow cuts a grant down where the fault is on.
func (s *Server) narrow(g *grant) {
	if !s.faults.has(faultFewerScopes) {
		return
	}
	var left scope.Set
	for _, sc := range g.scopes {
		if sc.Kind == scope.Resource {
			cut, err := scope.Parse(sc.Context + "/Patient." + sc.Permission.String())
			if err != nil || (sc.Type != "*" && sc.Type != "Patient") {
				continue
			}
			sc = cut
		}
		left = append(left, sc)
	}
	g.scopes = left
}

// padded makes a token long where the fault is on.
func (s *Server) padded() string {
	token := s.random()
	if s.faults.has(faultLongTokens) {
		token += "." + strings.Repeat("x", longToken-len(token)-1)
	}
	return token
}

// spend lets the faults that end a code or a grant act just before its use.
func (s *Server) spend(r *http.Request, code, token string) {
	if code != "" && s.faulty(r, faultExpiredCode) {
		s.ledger.expire(code)
	}
	if token != "" && s.faulty(r, faultRevokedGrant) {
		s.ledger.withdraw(token)
	}
}

// expire makes a code as old as it can be.
func (l *ledger) expire(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.codes[ticketOf(secret)]; ok {
		c.expires = time.Time{}
	}
}

// withdraw ends the grant of a token, as a person does at the EHR.
func (l *ledger) withdraw(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := ticketOf(secret)
	if g, ok := l.refresh[t]; ok {
		l.drop(g, "the person ended the access at the EHR")
	} else if a, ok := l.access[t]; ok {
		l.drop(a.grant, "the person ended the access at the EHR")
	}
}

// skew is how far the server's clock is off.
func (s *Server) skew() time.Duration {
	switch {
	case s.faults.has(faultClockAhead):
		return clockOff
	case s.faults.has(faultClockBehind):
		return -clockOff
	}
	return 0
}

// rotation is the state of the faults that change the signing key.
type rotation struct {
	mu      sync.Mutex
	current *jose.JSONWebKey  // in place of the server's own
	late    bool              // the next fetch does not see current
	old     []jose.JSONWebKey // published beside the server's own
}

// restart goes back to the server's own key. Those that were published stay so.
func (o *rotation) restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current, o.late = nil, false
}

// signingKey gives the key that signs the next id_token.
func (s *Server) signingKey() (jose.JSONWebKey, error) {
	key, err := s.keys.key()
	if err != nil {
		return key, err
	}
	unknown, rotated, late := s.faults.has(faultUnknownKey), s.faults.has(faultRotatedKeys), s.faults.has(faultLateKeys)
	if !unknown && !rotated && !late {
		return key, nil
	}
	o := &s.rotation
	o.mu.Lock()
	defer o.mu.Unlock()
	if late && o.current != nil && !unknown && !rotated {
		return *o.current, nil // replaced once, not at each sign-in
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return key, err
	}
	key = jose.JSONWebKey{Key: private, Algorithm: string(jose.RS256), Use: "sig", KeyID: s.random()[:16]}
	if unknown {
		return key, nil
	}
	o.current, o.late = &key, late
	o.old = append(o.old, key.Public())
	o.old = o.old[max(0, len(o.old)-maxRotatedKeys):]
	return key, nil
}

// publishedKeys is the set that anyone may fetch.
func (s *Server) publishedKeys(r *http.Request, own jose.JSONWebKey) jose.JSONWebKeySet {
	o := &s.rotation
	o.mu.Lock()
	defer o.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{own.Public()}, o.old...)}
	if o.late {
		o.late = false
		blame(r, faultLateKeys)
		set.Keys = set.Keys[:len(set.Keys)-1]
	}
	return set
}

// spoilClaims lets faults act on an id_token before it is signed.
func (s *Server) spoilClaims(claims map[string]any) {
	for _, row := range faultTable() {
		if row.claims != nil && s.faults.has(row.Name) {
			row.claims(s, claims)
		}
	}
}

// spoilSignature lets them act on it afterwards.
func (s *Server) spoilSignature(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return token
	}
	if s.faults.has(faultIDAlgorithm) {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	}
	if s.faults.has(faultIDSignature) {
		signature, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil {
			return token
		}
		signature[0] ^= 1
		parts[2] = base64.RawURLEncoding.EncodeToString(signature)
	}
	return strings.Join(parts, ".")
}
