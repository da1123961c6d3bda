package workstation_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// says is an answer that has nothing to do with the EHR's own.
func says(status int, body string, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		kind := "application/json"
		if strings.HasPrefix(body, "<") {
			kind = "text/html"
		}
		w.Header().Set("Content-Type", kind)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// acting has the EHR carry the refresh out, and changes what it answers.
func acting(change func(w http.ResponseWriter, answer map[string]any)) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
		h := httptest.NewRecorder()
		ehr.ServeHTTP(h, r)
		var answer map[string]any
		if err := json.Unmarshal(h.Body.Bytes(), &answer); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		change(w, answer)
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// What each answer to a refresh makes of a grant whose access token has run out.
func TestWhatEachAnswerMakesOfAGrant(t *testing.T) {
	const page = "<html><body>Accept the terms of this network to go on.</body></html>"
	type row struct {
		answer func(w http.ResponseWriter, r *http.Request, ehr http.Handler)
		code   string // of the fault, and of last_error
		// pending tells that the refresh token may be spent, and that this is remembered.
		pending bool
		// ends tells that only a new sign-in helps: by this answer, or as the EHR
		// detects the second use of a refresh token when it is tried again.
		ends, lost bool
		// held is how long the next use is kept off at least.
		held time.Duration
	}
	const soon = 2 * time.Second
	rows := map[string]row{
		"invalid_grant":                         {answer: says(400, `{"error":"invalid_grant"}`), code: "grant-ended", ends: true},
		"invalid_grant with 200":                {answer: says(200, `{"error":"invalid_grant"}`), code: "grant-ended", ends: true},
		"invalid_client":                        {answer: says(401, `{"error":"invalid_client"}`), code: "client-refused", held: soon},
		"invalid_client with 400":               {answer: says(400, `{"error":"invalid_client"}`), code: "client-refused", held: soon},
		"401 without a word":                    {answer: says(401, ""), code: "client-refused", held: soon},
		"unauthorized_client":                   {answer: says(400, `{"error":"unauthorized_client"}`), code: "client-not-allowed", held: soon},
		"unsupported_grant_type":                {answer: says(400, `{"error":"unsupported_grant_type"}`), code: "grant-type-unsupported", held: soon},
		"invalid_scope":                         {answer: says(400, `{"error":"invalid_scope"}`), code: "scope-refused", held: soon},
		"invalid_request":                       {answer: says(400, `{"error":"invalid_request"}`), code: "token-request-refused", held: soon},
		"an error of the server's own":          {answer: says(400, `{"error":"too_many_cooks"}`), code: "token-refused", held: soon},
		"an error of the server's own with 500": {answer: says(500, `{"error":"too_many_cooks"}`), code: "token-refused", pending: true, held: soon},
		"400 without an error":                  {answer: says(400, `{}`), code: "token-refused", held: soon},
		"server_error":                          {answer: says(400, `{"error":"server_error"}`), code: "server-error", pending: true, held: soon},
		"temporarily_unavailable":               {answer: says(400, `{"error":"temporarily_unavailable"}`), code: "server-unavailable", held: soon},
		"slow_down":                             {answer: says(400, `{"error":"slow_down"}`), code: "server-unavailable", held: soon},
		"429":                                   {answer: says(429, page), code: "rate-limited", held: soon},
		"429 with Retry-After in seconds":       {answer: says(429, page, "Retry-After", "300"), code: "rate-limited", held: 300 * time.Second},
		"503 with Retry-After in seconds":       {answer: says(503, page, "Retry-After", "300"), code: "server-error", pending: true, held: 300 * time.Second},
		"503 with Retry-After as a date": {answer: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Retry-After", time.Now().Add(2*time.Hour+5*time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(503)
		}, code: "server-error", pending: true, held: 290 * time.Second},
		"500":                         {answer: says(500, page), code: "server-error", pending: true, held: soon},
		"502 of a gateway":            {answer: says(502, page), code: "server-error", pending: true, held: soon},
		"a captive portal's page":     {answer: says(200, page), code: "token-not-json", pending: true, held: soon},
		"a captive portal's 511":      {answer: says(511, page), code: "server-error", pending: true, held: soon},
		"a captive portal's redirect": {answer: says(302, page, "Location", "https://portal.example/"), code: "token-redirect", pending: true, held: soon},
		"403 of a firewall":           {answer: says(403, page), code: "token-not-json", pending: true, held: soon},
		"404":                         {answer: says(404, page), code: "token-not-json", pending: true, held: soon},
		"no tokens":                   {answer: says(200, `{}`), code: "token-missing", pending: true, held: soon},
		"32 MB": {answer: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 32<<20))
		}, code: "answer-too-large", pending: true, held: soon},
		"the connection is cut": {answer: func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, code: "connection-failed", pending: true, held: soon},
		"new tokens, lost on their way": {answer: func(_ http.ResponseWriter, r *http.Request, ehr http.Handler) {
			ehr.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}, code: "connection-failed", pending: true, lost: true, held: soon},
		"new tokens, without the access token":          {answer: acting(func(_ http.ResponseWriter, a map[string]any) { delete(a, "access_token") }), code: "token-missing", held: soon},
		"new tokens, of a type that is not known":       {answer: acting(func(_ http.ResponseWriter, a map[string]any) { a["token_type"] = "mac" }), code: "token-type-unsupported", held: soon},
		"new tokens, with characters that no token has": {answer: acting(func(_ http.ResponseWriter, a map[string]any) { a["access_token"] = "a\u00e4" }), code: "token-invalid", held: soon},
		"new tokens, with a refresh token that none is": {answer: acting(func(_ http.ResponseWriter, a map[string]any) { a["refresh_token"] = "a\u00e4" }), code: "token-invalid", pending: true, lost: true, held: soon},
	}
	for name, c := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, g := newGatedBench(t, simulator.Settings{})
			reg, _ := b.connected(t)
			b.clock.pass(2 * time.Hour)
			b.clock.stop()
			g.meddleWith(c.answer)
			g.since()
			_, err := b.Refresh(t.Context(), reg.ID)
			f := wantCode(t, err, c.code)
			if seen := g.since(); seen.tokens != 1 {
				t.Errorf("%d token requests, want one", seen.tokens)
			}
			want := workstation.Expired
			if c.ends {
				want = workstation.NeedsReconnect
			}
			s, err := b.Status(t.Context(), reg.ID)
			if err != nil || s.State != want || s.Refreshable == c.ends || s.LastError == nil || s.LastError.Code != c.code {
				t.Errorf("the connection is %+v (%v)", s, err)
			}
			if left := b.rowOf(t); left.pending != c.pending {
				t.Errorf("that the refresh token may be spent is noted: %t, want %t", left.pending, c.pending)
			}
			// What comes next is kept off, and says why.
			if held := c.held; held > 0 {
				for _, wait := range []time.Duration{0, held - time.Second} {
					b.clock.pass(wait)
					if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); fault.Code(err) != f.Code {
						t.Errorf("%s later a read says %v", wait, err)
					}
					if n, err := b.RefreshDue(t.Context()); n != 0 || err != nil {
						t.Errorf("in the background: %d %v", n, err)
					}
				}
			}
			if seen := g.since(); seen != (traffic{}) {
				t.Errorf("the EHR saw %+v of what was to be kept off", seen)
			}
			g.meddleWith(nil)
			_, err = b.Refresh(t.Context(), reg.ID) // is never kept off
			switch {
			case c.ends:
				wantCode(t, err, "needs-reconnect")
			case c.lost:
				if f := wantCode(t, err, "grant-ended"); !strings.Contains(f.Message, wordsOfLoss) {
					t.Errorf("it says %q", f.Message)
				}
			case err != nil:
				t.Errorf("when it is over: %v", err)
			default:
				if s, err := b.Status(t.Context(), reg.ID); err != nil || s.State != workstation.Connected || s.LastError != nil || b.rowOf(t).pending {
					t.Errorf("when it is over: %+v %v", s, err)
				}
			}
		})
	}
}

