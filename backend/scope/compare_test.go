package scope_test

import (
	"slices"
	"strings"
	"testing"

	"chartkey/backend/scope"

	"pgregory.net/rapid"
)

func TestCompare(t *testing.T) {
	cat := "http://terminology.hl7.org/CodeSystem/observation-category|"
	same := "You asked as SMART 2 writes it and the server answered as SMART 1 does: .read means .rs, and .write means .cud."
	for name, c := range map[string]struct {
		asked, granted    string
		less, more, alike []string
	}{
		"the same, in another order":     {asked: "openid fhirUser patient/Patient.rs", granted: "patient/Patient.rs fhirUser openid"},
		"the letters apart":              {asked: "patient/Patient.rs", granted: "patient/Patient.r patient/Patient.s"},
		"a wildcard for types":           {asked: "patient/Patient.rs patient/Goal.r", granted: "patient/*.rs", more: []string{"More was granted than was asked for: reading and searching every kind of data."}},
		"profile for fhirUser":           {asked: "openid fhirUser", granted: "openid profile"},
		"version 1 for version 2":        {asked: "patient/Patient.rs", granted: "patient/Patient.read", alike: []string{same}},
		"version 1 for a lone r":         {asked: "patient/Patient.rs patient/Goal.r", granted: "patient/Patient.read patient/Goal.read", alike: []string{same}},
		"version 2 for version 1":        {asked: "patient/*.read", granted: "patient/*.rs", alike: []string{"You asked as SMART 1 writes it and the server answered as SMART 2 does: .rs means .read, and .cud means .write."}},
		"the URI form":                   {asked: "openid patient/Goal.r", granted: "http://openid.net/specs/openid-connect-core-1_0#openid http://smarthealthit.org/fhir/scopes/patient/Goal.r"},
		"fewer permissions":              {asked: "patient/Observation.rs", granted: "patient/Observation.r", less: []string{"You asked to read and search observations; only reading was granted."}},
		"fewer permissions, of several":  {asked: "patient/Observation.cruds patient/Goal.cruds", granted: "patient/Observation.rs patient/Goal.read", less: []string{"You asked to create, read, update, delete and search observations and goals; only reading and searching were granted."}, alike: []string{same}},
		"types that are missing":         {asked: "patient/Observation.rs patient/Condition.rs patient/Goal.r patient/Patient.rs", granted: "patient/Patient.rs", less: []string{"Not granted: reading and searching observations and conditions; reading goals."}},
		"a wildcard narrowed to types":   {asked: "patient/*.rs", granted: "patient/Observation.rs patient/Patient.rs", less: []string{"You asked to read and search every kind of data; it was granted for observations and demographics only."}},
		"a wildcard narrowed twice":      {asked: "patient/*.rs", granted: "patient/Observation.rs patient/Patient.r", less: []string{"You asked to read and search every kind of data; only this was granted: reading and searching observations; reading demographics."}},
		"a wildcard narrowed by a query": {asked: "patient/Observation.rs", granted: "patient/*.rs?status=final", less: []string{"You asked to read and search observations; it was granted for observations with status final only."}, more: []string{"More was granted than was asked for: reading and searching every kind of data with status final."}},
		"a type narrowed to a category":  {asked: "patient/Observation.rs", granted: "patient/Observation.rs?category=" + cat + "laboratory", less: []string{"You asked to read and search observations; it was granted for laboratory results only."}},
		"a type narrowed to categories":  {asked: "patient/Observation.rs", granted: "patient/Observation.rs?category=" + cat + "laboratory patient/Observation.rs?category=vital-signs", less: []string{"You asked to read and search observations; it was granted for laboratory results and vital signs only."}},
		"searching narrowed":             {asked: "patient/Observation.rs", granted: "patient/Observation.r patient/Observation.s?category=laboratory", less: []string{"You asked to read and search observations; only this was granted: reading observations; searching laboratory results."}},
		"another category":               {asked: "patient/Observation.rs?category=laboratory", granted: "patient/Observation.rs?category=vital-signs", less: []string{"Not granted: reading and searching laboratory results."}, more: []string{"More was granted than was asked for: reading and searching vital signs."}},
		"a category widened":             {asked: "patient/Observation.rs?category=laboratory", granted: "patient/Observation.rs", more: []string{"More was granted than was asked for: reading and searching observations."}},
		"user for patient":               {asked: "patient/Patient.rs patient/Goal.rs", granted: "user/Patient.rs user/Goal.rs", less: []string{"You asked with patient/ and it was granted with user/ for demographics and goals: the access reaches as far as the person who signed in may see, which is the same where that person is the patient."}},
		"patient for user":               {asked: "user/Patient.rs", granted: "patient/Patient.read", less: []string{"You asked with user/ and it was granted with patient/ for demographics: the access is to one patient's record only."}, alike: []string{same}},
		"moved and less":                 {asked: "user/Goal.cruds", granted: "patient/Goal.rs", less: []string{"You asked to create, read, update, delete and search goals; only reading and searching were granted.", "You asked with user/ and it was granted with patient/ for goals: the access is to one patient's record only."}},
		"moved and narrowed":             {asked: "patient/*.rs", granted: "user/Goal.rs", less: []string{"You asked to read and search every kind of data; it was granted for goals only.", "You asked with patient/ and it was granted with user/ for every kind of data: the access reaches as far as the person who signed in may see, which is the same where that person is the patient."}},
		"a part here, all elsewhere":     {asked: "patient/Observation.rs", granted: "patient/Observation.rs?category=laboratory user/Observation.rs", less: []string{"You asked to read and search observations; it was granted for laboratory results only."}, more: []string{"More was granted than was asked for: reading and searching observations (user/)."}},
		"the other grammar beside":       {asked: "user/Goal.rs", granted: "user/Goal.rs user/Condition.read", more: []string{"More was granted than was asked for: reading and searching conditions."}},
		"one of two contexts":            {asked: "patient/Goal.rs user/Goal.rs", granted: "user/Goal.rs", less: []string{"Not granted: reading and searching goals (patient/)."}},
		"more than asked":                {asked: "user/Goal.rs", granted: "user/Goal.cruds user/Patient.r", more: []string{"More was granted than was asked for: creating, updating and deleting goals; reading demographics."}},
		"another context beside":         {asked: "patient/Goal.rs", granted: "patient/Goal.rs user/Goal.rs", more: []string{"More was granted than was asked for: reading and searching goals (user/)."}},
		"no offline access":              {asked: "openid offline_access", granted: "openid", less: []string{"offline_access was not granted: nothing has failed, but when the access token runs out, often after an hour, a new sign-in is needed."}},
		"online for offline":             {asked: "offline_access", granted: "online_access", less: []string{"online_access was granted in place of offline_access: the access can be renewed only while the person is signed in at the EHR."}},
		"offline for online":             {asked: "online_access", granted: "offline_access", more: []string{"offline_access was granted without being asked for: the access can outlast the sign-in."}},
		"no openid":                      {asked: "openid fhirUser", granted: "launch/patient", less: []string{"openid and fhirUser were not granted, so it is not known who signed in."}, alike: []string{"Also granted, which opens no data: launch/patient."}},
		"no openid alone":                {asked: "openid fhirUser", granted: "fhirUser", less: []string{"openid was not granted, so it is not known who signed in."}},
		"no fhirUser":                    {asked: "openid fhirUser", granted: "openid", less: []string{"fhirUser was not granted, so it may not be known which Patient or Practitioner signed in."}},
		"no patient":                     {asked: "launch/patient", granted: "openid", less: []string{"launch/patient was not granted, so the EHR may not tell a chosen patient."}, alike: []string{"Also granted, which opens no data: openid."}},
		"no launch":                      {asked: "launch", granted: "", less: []string{"launch was not granted, so the EHR may not tell which patient and encounter are open."}},
		"launch/patient for launch":      {asked: "launch", granted: "launch/patient", alike: []string{"Also granted, which opens no data: launch/patient."}},
		"launch for launch/patient":      {asked: "launch/patient", granted: "launch", alike: []string{"Also granted, which opens no data: launch."}},
		"the server's own":               {asked: "a b", granted: "b c", less: []string{"Not granted, of the server's own scopes: a."}, more: []string{"Granted without being asked for, of the server's own scopes: c."}},
	} {
		t.Run(name, func(t *testing.T) {
			d := scope.Compare(set(t, c.asked), set(t, c.granted))
			if !slices.Equal(d.Less, c.less) || !slices.Equal(d.More, c.more) || !slices.Equal(d.Alike, c.alike) {
				t.Errorf("less  %q\nmore  %q\nalike %q", d.Less, d.More, d.Alike)
			}
			if d.Less == nil || d.More == nil || d.Alike == nil {
				t.Error("a list is null in JSON")
			}
			if d.Note() != strings.Join(append(append([]string{}, c.less...), c.more...), " ") {
				t.Errorf("note %q", d.Note())
			}
		})
	}
}

