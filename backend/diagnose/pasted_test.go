package diagnose

import (
	"encoding/json"
	"strings"
	"testing"
)

func mercy() Facts {
	return Facts{
		Registration: RegistrationFacts{
			EHR: "epic", Environment: "production", FHIRBaseURL: "https://ehr.mercy.example/api/FHIR/R4", ClientID: "3f2c1b0a-1111-4222-8333-444455556666",
			ClientType: "public", RedirectURIs: []string{"http://localhost:18320/callback", "http://localhost:18321/callback"},
		},
		History: HistoryFacts{Age: 1000 * 3600e9},
	}
}

const myChart = "https://mychart.mercy.example/mychart/Authentication/OAuth/Start?error=4&client_id=3f2c1b0a-1111-4222-8333-444455556666&redirect_uri=http%3a%2f%2flocalhost%3a18320%2fcallback&aud=https%3a%2f%2fehr.mercy.example%2fapi%2fFHIR%2fR4"

func TestAnAddressThatEchoesWhatWasSentIsComparedToTheLetter(t *testing.T) {
	for name, c := range map[string]struct{ old, now, cause, says string }{
		"client ID":               {"444455556666", "444455556667", "client-id-unknown", "from character 36 on"},
		"client ID in case":       {"3f2c1b0a", "3F2c1b0a", "client-id-unknown", "upper and lower case, at character 2"},
		"redirect URI in case":    {"%2fcallback", "%2fCallback", "redirect-not-registered", "upper and lower case (character 24) from http://localhost:18320/callback"},
		"redirect URI's slash":    {"%2fcallback", "%2fcallback%2f", "redirect-not-registered", "the slash at the end from http://localhost:18320/callback"},
		"redirect URI's port":     {"18320", "18399", "redirect-not-registered", "port (18399 in the place of 18320)"},
		"redirect URI's scheme":   {"http%3a%2f%2flocalhost", "https%3a%2f%2flocalhost", "redirect-not-registered", "scheme (https in the place of http)"},
		"redirect URI's host":     {"localhost", "127.0.0.1", "redirect-not-registered", "(127.0.0.1 in the place of localhost)"},
		"a relative redirect URI": {"http%3a%2f%2flocalhost%3a18320", "", "redirect-not-registered", "not a whole address"},
		"aud's slash":             {"R4", "R4%2f", "aud-wrong", "a slash at the end that the one saved here has not"},
		"aud":                     {"fhir%2fr4", "", "aud-wrong", ""},
		"no aud":                  {"&aud=https%3a%2f%2fehr.mercy.example%2fapi%2fFHIR%2fR4", "", "aud-wrong", "there is no aud"},
	} {
		pasted := strings.Replace(myChart, c.old, c.now, 1)
		if pasted == myChart { // written in another case there
			pasted = strings.Replace(myChart, "%2fFHIR%2fR4", "%2fFHIR%2fDSTU2", 1)
		}
		d := Recognize("An error has occurred. The request is invalid.\n"+pasted, mercy())
		if first := d.First(); first.ID != c.cause || first.Likelihood != High || !strings.Contains(strings.Join(first.Evidence, " "), c.says) {
			t.Errorf("%s: %s (%s) by %q", name, first.ID, first.Likelihood, first.Evidence)
		}
	}
	// Where all is as it is saved here, none of the three is said to differ.
	d := Recognize(myChart, mercy())
	if d.First().ID != "app-not-activated" {
		t.Errorf("without a difference: %v", brief(d))
	}
	for _, c := range d.Causes {
		if strings.Contains(strings.Join(c.Evidence, " "), "differs") {
			t.Errorf("%s is said to differ: %q", c.ID, c.Evidence)
		}
	}
}

func TestTheNearestRedirectURIIsTheOneThatWasMeant(t *testing.T) {
	kind, nearest := redirectDifference([]string{"https://app.example/x", "http://localhost:18320/callback", "http://localhost:18321/callback"}, "http://localhost:18321/Callback")
	if nearest != "http://localhost:18321/callback" || !strings.Contains(kind, "case") {
		t.Errorf("%s: %s", nearest, kind)
	}
	if kind, _ := redirectDifference([]string{"a:1", "http://localhost/x"}, "http://localhost/x"); kind != "" {
		t.Errorf("the same is said to differ: %s", kind)
	}
}