// While the old token lives, nothing but the end of the grant keeps a read from it.
func TestATokenThatLivesIsUsedWhenItsRefreshFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, ehr http.Handler)
		code   string // of the read
	}{
		"503":            {says(503, ""), ""},
		"invalid_client": {says(401, `{"error":"invalid_client"}`), ""},
		"no tokens":      {rotateOnly, ""},
		"invalid_grant":  {says(400, `{"error":"invalid_grant"}`), "grant-ended"},
	} {
		t.Run(name, func(t *testing.T) {
			b, g := newGatedBench(t, simulator.Settings{})
			reg, _ := b.connected(t)
			b.clock.pass(50 * time.Minute)
			b.clock.stop()
			g.meddleWith(c.answer)
			g.since()
			for range 5 {
				if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); fault.Code(err) != c.code && fault.Code(err) != "needs-reconnect" {
					t.Fatal(err)
				}
			}
			seen := g.since()
			if seen.tokens != 1 || (seen.reads == 5) != (c.code == "") {
				t.Errorf("the EHR saw %+v", seen)
			}
			if c.code != "" {
				return
			}
			if s, err := b.Status(t.Context(), reg.ID); err != nil || s.State != workstation.Connected || s.LastError == nil {
				t.Errorf("%+v %v", s, err)
			}
			b.clock.pass(20 * time.Minute)
			if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err == nil {
				t.Error("a token that has run out was used")
			}
			if seen := g.since(); seen.reads != 0 || seen.refused != 0 {
				t.Errorf("the EHR saw %+v", seen)
			}
		})
	}
}

