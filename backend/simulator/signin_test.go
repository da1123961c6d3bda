package simulator

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// visit opens a page with a browser of the test and reads its form.
func (r running) visit(b *http.Client, method, address string, form url.Values) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	browser := r
	browser.http = b
	resp, body := browser.do(req)
	return resp, word(body["page"])
}

var hiddenField = regexp.MustCompile(`name="(session|form_token)" value="([^"]+)"`)

func hiddenFields(page string) url.Values {
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], m[2])
	}
	return form
}

// atSignIn begins a sign-in and gives the browser, the address of its first page and its form.
func (r running) atSignIn(changes map[string]string) (*http.Client, string, url.Values) {
	r.t.Helper()
	b := newBrowser(r.t, r)
	resp, _ := r.visit(b, http.MethodGet, r.authorizeURL(r.request(changes)), nil)
	to, err := resp.Location()
	if err != nil {
		r.t.Fatal(err)
	}
	resp, page := r.visit(b, http.MethodGet, to.String(), nil)
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("sign-in page: %d", resp.StatusCode)
	}
	return b, to.String(), hiddenFields(page)
}

func withFields(form url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for k, v := range form {
		out[k] = slices.Clone(v)
	}
	for i := 0; i < len(pairs); i += 2 {
		out.Add(pairs[i], pairs[i+1])
	}
	return out
}

func TestSignInNeedsItsBrowserAndItsForm(t *testing.T) {
	r := start(t, Options{})
	b, address, form := r.atSignIn(nil)
	login := withFields(form, "username", "amara", "password", patientPassword)

	other := newBrowser(t, r)
	if resp, _ := r.visit(other, http.MethodGet, address, nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another browser is shown the page: %d", resp.StatusCode)
	}
	if resp, _ := r.visit(other, http.MethodPost, r.Origin()+"/auth/signin", login); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another browser may send the form: %d", resp.StatusCode)
	}
	forged := withFields(login)
	forged.Set("form_token", "guessed")
	if resp, _ := r.visit(b, http.MethodPost, r.Origin()+"/auth/signin", forged); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a forged form is taken: %d", resp.StatusCode)
	}
	early := withFields(form, "decision", "allow", "scope", "patient/*.rs")
	resp, _ := r.visit(b, http.MethodPost, r.Origin()+"/auth/consent", early)
	if to, err := resp.Location(); err != nil || to.Path != "/auth/signin" {
		t.Errorf("consent before the sign-in leads to %v", to)
	}
	if resp, _ = r.visit(b, http.MethodPost, r.Origin()+"/auth/signin", login); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the good form: %d", resp.StatusCode)
	}
}

func TestSignInPages(t *testing.T) {
	r := start(t, Options{})
	b, _, form := r.atSignIn(nil)
	resp, page := r.visit(b, http.MethodPost, r.Origin()+"/auth/signin", withFields(form, "username", "amara", "password", "wrong"))
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, `role="alert"`) || strings.Contains(page, `value="wrong"`) {
		t.Errorf("wrong password: %d", resp.StatusCode)
	}
	for _, header := range []string{"Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "X-Content-Type-Options"} {
		if resp.Header.Get(header) == "" {
			t.Errorf("the page has no %s", header)
		}
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' http://localhost:18320;") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %q", policy)
	}
	if regexp.MustCompile(`(?i)<script|\son[a-z]+=|style=`).MatchString(page) {
		t.Error("the page has inline script or style, which its policy blocks")
	}
	cookie := ""
	first, _ := r.authorize(r.request(nil))
	for _, c := range first.Cookies() {
		cookie = c.String()
	}
	if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("cookie %q", cookie)
	}
}