func TestTheAddressOnThisComputerMeansThatTheEHRSentTheBrowserBack(t *testing.T) {
	d := Recognize("http://localhost:18320/callback?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj", mercy())
	if d.First().ID != "browser-does-not-return" {
		t.Errorf("%v", brief(d))
	}
}

func TestTheErrorInAPastedAddressCounts(t *testing.T) {
	for pasted, cause := range map[string]string{
		"http://localhost:18320/callback?error=invalid_scope&state=x":                                 "scope-not-allowed",
		"https://ehr.example/authorize?x=1#error=access_denied":                                       "user-declined",
		`{"error": "unauthorized_client", "error_description": "client-persona-mismatch"}`:            "wrong-kind-of-user",
		"error: temporarily_unavailable":                                                              "server-maintenance",
		"There is a problem with the website's security certificate. ERR_CERT_AUTHORITY_INVALID":      "localhost-certificate-not-trusted",
		"AADSTS50011: The redirect URI 'http://localhost:1/' specified in the request does not match": "redirect-not-registered",
	} {
		f := mercy()
		f.History = HistoryFacts{Connected: true, SinceSuccess: 3600e9}
		if d := Recognize(pasted, f); d.First().ID != cause {
			t.Errorf("%s: %v", pasted, brief(d))
		}
	}
}

func TestAPageIsNotAboutAFailureAtAnotherStep(t *testing.T) {
	f := mercy()
	f.Stage, f.Fault.Code, f.OAuth.Error, f.HTTP.Status = Token, "client-refused", "invalid_client", 503
	d := Recognize("We are sorry... Invalid parameter: redirect_uri", f)
	if d.Stage != Authorize || d.First().ID != "redirect-not-registered" || d.First().Likelihood != High {
		t.Errorf("%s: %v", d.Stage, brief(d))
	}
}

// pastedSecrets are what people paste along without knowing.
var pastedSecrets = []string{
	"https://x.example/cb?code=%s&state=1", "https://x.example/cb?state=%s", "https://x.example/#access_token=%s", "https://x.example/?id_token=%s", "https://user:%s@x.example/", "Authorization: Bearer %s",
	`{"access_token":"%s","token_type":"bearer"}`, `{"refresh_token": "%s"}`, "client_secret=%s", "client_secret: %s", "code_verifier=%s", "https://x.example/?launch=%s", "https://x.example/?redirect_uri=http%%3a%%2f%%2flocalhost%%2fcb%%3fcode%%3d%s",
	"https://x.example/?aud=https://h.example/?token=%s", "password=%s", "JSESSIONID=%s", "https://idp.example/auth?session_code=%s&execution=%s&tab_id=%s", "SAMLResponse=%s", "session_state=%s", "https://x.example/?client_assertion=%s",
}

func TestWhatIsSecretInAPastedTextIsNeitherKeptNorShown(t *testing.T) {
	const canary = "Zk9CanaryQ7f3aa81bd20"
	for _, form := range pastedSecrets {
		text := strings.ReplaceAll(form, "%s", canary)
		text = strings.ReplaceAll(text, "%%", "%")
		kept, err := json.Marshal(read(text))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(kept), canary) {
			t.Errorf("%s is kept as %s", form, kept)
		}
		told, err := json.Marshal(Recognize(text, mercy()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(told), canary) {
			t.Errorf("%s is told as %s", form, told)
		}
	}
}

func FuzzRecognize(f *testing.F) {
	for _, seed := range []string{myChart, "", "We are sorry... Invalid parameter: redirect_uri", "https://[::1", "http://localhost:18320/callback?error=%zz", strings.Repeat("(", 100)} {
		f.Add(seed)
	}
	for _, form := range pastedSecrets {
		f.Add(form)
	}
	var reported []struct{ Pasted string }
	readLoosely(f, "testdata/real-world.json", &reported)
	for _, r := range reported {
		f.Add(r.Pasted)
	}
	const canary = "Zk9CanaryQ7f3aa81bd20"
	f.Fuzz(func(t *testing.T, text string) {
		text += "\nhttps://ehr.example/cb?code=" + canary + "&state=" + canary
		if kept, _ := json.Marshal(read(text)); strings.Contains(string(kept), canary) {
			t.Errorf("the code is kept: %s", kept)
		}
		sound(t, Recognize(text, mercy()), canary)
	})
}
