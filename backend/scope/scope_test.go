package scope_test

import (
	"strings"
	"testing"

	"chartkey/backend/scope"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		kind scope.Kind
		perm string
	}{
		{"patient/Observation.rs", scope.Resource, "rs"},
		{"patient/*.read", scope.Resource, "rs"},
		{"user/Patient.write", scope.Resource, "cud"},
		{"system/*.*", scope.Resource, "cruds"},
		{"system/*.cruds", scope.Resource, "cruds"},
		{"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory", scope.Resource, "rs"},
		{"launch", scope.Launch, ""},
		{"launch/patient", scope.Launch, ""},
		{"launch/imagingstudy?role=prior", scope.Launch, ""},
		{"openid", scope.Identity, ""},
		{"fhirUser", scope.Identity, ""},
		{"offline_access", scope.Duration, ""},
		{"system/DynamicClient.register", scope.Other, ""},
		{"epic.scanning.dmsusername", scope.Other, ""},
		{"https://example.org/scopes/x", scope.Other, ""},
	} {
		t.Run(c.text, func(t *testing.T) {
			s, err := scope.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if s.Kind != c.kind || s.Permission.String() != c.perm || s.String() != c.text {
				t.Errorf("%+v, permission %q", s, s.Permission)
			}
		})
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "empty",
		"patient/Observation":          "no permission",
		"patient/observation.rs":       "no FHIR resource type",
		"patient/Observation.sr":       "order",
		"patient/Observation.rr":       "order",
		"patient/Observation.x":        "none of",
		"patient/Observation.":         "no permission",
		"patient/Observation.read?a=b": "cannot carry a query",
		"patient/Observation.rs?":      "param=value",
		"patient/Observation.rs?code":  "param=value",
		"Patient/Observation.rs":       "case-sensitive",
		"launch/":                      "names no context",
		"launch/Patient":               "lower case",
		"launch/patient?x=y":           "role",
		"fhiruser":                     "did you mean",
		"offline-access":               "did you mean",
		"patient/Obser\u200bvation.rs": "character",
		`a"b`:                          "character",
	} {
		t.Run(text, func(t *testing.T) {
			if _, err := scope.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
		})
	}
}

func set(t *testing.T, text string) scope.Set {
	t.Helper()
	s, errs := scope.ParseList(text)
	if len(errs) != 0 {
		t.Fatal(errs)
	}
	return s
}

func TestCoversByMeaning(t *testing.T) {
	lab := "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
	for _, c := range []struct {
		have, want string
		covers     bool
	}{
		{"patient/*.read", "patient/Observation.rs patient/Patient.r", true},
		{"patient/Observation.rs", "patient/Observation.cruds", false},
		{"patient/Observation.r patient/Observation.s", "patient/Observation.rs", true},
		{lab, "patient/Observation.rs", false},
		{"patient/Observation.rs", lab, true},
		{lab, lab + "&status=final", true},
		{lab + "&status=final", lab, false},
		{"user/Patient.read", "patient/Patient.r", false},
		{"patient/Observation.rs", "patient/*.rs", false},
		{"patient/*.cruds", "patient/*.read", true},
		{"openid profile", "openid fhirUser", true},
		{"launch/patient", "launch", false},
		{"b a", "a b", true},
		{"openid", "offline_access", false},
		{"patient/Observation.rs?category=laboratory,vital-signs", "patient/Observation.rs?category=laboratory", true},
		{"patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=laboratory,vital-signs", false},
		{"patient/Observation.rs?category=laboratory", lab, true},
		{lab, "patient/Observation.rs?category=laboratory", false},
		{"patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=a|", false},
		{"patient/Observation.rs?category=a,", "patient/Observation.rs?category=b", false},
	} {
		if got := set(t, c.have).CoversAll(set(t, c.want)); got != c.covers {
			t.Errorf("%q covers %q: %v", c.have, c.want, got)
		}
	}
}

func TestWithoutNamesWhatIsMissing(t *testing.T) {
	asked := set(t, "openid patient/Patient.rs patient/Observation.rs")
	if got := asked.Without(set(t, "patient/Patient.read openid")).String(); got != "patient/Observation.rs" {
		t.Errorf("got %q", got)
	}
}

