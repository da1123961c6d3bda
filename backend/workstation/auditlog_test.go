package workstation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"
)

// office is a clinic with an admin at a process of their own.
type office struct {
	*clinic
	admin *workstation.Workstation
	reg   workstation.Registration
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{clinic: newClinic(t)}
	o.reg = o.register(t)
	o.admin = o.process(t, "owner")
	o.unlockAt(t, o.admin, "owner")
	o.unlock(t, "dr okafor")
	return o
}

// as connects dr okafor with an account of the EHR's.
func (o *office) connect(t *testing.T, choice simulator.Choice) workstation.Status {
	t.Helper()
	s, err := o.signIn(t, o.reg.ID, choice)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asymmetric registers a client that signs with a key, and gives its keys.
func (o *office) asymmetric(t *testing.T) (workstation.Registration, []workstation.ClientKey) {
	t.Helper()
	in := o.input()
	in.Name, in.ClientType = "Keys", "confidential-asymmetric"
	reg, _, err := o.admin.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := o.admin.NewClientKey(t.Context(), reg.ID, smart.ES384); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := o.admin.ClientKeys(t.Context(), reg.ID)
	if err != nil {
		t.Fatal(err)
	}
	return reg, keys
}

// entries gives those of the record after a number, as lines: who, then what,
// in which phase, about whom, with which fault.
func (o *office) entries(t *testing.T, after int) []string {
	t.Helper()
	if locked, err := o.admin.LockedElsewhere(t.Context()); err != nil || locked {
		o.unlockAt(t, o.admin, "owner")
	}
	var out bytes.Buffer
	if err := o.admin.ExportAudit(t.Context(), workstation.ExportNDJSON, &out); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range bytes.Lines(out.Bytes()) {
		var e audit.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if int(e.Seq) <= after || e.Action == "" {
			continue
		}
		text := e.ProfileName + ": " + string(e.Action)
		for _, more := range []string{e.Detail, string(e.Phase), e.Resource, e.Subject, e.Patient, e.Fault} {
			if more != "" {
				text += " " + more
			}
		}
		if e.Origin != audit.FromCommandLine {
			text += " (" + string(e.Origin) + ")"
		}
		if e.RegistrationID != "" && (e.RegistrationName == "" || e.Server == "" && e.Action != audit.LaunchDecision) {
			t.Errorf("an entry without its registration: %+v", e)
		}
		lines = append(lines, text)
	}
	return lines[:len(lines)-1] // the export itself
}

func (o *office) last(t *testing.T) int {
	t.Helper()
	var n int
	if err := sqlOf(t, o.home).QueryRowContext(t.Context(), "SELECT coalesce(max(seq), 0) FROM audit").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// recordedDeeds are what leaves a trace in the record, each with the method
// that does it and the entries that it leaves.
var recordedDeeds = []struct {
	method string
	about  string
	// prepare comes before, do is the deed itself.
	prepare func(t *testing.T, o *office)
	do      func(ctx context.Context, t *testing.T, o *office) error
	want    []string
}{
	{"BeginConnect", "", nil, func(_ context.Context, t *testing.T, o *office) error {
		_, err := o.signIn(t, o.reg.ID, amara)
		return err
	}, []string{"dr okafor: connect started", "dr okafor: connect done Patient/amara-nwosu",
		"dr okafor: read resource started Patient Patient/amara-nwosu", "dr okafor: read resource done Patient Patient/amara-nwosu"}},
	{"BeginConnect", "another account", func(t *testing.T, o *office) { o.connect(t, amara) }, func(_ context.Context, t *testing.T, o *office) error {
		_, err := o.signIn(t, o.reg.ID, daniel)
		if fault.Code(err) == "account-changed" {
			err = nil
		}
		return err
	}, []string{"dr okafor: connect started", "dr okafor: connect done Patient/daniel-whitlock",
		"dr okafor: read resource started Patient Patient/daniel-whitlock", "dr okafor: read resource done Patient Patient/daniel-whitlock"}},
	{"AcceptConnection", "", func(t *testing.T, o *office) {
		o.connect(t, amara)
		_, err := o.signIn(t, o.reg.ID, daniel)
		wantCode(t, err, "account-changed")
	}, func(ctx context.Context, t *testing.T, o *office) error {
		s, err := o.Status(ctx, o.reg.ID)
		if err != nil || s.Waiting == nil {
			t.Fatal(s.Waiting, err)
		}
		return o.AcceptConnection(ctx, s.Waiting.ConnectionID)
	}, []string{"dr okafor: connect account-accepted Patient/daniel-whitlock"}},
	{"Refresh", "", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Refresh(ctx, o.reg.ID)
		return err
	}, []string{"dr okafor: refresh started Patient/amara-nwosu", "dr okafor: refresh done Patient/amara-nwosu"}},
	{"Test", "configuration", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Test(ctx, o.reg.ID, workstation.LayerConfiguration, nil)
		return err
	}, []string{"dr okafor: test configuration started", "dr okafor: test configuration done"}},
	{"Test", "live", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Test(ctx, o.reg.ID, workstation.LayerLive, nil)
		return err
	}, []string{"dr okafor: test live started", "dr okafor: test live done Patient/amara-nwosu"}},
	{"Read", "a resource", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Read(ctx, o.reg.ID, "Patient/amara-nwosu")
		return err
	}, []string{"dr okafor: read resource started Patient Patient/amara-nwosu", "dr okafor: read resource done Patient Patient/amara-nwosu"}},
	{"Read", "what is not there", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, t *testing.T, o *office) error {
		_, err := o.Read(ctx, o.reg.ID, "Patient/daniel-whitlock")
		if fault.Code(err) == "fhir-not-found" {
			err = nil
		}
		return err
	}, []string{"dr okafor: read resource started Patient Patient/daniel-whitlock", "dr okafor: read resource failed Patient Patient/daniel-whitlock fhir-not-found"}},
	{"ReadPages", "", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.ReadPages(ctx, o.reg.ID, "Observation?patient=amara-nwosu&_count=2", 4, func(json.RawMessage) error { return nil })
	}, []string{"dr okafor: read search started Observation Patient/amara-nwosu", "dr okafor: read search done Observation Patient/amara-nwosu"}},
	{"Disconnect", "", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Disconnect(ctx, o.reg.ID, workstation.RevokeAuto)
		return err
	}, []string{"dr okafor: disconnect started Patient/amara-nwosu", "dr okafor: disconnect done Patient/amara-nwosu"}},
	{"Disconnect", "without telling the EHR", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Disconnect(ctx, o.reg.ID, workstation.RevokeNever)
		return err
	}, []string{"dr okafor: disconnect started Patient/amara-nwosu", "dr okafor: disconnect done Patient/amara-nwosu"}},
	{"RefreshDue", "", func(t *testing.T, o *office) {
		o.connect(t, amara)
		o.clock.pass(48 * time.Hour) // the discovery has run out as well
	}, func(ctx context.Context, t *testing.T, o *office) error {
		n, err := o.RefreshDue(ctx)
		if err == nil && n == 0 {
			err = io.ErrNoProgress // a failure of a background renewal is told by the status
		}
		return err
	}, []string{"dr okafor: refresh started Patient/amara-nwosu (background)", "dr okafor: refresh done Patient/amara-nwosu (background)"}},

	{"SaveLaunchSettings", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.SaveLaunchSettings(ctx, workstation.LaunchSettings{On: true, URL: "http://localhost:18331/launch"})
	}, []string{"dr okafor: policy launch-listener-on http://localhost:18331/launch"}},
	{"ApproveIssuer", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.ApproveIssuer(ctx, "https://other.example/fhir", o.reg.ID)
	}, []string{"owner: launch-decision issuer-approved"}},
	{"RefuseIssuer", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.RefuseIssuer(ctx, "https://other.example/fhir")
	}, []string{"owner: launch-decision issuer-refused"}},
	{"WithdrawIssuer", "", func(t *testing.T, o *office) {
		if err := o.admin.RefuseIssuer(t.Context(), "https://other.example/fhir"); err != nil {
			t.Fatal(err)
		}
	}, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.WithdrawIssuer(ctx, "https://other.example/fhir")
	}, []string{"owner: launch-decision issuer-withdrawn"}},

	{"SaveRegistration", "a new one", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		in := o.input()
		in.Name, in.ClientID, in.ClientType, in.ClientSecret = "West", "app-with-secret", "confidential-symmetric", secretOfTest
		_, _, err := o.admin.SaveRegistration(ctx, "", in)
		return err
	}, []string{"owner: registration added"}},
	{"SaveRegistration", "an edit", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		in := o.reg.Input()
		in.Name = "Mercy West"
		_, _, err := o.admin.SaveRegistration(ctx, o.reg.ID, in)
		return err
	}, []string{"owner: registration changed"}},
	{"RemoveRegistration", "", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.RemoveRegistration(ctx, o.reg.ID)
	}, []string{"owner: disconnect started dr okafor", "owner: disconnect done dr okafor", "owner: registration removed"}},
	{"ApplyFix", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.admin.ApplyFix(ctx, o.reg.ID, string(diagnose.ChangeAudience), "provider")
		return err
	}, []string{"owner: registration changed"}},
	{"Diagnose", "with questions to the server", func(t *testing.T, o *office) {
		if _, err := o.signIn(t, o.reg.ID, simulator.Choice{Username: "amara", Password: "patient-pass1", Deny: true}); err == nil {
			t.Fatal("it is connected")
		}
	}, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Diagnose(ctx, o.reg.ID, true)
		return err
	}, []string{"dr okafor: test probe started", "dr okafor: test probe done"}},
	{"Survey", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.Survey(ctx, o.reg.ID, nil)
		return err
	}, []string{"dr okafor: test survey started", "dr okafor: test survey done"}},
	{"RegisterApp", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		_, _, err := o.admin.RegisterApp(ctx, workstation.RegistrationInput{Name: "Registered", FHIRBaseURL: o.ehr.FHIRBaseURL(), RedirectURIs: []string{o.redirect}}, secret.Value{})
		return err
	}, []string{"owner: registration registering started", "owner: registration registering done", "owner: registration added"}},
	{"NewClientKey", "", func(t *testing.T, o *office) { o.asymmetric(t) }, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.admin.NewClientKey(ctx, "Keys", smart.ES384)
		return err
	}, []string{"owner: registration key-made KID"}},
	{"ImportClientKey", "", func(t *testing.T, o *office) { o.asymmetric(t) }, func(ctx context.Context, t *testing.T, o *office) error {
		key, err := smart.GenerateClientKey(smart.ES384)
		if err != nil {
			t.Fatal(err)
		}
		private, err := key.Private()
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.admin.ImportClientKey(ctx, "Keys", private)
		return err
	}, []string{"owner: registration key-imported KID"}},
	{"UseClientKey", "", func(t *testing.T, o *office) { o.asymmetric(t) }, func(ctx context.Context, t *testing.T, o *office) error {
		return o.admin.UseClientKey(ctx, "Keys", o.idle(t))
	}, []string{"owner: registration key-switched KID"}},
	{"RemoveClientKey", "", func(t *testing.T, o *office) { o.asymmetric(t) }, func(ctx context.Context, t *testing.T, o *office) error {
		return o.admin.RemoveClientKey(ctx, "Keys", o.idle(t))
	}, []string{"owner: registration key-removed KID"}},

	{"SetProxy", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.SetProxy(ctx, workstation.ProxyInput{Mode: workstation.ProxyManual, URL: "http://proxy.example:8080", User: "u", PasswordAction: workstation.SecretReplace, Password: "proxy password"})
	}, []string{"owner: policy network proxy manual http://proxy.example:8080"}},
	{"SetAuthorities", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.admin.SetAuthorities(ctx, "", nil)
		return err
	}, []string{"owner: policy network no authorities of its own"}},
	{"SetClientCertificate", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.admin.SetClientCertificate(ctx, "", nil, secret.Value{})
		return err
	}, []string{"owner: policy network no client certificate"}},
	{"EnableLocalHTTPS", "", nil, func(ctx context.Context, _ *testing.T, o *office) error { return o.admin.EnableLocalHTTPS(ctx) },
		[]string{"owner: policy localhost-authority-made"}},
	{"DisableLocalHTTPS", "", func(t *testing.T, o *office) {
		if err := o.admin.EnableLocalHTTPS(t.Context()); err != nil {
			t.Fatal(err)
		}
	}, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.DisableLocalHTTPS(ctx, func(string) string { return "" })
	}, []string{"owner: policy localhost-authority-removed"}},

	{"AddProfile", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.admin.AddProfile(ctx, workstation.NewProfile{Name: "new", Role: workstation.RoleClinician, Passcode: secret.New("a new passcode")})
		return err
	}, []string{"owner: profile added new (clinician)"}},
	{"RemoveProfile", "", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.RemoveProfile(ctx, "dr okafor")
	}, []string{"owner: profile removed dr okafor"}},
	{"ResetPasscode", "", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.ResetPasscode(ctx, "dr okafor")
	}, []string{"owner: profile passcode-reset dr okafor"}},
	{"RevokeConnections", "", func(t *testing.T, o *office) { o.connect(t, amara) }, func(ctx context.Context, _ *testing.T, o *office) error {
		_, err := o.admin.RevokeConnections(ctx, "dr okafor", o.passcodes["dr okafor"])
		return err
	}, []string{"owner: disconnect started dr okafor Patient/amara-nwosu", "owner: disconnect done dr okafor Patient/amara-nwosu"}},
	{"ChangePasscode", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.ChangePasscode(ctx, "", o.passcodes["dr okafor"], secret.New("another passcode"))
	}, []string{"dr okafor: profile passcode-changed dr okafor"}},
	{"ChangePasscode", "the first one", func(t *testing.T, o *office) {
		if _, err := o.admin.AddProfile(t.Context(), workstation.NewProfile{Name: "new", Role: workstation.RoleClinician}); err != nil {
			t.Fatal(err)
		}
	}, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.ChangePasscode(ctx, "new", secret.Value{}, secret.New("a new passcode"))
	}, []string{"new: profile passcode-changed new"}},
	{"Unlock", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.Unlock(ctx, workstation.UnlockRequest{Profile: "nurse bell", Passcode: o.passcodes["nurse bell"]})
	}, []string{"nurse bell: sign-in unlocked"}},

	{"ProtectVault", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		next := secret.New("a long test passphrase") // the same, so that the office opens it
		return o.admin.ProtectVault(ctx, &next)
	}, []string{"owner: vault passphrase started", "owner: vault passphrase done"}},
	{"SetPolicy", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.SetPolicy(ctx, workstation.Policy{IdleMinutes: 7, AuditDays: 365})
	}, []string{"owner: policy idle-time 7 minutes", "owner: policy retention 365 days"}},
	{"ExportAudit", "", nil, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.ExportAudit(ctx, workstation.ExportFHIR, io.Discard)
	}, []string{"owner: audit exported fhir"}},
	{"Retain", "", func(_ *testing.T, o *office) { o.clock.pass(7 * 365 * 24 * time.Hour) }, func(ctx context.Context, _ *testing.T, o *office) error {
		return o.admin.Retain(ctx)
	}, []string{"owner: audit checkpoint N (background)"}},
	{"ResealAudit", "", func(t *testing.T, o *office) {
		o.execSQL(t, "UPDATE audit SET mac = zeroblob(32) WHERE seq = 2")
	}, func(ctx context.Context, _ *testing.T, o *office) error { return o.admin.ResealAudit(ctx) },
		[]string{"owner: audit resealed"}},
}

