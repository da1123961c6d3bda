package scope

import (
	"slices"
	"testing"
)

func TestAServiceAsksForItselfAlone(t *testing.T) {
	for v, want := range map[Version]string{V1: "system/Patient.read", V2: "system/Patient.rs"} {
		set := Service(v)
		if !set.Has(want) || len(set.Warnings(NoUser, false)) != 0 {
			t.Errorf("%s, with the warnings %q", set, set.Warnings(NoUser, false))
		}
		if slices.ContainsFunc(set, func(s Scope) bool { return !s.ForService() || s.Version != v }) {
			t.Errorf("not all are for a service: %s", set)
		}
	}
	for _, text := range []string{"patient/Patient.rs", "user/Patient.rs", "launch/patient", "openid", "offline_access"} {
		if s, err := Parse(text); err != nil || s.ForService() {
			t.Errorf("%s is for a service (%v)", text, err)
		}
	}
	// What is to be thought over is told for a service too.
	if got := Grammar([]string{"system/*.cruds"}).Warnings(NoUser, false); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

func TestALaunchRegistersNoWorkstation(t *testing.T) {
	set := Grammar([]string{"openid", register, "patient/Patient.rs"}).ForLaunch()
	if set.Has(register) || !set.Has("launch") || !set.Has("patient/Patient.rs") {
		t.Errorf("%s", set)
	}
}
