package diagnose_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/diagnose"
)

// refusedAtEpic is invalid_client as Epic says it: without a word more.
func refusedAtEpic(change func(*diagnose.Facts)) diagnose.Facts {
	f := diagnose.Facts{
		Stage: diagnose.Token,
		Fault: diagnose.FaultFacts{Code: "client-refused", Message: "The server does not accept this client ID with these credentials."},
		HTTP:  diagnose.HTTPFacts{Status: 401, ContentType: "application/json"},
		OAuth: diagnose.OAuthFacts{Error: "invalid_client"},
		Registration: diagnose.RegistrationFacts{
			EHR: "epic", Environment: "production", FHIRBaseURL: "https://ehr.mercy.example/interconnect/api/FHIR/R4/", ClientID: "3f2c1b0a-1111-4222-8333-444455556666",
			ClientType: "confidential-symmetric", Secret: diagnose.SecretFacts{Set: true}, Audience: "patient", RedirectURIs: []string{"http://localhost:18320/callback"},
		},
		History: diagnose.HistoryFacts{Age: 60 * 24 * time.Hour},
	}
	if change != nil {
		change(&f)
	}
	return f
}

func order(t *testing.T, f diagnose.Facts, ids ...string) diagnose.Diagnosis {
	t.Helper()
	d := diagnose.Diagnose(f)
	last := -1
	for _, id := range ids {
		at := place(d, id)
		if at <= last {
			t.Fatalf("want the order %v, got %v", ids, describe(d))
		}
		last = at
	}
	return d
}

func describe(d diagnose.Diagnosis) []string {
	var out []string
	for _, c := range d.Causes {
		out = append(out, c.ID+" ("+string(c.Likelihood)+")")
	}
	return out
}

func TestInvalidClientAtEpicGoesByWhatIsMet(t *testing.T) {
	d := order(t, refusedAtEpic(nil), "client-id-of-other-environment", "secret-wrong", "registered-as-public")
	if l := d.First().Likelihood; l != diagnose.Low {
		t.Errorf("with nothing seen the first is %s", l)
	}
	if e := d.First().Evidence[0]; !strings.Contains(e, "Nothing that was seen") || !strings.Contains(e, "Epic") {
		t.Errorf("the prior is not explained: %q", e)
	}
	if p := d.First().Probe; p != diagnose.ProbeOtherEnvironment {
		t.Errorf("the probe is %q", p)
	}
	// At other servers a wrong secret is met more often than a swapped client ID.
	order(t, refusedAtEpic(func(f *diagnose.Facts) {
		f.Registration.EHR, f.Registration.FHIRBaseURL = "other", "https://fhir.mercy.example/r4"
	}), "secret-wrong", "client-id-of-other-environment")
}

func TestWhatWasSeenOutweighsWhatIsMet(t *testing.T) {
	for first, change := range map[string]func(*diagnose.Facts){
		"registration-not-known-yet": func(f *diagnose.Facts) { f.History.Age = 3 * time.Hour },
		"secret-with-space":          func(f *diagnose.Facts) { f.Registration.Secret.Space = true },
		"secret-is-client-id":        func(f *diagnose.Facts) { f.Registration.Secret.IsClientID = true },
		"secret-wrong": func(f *diagnose.Facts) {
			f.History = diagnose.HistoryFacts{Connected: true, SinceSuccess: time.Hour, Edited: []string{"client_secret"}, SinceEdit: time.Minute, Age: 60 * 24 * time.Hour}
		},
		"client-id-of-other-environment": func(f *diagnose.Facts) {
			f.Registration.Secret.Special = true
			f.Probes = map[diagnose.ProbeID]string{diagnose.ProbeOtherEnvironment: diagnose.KnownElsewhere}
		},
		"client-id-unknown": func(f *diagnose.Facts) { f.Registration.ClientID = "fhircamila" },
	} {
		if d := diagnose.Diagnose(refusedAtEpic(change)); d.First().ID != first || d.First().Likelihood == diagnose.Low {
			t.Errorf("want %s first, got %v", first, describe(d))
		}
	}
}