// idle gives the key of the client Keys that does not sign.
func (o *office) idle(t *testing.T) string {
	t.Helper()
	keys, err := o.admin.ClientKeys(t.Context(), "Keys")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if !k.Signs {
			return k.ID
		}
	}
	t.Fatal("every key signs")
	return ""
}

// unrecorded are the methods for a signed-in person that leave no trace, each
// with the reason; the tests named hold the others.
var unrecorded = map[string]string{
	"AuditLog":      "shows the record itself",
	"VerifyAudit":   "checks the record itself",
	"InspectIssuer": "reads what an EHR says to everybody; the decision that follows is recorded",
	"RecognizePage": "looks at what a person has pasted, and asks nobody",
	"Traces":        "shows what the profile itself has exchanged", "WriteTrace": "writes what the profile itself has exchanged",
	"Route":           "asks nobody",
	"OpenVault":       "makes a vault at the first use: TestTheVaultIsRecordedAsItIsMade",
	"CreateVault":     "TestTheVaultIsRecordedAsItIsMade",
	"TrustLocalHTTPS": "changes a browser, by a program that the tests of localhttps have",
}

func TestEachMethodThatDoesSomethingIsRecorded(t *testing.T) {
	for _, name := range slices.Concat(forSignedIn, forAdmins) {
		listed := false
		for _, d := range recordedDeeds {
			listed = listed || d.method == name
		}
		if listed == (unrecorded[name] != "") {
			t.Errorf("%s is in both lists, or in none", name)
		}
	}
}

