package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const ehrScopes = "launch openid fhirUser online_access user/*.rs patient/*.rs"

// launch begins an EHR launch and gives what the app receives.
func (r running) launch(req LaunchRequest) (iss, launch string) {
	r.t.Helper()
	to, err := r.Launch(req)
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		r.t.Fatal(err)
	}
	return u.Query().Get("iss"), u.Query().Get("launch")
}

// launched goes from a launch to the token response.
func (r running) launched(req LaunchRequest, scopes string, choice Choice) map[string]any {
	r.t.Helper()
	iss, launch := r.launch(req)
	client := req.ClientID
	if client == "" {
		client = "chartkey-provider"
	}
	return r.connect(map[string]string{"client_id": client, "aud": iss, "launch": launch, "scope": scopes}, choice)
}

func TestLaunchHandsOverTheContext(t *testing.T) {
	r := start(t, Options{})
	yes := true
	body := r.launched(LaunchRequest{
		User: "dr.lindqvist", Patient: "daniel-whitlock", Encounter: "daniel-whitlock-visit-1", Intent: "reconcile-medications", Tenant: "north", NeedPatientBanner: &yes, Style: StyleDark,
		FHIRContext: []FHIRContextItem{{Reference: "ImagingStudy/7"}, {Canonical: "https://questionnaires.example/phq-9|1", Type: "Questionnaire", Role: "questionnaire-open"}, {Identifier: json.RawMessage(`{"system":"urn:x","value":"1"}`), Type: "Task"}},
	}, ehrScopes, Choice{})
	for name, want := range map[string]any{
		"patient": "daniel-whitlock", "encounter": "daniel-whitlock-visit-1", "intent": "reconcile-medications", "tenant": "north",
		"need_patient_banner": true, "smart_style_url": r.Origin() + "/smart-style-dark.json",
		"fhirContext": []any{
			map[string]any{"reference": "ImagingStudy/7"},
			map[string]any{"canonical": "https://questionnaires.example/phq-9|1", "type": "Questionnaire", "role": "questionnaire-open"},
			map[string]any{"identifier": map[string]any{"system": "urn:x", "value": "1"}, "type": "Task"},
		},
	} {
		if !reflect.DeepEqual(body[name], want) {
			t.Errorf("%s is %v, want %v", name, body[name], want)
		}
	}
	claims := claimsOf(t, word(body["id_token"]))
	if claims["fhirUser"] != r.FHIRBaseURL()+"/Practitioner/henrik-lindqvist" {
		t.Errorf("fhirUser %v", claims["fhirUser"])
	}
	if resp, _ := r.get("Patient/daniel-whitlock", word(body["access_token"]), nil); resp.StatusCode != 200 {
		t.Errorf("the launched patient: %d", resp.StatusCode)
	}
	if resp, _ := r.do(mustRequest(t, word(body["smart_style_url"]))); resp.StatusCode != 200 {
		t.Errorf("the style: %d", resp.StatusCode)
	}
	_, renewed := r.post("/auth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {word(body["refresh_token"])}, "client_id": {"chartkey-provider"}}, nil)
	if renewed["patient"] != "daniel-whitlock" || renewed["intent"] != "reconcile-medications" {
		t.Errorf("the context is lost in a refresh: %v", renewed)
	}
}

func TestLaunchTellsOnlyWhatIsOpen(t *testing.T) {
	r := start(t, Options{})
	no := false
	body := r.launched(LaunchRequest{NeedPatientBanner: &no, Style: StyleNone}, "launch openid fhirUser user/*.rs", Choice{})
	if body["need_patient_banner"] != false || body["patient"] != nil || body["encounter"] != nil || body["smart_style_url"] != nil || body["intent"] != nil || body["fhirContext"] != nil {
		t.Errorf("a launch without a patient: %v", body)
	}
	// The visit stands for its patient.
	body = r.launched(LaunchRequest{Encounter: "amara-nwosu-visit-1"}, "launch patient/*.rs", Choice{})
	if body["patient"] != "amara-nwosu" || body["need_patient_banner"] != nil {
		t.Errorf("a launch from a visit: %v", body)
	}
	// A patient scope without a patient asks for one, as a hint of launch/patient does.
	body = r.launched(LaunchRequest{}, "launch launch/patient patient/*.rs", Choice{Patient: "luca-marchetti"})
	if body["patient"] != "luca-marchetti" {
		t.Errorf("picked in a launch: %v", body["patient"])
	}
	// A patient's portal launches too.
	body = r.launched(LaunchRequest{User: "sofia", Patient: "luca-marchetti", ClientID: "chartkey-demo"}, ehrScopes, Choice{})
	if claims := claimsOf(t, word(body["id_token"])); body["patient"] != "luca-marchetti" || claims["fhirUser"] != r.FHIRBaseURL()+"/RelatedPerson/sofia-for-luca" {
		t.Errorf("a mother's launch: %v", claims["fhirUser"])
	}
}

func TestLaunchWorksOnceForItsClientAndForFiveMinutes(t *testing.T) {
	c := newClock()
	r := start(t, Options{Now: c.Now})
	try := func(client, launch, scopes string) string {
		resp, _ := r.authorize(r.request(map[string]string{"client_id": client, "launch": launch, "scope": scopes}))
		to, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		return to.Query().Get("error")
	}
	refused := func(name, got, verdict string) {
		t.Helper()
		if got != "invalid_request" || !strings.Contains(r.lastVerdict(), verdict) {
			t.Errorf("%s: %q, verdict %q", name, got, r.lastVerdict())
		}
	}
	_, launch := r.launch(LaunchRequest{Patient: "amara-nwosu"})
	refused("another client", try("chartkey-demo", launch, ehrScopes), "another client")
	refused("no scope launch", try("chartkey-provider", launch, "user/*.rs"), "scope launch")
	if got := try("chartkey-provider", launch, ehrScopes); got != "" {
		t.Fatalf("its own client afterwards: %q, %s", got, r.lastVerdict())
	}
	refused("a replay", try("chartkey-provider", launch, ehrScopes), "used before")
	refused("nonsense", try("chartkey-provider", "guessed", ehrScopes), "not one that this server issued")

	_, launch = r.launch(LaunchRequest{Patient: "amara-nwosu"})
	c.add(5*time.Minute - time.Second)
	_, late := r.launch(LaunchRequest{Patient: "amara-nwosu"})
	if got := try("chartkey-provider", launch, ehrScopes); got != "" {
		t.Errorf("just in time: %q", got)
	}
	c.add(5 * time.Minute)
	refused("too late", try("chartkey-provider", late, ehrScopes), "expired")
}

func TestLaunchesAreBounded(t *testing.T) {
	c := newClock()
	n := 0
	b := newLaunchBook(c.Now, func() string { n++; return strings.Repeat("x", n) })
	first := b.add(launch{request: LaunchRequest{ClientID: "x"}}, time.Minute)
	for range maxLaunches + 10 {
		b.add(launch{}, time.Minute)
	}
	if _, oerr := b.take(first, "x"); oerr == nil || len(b.waiting) != maxLaunches || len(b.order) != maxLaunches {
		t.Errorf("%d launches, %d in order", len(b.waiting), len(b.order))
	}
	c.add(2 * time.Minute)
	b.add(launch{}, time.Minute)
	if len(b.waiting) != 1 {
		t.Errorf("%d launches after their time", len(b.waiting))
	}
}

func TestLaunchRefuses(t *testing.T) {
	r := start(t, Options{Clients: []Client{{ID: "no-launch", Type: Public, RedirectURIs: []string{testRedirect}}}})
	for name, test := range map[string]struct {
		req  LaunchRequest
		want string
	}{
		"unknown user":         {LaunchRequest{User: "nobody"}, "no user"},
		"unknown client":       {LaunchRequest{ClientID: "nobody"}, "client ID"},
		"no launch URL":        {LaunchRequest{ClientID: "no-launch"}, "no launch URL"},
		"script launch URL":    {LaunchRequest{LaunchURL: "javascript:alert(1)"}, "launch URL"},
		"launch URL with user": {LaunchRequest{LaunchURL: "http://a@b.example/"}, "launch URL"},
		"launch URL fragment":  {LaunchRequest{LaunchURL: "http://b.example/#x"}, "launch URL"},
		"unknown patient":      {LaunchRequest{Patient: "nobody"}, "no patient"},
		"unknown encounter":    {LaunchRequest{Encounter: "nothing"}, "no encounter"},
		"another's encounter":  {LaunchRequest{Patient: "daniel-whitlock", Encounter: "amara-nwosu-visit-1"}, "not one of"},
		"another's record":     {LaunchRequest{User: "amara", Patient: "daniel-whitlock"}, "may not open"},
		"another's visit":      {LaunchRequest{User: "amara", Encounter: "daniel-whitlock-visit-1"}, "may not open"},
		"unknown style":        {LaunchRequest{Style: "loud"}, "style"},
		"style by script":      {LaunchRequest{SmartStyleURL: "javascript:1"}, "smart_style_url"},
		"endless intent":       {LaunchRequest{Intent: strings.Repeat("x", 501)}, "intent"},
		"empty context":        {LaunchRequest{FHIRContext: []FHIRContextItem{{Role: "x"}}}, "entry 1"},
		"odd reference":        {LaunchRequest{FHIRContext: []FHIRContextItem{{Reference: "Patient"}}}, "Type/id"},
		"relative canonical":   {LaunchRequest{FHIRContext: []FHIRContextItem{{Canonical: "q"}}}, "canonical"},
		"odd type":             {LaunchRequest{FHIRContext: []FHIRContextItem{{Reference: "Task/1", Type: "a b"}}}, "type"},
		"odd identifier":       {LaunchRequest{FHIRContext: []FHIRContextItem{{Identifier: json.RawMessage(`"x"`)}}}, "identifier"},
		"endless context":      {LaunchRequest{FHIRContext: make([]FHIRContextItem, 51)}, "more than"},
	} {
		if to, err := r.Launch(test.req); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q, %v", name, to, err)
		}
	}
	to, err := r.Launch(LaunchRequest{ClientID: "no-launch", LaunchURL: "https://app.example/start?site=1"})
	if err != nil || !strings.HasPrefix(to, "https://app.example/start?site=1&iss=") {
		t.Errorf("a launch URL with a query: %q, %v", to, err)
	}
}