// drawn gives some scopes of few types, so that sets meet often.
func drawn(t *rapid.T, label string) scope.Set {
	texts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		text := rapid.SampledFrom([]string{"patient/", "user/"}).Draw(t, "context") + rapid.SampledFrom([]string{"*", "Goal", "Observation"}).Draw(t, "type") + "."
		if v1 := rapid.SampledFrom([]string{"", "", "read", "write", "*"}).Draw(t, "version 1"); v1 != "" {
			return text + v1
		}
		text += scope.Permission(rapid.IntRange(1, 31).Draw(t, "permission")).String()
		return text + rapid.SampledFrom([]string{"", "", "?category=laboratory", "?category=survey", "?category=laboratory,survey", "?status=final"}).Draw(t, "query")
	}), 0, 4).Draw(t, label)
	return scope.Grammar(texts)
}

func TestCompareSaysLessExactlyWhereSomethingIsNotCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asked, granted := drawn(t, "asked"), drawn(t, "granted")
		d := scope.Compare(asked, granted)
		if (len(d.Less) == 0) != granted.CoversAll(asked) {
			t.Fatalf("asked %s, granted %s: %+v", asked, granted, d)
		}
		// Beyond what version 1 cannot say apart, what is granted and not covered by what was asked is told.
		if len(d.Less) == 0 && (len(d.More) == 0) != asked.CoversAll(granted) && (len(d.More) > 0 || !asked.In(scope.V1).CoversAll(granted)) {
			t.Fatalf("asked %s, granted %s: %+v", asked, granted, d)
		}
		for _, sentence := range slices.Concat(d.Less, d.More, d.Alike) {
			if !strings.HasSuffix(sentence, ".") || strings.Contains(sentence, "  ") || strings.HasSuffix(sentence, " .") {
				t.Fatalf("%q is no sentence", sentence)
			}
		}
	})
}

func TestCompareTakesTheOtherGrammarForTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asked := drawn(t, "asked")
		if d := scope.Compare(asked, asked); d.Note() != "" || len(d.Alike) > 0 {
			t.Fatalf("%s differs from itself: %+v", asked, d)
		}
		if d := scope.Compare(asked, asked.In(scope.V1)); len(d.Less) > 0 {
			t.Fatalf("%s is less as %s: %+v", asked, asked.In(scope.V1), d)
		}
		if v1 := asked.In(scope.V1); scope.Compare(v1, v1.In(scope.V2)).Note() != "" {
			t.Fatalf("%s differs in version 2", v1)
		}
	})
}

func FuzzCompare(f *testing.F) {
	f.Add("patient/*.read openid launch/patient", "user/Goal.r?a=%0a|x offline_access epic.x")
	f.Add("system/*.cruds?x=y", "patient/Observation.rs?category=a,b profile")
	f.Fuzz(func(t *testing.T, asked, granted string) {
		d := scope.Compare(scope.Grammar(strings.Fields(asked)), scope.Grammar(strings.Fields(granted)))
		if note := d.Note(); strings.ContainsAny(note, "\n\r\x1b") || (note != "" && !strings.HasSuffix(note, ".")) {
			t.Errorf("%q", note)
		}
	})
}
