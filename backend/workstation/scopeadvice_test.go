package workstation_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func (b *bench) scopeAdvice(t *testing.T, ref string) workstation.ScopeAdvice {
	t.Helper()
	advice, err := b.ScopeAdvice(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	var contexts []string
	for _, s := range advice.Sets {
		contexts = append(contexts, s.Context)
		for _, line := range s.Scopes {
			if !strings.HasSuffix(line.Meaning, ".") || !strings.HasSuffix(line.SupportedReason, ".") || !slices.Contains([]string{"listed", "not_listed", "not_told"}, string(line.Supported)) {
				t.Errorf("%+v", line)
			}
		}
	}
	if strings.Join(contexts, " ") != "patient provider launch" {
		t.Fatalf("the sets are %v", contexts)
	}
	text, err := json.Marshal(advice)
	if err != nil || strings.Contains(strings.Replace(string(text), `"granted":null`, "", 1), "null") {
		t.Errorf("a list is null: %s %v", text, err)
	}
	return advice
}

func texts(s workstation.ScopeSet) string {
	var out []string
	for _, line := range s.Scopes {
		out = append(out, line.Scope)
	}
	return strings.Join(out, " ")
}

func line(t *testing.T, s workstation.ScopeSet, scope string) workstation.ScopeLine {
	t.Helper()
	i := slices.IndexFunc(s.Scopes, func(l workstation.ScopeLine) bool { return l.Scope == scope })
	if i < 0 {
		t.Fatalf("%s is not in %s", scope, texts(s))
	}
	return s.Scopes[i]
}

func TestScopeAdviceShowsWhatIsAskedByWhom(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	before := b.scopeAdvice(t, reg.ID)
	if before.Version != 2 || !strings.Contains(before.VersionReason, "until the server has been asked") || before.Granted != nil || before.Sets[0].Scopes[0].Supported != "not_told" {
		t.Errorf("%+v", before)
	}
	if _, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil); err != nil {
		t.Fatal(err)
	}
	a := b.scopeAdvice(t, "mercy")
	patient, provider, launch := a.Sets[0], a.Sets[1], a.Sets[2]
	if a.Version != 2 || !strings.Contains(a.VersionReason, "lists permission-v2") || len(a.Warnings) > 0 || !a.ScopesDefault || !a.OfflineAccess || a.PatientNeeded || a.RegistrationID != reg.ID {
		t.Errorf("%+v", a)
	}
	if !patient.Asked || provider.Asked || launch.Asked || !patient.Default || !launch.Default || texts(patient) != strings.Join(reg.Scopes, " ") {
		t.Errorf("%+v", a.Sets)
	}
	for _, s := range a.Sets {
		if len(s.Warnings) > 0 || !strings.Contains(texts(s), "openid fhirUser offline_access") {
			t.Errorf("%+v", s)
		}
	}
	if strings.Contains(texts(provider), "launch") || !strings.HasPrefix(texts(launch), "launch openid") || strings.Contains(texts(launch), "launch/patient") || !strings.Contains(texts(launch), "patient/Patient.rs") {
		t.Errorf("%s\n%s", texts(provider), texts(launch))
	}
	// The list of the simulated EHR has user/*.rs and no user/Goal.rs: the wildcard covers it.
	for set, scopes := range map[*workstation.ScopeSet][]string{&patient: {"openid", "launch/patient", "patient/Observation.rs"}, &provider: {"user/Observation.rs", "user/Practitioner.r"}, &launch: {"launch"}} {
		for _, s := range scopes {
			if l := line(t, *set, s); l.Supported != "listed" {
				t.Errorf("%+v", l)
			}
		}
	}
	if l := line(t, patient, "patient/Observation.rs"); !strings.HasPrefix(l.Meaning, "Read and search observations") {
		t.Errorf("%+v", l)
	}
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) {
		in.Audience, in.PatientNeeded, in.OfflineAccess = "provider", yes(true), yes(false)
	})
	a = b.scopeAdvice(t, reg.ID)
	if !a.Sets[1].Asked || !strings.Contains(texts(a.Sets[1]), "launch/patient") || strings.Contains(texts(a.Sets[1]), "offline_access") || !strings.Contains(texts(a.Sets[2]), "user/Patient.rs") {
		t.Errorf("%+v", a.Sets)
	}
	_, err := b.ScopeAdvice(t.Context(), "nowhere")
	wantCode(t, err, "registration-not-found")
}