// TestWhatIsDoneIsRecordedFirst does each deed twice: with a record that cannot
// be written it must not happen at all, neither here nor at the EHR; after
// that, it leaves the expected entries and no others.
func TestWhatIsDoneIsRecordedFirst(t *testing.T) {
	for _, d := range recordedDeeds {
		t.Run(strings.TrimSpace(d.method+" "+d.about), func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			if d.prepare != nil {
				d.prepare(t, o)
			}
			o.execSQL(t, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
			before, asked, files := o.deeds(t), len(o.ehr.Requests()), o.files(t)
			if err := d.do(t.Context(), t, o); err == nil {
				t.Error("it is said to be done, without a record")
			}
			if now := o.deeds(t); now != before {
				t.Errorf("without a record it has changed the database:\n%s", changes(before, now))
			}
			for _, r := range o.ehr.Requests()[asked:] {
				t.Errorf("without a record it has asked the EHR: %s %s", r.Method, r.Path)
			}
			if now := o.files(t); !slices.Equal(now, files) {
				t.Errorf("without a record it has changed the files: %v, before %v", now, files)
			}
			o.execSQL(t, "DROP TRIGGER full")
			after := o.last(t)
			if err := d.do(t.Context(), t, o); err != nil {
				t.Fatalf("with a record: %v", err)
			}
			got := o.entries(t, after)
			for i := range got {
				if i < len(d.want) && (strings.HasSuffix(d.want[i], " KID") || strings.HasPrefix(d.want[i], "owner: audit checkpoint N")) {
					at := strings.LastIndex(strings.TrimSuffix(got[i], " (background)"), " ")
					got[i] = got[i][:at] + d.want[i][at:]
				}
			}
			if !slices.Equal(got, d.want) {
				t.Errorf("it has left\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(d.want, "\n  "))
			}
		})
	}
}

// deeds is the database without what is noted of failures for their diagnosis.
func (o *office) deeds(t *testing.T) string {
	t.Helper()
	lines := strings.Split(o.dump(t), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "failure ") }), "\n")
}