// An answer to a refresh says nothing of a grant that took its place meanwhile.
func TestTheEndOfATokenIsNotTheEndOfTheOneAfterIt(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, before := b.connected(t)
	g.meddleWith(func(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "refresh_token" {
			ehr.ServeHTTP(w, r)
			return
		}
		if err := signInAnew(r.Context(), b.Workstation, reg.ID); err != nil {
			t.Error(err)
		}
		says(400, `{"error":"invalid_grant"}`)(w, r, ehr)
	})
	after, err := b.Refresh(t.Context(), reg.ID)
	if err != nil || after.State != workstation.Connected || *after.ConnectionID == *before.ConnectionID || after.LastError != nil {
		t.Errorf("%+v %v", after, err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
}

func TestTheEndOfATokenIsNotTheEndOfALaterVersion(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	g.meddleWith(func(w http.ResponseWriter, r *http.Request, ehr http.Handler) {
		b.execSQL(t, "UPDATE grants SET version = version + 1") // as whoever stores another token does
		says(400, `{"error":"invalid_grant"}`)(w, r, ehr)
	})
	_, err := b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "grant-ended")
	if s, err := b.Status(t.Context(), reg.ID); err != nil || s.State != workstation.Connected || !s.Refreshable || s.LastError != nil {
		t.Errorf("%+v %v", s, err)
	}
}

// A vault that is locked says nothing of the grant, and the EHR is not asked.
func TestALockedVaultLeavesTheGrantAlone(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.clock.pass(2 * time.Hour)
	locked, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	g.since()
	_, err = locked.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "passphrase-needed")
	_, err = locked.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passphrase-needed")
	if n, err := locked.RefreshDue(t.Context()); n != 0 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if seen := g.since(); seen.tokens != 0 || b.rowOf(t).pending {
		t.Errorf("the EHR saw %+v", seen)
	}
	if s, err := b.Status(t.Context(), reg.ID); err != nil || s.State != workstation.Expired || s.LastError != nil || !s.Refreshable {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
}

// A registration that was corrected is tried at once.
func TestACorrectedRegistrationIsNotKeptOff(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg := b.confidential(t)
	b.clock.pass(2 * time.Hour)
	b.clock.stop()
	in := reg.Input()
	in.ClientSecretAction, in.ClientSecret = workstation.SecretReplace, "wrong"
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	g.since()
	for range 3 {
		_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
		wantCode(t, err, "client-refused")
	}
	if seen := g.since(); seen.tokens != 1 {
		t.Errorf("%d token requests with a secret that is refused", seen.tokens)
	}
	b.clock.pass(time.Second)
	in.ClientSecret = secretOfTest
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
}

// A server that is away for an hour is asked ever less, by the background and
// by uses, and is found again soon after it is back.
func TestAServerThatIsAwayIsNotStormed(t *testing.T) {
	b, g := newGatedBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	for name, c := range map[string]struct {
		use  bool
		most int
		back time.Duration // until it is found again
	}{
		"in the background": {false, 18, 15 * time.Minute},
		"when used":         {true, 130, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b.clock.pass(2 * time.Hour)
			g.meddleWith(says(500, ""))
			g.since()
			try := func() error {
				if c.use {
					_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
					return err
				}
				n, err := b.RefreshDue(t.Context())
				if err == nil && n == 0 {
					err = fault.New("not-yet", "", "")
				}
				return err
			}
			const every = 5 * time.Second
			for range int(time.Hour / every) {
				if try() == nil {
					t.Fatal("it is away")
				}
				b.clock.pass(every)
			}
			if seen := g.since(); seen.tokens < 5 || seen.tokens > c.most {
				t.Errorf("in an hour it was asked %d times, want at most %d", seen.tokens, c.most)
			}
			g.meddleWith(nil)
			waited := time.Duration(0)
			for ; try() != nil && waited <= c.back; waited += every {
				b.clock.pass(every)
			}
			if waited > c.back {
				t.Errorf("it was not found again within %s", c.back)
			}
			// The success has cleared it: the next failure is the first one.
			b.clock.pass(2 * time.Hour)
			g.meddleWith(says(500, ""))
			if try() == nil {
				t.Error("it is away again")
			}
			g.meddleWith(nil)
			b.clock.pass(every)
			if err := try(); err != nil {
				t.Errorf("five seconds after a first failure: %v", err)
			}
		})
	}
}