func TestScopeAdviceAtAnEHRLikeEpics(t *testing.T) {
	b, reg := epicBench(t, "app", "patient")
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.EHR = "epic" })
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	a := b.scopeAdvice(t, reg.ID)
	if !strings.Contains(a.VersionReason, "a setting of the app's registration") || len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "confidential clients only") {
		t.Errorf("%+v", a)
	}
	// It lists no patient/ scope at all, and launch/patient by its capability.
	for s, want := range map[string]string{"patient/Observation.rs": "not_told", "launch/patient": "listed", "openid": "listed"} {
		if l := line(t, a.Sets[0], s); string(l.Supported) != want {
			t.Errorf("%+v", l)
		}
	}
	g := a.Granted
	if g == nil || g.Kind != "standalone" || len(g.Difference.Less) > 0 || len(g.Difference.Alike) != 1 || !strings.Contains(g.Difference.Alike[0], "SMART 1") || len(g.Requested) == 0 ||
		!slices.ContainsFunc(g.Granted, func(s workstation.GrantedScope) bool {
			return s.Scope == "patient/Observation.read" && strings.HasPrefix(s.Meaning, "Read and search observations")
		}) {
		t.Errorf("%+v", g)
	}
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) {
		in.ClientType, in.ClientSecretAction, in.ClientSecret, in.ClientID = "confidential-symmetric", workstation.SecretReplace, secretOfTest, "app-with-secret"
	})
	a = b.scopeAdvice(t, reg.ID)
	if l := line(t, a.Sets[0], "offline_access"); l.Supported != "listed" || !strings.Contains(l.SupportedReason, "permission-offline") || len(a.Warnings) > 0 {
		t.Errorf("%+v %q", l, a.Warnings)
	}
}

func TestScopeAdviceWarns(t *testing.T) {
	b := newOtherBench(t, otherOptions{configuration: func(doc map[string]any) {
		declaring("permission-online")(doc)
		doc["capabilities"] = slices.DeleteFunc(doc["capabilities"].([]string), func(c string) bool { return c == "permission-user" })
		doc["scopes_supported"] = []string{"openid", "patient/Patient.rs"}
	}})
	reg := b.registered(t, nativeClient, "", func(in *workstation.RegistrationInput) {
		in.EHR, in.OfflineAccess = "epic", yes(false)
		in.Scopes = strings.Fields("openid launch/patient patient/*.read user/Goal.cud offline_access")
	})
	if _, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil); err != nil {
		t.Fatal(err)
	}
	a := b.scopeAdvice(t, reg.ID)
	if len(a.Warnings) != 2 || !strings.Contains(a.Warnings[0], "no offline access") || !strings.Contains(a.Warnings[1], "Write patient/*.rs. Some servers drop") {
		t.Errorf("%q", a.Warnings)
	}
	patient, provider := a.Sets[0], a.Sets[1]
	if patient.Default || !provider.Default || a.Sets[2].Default || texts(patient) != strings.Join(reg.Scopes, " ") || strings.Contains(texts(provider), "offline") {
		t.Errorf("%+v", a.Sets)
	}
	for i, want := range []string{"at once", "change records", "wildcard", "fhirUser is not", "by who signs in"} {
		if i >= len(patient.Warnings) || !strings.Contains(patient.Warnings[i], want) {
			t.Errorf("%q lack %q", patient.Warnings, want)
		}
	}
	if len(provider.Warnings) > 0 {
		t.Errorf("%q", provider.Warnings)
	}
	for s, want := range map[string]string{"openid": "listed", "launch/patient": "listed", "patient/*.read": "not_listed", "user/Goal.cud": "not_listed", "offline_access": "not_listed"} {
		if l := line(t, patient, s); string(l.Supported) != want {
			t.Errorf("%+v", l)
		}
	}
}

func TestARefreshTokenCountsAsOfflineAccess(t *testing.T) {
	b := newOtherBench(t, otherOptions{})
	reg := b.registered(t, nativeClient, "")
	b.server.meddleWith(func(answer map[string]any) { // as Epic answers
		if s, ok := answer["scope"].(string); ok {
			answer["scope"] = strings.Replace(s, "offline_access", "", 1)
		}
	})
	status := b.mustSignIn(t, reg.ID, amara)
	if !status.Refreshable || slices.Contains(status.ScopesGranted, "offline_access") || status.ScopesNote != "" {
		t.Errorf("%+v", status)
	}
	if a := b.scopeAdvice(t, reg.ID); a.Granted == nil || len(a.Granted.Difference.Less) > 0 {
		t.Errorf("%+v", a.Granted)
	}
}
