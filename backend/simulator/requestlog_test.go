package simulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestTheLogTellsTheTrueReason goes through the refusals whose answers look
// alike, under the profile that tells clients the least.
func TestTheLogTellsTheTrueReason(t *testing.T) {
	c := newClock()
	r := start(t, Options{Profile: ProfileEpic, Now: c.Now, Settings: Settings{CodeLife: time.Minute, AccessTokenLife: time.Hour}})
	must(t, r.SetTraits(traitOpaqueErrors, traitEpicOutcomes))
	says := func(what, reason string) {
		t.Helper()
		if v := r.lastVerdict(); !strings.Contains(strings.ToLower(v), strings.ToLower(reason)) {
			t.Errorf("%s: the log says %q, want %q", what, v, reason)
		}
	}
	token := func(form url.Values) map[string]any {
		t.Helper()
		_, body := r.post("/auth/token", form, nil)
		return body
	}
	read := func(path, token string) { t.Helper(); r.get(path, token, nil) }

	code := r.signIn(nil, Choice{}).Get("code")
	old := token(exchangeForm(code))
	token(exchangeForm(code))
	says("a code again", "the authorization code was used before, so every token from it is revoked")
	token(exchangeForm(code))
	says("a code a third time", "the authorization code was revoked: its authorization code was used twice")
	read("Patient/amara-nwosu", word(old["access_token"]))
	says("the access token of that code", "the access token was revoked: its authorization code was used twice")
	token(refreshForm(word(old["refresh_token"])))
	says("the refresh token of that code", "the refresh token was revoked: its authorization code was used twice")

	first := r.connect(nil, Choice{})
	second := token(refreshForm(word(first["refresh_token"])))
	token(refreshForm(word(first["refresh_token"])))
	says("a replaced refresh token", "used before, so the whole grant is revoked")
	token(refreshForm(word(second["refresh_token"])))
	says("the one that replaced it", "the refresh token was revoked: a refresh token of its grant was used twice")

	ended := r.connect(nil, Choice{})
	r.post("/auth/revoke", url.Values{"token": {word(ended["refresh_token"])}, "client_id": {"chartkey-demo"}}, nil)
	says("a revocation", "every token of its grant were revoked")
	read("Patient/amara-nwosu", word(ended["access_token"]))
	says("a revoked access token", "the access token was revoked: its client revoked it")
	token(refreshForm(word(ended["refresh_token"])))
	says("a revoked refresh token", "the refresh token was revoked: its client revoked it")

	must(t, r.SetFaults(faultRevokedGrant))
	withdrawn := r.connect(nil, Choice{})
	token(refreshForm(word(withdrawn["refresh_token"])))
	says("withdrawn access", "the refresh token was revoked: the person ended the access at the EHR (fault: revoked-grant)")
	must(t, r.SetFaults())

	live := r.connect(nil, Choice{})
	form := refreshForm(word(live["refresh_token"]))
	form.Set("client_id", "chartkey-provider")
	token(form)
	says("another client's refresh token", "issued to another client")
	token(refreshForm("made up"))
	says("a token that never was", "the refresh token is not known")
	read("Patient/amara-nwosu", "made up")
	says("an access token that never was", "the access token is not known")
	read("Patient/amara-nwosu", "")
	says("no token", "No access token was sent")
	read("Patient/daniel-whitlock", word(live["access_token"]))
	says("another patient's record", "another patient's")
	read("Patient/nobody", word(live["access_token"]))
	says("no record", "Patient/nobody is not known")
	code = r.signIn(nil, Choice{}).Get("code")
	c.add(2 * time.Minute)
	token(exchangeForm(code))
	says("a code that waited", "the authorization code has expired")
	c.add(time.Hour)
	read("Patient/amara-nwosu", word(live["access_token"]))
	says("an access token that ran out", "the access token has expired")

	// The sign-in's pages say "has ended" for each of these.
	visit := func(b *http.Client, address string) *http.Response {
		t.Helper()
		resp, err := b.Do(mustRequest(t, address))
		must(t, err)
		resp.Body.Close()
		return resp
	}
	mine, other := newBrowser(t, r), newBrowser(t, r)
	open := func(b *http.Client) string {
		t.Helper()
		at, err := visit(b, r.authorizeURL(r.request(nil))).Location()
		must(t, err)
		return at.String()
	}
	page := open(mine)
	visit(r.http, page)
	says("no cookie", "no cookie")
	open(other)
	visit(other, page)
	says("another browser", "begun in another browser")
	visit(mine, r.Origin()+"/auth/signin?session=made-up")
	says("a sign-in that never was", "no such sign-in is open")
	c.add(r.Settings().SignInLife)
	visit(mine, page)
	says("a sign-in that took long", "longer than it may")

	r.do(mustRequest(t, r.Origin()+"/nowhere"))
	says("no page", "there is no such page")
	r.do(mustRequest(t, r.Origin()+"/auth/token"))
	says("a GET of the token endpoint", "the path does not take GET")
}
