package simulator

import (
	"net/http"
	"strings"
	"testing"
)

func TestReadErrors(t *testing.T) {
	r := start(t, Options{})
	token := word(r.connect(nil, Choice{})["access_token"])
	header := func(name, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set(name, value) }
	}
	for name, test := range map[string]struct {
		path, token string
		edit        func(*http.Request)
		status      int
		code        string
	}{
		"no token":              {"Patient/amara-nwosu", "", nil, 401, "login"},
		"unknown token":         {"Patient/amara-nwosu", "guessed", nil, 401, "login"},
		"token by Basic":        {"Patient/amara-nwosu", "", header("Authorization", "Basic eDp5"), 401, "login"},
		"token in the query":    {"Patient/amara-nwosu?access_token=" + token, "", nil, 401, "login"},
		"unknown type":          {"Spaceship/1", token, nil, 404, "not-supported"},
		"unknown ID":            {"Patient/nobody", token, nil, 404, "not-found"},
		"another patient":       {"Patient/walter-eriksen", token, nil, 404, "not-found"},
		"another's observation": {"Observation/walter-eriksen-bnp-1", token, nil, 404, "not-found"},
		"history":               {"Patient/amara-nwosu/_history/1", token, nil, 404, "not-supported"},
		"operation":             {"Patient/amara-nwosu/$everything", token, nil, 404, "not-supported"},
		"the base itself":       {"", token, nil, 404, "not-supported"},
		"search by GET":         {"Patient/_search", token, nil, 405, "not-supported"},
		"XML by Accept":         {"Patient/amara-nwosu", token, header("Accept", "application/fhir+xml"), 406, "not-supported"},
		"XML by _format":        {"Patient/amara-nwosu?_format=xml", token, nil, 406, "not-supported"},
		"JSON refused by q":     {"Patient/amara-nwosu", token, header("Accept", "application/fhir+json;q=0"), 406, "not-supported"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := r.get(test.path, test.token, test.edit)
			if resp.StatusCode != test.status || body["resourceType"] != "OperationOutcome" || first(body, "issue.code") != test.code || first(body, "issue.diagnostics") == "" {
				t.Errorf("%d %v", resp.StatusCode, body)
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); (test.status == 401) != strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
			if !strings.HasPrefix(resp.Header.Get("Content-Type"), fhirJSON) {
				t.Errorf("content type %q", resp.Header.Get("Content-Type"))
			}
		})
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		resp, body := r.get("Patient/amara-nwosu", token, func(q *http.Request) { q.Method = method })
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET" || body["resourceType"] != "OperationOutcome" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, body)
		}
	}
	for _, accept := range []string{"", "*/*", "application/json", "application/fhir+json; fhirVersion=4.0", "text/html, */*;q=0.1", "application/xml, application/fhir+json;q=0.5"} {
		if resp, _ := r.get("Patient/amara-nwosu", token, header("Accept", accept)); resp.StatusCode != 200 {
			t.Errorf("Accept %q: %d", accept, resp.StatusCode)
		}
	}
}

