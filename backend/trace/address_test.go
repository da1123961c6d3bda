package trace_test

import (
	"net/url"
	"strings"
	"testing"

	"chartkey/backend/trace"
)

func TestAddresses(t *testing.T) {
	const tenant = "ec2458f2-1e24-41c8-b71b-0ea8f8d60e03"
	for address, want := range map[string]string{
		"https://fhir.ehr.example/r4/" + tenant + "/Patient/12742399": "https://fhir.ehr.example/r4/" + tenant + "/Patient/‹patient 1›",
		"https://fhir.ehr.example/r4/" + tenant + "/metadata":         "https://fhir.ehr.example/r4/" + tenant + "/metadata",
		"https://auth.ehr.example/" + tenant + "/token":               "https://auth.ehr.example/" + tenant + "/token",
		// Of a place that is not known, only words stay.
		"https://other.example/t/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b/x/John%20Smith/12345":                                                                "https://other.example/t/‹text, 40 characters›/x/‹text, 10 characters›/‹text, 5 characters›",
		"https://ehr.example/api/FHIR/R4/Observation/abc/_history/3":                                                                                           "https://ehr.example/api/FHIR/R4/Observation/‹Observation id 1›/_history/‹text, 1 character›",
		"https://ehr.example/api/FHIR/R4/Patient/p1/$everything?_count=10&start=2020-01-01":                                                                    "https://ehr.example/api/FHIR/R4/Patient/‹patient 1›/$everything?_count=10&start=‹text, 10 characters›",
		"https://ehr.example/fhir/Patient/p1/Observation?status=final":                                                                                         "https://ehr.example/fhir/Patient/‹patient 1›/Observation?status=final",
		"https://ehr.example/fhir/Patient?_id=p1,p2&family:exact=Li&gender=female&_sort=-birthdate":                                                            "https://ehr.example/fhir/Patient?_id=‹patient 1›,‹patient 2›&family:exact=‹text, 2 characters›&gender=‹text, 6 characters›&_sort=-birthdate",
		"https://ehr.example/fhir/Observation?subject=Patient/p1&encounter=e1&category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs": "https://ehr.example/fhir/Observation?subject=Patient/‹patient 1›&encounter=‹encounter 1›&category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
		"https://ehr.example/fhir/Observation?patient=https://ehr.example/fhir/Patient/p1&access_token=abcdefgh":                                               "https://ehr.example/fhir/Observation?patient=https://ehr.example/fhir/Patient/‹patient 1›&access_token=‹token 1›",
		"https://ehr.example/fhir?_getpages=5f1c1fe8-5c0c-4b6e-a7c5-7d5e5d5c5b5a":                                                                              "https://ehr.example/fhir?_getpages=‹text, 36 characters›",
		"https://u:password-1@ehr.example:8443/x?sig=abcdefgh&redirect_uri=http://localhost:18320/callback%3Fa=b#access_token=abcdefgh&scope=openid":           "https://‹credentials 1›@ehr.example:8443/x?sig=‹text, 8 characters›&redirect_uri=http://localhost:18320/callback?a=‹text, 1 character›#access_token=‹access token 1›&scope=openid",
		"https://ehr.example/x#section-about-the-patient-p1":                                                                                                   "https://ehr.example/x#‹text, 28 characters›",
		"https://ehr.example/authorize?scope=launch/patient%20patient/Observation.rs?category=laboratory&_id=7&response_type=code&prompt=login%20consent":      "https://ehr.example/authorize?scope=launch/patient patient/Observation.rs?category=laboratory&_id=‹text, 1 character›&response_type=code&prompt=login consent",
		"https://ehr.example/x?a=%zz&%41=1&=2&b":                                                                                                               "https://ehr.example/x?a=‹text, 3 characters›&A=‹text, 1 character›&=‹text, 1 character›&b=",
		"http://[::1]:18320/callback?code=abcdefgh":                                                                                                            "http://[::1]:18320/callback?code=‹code 1›",
	} {
		r := trace.NewRecorder(trace.Options{FHIRBaseURL: "https://fhir.ehr.example/r4/" + tenant + "/", Endpoints: []string{"https://auth.ehr.example/" + tenant + "/token", "://", ""}})
		r.Note("x", address, nil)
		if got := r.Trace().Notes[0].Detail; got != want {
			t.Errorf("%s\n got %s\nwant %s", address, got, want)
		}
	}
}

// FuzzAddress has URLs of any form hold a secret under a name that says so, and
// a patient where the path says so.
func FuzzAddress(f *testing.F) {
	f.Add("https://ehr.example/fhir", "a=b", "x")
	f.Add("https://ehr.example", "redirect_uri=https://x/§", "§")
	f.Add("//x", "%zz", "")
	f.Add("https://ehr.example/fhir/Patient/§/§", "scope=§", "‹")
	f.Fuzz(func(t *testing.T, base, query, fragment string) {
		const canary = "Zx81Qm2xVb9kTtLw8NcJpE1rYs6"
		in := func(s string) string { return strings.ReplaceAll(s, "§", canary) }
		address := in(base) + "/Patient/" + canary + "?" + in(query) + "&code=" + canary + "#" + in(fragment)
		if _, err := url.Parse(address); err != nil {
			return
		}
		r := trace.NewRecorder(trace.Options{FHIRBaseURL: base})
		r.Note("x", address, nil)
		r.Note("x", "https://x.example/?code="+canary, nil)
		if got := r.Trace().Notes; strings.Contains(got[0].Detail, canary) || strings.Contains(got[1].Detail, canary) {
			t.Errorf("%q: %+v", address, got)
		}
	})
}