func TestWhatContradictsPushesACauseDown(t *testing.T) {
	worked := func(f *diagnose.Facts) {
		f.History = diagnose.HistoryFacts{Connected: true, SameValues: true, SinceSuccess: time.Hour, Age: 60 * 24 * time.Hour}
	}
	d := order(t, refusedAtEpic(worked), "changed-at-the-ehr", "secret-wrong")
	for _, c := range d.Causes {
		if slices.Contains([]string{"secret-wrong", "client-id-of-other-environment", "client-id-unknown"}, c.ID) && (c.Likelihood != diagnose.Low || len(c.Against) == 0) {
			t.Errorf("%s is %s although it worked an hour ago; against it: %q", c.ID, c.Likelihood, c.Against)
		}
	}
	// Even an odd secret is not the cause where it worked an hour ago.
	order(t, refusedAtEpic(func(f *diagnose.Facts) { worked(f); f.Registration.Secret.Encoded = true }), "changed-at-the-ehr", "secret-encoded")
}

func TestTheTimeUntilARegistrationIsKnownIsThatOfTheEnvironment(t *testing.T) {
	after := func(environment string, age time.Duration) diagnose.Likelihood {
		d := diagnose.Diagnose(refusedAtEpic(func(f *diagnose.Facts) { f.Registration.Environment, f.History.Age = environment, age }))
		return d.Causes[place(d, "registration-not-known-yet")].Likelihood
	}
	if a, b, c := after("sandbox", 50*time.Minute), after("sandbox", 2*time.Hour), after("production", 2*time.Hour); a != diagnose.Medium || b != diagnose.Low || c != diagnose.Medium {
		t.Errorf("in the sandbox %s after 50 minutes and %s after two hours, in production %s after two hours", a, b, c)
	}
}

func TestTheWordsOfAKnownServerCountForMoreThanAnybodys(t *testing.T) {
	said := func(words string) diagnose.Cause {
		return diagnose.Recognize(words, diagnose.Facts{History: diagnose.HistoryFacts{Connected: true}}).First()
	}
	anybody, keycloak, both := said("invalid redirect_uri"), said("Invalid parameter: redirect_uri"), said("invalid redirect_uri: Callback URL mismatch.")
	if anybody.ID != "redirect-not-registered" || keycloak.ID != anybody.ID || both.ID != anybody.ID || anybody.Score >= keycloak.Score || both.Score != keycloak.Score {
		t.Errorf("%d, %d and %d points", anybody.Score, keycloak.Score, both.Score)
	}
	if e := both.Evidence[0]; !strings.Contains(e, "Auth0") || !slices.ContainsFunc(both.Sources, func(s string) bool { return strings.Contains(s, "auth0") }) {
		t.Errorf("%q %v", e, both.Sources)
	}
}

func TestSilenceGoesByTheRegistration(t *testing.T) {
	silence := func(change func(*diagnose.Facts)) diagnose.Facts {
		return refusedAtEpic(func(f *diagnose.Facts) {
			f.Stage, f.Fault, f.HTTP, f.OAuth = diagnose.Authorize, diagnose.FaultFacts{Code: "sign-in-timeout"}, diagnose.HTTPFacts{}, diagnose.OAuthFacts{}
			f.Elapsed = 5 * time.Minute
			change(f)
		})
	}
	for first, change := range map[string]func(*diagnose.Facts){
		"registration-not-known-yet": func(f *diagnose.Facts) { f.History.Age = 20 * time.Minute },
		"app-not-activated":          func(f *diagnose.Facts) {},
		"client-id-of-other-environment": func(f *diagnose.Facts) {
			f.Registration.FHIRBaseURL = "https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/"
		},
		"redirect-other-port": func(f *diagnose.Facts) {
			f.Registration.RedirectURIs = []string{"http://localhost:18320/callback", "http://localhost:18321/callback"}
			f.Request.RedirectURI = "http://localhost:18321/callback"
		},
		"scopes-of-both-kinds": func(f *diagnose.Facts) { f.Request.Scopes = []string{"patient/Patient.rs", "user/Patient.rs"} },
		"sign-in-not-finished": func(f *diagnose.Facts) {
			f.History = diagnose.HistoryFacts{Connected: true, SameValues: true, SinceSuccess: 24 * time.Hour, Age: 60 * 24 * time.Hour}
		},
		"standalone-not-offered": func(f *diagnose.Facts) {
			f.Registration.EHR, f.Registration.FHIRBaseURL = "other", "https://fhir.mercy.example/r4"
			f.Discovery = diagnose.DiscoveryFacts{Known: true, Capabilities: []string{"launch-ehr"}}
		},
	} {
		if d := diagnose.Diagnose(silence(change)); d.First().ID != first {
			t.Errorf("want %s first, got %v", first, describe(d))
		}
	}
}

