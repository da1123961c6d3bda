package simulator

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestTheListOfEpicsCodes(t *testing.T) {
	list, err := publishedEpicCodes()
	if err != nil || len(list.Codes) != 37 || list.System != "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369" {
		t.Fatalf("%d codes of %s, %v", len(list.Codes), list.System, err)
	}
	for _, used := range []string{
		epicNoResults, epicInvalidID, epicNoParameters, epicMissingParameter, epicCombination, epicNotAuthorized, epicMoreData, epicUnknownParameter, epicInvalidContent, epicRequiredMissing,
	} {
		if issue := epicIssue(used, "invalid", ""); issue.Details == nil || issue.Details.Text == "" || !slices.Contains([]string{"fatal", "warning", "information"}, issue.Severity) {
			t.Errorf("%s is not on the list: %+v", used, issue)
		}
	}
}

// codesOf gives Epic's codes in an OperationOutcome, or in the entries of a Bundle that are one.
func codesOf(body map[string]any) string {
	var out []string
	walk(body, "", func(_ string, o map[string]any) {
		if o["system"] == "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369" {
			out = append(out, word(o["code"]))
		}
	})
	return strings.Join(out, " ")
}

func TestEpicsOutcomes(t *testing.T) {
	r := start(t, Options{Profile: ProfileEpic})
	token := word(r.connect(map[string]string{"scope": "launch/patient patient/*.rs"}, Choice{})["access_token"])
	narrow := word(r.connect(map[string]string{"scope": "launch/patient patient/Patient.rs"}, Choice{})["access_token"])
	for path, want := range map[string]struct {
		status       int
		codes, token string
	}{
		"Patient/amara-nwosu":     {200, "", token},
		"Patient/unknown":         {404, epicInvalidID, token},
		"Patient/daniel-whitlock": {404, epicInvalidID, token}, // another patient's, not to be told from none
		"Condition/x":             {403, epicNotAuthorized, narrow},
		"Condition":               {400, epicNoParameters, token},
		"Condition?_count=5":      {400, epicNoParameters, token},
		"Condition?category=x":    {400, epicMissingParameter, token},
		"Condition?patient=amara-nwosu&patient=daniel-whitlock":      {400, epicCombination, token},
		"Condition?patient=nobody":                                   {400, epicInvalidContent, token},
		"Condition?subject=Patient/nobody":                           {400, epicInvalidContent, token},
		"Observation?patient=amara-nwosu":                            {400, epicRequiredMissing, token},
		"Observation?patient=amara-nwosu&category=laboratory":        {200, epicMoreData, token},
		"Observation?patient=amara-nwosu&category=none-such":         {200, epicNoResults + " " + epicMoreData, token},
		"Condition?patient=Patient/amara-nwosu&teapot=1":             {200, epicUnknownParameter + " " + epicMoreData, token},
		"Condition?patient=amara-nwosu&onset-date=nonsense":          {400, epicInvalidContent, token},
		"Patient?_id=amara-nwosu":                                    {200, epicMoreData, token},
		"Organization?name=x":                                        {200, epicNoResults + " " + epicMoreData, token},
		"Observation?patient=" + r.FHIRBaseURL() + "/Patient/nobody": {400, epicRequiredMissing, token},
	} {
		resp, body := r.get(path, want.token, nil)
		if got := codesOf(body); resp.StatusCode != want.status || got != want.codes {
			t.Errorf("%s: %d %q, want %d %q", path, resp.StatusCode, got, want.status, want.codes)
		}
		if want.status >= 400 && (body["resourceType"] != "OperationOutcome" || r.lastVerdict() == "") {
			t.Errorf("%s: %v, %q", path, body, r.lastVerdict())
		}
	}

	// A clinician is not told that more may be in the record.
	clinician := word(r.connect(map[string]string{"scope": "launch/patient patient/*.rs"}, Choice{Username: "dr.okafor", Password: practitionerPassword, Patient: "amara-nwosu"})["access_token"])
	if _, body := r.get("Condition?patient=amara-nwosu", clinician, nil); codesOf(body) != "" {
		t.Errorf("codes %s", codesOf(body))
	}

	must(t, r.SetTraits(traitSearchParameters))
	if resp, body := r.get("Condition", clinician, nil); resp.StatusCode != http.StatusBadRequest || codesOf(body) != "" || body["resourceType"] != "OperationOutcome" {
		t.Errorf("required-search-parameters alone: %d %v", resp.StatusCode, body)
	}
	must(t, r.SetTraits())
	for path, status := range map[string]int{"Condition": 200, "Condition?patient=nobody": 200, "Patient/unknown": 404} {
		if resp, body := r.get(path, token, nil); resp.StatusCode != status || codesOf(body) != "" {
			t.Errorf("without traits, %s: %d %v", path, resp.StatusCode, body)
		}
	}
}
