package scope_test

import (
	"strings"
	"testing"

	"chartkey/backend/scope"
)

func TestWarnings(t *testing.T) {
	const who = "openid fhirUser "
	for _, c := range []struct {
		scopes, audience string
		launch           bool
		want             []string // part of each warning, in order
	}{
		{who + "launch/patient patient/Patient.rs", "patient", false, nil},
		{who + "user/Patient.rs", "provider", false, nil},
		{who + "launch user/Patient.rs", "provider", true, nil},
		{who + "launch patient/Patient.rs", "provider", true, nil},
		{who + "launch/patient patient/Patient.rs user/Patient.r", "patient", false, []string{"at once"}},
		{who + "launch/patient patient/Patient.rs user/Patient.r", "provider", false, []string{"at once"}},
		{who + "system/Patient.rs", "provider", false, []string{"no person signed in"}},
		{who + "launch/patient patient/Goal.cud", "patient", false, []string{"change records"}},
		{who + "user/Goal.write", "provider", false, []string{"change records"}},
		{who + "user/*.read", "provider", false, []string{"wildcard"}},
		{"user/Patient.rs", "provider", false, []string{"openid is not"}},
		{"openid user/Patient.rs", "provider", false, []string{"fhirUser is not"}},
		{"openid profile user/Patient.rs", "provider", false, nil},
		{who + "offline_access online_access user/Patient.rs", "provider", false, []string{"contradict"}},
		{who + "launch user/Patient.rs", "provider", false, []string{"launch is for an EHR launch"}},
		{who + "patient/Patient.rs", "provider", false, []string{"of a provider"}},
		{who + "patient/Patient.rs", "patient", false, []string{"may name none"}},
		{who + "user/Patient.rs", "patient", false, []string{"more than one record"}},
		{who + "user/Patient.rs user/Patient.r user/Goal.rs user/Goal.rs?status=x", "provider", false, []string{"said already"}},
	} {
		got := set(t, c.scopes).Warnings(c.audience, c.launch)
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			ok = ok && (strings.Contains(got[i], c.want[i]) || c.want[i] == "said already" && strings.HasSuffix(got[i], "already: user/Patient.r and user/Goal.rs?status=x."))
		}
		if !ok || got == nil {
			t.Errorf("%s: %q, want %q", c.scopes, got, c.want)
		}
	}
	// Of two that say the same, one is needed.
	if got := set(t, who+"user/Patient.rs user/Patient.read").Warnings("provider", false); len(got) != 1 || strings.Contains(got[0], " and ") {
		t.Errorf("%q", got)
	}
}

func TestSupports(t *testing.T) {
	for _, c := range []struct {
		listed, asked string
		want          scope.Support
	}{
		{"patient/*.rs", "patient/Observation.read", scope.Listed},
		{"patient/*.rs", "patient/Observation.rs?category=laboratory", scope.Listed},
		{"patient/*.read", "patient/Observation.r", scope.Listed},
		{"profile", "fhirUser", scope.Listed},
		{"patient/*.rs", "patient/Observation.c", scope.NotListed},
		{"patient/Goal.rs", "patient/Observation.rs", scope.NotListed},
		{"patient/Goal.rs", "user/Goal.rs", scope.NotTold},
		{"openid launch", "patient/Goal.rs", scope.NotTold},
		{"openid launch", "launch/patient", scope.NotListed},
		{"openid launch", "offline_access", scope.NotTold},
		{"online_access", "offline_access", scope.NotListed},
		{"a", "b", scope.NotTold},
		{"", "openid", scope.NotTold},
	} {
		if got := set(t, c.listed).Supports(set(t, c.asked)[0]); got != c.want {
			t.Errorf("a server that lists %q says %s of %s", c.listed, got, c.asked)
		}
	}
}