func TestDefaultFollowsWhoSignsIn(t *testing.T) {
	for _, c := range []struct {
		choices   scope.Choices
		has, lack []string
	}{
		{scope.Choices{Audience: "patient", OfflineAccess: true}, []string{"openid", "fhirUser", "offline_access", "launch/patient", "patient/Patient.rs"}, []string{"launch", "user/Patient.rs"}},
		{scope.Choices{Audience: "patient"}, []string{"openid", "fhirUser", "launch/patient"}, []string{"offline_access", "online_access"}},
		{scope.Choices{Audience: "provider", OfflineAccess: true}, []string{"openid", "fhirUser", "offline_access", "user/Patient.rs"}, []string{"launch/patient", "patient/Patient.rs"}},
		{scope.Choices{Audience: "provider", PatientNeeded: true}, []string{"openid", "fhirUser", "launch/patient", "user/Patient.rs"}, []string{"offline_access", "patient/Patient.rs"}},
	} {
		for _, v := range []scope.Version{scope.V1, scope.V2} {
			c.choices.Version = v
			d := c.choices.Default()
			for _, want := range c.has {
				if !d.Has(set(t, want).In(v).String()) {
					t.Errorf("%+v lacks %s: %s", c.choices, want, d)
				}
			}
			for _, not := range c.lack {
				if d.Has(set(t, not).In(v).String()) {
					t.Errorf("%+v asks for %s: %s", c.choices, not, d)
				}
			}
			if strings.Contains(d.String(), "*") || d.Mixed() || len(d.Warnings(c.choices.Audience, false)) > 0 {
				t.Errorf("%+v: %s: %q", c.choices, d, d.Warnings(c.choices.Audience, false))
			}
			for _, s := range d {
				if s.Kind == scope.Resource && s.Version != v {
					t.Errorf("%s is not in version %d", s, v)
				}
			}
			launch := d.ForLaunch()
			if launch[0].Text != "launch" || launch.Has("launch/patient") || launch.Has("offline_access") != c.choices.OfflineAccess || len(launch.Warnings(c.choices.Audience, true)) > 0 {
				t.Errorf("%+v at an EHR launch: %s: %q", c.choices, launch, launch.Warnings(c.choices.Audience, true))
			}
		}
		c.choices.Version = scope.V1
		v1 := c.choices.Default()
		c.choices.Version = scope.V2
		if !v1.CoversAll(c.choices.Default()) {
			t.Errorf("the two versions of %+v do not mean the same", c.choices)
		}
	}
}

func TestAServersOddScopesAreKeptAndItsControlCharactersAreNot(t *testing.T) {
	got := scope.Grammar([]string{"patient/Odd.thing", "openid", "openid", "a\x1b]0;x\x07", "b\u009b", ""})
	if got.String() != "patient/Odd.thing openid" {
		t.Errorf("%q", got)
	}
}

func TestAllowsAndRestrictions(t *testing.T) {
	s := set(t, "patient/Patient.r patient/Observation.rs?category=laboratory")
	if !s.Allows("patient", "Patient", scope.Read) || s.Allows("patient", "Patient", scope.Search) || s.Allows("user", "Patient", scope.Read) {
		t.Error("Allows is wrong on Patient.r")
	}
	if s.Allows("patient", "Observation", scope.Read) {
		t.Error("a granular scope counted for the whole type")
	}
	if r := s.Restrictions("patient", "Observation", scope.Read); len(r) != 1 || r[0].Query.Get("category") != "laboratory" {
		t.Errorf("restrictions = %v", r)
	}
}

func TestEveryResourceScopeSurvivesTranslation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		context := rapid.SampledFrom([]string{"patient", "user", "system"}).Draw(t, "context")
		typ := rapid.SampledFrom([]string{"*", "Patient", "Observation"}).Draw(t, "type")
		perm := scope.Permission(rapid.IntRange(1, 31).Draw(t, "permission"))
		s, err := scope.Parse(context + "/" + typ + "." + perm.String())
		if err != nil {
			t.Fatal(err)
		}
		if s.Permission != perm {
			t.Fatalf("%s parsed as %s", perm, s.Permission)
		}
		v1 := scope.Set{s}.In(scope.V1)
		if !v1.CoversAll(scope.Set{s}) {
			t.Fatalf("%s in version 1 is %s, which means less", s, v1)
		}
		if !v1.In(scope.V2).CoversAll(v1) {
			t.Fatalf("%s lost meaning on the way back", v1)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"patient/*.read", "patient/Observation.rs?category=a|b", "launch/patient?role=x", "openid", "a/b.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scope.Parse(text)
		if err != nil {
			return
		}
		if s.String() != text || !(scope.Set{s}).Covers(s) {
			t.Errorf("%q does not cover itself", text)
		}
	})
}
