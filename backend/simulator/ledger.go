package simulator

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"chartkey/backend/scope"
)

// The bounds of what the server keeps. Past them the oldest goes first, so
// that no client can fill the memory.
const (
	maxSessions       = 1_000
	maxGrants         = 10_000
	maxAccessPerGrant = 16
	maxSpentPerGrant  = 64
	maxEnded          = 50_000
	// spentCodeLife is how long a used code is remembered, so that a replay is
	// told from nonsense and ends the grant (RFC 6749 section 4.1.2).
	spentCodeLife = 30 * time.Minute
)

// ticket is what is kept of a code or token: its hash.
type ticket [sha256.Size]byte

func ticketOf(secret string) ticket { return sha256.Sum256([]byte(secret)) }

// session is one authorization that a person is in the middle of.
type session struct {
	id string
	// browser is the cookie of the browser that began it; formToken stands in
	// each form. A request needs both.
	browser, formToken string
	request            authorizationRequest
	account            *Account
	patient            string
	encounter          string
	expires            time.Time
}

// grant is what a person allowed a client.
type grant struct {
	id        string
	clientID  string
	account   Account
	scopes    scope.Set
	patient   string
	encounter string
	context   launchContext
	fhirUser  string // relative reference
	nonce     string
	signedIn  time.Time
	// refreshUntil is zero where no refresh token goes with the grant.
	refreshUntil time.Time

	codes   []ticket
	access  []ticket
	current ticket   // the refresh token in force
	spent   []ticket // refresh tokens that were rotated away
}

type code struct {
	grant       *grant
	redirectURI string
	challenge   string
	expires     time.Time
	used        bool
	forget      time.Time
}

// ending is why something was revoked, and for how long that is worth knowing.
type ending struct {
	until time.Time
	why   string
}

type accessToken struct {
	grant   *grant
	scopes  scope.Set
	expires time.Time
}

// ledger owns sessions, codes, grants and tokens. Grants are not changed
// after they are made, apart from the tickets at their end.
type ledger struct {
	now    func() time.Time
	random func() string
	token  func() string // makes access and refresh tokens

	mu       sync.Mutex // protects everything below
	sessions map[string]*session
	codes    map[ticket]*code
	grants   map[string]*grant
	order    []string // grant IDs, oldest first
	access   map[ticket]*accessToken
	ended    map[ticket]ending // codes and tokens revoked before their time, for the verdict
	refresh  map[ticket]*grant
	swept    time.Time
}

func newLedger(now func() time.Time, random func() string) *ledger {
	return &ledger{
		now: now, random: random, token: random,
		sessions: map[string]*session{}, codes: map[ticket]*code{}, grants: map[string]*grant{},
		access: map[ticket]*accessToken{}, ended: map[ticket]ending{}, refresh: map[ticket]*grant{},
	}
}

// sweep forgets what has run out, at most once a minute.
func (l *ledger) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute && now.After(l.swept) {
		return
	}
	l.swept = now
	for id, s := range l.sessions {
		if !now.Before(s.expires) {
			delete(l.sessions, id)
		}
	}
	for t, c := range l.codes {
		if !now.Before(c.forget) {
			delete(l.codes, t)
			c.grant.codes = slices.DeleteFunc(c.grant.codes, func(o ticket) bool { return o == t })
		}
	}
	for t, e := range l.ended {
		if !now.Before(e.until) {
			delete(l.ended, t)
		}
	}
	live := l.order[:0]
	for _, id := range l.order {
		g, ok := l.grants[id]
		if !ok {
			continue
		}
		g.access = slices.DeleteFunc(g.access, func(t ticket) bool {
			// An expired token stays known for a while, so that the log can say "expired".
			if a, ok := l.access[t]; ok && now.Before(a.expires.Add(time.Hour)) {
				return false
			}
			delete(l.access, t)
			return true
		})
		if len(g.access) == 0 && len(g.codes) == 0 && !now.Before(g.refreshUntil) {
			l.drop(g, "")
			continue
		}
		live = append(live, id)
	}
	l.order = live
}

// drop ends a grant and everything issued from it. why is remembered where it is given.
func (l *ledger) drop(g *grant, why string) {
	forget := l.now().Add(spentCodeLife)
	for _, t := range g.access {
		if a, ok := l.access[t]; ok {
			l.remember(t, a.expires, why)
		}
		delete(l.access, t)
	}
	for _, t := range g.codes {
		l.remember(t, forget, why)
		delete(l.codes, t)
	}
	for _, t := range append(g.spent, g.current) {
		if _, ok := l.refresh[t]; ok {
			l.remember(t, forget, why)
		}
		delete(l.refresh, t)
	}
	delete(l.grants, g.id)
	g.access, g.codes, g.spent = nil, nil, nil
}