func TestWhichPagesALaunchShows(t *testing.T) {
	pages := func(r running, req LaunchRequest) (shown []string) {
		t.Helper()
		iss, launch := r.launch(req)
		b := newBrowser(t, r)
		resp, _ := r.visit(b, http.MethodGet, r.authorizeURL(r.request(map[string]string{"client_id": "chartkey-provider", "aud": iss, "launch": launch, "scope": ehrScopes})), nil)
		for {
			to, err := resp.Location()
			if err != nil {
				t.Fatal(err)
			}
			if to.Host == "localhost:18320" {
				if to.Query().Get("code") == "" {
					t.Errorf("no code: %v", to)
				}
				return shown
			}
			shown = append(shown, strings.TrimPrefix(to.Path, "/auth/"))
			_, page := r.visit(b, http.MethodGet, to.String(), nil)
			if len(shown) == 1 && to.Path == "/auth/consent" && strings.Contains(page, "Sign in as someone else") {
				t.Error("the page of a launch leads to a sign-in that cannot be")
			}
			form := withFields(hiddenFields(page), "username", "dr.okafor", "password", practitionerPassword, "decision", "allow", "scope", "launch", "scope", "user/*.rs")
			if to.Path == "/auth/signin" {
				// Someone else's sign-in does not take over the launch.
				other := withFields(hiddenFields(page), "username", "np.calloway", "password", practitionerPassword)
				if resp, page := r.visit(b, http.MethodPost, r.Origin()+to.Path, other); resp.StatusCode != 422 || !strings.Contains(page, "Dr. Nneka Okafor") {
					t.Errorf("someone else signs in to the launch: %d", resp.StatusCode)
				}
			}
			resp, _ = r.visit(b, http.MethodPost, r.Origin()+to.Path, form)
		}
	}
	req := LaunchRequest{Patient: "amara-nwosu"}
	trusted := req
	trusted.SkipConsent = true
	for name, test := range map[string]struct {
		settings Settings
		req      LaunchRequest
		want     string
	}{
		"as they come":      {Settings{}, req, "consent"},
		"an approved app":   {Settings{}, trusted, ""},
		"all are approved":  {Settings{SkipConsentAtLaunch: true}, req, ""},
		"no consent at all": {Settings{SkipConsent: true}, req, ""},
		"with a sign-in":    {Settings{SignInAtLaunch: true}, req, "signin consent"},
		"sign-in only":      {Settings{SignInAtLaunch: true, SkipConsentAtLaunch: true}, req, "signin"},
	} {
		r := start(t, Options{Settings: test.settings})
		if got := strings.Join(pages(r, test.req), " "); got != test.want {
			t.Errorf("%s: pages %q, want %q", name, got, test.want)
		}
	}
}