func TestOnlyOfferedChoicesAreTaken(t *testing.T) {
	r := start(t, Options{})
	b, _, form := r.atSignIn(map[string]string{"scope": "launch/patient launch/encounter patient/*.rs"})
	r.visit(b, http.MethodPost, r.Origin()+"/auth/signin", withFields(form, "username", "sofia", "password", patientPassword))
	for _, id := range []string{"walter-eriksen", "nobody", ""} {
		if resp, _ := r.visit(b, http.MethodPost, r.Origin()+"/auth/patient", withFields(form, "patient", id)); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("patient %q: %d", id, resp.StatusCode)
		}
	}
	r.visit(b, http.MethodPost, r.Origin()+"/auth/patient", withFields(form, "patient", "luca-marchetti"))
	for _, id := range []string{"sofia-marchetti-visit-1", ""} {
		if resp, _ := r.visit(b, http.MethodPost, r.Origin()+"/auth/encounter", withFields(form, "encounter", id)); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("encounter %q: %d", id, resp.StatusCode)
		}
	}
	r.visit(b, http.MethodPost, r.Origin()+"/auth/encounter", withFields(form, "encounter", "luca-marchetti-visit-1"))
	// A scope that was not asked for is not granted, whatever the form says.
	resp, _ := r.visit(b, http.MethodPost, r.Origin()+"/auth/consent", withFields(form, "decision", "allow", "scope", "patient/*.rs", "scope", "user/*.rs"))
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	_, body := r.post("/auth/token", exchangeForm(to.Query().Get("code")), nil)
	if body["scope"] != "patient/*.rs" || body["patient"] != "luca-marchetti" || body["encounter"] != nil {
		t.Errorf("%v", body)
	}
}

func TestConsentAnswersOnce(t *testing.T) {
	r := start(t, Options{})
	b, _, form := r.atSignIn(nil)
	r.visit(b, http.MethodPost, r.Origin()+"/auth/signin", withFields(form, "username", "AMARA", "password", patientPassword))
	answer := withFields(form, "decision", "allow", "scope", "patient/*.rs")
	resp, _ := r.visit(b, http.MethodPost, r.Origin()+"/auth/consent", answer)
	if to, err := resp.Location(); err != nil || to.Query().Get("code") == "" {
		t.Fatalf("first answer: %d", resp.StatusCode)
	}
	if resp, _ = r.visit(b, http.MethodPost, r.Origin()+"/auth/consent", answer); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("second answer: %d", resp.StatusCode)
	}
}

func TestSignInRunsOut(t *testing.T) {
	c := newClock()
	r := start(t, Options{Now: c.Now})
	b, address, _ := r.atSignIn(nil)
	c.add(10*time.Minute + time.Second)
	if resp, page := r.visit(b, http.MethodGet, address, nil); resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, "has ended") {
		t.Errorf("after ten minutes: %d", resp.StatusCode)
	}
}

func TestWhoGetsWhichContext(t *testing.T) {
	r := start(t, Options{})
	provider := Choice{Username: "dr.okafor", Password: practitionerPassword}
	sofia := Choice{Username: "sofia", Password: patientPassword}
	for name, test := range map[string]struct {
		scope              string
		choice             Choice
		patient, encounter string
		granted            string
	}{
		"patient, own record":         {"launch/patient patient/*.rs", Choice{}, "amara-nwosu", "", ""},
		"patient without launch":      {"patient/*.rs", Choice{}, "amara-nwosu", "", ""},
		"provider chooses":            {"launch/patient user/*.rs", Choice{Username: provider.Username, Password: provider.Password, Patient: "walter-eriksen"}, "walter-eriksen", "", ""},
		"provider without a patient":  {"user/*.rs", provider, "", "", ""},
		"mother, own record first":    {"launch/patient patient/*.rs", sofia, "sofia-marchetti", "", ""},
		"mother, her child":           {"launch/patient patient/*.rs", Choice{Username: "sofia", Password: patientPassword, Patient: "luca-marchetti"}, "luca-marchetti", "", ""},
		"encounter, the latest first": {"launch/patient launch/encounter patient/*.rs", Choice{}, "amara-nwosu", "amara-nwosu-visit-4", ""},
		"encounter chosen":            {"launch/encounter patient/*.rs", Choice{Username: "amara", Password: patientPassword, Encounter: "amara-nwosu-visit-1"}, "amara-nwosu", "amara-nwosu-visit-1", ""},
		"fewer scopes": {"launch/patient patient/*.rs patient/Patient.r", Choice{Username: "amara", Password: patientPassword, Decline: []string{"patient/*.rs"}},
			"amara-nwosu", "", "launch/patient patient/Patient.r"},
	} {
		t.Run(name, func(t *testing.T) {
			in := r
			in.t = t
			body := in.connect(map[string]string{"scope": test.scope}, test.choice)
			if word(body["patient"]) != test.patient || word(body["encounter"]) != test.encounter {
				t.Errorf("patient %v, encounter %v", body["patient"], body["encounter"])
			}
			if want := test.granted; want != "" && body["scope"] != want {
				t.Errorf("scope %v", body["scope"])
			}
			if _, has := body["refresh_token"]; has {
				t.Error("a refresh token that was not asked for")
			}
			if _, has := body["need_patient_banner"]; has != (test.patient != "") {
				t.Errorf("need_patient_banner: %v", has)
			}
		})
	}
}