// remember keeps why a code or token is no good any more; no reason is not kept.
func (l *ledger) remember(t ticket, until time.Time, why string) {
	if why != "" && len(l.ended) < maxEnded {
		l.ended[t] = ending{until, why}
	}
}

// gone gives a refusal with the reason that is remembered, or the other one.
func (l *ledger) gone(t ticket, what, other string) *oauthError {
	if e, ok := l.ended[t]; ok {
		return invalidGrant("%s was revoked: %s", what, e.why)
	}
	return invalidGrant("%s", other)
}

// begin keeps an authorization while its pages are open.
func (l *ledger) begin(started session, browser string, life time.Duration) session {
	s := &started
	s.id, s.browser, s.formToken = l.random(), browser, l.random()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	s.expires = now.Add(life)
	if len(l.sessions) >= maxSessions {
		var oldest *session
		for _, o := range l.sessions {
			if oldest == nil || o.expires.Before(oldest.expires) {
				oldest = o
			}
		}
		delete(l.sessions, oldest.id)
	}
	l.sessions[s.id] = s
	return *s
}

// find gives the session with this ID if it belongs to this browser and has not run out.
func (l *ledger) find(id, browser string) (session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.sessions[id]
	if !ok || browser == "" || s.browser != browser || !l.now().Before(s.expires) {
		return session{}, false
	}
	return *s, true
}

// missing says why find gives no session.
func (l *ledger) missing(id, browser string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.sessions[id]
	switch {
	case !ok:
		return "no such sign-in is open; it was finished, or forgotten after its time"
	case browser == "":
		return "the browser sent no cookie, so it is not the one that began the sign-in, or it keeps none"
	case s.browser != browser:
		return "the sign-in was begun in another browser"
	}
	return "the sign-in took longer than it may"
}

// keep stores what a page decided. A session that is gone stays gone.
func (l *ledger) keep(s session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.sessions[s.id]; ok {
		l.sessions[s.id] = &s
	}
}

// finish ends a session. It tells whether this call was the one that ended
// it: a consent form that is sent twice answers once.
func (l *ledger) finish(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.sessions[id]
	delete(l.sessions, id)
	return ok
}

// allow makes the grant of a finished session and the code that stands for it.
func (l *ledger) allow(g grant, req authorizationRequest, codeLife time.Duration) string {
	g.id = l.random()
	secret := l.random()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	t := ticketOf(secret)
	g.codes = []ticket{t}
	l.keepGrant(&g)
	l.codes[t] = &code{
		grant: &g, redirectURI: req.redirectURI, challenge: req.challenge,
		expires: now.Add(codeLife), forget: now.Add(max(codeLife, spentCodeLife)),
	}
	return secret
}

// issue is what the token endpoint hands out.
type issue struct {
	grant                     grant // a copy: read only
	scopes                    scope.Set
	accessToken, refreshToken string
	life                      time.Duration
}

// redeem changes a code for tokens. Every refusal after the code was found
// spends it, so that neither the redirect URI nor the verifier can be guessed.
func (l *ledger) redeem(secret, clientID, redirectURI, verifier string, settings Settings) (issue, *oauthError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	c, ok := l.codes[ticketOf(secret)]
	switch {
	case !ok:
		return issue{}, l.gone(ticketOf(secret), "the authorization code", "the authorization code is not known")
	case c.grant.clientID != clientID:
		return issue{}, invalidGrant("the authorization code was issued to another client")
	case c.used:
		l.drop(c.grant, "its authorization code was used twice")
		return issue{}, invalidGrant("the authorization code was used before, so every token from it is revoked")
	}
	c.used = true
	switch {
	case !now.Before(c.expires):
		return issue{}, invalidGrant("the authorization code has expired")
	case c.redirectURI != redirectURI:
		return issue{}, invalidGrant("redirect_uri is not the one of the authorization request")
	case !verifierForm.MatchString(verifier):
		return issue{}, invalidGrant("the PKCE verifier is not one: 43 to 128 letters, digits and -._~")
	case !challengeMatches(c.challenge, verifier):
		return issue{}, invalidGrant("the PKCE verifier does not match the challenge")
	}
	g := c.grant
	out := issue{grant: *g, scopes: g.scopes}
	if !g.refreshUntil.IsZero() {
		out.refreshToken = l.token()
		g.current = ticketOf(out.refreshToken)
		l.refresh[g.current] = g
	}
	l.mint(g, &out, now, settings)
	return out, nil
}

