package simulator

import (
	"fmt"
	"testing"
	"time"

	"chartkey/backend/scope"
)

func testLedger(c *clock) *ledger {
	n := 0
	return newLedger(c.Now, func() string { n++; return fmt.Sprint("secret-", n) })
}

func TestTheLedgerIsBounded(t *testing.T) {
	c := newClock()
	l := testLedger(c)
	settings, err := Settings{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	var firstSession session
	for i := range maxSessions + 10 {
		c.add(time.Millisecond)
		s := l.begin(session{}, "browser", time.Minute)
		if i == 0 {
			firstSession = s
		}
	}
	if _, ok := l.find(firstSession.id, "browser"); ok || len(l.sessions) != maxSessions {
		t.Errorf("%d sessions", len(l.sessions))
	}

	allowed := grant{clientID: "x", scopes: scope.Grammar([]string{"patient/*.rs"}), refreshUntil: c.Now().Add(time.Hour)}
	code := l.allow(allowed, authorizationRequest{redirectURI: "r", challenge: testChallenge}, time.Minute)
	out, oerr := l.redeem(code, "x", "r", testVerifier, settings)
	if oerr != nil {
		t.Fatal(oerr.description)
	}
	same := func(s scope.Set) (scope.Set, *oauthError) { return s, nil }
	for range 200 {
		if out, oerr = l.renew(out.refreshToken, "x", same, settings); oerr != nil {
			t.Fatal(oerr.description)
		}
	}
	if len(l.access) != maxAccessPerGrant || len(l.refresh) != maxSpentPerGrant+1 {
		t.Errorf("one grant keeps %d access tokens and %d refresh tokens", len(l.access), len(l.refresh))
	}
	for range maxGrants + 10 {
		l.allow(allowed, authorizationRequest{}, time.Minute)
	}
	if len(l.grants) != maxGrants || len(l.order) != maxGrants || len(l.codes) != maxGrants {
		t.Errorf("%d grants, %d in order, %d codes", len(l.grants), len(l.order), len(l.codes))
	}
	if _, problem := l.bearer(out.accessToken); problem == "" {
		t.Error("the oldest grant outlived the bound")
	}
}

func TestTheLedgerForgets(t *testing.T) {
	c := newClock()
	l := testLedger(c)
	settings, err := Settings{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		code := l.allow(grant{clientID: "x"}, authorizationRequest{redirectURI: "r", challenge: testChallenge}, time.Minute)
		out, oerr := l.redeem(code, "x", "r", testVerifier, settings)
		if oerr != nil {
			t.Fatal(oerr.description)
		}
		l.begin(session{}, "browser", time.Minute)
		l.end(out.accessToken, "x")
		l.allow(grant{clientID: "x"}, authorizationRequest{redirectURI: "r"}, time.Minute)
	}
	c.add(3 * time.Hour)
	l.begin(session{}, "browser", time.Minute)
	if len(l.sessions) != 1 || len(l.codes) != 0 || len(l.grants) != 0 || len(l.access) != 0 || len(l.refresh) != 0 || len(l.ended) != 0 || len(l.order) != 0 {
		t.Errorf("left: %d sessions, %d codes, %d grants, %d access, %d refresh, %d ended, %d in order",
			len(l.sessions), len(l.codes), len(l.grants), len(l.access), len(l.refresh), len(l.ended), len(l.order))
	}
}