func TestAFixNamesWhatItIsAbout(t *testing.T) {
	find := func(f diagnose.Facts, id string) diagnose.Cause {
		d := diagnose.Diagnose(f)
		if at := place(d, id); at >= 0 {
			return d.Causes[at]
		}
		t.Fatalf("%s is not among %v", id, describe(d))
		return diagnose.Cause{}
	}
	c := find(refusedAtEpic(nil), "client-id-of-other-environment")
	if c.Fix.Action != diagnose.SwitchEnvironment || c.Fix.Param != "sandbox" || !strings.Contains(c.Title, "sandbox") {
		t.Errorf("%+v %q", c.Fix, c.Title)
	}
	scopes := diagnose.Facts{Stage: diagnose.Authorize, OAuth: diagnose.OAuthFacts{Error: "invalid_scope", Description: "Invalid scopes: patient/Claim.rs"}, Request: diagnose.RequestFacts{Scopes: []string{"openid", "patient/Claim.rs", "patient/Patient.rs"}}}
	if c = find(scopes, "scope-not-allowed"); c.Fix.Action != diagnose.DropScope || c.Fix.Param != "patient/Claim.rs" {
		t.Errorf("%+v", c.Fix)
	}
	// Where the server names none, it is what the server does not list.
	scopes.OAuth.Description, scopes.Discovery.ScopesSupported = "", []string{"openid", "patient/Patient.rs"}
	if c = find(scopes, "scope-not-allowed"); c.Fix.Param != "patient/Claim.rs" {
		t.Errorf("%+v", c.Fix)
	}
	wait := diagnose.Facts{Stage: diagnose.FHIR, Fault: diagnose.FaultFacts{Code: "fhir-server-error"}, HTTP: diagnose.HTTPFacts{Status: 503, RetryAfter: 90 * time.Second}}
	if c = find(wait, "server-maintenance"); c.Fix.Action != diagnose.Wait || c.Fix.Param != "1m30s" || !strings.Contains(c.Fix.Text, "90 seconds") {
		t.Errorf("%+v", c.Fix)
	}
	base := diagnose.Facts{Stage: diagnose.Discovery, Fault: diagnose.FaultFacts{Code: "discovery-not-found"}, Registration: diagnose.RegistrationFacts{EHR: "epic", FHIRBaseURL: "https://ehr.mercy.example/x/api/FHIR/DSTU2/"}}
	if c = find(base, "base-url-not-r4"); c.Fix.Param != "https://ehr.mercy.example/x/api/FHIR/R4/" {
		t.Errorf("%+v", c.Fix)
	}
}

func TestTheShapeOfASecretIsAllThatIsKept(t *testing.T) {
	const id = "3f2c1b0a-1111-4222-8333-444455556666"
	for secret, want := range map[string]diagnose.SecretFacts{
		"":                                     {},
		"dG9wLXNlY3JldC12YWx1ZQ":               {Set: true},
		"dG9wLXNlY3JldC12YWx1ZQ" + "\n":        {Set: true, Space: true},
		"dG9wLXNlY\u200b3JldC12YWx1ZQ":         {Set: true, Space: true, Special: true},
		id:                                     {Set: true, IsClientID: true, LikeClientID: true},
		"00000000-1111-4222-8333-444455556666": {Set: true, LikeClientID: true},
		"abc%2Bdef%2Fghi":                      {Set: true, Encoded: true, Special: true},
		"p+ss:w%rd/ö":                          {Set: true, Special: true},
		`"dG9wLXNlY3JldA"`:                     {Set: true, Quoted: true, Special: true},
		"••••••••••":                           {Set: true, Hash: true, Special: true},
		"short1":                               {Set: true, Short: true},
	} {
		if got := diagnose.ShapeOf(secret, id); got != want {
			t.Errorf("%q: %+v, want %+v", secret, got, want)
		}
	}
}