func TestNoAtConsent(t *testing.T) {
	r := start(t, Options{})
	for name, choice := range map[string]Choice{
		"denied":           {Username: "amara", Password: patientPassword, Deny: true},
		"nothing left":     {Username: "amara", Password: patientPassword, Decline: []string{"patient/*.rs"}},
		"denied by doctor": {Username: "np.calloway", Password: practitionerPassword, Deny: true},
	} {
		query := r.signIn(map[string]string{"scope": "patient/*.rs"}, choice)
		if query.Get("error") != "access_denied" || query.Get("code") != "" || query.Get("state") != "state-of-the-test" || query.Get("iss") != r.issuer() {
			t.Errorf("%s: %v", name, query)
		}
	}
}

func TestSignInFails(t *testing.T) {
	r := start(t, Options{})
	for name, test := range map[string]struct {
		changes map[string]string
		choice  Choice
		want    string
	}{
		"wrong password":       {nil, Choice{Username: "amara", Password: "nope"}, "user name or password"},
		"another's record":     {nil, Choice{Username: "sofia", Password: patientPassword, Patient: "amara-nwosu"}, "does not offer"},
		"unknown client":       {map[string]string{"client_id": "nobody"}, Choice{Username: "amara", Password: patientPassword}, "nobody"},
		"callback not opened":  {map[string]string{"redirect_uri": "http://localhost:18322/callback"}, Choice{Username: "amara", Password: patientPassword}, "cannot be opened"},
		"unknown visit chosen": {map[string]string{"scope": "launch/encounter"}, Choice{Username: "amara", Password: patientPassword, Encounter: "walter-eriksen-visit-1"}, "does not offer"},
	} {
		_, err := SignIn(t.Context(), r.authorizeURL(r.request(test.changes)), test.choice)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "code=") {
			t.Errorf("%s: the error holds the code: %v", name, err)
		}
	}
}

func TestSignInOpensTheCallback(t *testing.T) {
	got := make(chan url.Values, 1)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got <- req.URL.Query() }))
	defer app.Close()
	redirect := app.URL + "/back?tenant=7"
	r := start(t, Options{Clients: []Client{{ID: "mine", Type: Public, RedirectURIs: []string{redirect}}}})
	final, err := SignIn(t.Context(), r.authorizeURL(r.request(map[string]string{"client_id": "mine", "redirect_uri": redirect})), Choice{Username: "amara", Password: patientPassword})
	if err != nil {
		t.Fatal(err)
	}
	var query url.Values
	select {
	case query = <-got:
	case <-time.After(5 * time.Second):
		t.Fatal("the app was not called back")
	}
	if query.Get("code") == "" || query.Get("tenant") != "7" || !strings.HasPrefix(final, redirect+"&") {
		t.Errorf("the app was sent %v", query)
	}
}

func TestEveryAccountSignsIn(t *testing.T) {
	r := start(t, Options{})
	for _, a := range r.Accounts() {
		kind, id, _ := strings.Cut(a.FHIRUser, "/")
		if _, ok := r.records.get(kind, id); !ok {
			t.Errorf("%s is %s, which is not among the records", a.Username, a.FHIRUser)
		}
		for patient, ref := range a.Proxies {
			kind, id, _ := strings.Cut(ref, "/")
			rec, ok := r.records.get(kind, id)
			if !ok || rec.patient != patient {
				t.Errorf("%s is %s for %s, which is not among the records", a.Username, ref, patient)
			}
		}
		if code := r.signIn(nil, Choice{Username: a.Username, Password: a.Password}).Get("code"); code == "" {
			t.Errorf("%s cannot sign in", a.Username)
		}
	}
}