// files gives the names of the files of the data folder, save those of the database and the locks.
func (o *office) files(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(o.home, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(name string) bool {
		base := filepath.Base(name)
		return strings.HasPrefix(base, "chartkey.db") || base == "locks" || strings.HasSuffix(base, ".lock")
	})
}

func TestAWrongPasscodeIsRecordedEvenWhereNothingElseIs(t *testing.T) {
	o := newOffice(t)
	after := o.last(t)
	wantCode(t, o.Unlock(t.Context(), workstation.UnlockRequest{Profile: "nurse bell", Passcode: secret.New("not the passcode")}), "passcode-wrong")
	if got := o.entries(t, after); !slices.Equal(got, []string{"nurse bell: sign-in wrong-passcode passcode-wrong"}) {
		t.Errorf("%q", got)
	}
	// Where it cannot be recorded, it is still refused, and counted.
	o.execSQL(t, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
	for range 9 {
		wantCode(t, o.Unlock(t.Context(), workstation.UnlockRequest{Profile: "nurse bell", Passcode: secret.New("not the passcode")}), "passcode-wrong")
	}
	wantCode(t, o.Unlock(t.Context(), workstation.UnlockRequest{Profile: "nurse bell", Passcode: o.passcodes["nurse bell"]}), "passcode-delayed")
}

func TestALockHoldsEvenWhereItCannotBeRecorded(t *testing.T) {
	o := newOffice(t)
	o.connect(t, amara)
	o.execSQL(t, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
	if err := o.Lock(t.Context(), "idle"); err == nil {
		t.Error("it does not say that it could not be recorded")
	}
	if n := workstation.KeysHeld(o.Workstation); n != 0 {
		t.Errorf("%d keys are in memory", n)
	}
	if err := o.admin.LockEverywhere(t.Context()); err == nil {
		t.Error("it does not say that it could not be recorded")
	}
	_, err := o.process(t, "owner").AuditLog(t.Context(), 1)
	wantCode(t, err, "vault-locked")
	o.execSQL(t, "DROP TRIGGER full")
	o.unlockAt(t, o.admin, "owner")
	o.unlock(t, "dr okafor")
	after := o.last(t)
	o.lock(t, o.Workstation)
	if err := o.admin.LockEverywhere(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"dr okafor: lock test", "owner: lock everywhere", "owner: sign-in unlocked"}
	if got := o.entries(t, after); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestASuccessThatCannotBeRecordedIsNone lets the beginning be recorded and not the end.
func TestASuccessThatCannotBeRecordedIsNone(t *testing.T) {
	const trigger = `CREATE TRIGGER full BEFORE INSERT ON audit WHEN cast(NEW.body AS TEXT) LIKE '%"phase":"done"%' BEGIN SELECT RAISE(ABORT, 'no room'); END`
	t.Run("connect", func(t *testing.T) {
		o := newOffice(t)
		o.execSQL(t, trigger)
		after := o.last(t)
		if _, err := o.signIn(t, o.reg.ID, amara); err == nil {
			t.Error("it is said to be connected")
		}
		if n := o.grants(t); n != 0 {
			t.Errorf("%d grants were stored", n)
		}
		o.dead(t)
		o.execSQL(t, "DROP TRIGGER full")
		got := o.entries(t, after)
		if len(got) != 2 || !strings.HasPrefix(got[1], "dr okafor: connect failed Patient/amara-nwosu ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("refresh", func(t *testing.T) {
		o := newOffice(t)
		o.connect(t, amara)
		o.execSQL(t, trigger)
		if _, err := o.Refresh(t.Context(), o.reg.ID); err == nil {
			t.Error("it is said to be refreshed")
		}
		o.execSQL(t, "DROP TRIGGER full")
		o.dead(t)
		if s, err := o.Status(t.Context(), o.reg.ID); err != nil || s.State != workstation.NeedsReconnect {
			t.Errorf("%+v %v", s, err)
		}
	})
	t.Run("disconnect", func(t *testing.T) {
		o := newOffice(t)
		o.connect(t, amara)
		o.execSQL(t, trigger)
		if _, err := o.Disconnect(t.Context(), o.reg.ID, workstation.RevokeAuto); err == nil {
			t.Error("it is said to be disconnected")
		}
		o.execSQL(t, "DROP TRIGGER full")
		if d, err := o.Disconnect(t.Context(), o.reg.ID, workstation.RevokeAuto); err != nil || d.Status.State != workstation.NotConnected {
			t.Errorf("the second try: %+v %v", d, err)
		}
	})
}

func TestTheVaultIsRecordedAsItIsMade(t *testing.T) {
	for name, make := range map[string]func(w *workstation.Workstation) error{
		"by hand": func(w *workstation.Workstation) error {
			return w.CreateVault(context.Background(), secret.New("a long test passphrase"))
		},
		"at its first use": func(w *workstation.Workstation) error { return w.OpenVault(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, simulator.Settings{})
			b.execSQL(t, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
			if err := make(b.Workstation); err == nil {
				t.Error("it is said to be made, without a record")
			}
			if v, err := b.VaultStatus(t.Context()); err != nil || v.State != "none" {
				t.Errorf("%+v %v", v, err)
			}
			b.execSQL(t, "DROP TRIGGER full")
			if err := make(b.Workstation); err != nil {
				t.Fatal(err)
			}
			log, err := b.AuditLog(t.Context(), 10)
			if err != nil || len(log) != 1 || log[0].Action != audit.Vault || log[0].Detail != audit.DetailMade || log[0].Subject != "passphrase" || log[0].ProfileName != "owner" {
				t.Errorf("%+v %v", log, err)
			}
			if err := b.SetPolicy(t.Context(), workstation.Policy{IdleMinutes: 9, AuditDays: 100}); err != nil {
				t.Fatal(err)
			}
			if found, err := b.VerifyAudit(t.Context()); err != nil || !found.Whole() || found.Unsealed != 0 {
				t.Errorf("%+v %v", found, err)
			}
		})
	}
}

func TestALaunchIsRecordedWithWhatIsRead(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	launch := func(header map[string]string) (int, string) {
		entry, err := l.ehr.Launch(simulator.LaunchRequest{User: "dr.okafor", Patient: "daniel-whitlock", ClientID: "app", LaunchURL: l.at})
		if err != nil {
			t.Fatal(err)
		}
		status, authorize, _ := browse(t, entry, header)
		return status, authorize
	}
	l.execSQL(t, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
	asked := len(l.ehr.Requests())
	if status, _ := launch(nil); status != http.StatusServiceUnavailable {
		t.Errorf("without a record the launch was answered with %d", status)
	}
	for _, r := range l.ehr.Requests()[asked:] {
		if !strings.HasPrefix(r.Path, "/.well-known") && !strings.HasPrefix(r.Path, "/fhir/.well-known") { // the listener keeps discovery warm by itself
			t.Errorf("without a record it has asked the EHR: %s %s", r.Method, r.Path)
		}
	}
	l.execSQL(t, "DROP TRIGGER full")
	_, authorize := launch(map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"})
	if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{}); err != nil {
		t.Fatal(err)
	}
	s := next(t, l.connected)
	if err := l.AcceptConnection(t.Context(), *s.ConnectionID); err != nil {
		t.Fatal(err)
	}
	log, err := l.AuditLog(t.Context(), 50)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range slices.Backward(log) {
		got = append(got, strings.Join([]string{string(a.Action), a.Detail, a.Resource, a.Patient, string(a.Origin), a.Outcome()}, " "))
	}
	slices.Sort(got[len(got)-3 : len(got)-1]) // the two names are read in any order
	want := []string{
		"vault made   command line done",
		"registration added   command line done",
		"launch   Patient/daniel-whitlock launch done",
		"read resource Patient Patient/daniel-whitlock launch done",
		"read resource Practitioner Patient/daniel-whitlock launch done",
		"launch-decision launch-accepted  Patient/daniel-whitlock command line done",
	}
	slices.Sort(got[:2])
	slices.Sort(want[:2])
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheRecordIsShortenedByItsPolicy(t *testing.T) {
	o := newOffice(t)
	o.connect(t, amara)
	kept, err := o.admin.VerifyAudit(t.Context())
	if err != nil || !kept.Whole() {
		t.Fatal(kept, err)
	}
	if err := o.admin.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := o.admin.VerifyAudit(t.Context()); err != nil || again.Entries != kept.Entries {
		t.Errorf("nothing is old, and there are %d entries, before %d (%v)", again.Entries, kept.Entries, err)
	}
	if err := o.admin.SetPolicy(t.Context(), workstation.Policy{IdleMinutes: 5, AuditDays: 30}); err != nil {
		t.Fatal(err)
	}
	o.clock.pass(31 * 24 * time.Hour)
	o.lock(t, o.Workstation)
	if err := o.admin.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := o.admin.VerifyAudit(t.Context())
	if err != nil || !found.Whole() || found.Removed == 0 || found.Entries != 2 {
		t.Errorf("%+v %v", found, err)
	}
	// The anchor of before is of an entry that went; the record goes on all the same.
	if _, err := o.admin.VerifyAudit(t.Context(), kept.Anchor); err != nil {
		t.Error(err)
	}
	// A damaged record is not shortened: that would remove the traces.
	o.execSQL(t, "UPDATE audit SET body = replace(body, 'test', 'tost')")
	o.clock.pass(31 * 24 * time.Hour)
	wantCode(t, o.admin.Retain(t.Context()), "audit-damaged")
}