// TestScopesAreEnforced says for each granted scope what one request answers.
func TestScopesAreEnforced(t *testing.T) {
	r := start(t, Options{})
	provider := Choice{Username: "np.calloway", Password: practitionerPassword, Patient: "daniel-whitlock"}
	patient := Choice{Username: "daniel", Password: patientPassword}
	mother := Choice{Username: "sofia", Password: patientPassword}
	const laboratory = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
	for _, test := range []struct {
		scope  string
		choice Choice
		path   string
		status int
		total  int // of a search; -1 where it is no search
	}{
		{"patient/Patient.r", patient, "Patient/daniel-whitlock", 200, -1},
		{"patient/Patient.r", patient, "Patient?_id=daniel-whitlock", 403, -1},
		{"patient/Patient.s", patient, "Patient/daniel-whitlock", 403, -1},
		{"patient/Patient.s", patient, "Patient", 200, 1},
		{"patient/Patient.read", patient, "Patient", 200, 1},
		{"patient/*.read", patient, "Condition", 200, 4},
		{"patient/*.rs", patient, "Condition?patient=daniel-whitlock", 200, 4},
		{"patient/*.rs", patient, "Condition?patient=walter-eriksen", 200, 0},
		{"patient/*.rs", patient, "Condition/walter-eriksen-condition-1", 404, -1},
		{"patient/Condition.rs", patient, "Observation", 403, -1},
		{"patient/Condition.rs", patient, "Observation/daniel-whitlock-hba1c-1", 403, -1},
		{"patient/*.rs", patient, "Practitioner/nneka-okafor", 200, -1},
		{"patient/*.rs", patient, "Organization", 200, 2},
		{"patient/Observation.rs?category=" + laboratory, patient, "Observation?category=vital-signs", 200, 0},
		{"patient/Observation.rs?category=" + laboratory, patient, "Observation?code=4548-4", 200, 4},
		{"patient/Observation.rs?category=laboratory", patient, "Observation/daniel-whitlock-hba1c-1", 200, -1},
		{"patient/Observation.rs?category=laboratory", patient, "Observation/daniel-whitlock-heart-rate-1", 403, -1},
		{"patient/Observation.rs?category=laboratory", patient, "Observation/walter-eriksen-bnp-1", 404, -1},
		{"patient/Observation.rs?category=laboratory patient/Observation.r", patient, "Observation/daniel-whitlock-heart-rate-1", 200, -1},
		{"patient/Observation.rs?category=laboratory patient/Observation.r", patient, "Observation?category=vital-signs", 200, 0},
		{"patient/Observation.rs?category=laboratory&status=final", patient, "Observation?code=4548-4", 200, 4},
		{"patient/Observation.rs?category=laboratory&status=cancelled", patient, "Observation?code=4548-4", 200, 0},
		{"user/Patient.rs", patient, "Patient", 200, 1},
		{"user/Patient.rs", mother, "Patient", 200, 2},
		{"user/Condition.rs", mother, "Condition/luca-marchetti-condition-1", 200, -1},
		{"patient/Condition.rs", mother, "Condition/luca-marchetti-condition-1", 404, -1},
		{"user/Patient.rs", provider, "Patient", 200, 15},
		{"user/Patient.rs", provider, "Patient/walter-eriksen", 200, -1},
		{"launch/patient patient/Patient.rs", provider, "Patient", 200, 1},
		{"launch/patient patient/Condition.rs user/Patient.rs", provider, "Patient", 200, 15},
		{"launch/patient patient/Condition.rs user/Patient.rs", provider, "Condition", 200, 4},
		{"openid fhirUser", patient, "Patient/daniel-whitlock", 403, -1},
	} {
		t.Run(test.scope+" "+test.path, func(t *testing.T) {
			in := r
			in.t = t
			token := word(in.connect(map[string]string{"scope": test.scope}, test.choice)["access_token"])
			resp, body := in.get(test.path, token, nil)
			if resp.StatusCode != test.status {
				t.Fatalf("%d %v", resp.StatusCode, body)
			}
			if test.total >= 0 && body["total"] != float64(test.total) {
				t.Errorf("total %v, want %d", body["total"], test.total)
			}
			if test.status == 403 && !strings.Contains(resp.Header.Get("WWW-Authenticate"), "insufficient_scope") {
				t.Errorf("WWW-Authenticate %q", resp.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestSensibleLogOfAHiddenRecord(t *testing.T) {
	r := start(t, Options{})
	token := word(r.connect(nil, Choice{})["access_token"])
	r.get("Patient/walter-eriksen", token, nil)
	if got := r.lastVerdict(); !strings.Contains(got, "another patient's") {
		t.Errorf("verdict %q", got)
	}
}
