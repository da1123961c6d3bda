package workstation_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// call calls an exported method with zero values, and gives its error.
func call(t *testing.T, w *workstation.Workstation, name string) error {
	t.Helper()
	method := reflect.ValueOf(w).MethodByName(name)
	args := make([]reflect.Value, 0, method.Type().NumIn())
	for i := range method.Type().NumIn() {
		in := method.Type().In(i)
		switch {
		case in == reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(t.Context()))
		case method.Type().IsVariadic() && i == method.Type().NumIn()-1:
		default:
			args = append(args, reflect.Zero(in))
		}
	}
	var err error
	for _, out := range method.Call(args) {
		if e, ok := out.Interface().(error); ok {
			err = e
		}
	}
	return err
}

func methods() []string {
	var names []string
	for m := range reflect.TypeFor[*workstation.Workstation]().Methods() {
		names = append(names, m.Name)
	}
	return names
}

// Admins manage registrations, issuers, the vault, profiles, the policy and the
// activity record; clinicians work with what is their own. Everything else
// answers anybody, because it shows nothing that a lock hides.
var (
	forAdmins = []string{
		"SaveRegistration", "RemoveRegistration", "ApproveIssuer", "RefuseIssuer", "WithdrawIssuer", "InspectIssuer", "CreateVault", "ProtectVault",
		"AddProfile", "RemoveProfile", "ResetPasscode", "RevokeConnections", "SetPolicy", "AuditLog", "VerifyAudit", "ExportAudit", "Retain", "ResealAudit",
		"NewClientKey", "ImportClientKey", "UseClientKey", "RemoveClientKey", "SetProxy", "SetAuthorities", "SetClientCertificate",
		"EnableLocalHTTPS", "TrustLocalHTTPS", "DisableLocalHTTPS", "ApplyFix", "RegisterApp",
	}
	forSignedIn = []string{
		"BeginConnect", "AcceptConnection", "Test", "Refresh", "RefreshDue", "Disconnect", "Read", "ReadPages", "SaveLaunchSettings", "OpenVault", "Route", "Diagnose", "RecognizePage", "Survey", "Traces", "WriteTrace",
	}
)

func TestEachMethodHasItsRight(t *testing.T) {
	all := methods()
	for _, name := range all {
		if workstation.RightTo(name) == "" {
			t.Errorf("nothing says who may use %s", name)
		}
		want := "anybody"
		switch {
		case slices.Contains(forAdmins, name):
			want = "admin"
		case slices.Contains(forSignedIn, name):
			want = "signed in"
		}
		if got := workstation.RightTo(name); got != want {
			t.Errorf("%s is for %s, want %s", name, got, want)
		}
	}
	for _, name := range workstation.RightsListed() {
		if !slices.Contains(all, name) {
			t.Errorf("there is no method %s any more", name)
		}
	}
}

func TestAClinicianIsRefusedWhatIsAnAdmins(t *testing.T) {
	c := newClinic(t)
	reg := c.register(t)
	c.unlock(t, "dr okafor")
	if _, err := c.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	for _, name := range forAdmins {
		before, asked := c.dump(t), len(c.ehr.Requests())
		f := wantCode(t, call(t, c.Workstation, name), "role-needed")
		if f.Message != "This needs the role of an admin, and you are signed in as a clinician." {
			t.Errorf("%s: %q does not say which role it needs", name, f.Message)
		}
		if now := c.dump(t); now != before {
			t.Errorf("%s, refused, changed the database:\n%s", name, changes(before, now))
		}
		if n := len(c.ehr.Requests()); n != asked {
			t.Errorf("%s, refused, sent %d requests", name, n-asked)
		}
	}
	// What is theirs, they may do.
	if _, err := c.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	if _, err := c.Test(t.Context(), reg.ID, workstation.LayerAll, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.Refresh(t.Context(), reg.ID); err != nil {
		t.Error(err)
	}
	if _, err := c.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto); err != nil {
		t.Error(err)
	}
}

func TestWhatNeedsASignInIsRefusedWithoutOne(t *testing.T) {
	for _, who := range []string{"owner", "dr okafor"} {
		c := newClinic(t)
		c.unlock(t, who)
		t.Run(who+" is not asked yet", func(t *testing.T) { c.refusesAll(t, c.process(t, who), who, "passcode-needed") })
		t.Run(who+" is locked", func(t *testing.T) {
			if err := c.Lock(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			c.refusesAll(t, c.Workstation, who, "vault-locked")
		})
		c.unlock(t, who)
		t.Run(who+" is locked by another process", func(t *testing.T) {
			if err := c.process(t, "owner").LockEverywhere(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.refusesAll(t, c.process(t, who), who, "vault-locked")
			c.refusesAll(t, c.Workstation, who, "vault-locked")
		})
	}
}

// refusesAll calls whatever needs a signed-in profile.
func (c *clinic) refusesAll(t *testing.T, w *workstation.Workstation, who, code string) {
	t.Helper()
	names := forSignedIn
	if who == "owner" {
		names = slices.Concat(forSignedIn, forAdmins)
	}
	for _, name := range names {
		before, asked := c.dump(t), len(c.ehr.Requests())
		if err := call(t, w, name); fault.Code(workstation.Fault(err)) != code {
			t.Errorf("%s: %v (%s), want %s", name, err, fault.Code(err), code)
		}
		if now := c.dump(t); now != before {
			t.Errorf("%s, refused, changed the database:\n%s", name, changes(before, now))
		}
		if n := len(c.ehr.Requests()); n != asked {
			t.Errorf("%s, refused, sent %d requests", name, n-asked)
		}
	}
}

// TestAClinicianReadsNoSecret holds that a registration can be used by every
// profile, and its secret read by none.
func TestAClinicianReadsNoSecret(t *testing.T) {
	c := newClinic(t)
	reg := c.confidential(t)
	c.unlock(t, "dr okafor")
	if status, err := c.signIn(t, reg.ID, simulator.Choice{Username: "daniel", Password: "patient-pass1"}); err != nil || status.State != workstation.Connected {
		t.Fatalf("%+v %v", status, err)
	}
	got, err := c.Registration(t.Context(), reg.ID)
	if err != nil || got.ClientSecret != "set" {
		t.Errorf("%+v %v", got, err)
	}
	_, _, err = c.SaveRegistration(t.Context(), reg.ID, reg.Input())
	wantCode(t, err, "role-needed")
}