// renew changes a refresh token for a new access token, and for a new refresh
// token where they rotate. narrow gives the scopes asked for from those granted.
func (l *ledger) renew(secret, clientID string, narrow func(scope.Set) (scope.Set, *oauthError), settings Settings) (issue, *oauthError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	t := ticketOf(secret)
	g, ok := l.refresh[t]
	switch {
	case !ok:
		return issue{}, l.gone(t, "the refresh token", "the refresh token is not known")
	case g.clientID != clientID:
		return issue{}, invalidGrant("the refresh token was issued to another client")
	case g.current != t:
		// Two parties hold tokens of one grant, and which is the thief cannot be
		// told (RFC 9700 section 4.14.2).
		l.drop(g, "a refresh token of its grant was used twice")
		return issue{}, invalidGrant("the refresh token was used before, so the whole grant is revoked")
	case !now.Before(g.refreshUntil):
		return issue{}, invalidGrant("the refresh token has expired")
	}
	scopes, oerr := narrow(g.scopes)
	if oerr != nil {
		return issue{}, oerr
	}
	out := issue{grant: *g, scopes: scopes}
	if !settings.FixedRefreshTokens {
		out.refreshToken = l.token()
		g.spent = append(g.spent, t)
		if len(g.spent) > maxSpentPerGrant {
			delete(l.refresh, g.spent[0])
			g.spent = slices.Delete(g.spent, 0, 1)
		}
		g.current = ticketOf(out.refreshToken)
		l.refresh[g.current] = g
	}
	l.mint(g, &out, now, settings)
	return out, nil
}

// grantDirectly makes a grant that no person's sign-in and no code stands for.
func (l *ledger) grantDirectly(g grant, settings Settings) issue {
	g.id = l.random()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	l.keepGrant(&g)
	out := issue{grant: g, scopes: g.scopes}
	l.mint(&g, &out, now, settings)
	return out
}

// keepGrant stores a grant, in place of the oldest where there are too many.
func (l *ledger) keepGrant(g *grant) {
	for len(l.grants) >= maxGrants && len(l.order) > 0 {
		if oldest, ok := l.grants[l.order[0]]; ok {
			l.drop(oldest, "")
		}
		l.order = l.order[1:]
	}
	l.grants[g.id] = g
	l.order = append(l.order, g.id)
}

func (l *ledger) mint(g *grant, out *issue, now time.Time, settings Settings) {
	out.accessToken, out.life = l.token(), settings.AccessTokenLife
	t := ticketOf(out.accessToken)
	l.access[t] = &accessToken{grant: g, scopes: out.scopes, expires: now.Add(out.life)}
	g.access = append(g.access, t)
	if len(g.access) > maxAccessPerGrant {
		delete(l.access, g.access[0])
		g.access = slices.Delete(g.access, 0, 1)
	}
}

// end revokes a token of a client and says what that ended (RFC 7009). A token
// of another client, or none at all, is answered alike and told apart in the log.
func (l *ledger) end(secret, clientID string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := ticketOf(secret)
	if g, ok := l.refresh[t]; ok {
		if g.clientID != clientID {
			return "nothing was revoked: the refresh token is another client's"
		}
		l.drop(g, "its client revoked it")
		return "the refresh token and every token of its grant were revoked"
	}
	if a, ok := l.access[t]; ok {
		if a.grant.clientID != clientID {
			return "nothing was revoked: the access token is another client's"
		}
		l.remember(t, a.expires, "its client revoked it")
		delete(l.access, t)
		a.grant.access = slices.DeleteFunc(a.grant.access, func(o ticket) bool { return o == t })
		return "the access token was revoked; the grant lives on"
	}
	return "nothing was revoked: the token is not known"
}

// bearer gives what an access token stands for, or the reason why it is no good.
func (l *ledger) bearer(secret string) (access, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := ticketOf(secret)
	a, ok := l.access[t]
	if !ok {
		if e, ended := l.ended[t]; ended {
			return access{}, "the access token was revoked: " + e.why
		}
		return access{}, "the access token is not known"
	}
	if !l.now().Before(a.expires) {
		return access{}, "the access token has expired"
	}
	return access{clientID: a.grant.clientID, account: a.grant.account, patient: a.grant.patient, scopes: a.scopes}, ""
}