func TestPagesCanBeSkipped(t *testing.T) {
	const both = "launch/patient launch/encounter openid fhirUser patient/*.rs"
	for name, test := range map[string]struct {
		settings           Settings
		scope              string
		page               string
		patient, encounter string
	}{
		"nothing":                    {Settings{}, both, "/auth/signin", "", ""},
		"the sign-in, of a patient":  {Settings{SignedInAs: "amara"}, both, "/auth/encounter", "", ""},
		"the sign-in, of a mother":   {Settings{SignedInAs: "sofia"}, both, "/auth/patient", "", ""},
		"the sign-in, of a provider": {Settings{SignedInAs: "dr.okafor"}, both, "/auth/patient", "", ""},
		"the pickers too":            {Settings{SignedInAs: "dr.okafor", SkipPatientPicker: true, SkipEncounterPicker: true}, both, "/auth/consent", "", ""},
		"all, of a mother":           {Settings{SignedInAs: "sofia", SkipPatientPicker: true, SkipEncounterPicker: true, SkipConsent: true}, both, "", "sofia-marchetti", "some"},
		"all, of a provider":         {Settings{SignedInAs: "dr.okafor", SkipPatientPicker: true, SkipEncounterPicker: true, SkipConsent: true}, both, "", "some", "some"},
		"a provider, no patient":     {Settings{SignedInAs: "dr.okafor", SkipConsent: true}, "openid fhirUser user/*.rs", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{Settings: test.settings})
			resp, _ := r.authorize(r.request(map[string]string{"scope": test.scope}))
			to, err := resp.Location()
			if err != nil {
				t.Fatal(err)
			}
			if test.page != "" {
				if to.Path != test.page {
					t.Errorf("led to %s", to.Path)
				}
				return
			}
			_, body := r.post("/auth/token", exchangeForm(to.Query().Get("code")), nil)
			fits := func(got any, want string) bool { return word(got) == want || (want == "some" && word(got) != "") }
			if !fits(body["patient"], test.patient) || !fits(body["encounter"], test.encounter) || body["scope"] != test.scope {
				t.Errorf("%v", body)
			}
		})
	}
	if _, err := New(Options{Settings: Settings{SignedInAs: "nobody"}}); err == nil {
		t.Error("nobody can be signed in")
	}
}

func TestPromptNone(t *testing.T) {
	for name, test := range map[string]struct {
		settings Settings
		want     string
	}{
		"no one is signed in": {Settings{}, "login_required"},
		"a patient is needed": {Settings{SignedInAs: "dr.okafor"}, "interaction_required"},
		"consent is needed":   {Settings{SignedInAs: "amara"}, "consent_required"},
		"nothing is needed":   {Settings{SignedInAs: "amara", SkipConsent: true}, ""},
	} {
		r := start(t, Options{Settings: test.settings})
		resp, _ := r.authorize(r.request(map[string]string{"prompt": "none"}))
		to, err := resp.Location()
		if err != nil || to.Query().Get("error") != test.want || (test.want == "") != to.Query().Has("code") {
			t.Errorf("%s: %v", name, to)
		}
	}
}

// claimsOf reads the claims of a token whose signature other tests check.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
