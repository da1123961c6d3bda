package scope_test

import (
	"strings"
	"testing"
	"unicode"

	"chartkey/backend/scope"
)

func TestExplain(t *testing.T) {
	lab := "?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
	for text, want := range map[string]string{
		"patient/Patient.r":                                   "Read demographics, such as name, birth date and address, of the connected patient.",
		"patient/Observation.rs":                              "Read and search observations, such as laboratory results and vital signs, of the connected patient.",
		"patient/Goal.read":                                   "Read and search goals of the connected patient.",
		"user/FamilyMemberHistory.rs":                         "Read and search family member histories, wherever the person who signs in may.",
		"user/Encounter.s":                                    "Search encounters, such as visits and hospital stays, wherever the person who signs in may.",
		"user/Appointment.write":                              "Create, update and delete appointments, wherever the person who signs in may.",
		"system/*.cruds":                                      "Create, read, update, delete and search every kind of data, wherever the app itself may, with no person signed in.",
		"patient/*.read":                                      "Read and search every kind of data of the connected patient.",
		"patient/Observation.rs" + lab:                        "Read and search laboratory results of the connected patient.",
		"patient/Observation.rs?category=survey,vital-signs":  "Read and search survey answers and vital signs of the connected patient.",
		"patient/Observation.r?category=survey&category=exam": "Read observations with category survey and category exam of the connected patient.",
		"patient/Observation.r?category=%1b%5b2Jx":            "Read observations with category [2Jx of the connected patient.",
		"user/Condition.rs?category=problem-list-item&clinical-status=active,recurrence": "Read and search problem list items with clinical-status active or recurrence, wherever the person who signs in may.",
		"patient/Observation.rs?code=http://loinc.org|":                                  "Read and search observations with code any code of http://loinc.org of the connected patient.",
		"launch":                         "Learn what is open in the EHR when it launches the app: the patient, the encounter and why.",
		"launch/patient":                 "Have a patient chosen at the sign-in, and learn which one.",
		"launch/imagingstudy?role=prior": "Have a resource of the type imagingstudy chosen at the sign-in or by the EHR in the role prior, and learn which one.",
		"openid":                         "Learn who signed in, in a statement that the server signs (an id_token).",
		"offline_access":                 "Stay connected: renew the access with a refresh token, also when nobody is signed in at the EHR.",
		"system/DynamicClient.register":  "Register this copy of the app at Epic as a client of its own, once and right after the sign-in; it opens no record.",
		"epic.other":                     "Something of Epic's own, which its documentation explains; it is no part of SMART.",
		"teapot":                         "Something of the server's own, which its documentation explains; it is no part of SMART.",
		"http://smarthealthit.org/fhir/scopes/patient/Goal.r":      "Read goals of the connected patient.",
		"http://openid.net/specs/openid-connect-core-1_0#openid":   "Learn who signed in, in a statement that the server signs (an id_token).",
		"http://smarthealthit.org/fhir/scopes/patient/Goal.sprout": "Something of the server's own, which its documentation explains; it is no part of SMART.",
	} {
		if got := scope.Explain(scope.Grammar([]string{text})[0]); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func FuzzExplain(f *testing.F) {
	for _, s := range []string{"patient/*.read", "patient/Observation.rs?category=a%00|b,c", "launch/patient?role=%e2%80%aex", "epic.x", "user/Basic.cud?a=b&a=c|"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range scope.Grammar([]string{text}) {
			got := scope.Explain(s)
			if !strings.HasSuffix(got, ".") || !unicode.IsUpper(rune(got[0])) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("%q is explained by %q", text, got)
			}
		}
	})
}
