package workstation_test

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// causesOfFaults is the table of which cause a fault of the simulated EHR has,
// by what was being done.
func causesOfFaults(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../diagnose/testdata/simulator-causes.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Rows []struct {
			Fault  string `json:"fault"`
			During string `json:"during"`
			First  string `json:"first"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range table.Rows {
		out[r.Fault+"/"+r.During] = r.First
	}
	return out
}

// TestFaultsOfAServerAreDiagnosed brings each fault about for real: the engine's
// own table holds the facts that it is given, and this one that the client sees them.
func TestFaultsOfAServerAreDiagnosed(t *testing.T) {
	want := causesOfFaults(t)
	right, inThree, all := 0, 0, 0
	for name, ending := range endings(t) {
		if ending.Quick {
			continue // a server that hangs is told by the deadline, in the test of the endings
		}
		d := newAiling(t, false)
		for _, during := range []string{"connect", "refresh", "read"} {
			first, ok := want[name+"/"+during]
			if !ok {
				continue
			}
			d.set(t)
			d.clock.pass(20 * time.Minute) // what was discovered runs out
			d.set(t, name)
			var err error
			switch during {
			case "connect":
				_, err = d.again(t)
			case "refresh":
				_, err = d.Refresh(t.Context(), d.registration)
			case "read":
				_, err = d.Read(t.Context(), d.registration, "Patient/amara-nwosu")
			}
			if err == nil || fault.Code(err) == "needs-reconnect" {
				continue // it is survived, or the connection has ended by an earlier one
			}
			got, err := d.Diagnose(t.Context(), d.registration, false)
			if err != nil {
				t.Errorf("%s during %s: %v", name, during, err)
				continue
			}
			all++
			var ids []string
			for _, c := range got.Causes {
				ids = append(ids, c.ID)
			}
			switch at := slices.Index(ids, first); {
			case at == 0:
				right++
				inThree++
			case at > 0 && at < 3:
				inThree++
				t.Logf("%s during %s: %s comes at place %d of %v", name, during, first, at+1, ids)
			default:
				t.Errorf("%s during %s (%s): %s is not among the first three of %v", name, during, got.Error.Code, first, ids)
			}
			d.set(t)
		}
		d.tellsNoSecret(t)
	}
	t.Logf("%d failures: %d right at first, %d in the first three", all, right, inThree)
	if all < 40 || right*100 < all*95 || inThree < all {
		t.Errorf("of %d failures %d are right at first, and %d in the first three", all, right, inThree)
	}
}

func TestAFixIsAppliedByItsButton(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	in := b.input()
	in.ClientID, in.ClientType, in.ClientSecret, in.ClientSecretAction = "app-with-secret", "confidential-symmetric", url.PathEscape(secretOfTest), "replace"
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.signIn(t, reg.ID, amara); err == nil {
		t.Fatal("a secret in another form was taken")
	}
	d, err := b.Diagnose(t.Context(), reg.ID, false)
	if err != nil || len(d.Causes) == 0 {
		t.Fatalf("%+v %v", d, err)
	}
	first := d.Causes[0]
	if first.Button == "" || string(first.Fix.Action) != "decode-secret" {
		for _, c := range d.Causes {
			t.Log(c.ID, c.Score, c.Evidence, c.Fix.Action)
		}
		t.Fatalf("%+v: the first cause is %s", d.Error, first.ID)
	}
	if strings.Contains(string(mustJSON(t, d)), secretOfTest) {
		t.Error("the diagnosis tells the secret")
	}
	if _, err := b.ApplyFix(t.Context(), reg.ID, string(first.Fix.Action), first.Fix.Param); err != nil {
		t.Fatal(err)
	}
	if s, err := b.signIn(t, reg.ID, amara); err != nil || s.State != workstation.Connected {
		t.Errorf("%+v %v", s, err)
	}
	_, err = b.Diagnose(t.Context(), reg.ID, false)
	wantCode(t, err, "no-failure")
	_, err = b.ApplyFix(t.Context(), reg.ID, "format-the-disk", "")
	wantCode(t, err, "no-such-fix")
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSilenceIsDiagnosedByWhatThePersonSees(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	_, err := b.RecognizePage(t.Context(), reg.ID, "  ")
	wantCode(t, err, "nothing-pasted")
	d, err := b.RecognizePage(t.Context(), reg.ID, "https://mychart.example/Authentication/OAuth/Start?error=4&client_id=another-app&redirect_uri="+b.redirect+"&code=c4nary-code")
	if err != nil || len(d.Causes) == 0 {
		t.Fatalf("%+v %v", d, err)
	}
	text := string(mustJSON(t, d))
	if d.Causes[0].ID != "client-id-unknown" || strings.Contains(text, "c4nary-code") {
		t.Error(text)
	}
}

func TestProbesAskOnceAndWithoutASecret(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	in := b.input()
	in.ClientID = "nobody-knows-me"
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.OpenVault(t.Context()); err != nil {
		t.Fatal(err)
	}
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = login.Wait(t.Context())
	wantCode(t, err, "sign-in-timeout")
	d, err := b.Diagnose(t.Context(), reg.ID, true)
	if err != nil || !slices.Contains(d.Probed, "client-known") {
		t.Fatalf("%+v %v", d, err)
	}
	asked := b.asked("/auth/authorize")
	if asked == 0 {
		t.Error("nothing was asked")
	}
	if d.Causes[0].ID != "client-id-unknown" {
		t.Errorf("the first cause is %s: %s", d.Causes[0].ID, d.Causes[0].Title)
	}
	if _, err := b.Diagnose(t.Context(), reg.ID, true); err != nil || b.asked("/auth/authorize") != asked {
		t.Errorf("it asked again: %d then %d, %v", asked, b.asked("/auth/authorize"), err)
	}
}
