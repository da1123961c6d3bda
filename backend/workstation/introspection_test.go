package workstation_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func TestIntrospectionIsHeldAgainstWhatWasTold(t *testing.T) {
	for name, c := range map[string]struct {
		change func(told map[string]any)
		result workstation.Result
		says   string
	}{
		"the same":         {func(map[string]any) {}, workstation.Pass, "active until"},
		"less said":        {func(told map[string]any) { clearBut(told, "active") }, workstation.Pass, "without saying"},
		"not active":       {func(told map[string]any) { clearBut(told, "active"); told["active"] = false }, workstation.Warning, "not active"},
		"no answer":        {func(told map[string]any) { clear(told) }, workstation.Warning, "did not say whether"},
		"another end":      {func(told map[string]any) { told["exp"] = time.Now().Add(10 * time.Hour).Unix() }, workstation.Warning, "another end"},
		"fewer scopes":     {func(told map[string]any) { told["scope"] = "openid patient/Patient.r" }, workstation.Warning, "no longer names patient/Patient.rs"},
		"more scopes":      {func(told map[string]any) { told["scope"] = told["scope"].(string) + " user/Patient.cruds" }, workstation.Warning, "names more than it told, user/Patient.cruds"},
		"another grammar":  {func(told map[string]any) { told["scope"] = strings.ReplaceAll(told["scope"].(string), ".rs", ".read") }, workstation.Pass, ""},
		"identity unsaid":  {func(told map[string]any) { told["scope"] = strings.ReplaceAll(told["scope"].(string), "openid", "") }, workstation.Pass, ""},
		"another patient":  {func(told map[string]any) { told["patient"] = "daniel-whitlock" }, workstation.Warning, "another patient"},
		"another client":   {func(told map[string]any) { told["client_id"] = "somebody" }, workstation.Warning, "another client, somebody"},
		"active and ended": {func(told map[string]any) { told["exp"] = time.Now().Add(-time.Hour).Unix() }, workstation.Warning, "another end"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOtherBench(t, otherOptions{})
			reg := b.registered(t, nativeClient, "")
			b.server.introspected = c.change
			b.mustSignIn(t, reg.ID, amara)
			report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
			if err != nil || !report.OK {
				t.Fatalf("%+v %v", report, err)
			}
			if got := checkOf(t, report, "introspection"); got.Result != c.result || !strings.Contains(got.Detail, c.says) || (got.Result == workstation.Warning) != (got.Advice != "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func clearBut(m map[string]any, keep string) {
	for k := range m {
		if k != keep {
			delete(m, k)
		}
	}
}

// The ends are compared on one clock, however wrong this workstation's is.
func TestIntrospectionOnAWrongClock(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	wrong := &clock{offset: -90 * time.Second}
	b.Workstation = openDesk(t, b.home, wrong)
	reg, _ := b.connected(t)
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	if err != nil || checkOf(t, report, "introspection").Result != workstation.Pass {
		t.Errorf("%+v %v", report, err)
	}
}

func TestIntrospectionThatIsNotOffered(t *testing.T) {
	for name, c := range map[string]struct {
		configure func(doc map[string]any)
		result    workstation.Result
	}{
		"not advertised": {func(doc map[string]any) { delete(doc, "introspection_endpoint") }, workstation.Skipped},
		"not there": {func(doc map[string]any) {
			doc["introspection_endpoint"] = strings.Replace(doc["introspection_endpoint"].(string), "/introspect", "/nothing", 1)
		}, workstation.Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOtherBench(t, otherOptions{configuration: c.configure})
			reg := b.registered(t, nativeClient, "")
			b.mustSignIn(t, reg.ID, amara)
			report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
			if got := checkOf(t, report, "introspection"); err != nil || !report.OK || got.Result != c.result || got.Detail == "" {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

// A server that one day names another place to ask about tokens does not get them.
func TestATokenIsNotShownToAnotherServersIntrospection(t *testing.T) {
	var seen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.FormValue("token"))
		writeJSON(w, http.StatusOK, map[string]any{"active": true})
	}))
	defer elsewhere.Close()
	b := newOtherBench(t, otherOptions{configuration: func(doc map[string]any) { doc["introspection_endpoint"] = elsewhere.URL + "/introspect" }})
	reg := b.registered(t, nativeClient, "")
	b.mustSignIn(t, reg.ID, amara)
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	if err != nil || checkOf(t, report, "introspection").Result != workstation.Warning || len(seen) > 0 {
		t.Errorf("%+v %v; %d tokens were shown", report, err, len(seen))
	}
}

func TestNamesAreKnownRightAfterTheSignIn(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	in := b.input()
	in.Name, in.Audience = "Providers", "provider"
	providers, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil || status.PatientName == nil || !strings.Contains(*status.PatientName, "Nwosu") || status.UserName == nil || *status.UserName != *status.PatientName {
		t.Errorf("a patient's own sign-in: %+v %v", status, err)
	}
	reads := b.asked("/fhir/Patient/")
	if reads != 1 {
		t.Errorf("one person was read %d times", reads)
	}
	status, err = b.signIn(t, providers.ID, okafor)
	if err != nil || status.UserName == nil || !strings.Contains(*status.UserName, "Okafor") || status.PatientName != nil {
		t.Errorf("a provider's: %+v %v", status, err)
	}

	// What the scopes do not allow is not tried.
	before := b.asked("/fhir/P")
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{Scopes: []string{"openid", "fhirUser", "launch/patient", "patient/Observation.rs"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err != nil {
		t.Fatal(err)
	}
	if status, err = login.Wait(t.Context()); err != nil || status.UserName != nil || b.asked("/fhir/P") != before {
		t.Errorf("without scopes to read: %+v %v, %d reads", status, err, b.asked("/fhir/P")-before)
	}
}

// A server that is slow or broken at its FHIR end holds no sign-in up, and fails none.
func TestNamesThatCannotBeReadFailNoSignIn(t *testing.T) {
	for _, fault := range []string{"fhir-500", "fhir-hangs", "fhir-token-refused"} {
		t.Run(fault, func(t *testing.T) {
			b := newBench(t, simulator.Settings{})
			reg := b.register(t)
			if err := b.ehr.SetFaults(fault); err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			status, err := b.signIn(t, reg.ID, amara)
			if err != nil || status.State != workstation.Connected || status.FHIRUser == nil || status.UserName != nil || status.LastError != nil {
				t.Errorf("%+v %v", status, err)
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if err := b.ehr.SetFaults(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
