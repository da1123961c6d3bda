package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/vault"
	"chartkey/backend/workstation"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(partVariable); text != "" {
		os.Exit(playPart(text))
	}
	goleak.VerifyTestMain(m)
}

// clock is a clock that the client and the server share, so that hours pass at once.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
	at     time.Time // where it stands still, apart from what passes; zero where it runs
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() {
		return c.at.Add(c.offset)
	}
	return time.Now().Add(c.offset)
}

// stop lets no more time pass than is told.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Now().Truncate(time.Millisecond) // as times are stored
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// cheap makes a passphrase's key in a millisecond. Only tests use it.
var cheap = vault.Cost{Time: 1, MemoryKiB: 8, Threads: 1}

func openDesk(t testing.TB, home string, c *clock, change ...func(*workstation.Options)) *workstation.Workstation {
	t.Helper()
	o := workstation.Options{
		Home: home, Now: c.now, KeyCost: cheap,
		Passphrase: func(context.Context, bool) (secret.Value, error) {
			return secret.New("a long test passphrase"), nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	w, err := workstation.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func freeRedirect(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprintf("http://localhost:%d/callback", l.Addr().(*net.TCPAddr).Port)
}

// bench is a workstation beside a simulated EHR that knows its clients.
type bench struct {
	*workstation.Workstation
	home     string
	clock    *clock
	ehr      *simulator.Server
	redirect string
}

const secretOfTest = "s3cret+of%the/test"

func newBench(t testing.TB, settings simulator.Settings, change ...func(*workstation.Options)) *bench {
	t.Helper()
	b := &bench{home: filepath.Join(t.TempDir(), "data"), clock: &clock{}, redirect: freeRedirect(t)}
	ehr, err := simulator.New(simulator.Options{Now: b.clock.now, Settings: settings, Clients: []simulator.Client{
		{ID: "app", Name: "App", Type: simulator.Public, RedirectURIs: []string{b.redirect}},
		{ID: "app-with-secret", Name: "App", Type: simulator.ConfidentialSymmetric, Secret: secretOfTest, RedirectURIs: []string{b.redirect}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ehr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = ehr.Close(ctx) // some tests have closed it already
	})
	b.ehr = ehr
	b.Workstation = openDesk(t, b.home, b.clock, change...)
	return b
}

func (b *bench) input() workstation.RegistrationInput {
	return workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: b.ehr.FHIRBaseURL(), ClientID: "app", RedirectURIs: []string{b.redirect}}
}

func (b *bench) register(t testing.TB) workstation.Registration {
	t.Helper()
	reg, _, err := b.SaveRegistration(t.Context(), "", b.input())
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

var amara = simulator.Choice{Username: "amara", Password: "patient-pass1"}

// signIn connects as a person at a browser would.
func (b *bench) signIn(t testing.TB, ref string, choice simulator.Choice) (workstation.Status, error) {
	t.Helper()
	login, err := b.BeginConnect(t.Context(), ref, workstation.ConnectOptions{})
	if err != nil {
		return workstation.Status{}, err
	}
	if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), choice); err != nil {
		t.Fatal(err)
	}
	return login.Wait(t.Context())
}

func (b *bench) connected(t testing.TB) (workstation.Registration, workstation.Status) {
	t.Helper()
	reg := b.register(t)
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil {
		t.Fatal(err)
	}
	return reg, status
}

// asked counts the requests to a path of the simulated EHR.
func (b *bench) asked(path string) int {
	n := 0
	for _, r := range b.ehr.Requests() {
		if strings.HasPrefix(r.Path, path) {
			n++
		}
	}
	return n
}

func wantCode(t *testing.T, err error, code string) *fault.Error {
	t.Helper()
	f := workstation.Fault(err)
	if f == nil || f.Code != code {
		t.Fatalf("got %v (%s), want the fault %s", err, fault.Code(err), code)
	}
	if f.Message == "" || f.Advice == "" {
		t.Errorf("the fault %s lacks a message or advice: %+v", code, f)
	}
	return f
}

func TestTheMainJob(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, status := b.connected(t)
	if status.State != workstation.Connected || status.Patient == nil || *status.Patient != "amara-nwosu" || !status.Refreshable {
		t.Fatalf("after connecting: %+v", status)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	if err != nil || !report.OK {
		t.Fatalf("%+v %v", report, err)
	}
	for _, c := range report.Checks {
		if c.Result != workstation.Pass {
			t.Errorf("%s: %s, %s", c.ID, c.Result, c.Detail)
		}
	}
	status, err = b.Status(t.Context(), "mercy") // by name, in any case
	if err != nil || status.PatientName == nil || !strings.Contains(*status.PatientName, "Nwosu") {
		t.Errorf("the live test did not learn the patient's name: %+v %v", status, err)
	}
	if status.LastTest == nil || !status.LastTest.OK {
		t.Errorf("last test = %+v", status.LastTest)
	}
	latest, err := b.LatestReport(t.Context(), reg.ID)
	if err != nil || latest == nil || len(latest.Checks) != len(report.Checks) {
		t.Errorf("the stored report is %+v (%v)", latest, err)
	}
	before := *status.AccessExpiresAt
	b.clock.pass(10 * time.Minute)
	if status, err = b.Refresh(t.Context(), reg.ID); err != nil || !status.AccessExpiresAt.After(before) || status.RefreshedAt == nil {
		t.Errorf("after the refresh: %+v %v", status, err)
	}
	if *status.Patient != "amara-nwosu" || status.FHIRUser == nil {
		t.Errorf("the refresh lost the context: %+v", status)
	}
	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || d.Revocation != "revoked" || d.Status.State != workstation.NotConnected || d.Status.ConnectionID != nil {
		t.Errorf("%+v %v", d, err)
	}
	_, err = b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "not-connected")
	latest, err = b.LatestReport(t.Context(), reg.ID)
	if err != nil || latest == nil || slices.ContainsFunc(latest.Checks, func(c workstation.Check) bool { return c.Layer == workstation.LayerLive }) {
		t.Errorf("after the disconnect the report is %+v (%v)", latest, err)
	}
}

func TestAConfidentialClientKeepsItsSecretSealed(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	in := b.input()
	in.ClientID, in.ClientType, in.ClientSecret = "app-with-secret", "confidential-symmetric", "  "+secretOfTest+"\u200b\n"
	reg, problems, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(problems, func(p workstation.FieldProblem) bool { return p.Field == "client_secret" && p.Level == "notice" }) {
		t.Errorf("nothing said that the secret was trimmed: %+v", problems)
	}
	if reg.ClientSecret != "set" {
		t.Errorf("client_secret = %q", reg.ClientSecret)
	}
	if status, err := b.signIn(t, reg.ID, amara); err != nil || status.State != workstation.Connected {
		t.Fatalf("%+v %v", status, err)
	}
	// An edit without a secret keeps it.
	edit := reg.Input()
	edit.Name = "Mercy West"
	if reg, _, err = b.SaveRegistration(t.Context(), reg.ID, edit); err != nil || reg.ClientSecret != "set" {
		t.Fatalf("%+v %v", reg, err)
	}
	if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
		t.Error(err)
	}
	files, err := filepath.Glob(filepath.Join(b.home, "chartkey.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{secretOfTest, "amara-nwosu", "a long test passphrase"} {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s has %q in the clear", filepath.Base(name), secret)
			}
		}
	}
}

func TestAWrongSecretIsExplainedAndKeepsNothing(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	in := b.input()
	in.ClientID, in.ClientType, in.ClientSecret = "app-with-secret", "confidential-symmetric", "wrong"
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.signIn(t, reg.ID, amara)
	wantCode(t, err, "client-refused")
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.NotConnected || status.LastError == nil || status.LastError.Code != "client-refused" {
		t.Errorf("%+v %v", status, err)
	}
}

func TestTheWaysOutOfASignIn(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	t.Run("denied", func(t *testing.T) {
		_, err := b.signIn(t, reg.ID, simulator.Choice{Username: "amara", Password: "patient-pass1", Deny: true})
		wantCode(t, err, "denied")
	})
	t.Run("cancelled", func(t *testing.T) {
		login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if info := b.LoginOf(reg.ID); info == nil || info.ID != login.ID {
			t.Errorf("the sign-in under way is %+v", info)
		}
		login.Cancel()
		_, err = login.Wait(t.Context())
		wantCode(t, err, "cancelled")
	})
	t.Run("timed out", func(t *testing.T) {
		login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{Timeout: 30 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		_, err = login.Wait(t.Context())
		if f := wantCode(t, err, "sign-in-timeout"); !f.Retryable {
			t.Error("a timeout can be tried again")
		}
	})
	t.Run("the caller is gone", func(t *testing.T) {
		login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = login.Wait(ctx)
		wantCode(t, err, "cancelled")
	})
	if info := b.LoginOf(reg.ID); info != nil {
		t.Errorf("a sign-in is still said to wait: %+v", info)
	}
	if status, err := b.signIn(t, reg.ID, amara); err != nil || status.LastError != nil {
		t.Errorf("a later success does not clear the failure: %+v %v", status.LastError, err)
	}
}

func TestCancellingWhileTheServerHangsIsNoFailure(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	if err := b.ehr.SetFaults("token-hangs"); err != nil {
		t.Fatal(err)
	}
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	back := make(chan error, 1)
	go func() {
		_, err := simulator.SignIn(context.Background(), login.AuthorizationURL(), amara)
		back <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); b.asked("/auth/") < 3; time.Sleep(10 * time.Millisecond) { // the pages of the sign-in
		if time.Now().After(deadline) {
			t.Fatalf("the browser got nowhere: %+v", b.ehr.Requests())
		}
	}
	time.Sleep(300 * time.Millisecond) // the token request is under way, and hangs
	login.Cancel()
	_, err = login.Wait(t.Context())
	wantCode(t, err, "cancelled")
	if err := <-back; err != nil {
		t.Error(err)
	}
	if status, err := b.Status(t.Context(), reg.ID); err != nil || status.LastError != nil {
		t.Errorf("the cancelled sign-in left %+v (%v)", status.LastError, err)
	}
}

func TestTheRegistrationThatChangesDuringASignInGetsNoGrant(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := reg.Input()
	in.ClientID = "another"
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err != nil {
		t.Fatal(err)
	}
	_, err = login.Wait(t.Context())
	wantCode(t, err, "registration-changed")
}

func TestAGrantForAnotherServerEndsAndItsTokenStaysHome(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	in := reg.Input()
	in.FHIRBaseURL = "https://elsewhere.example/fhir"
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.NeedsReconnect || !strings.Contains(status.AccessEndsReason, "another server") {
		t.Errorf("%+v %v", status, err)
	}
	_, err = b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "needs-reconnect")
}

func TestATrailingSlashIsTheSameServer(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	in := reg.Input()
	in.FHIRBaseURL += "/"
	reg, _, err := b.SaveRegistration(t.Context(), reg.ID, in)
	if err != nil || !strings.HasSuffix(reg.FHIRBaseURL, "/") {
		t.Fatalf("%+v %v", reg, err)
	}
	if status, err := b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.Connected {
		t.Errorf("%+v %v", status, err)
	}
}

func TestStatusFollowsTheClock(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.clock.pass(2 * time.Hour)
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.Expired {
		t.Fatalf("after two hours: %s %v", status.State, err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Errorf("an expired token was not renewed for a read: %v", err)
	}
	if status, _ = b.Status(t.Context(), reg.ID); status.State != workstation.Connected {
		t.Errorf("after the renewal: %s", status.State)
	}
}

func TestWithoutARefreshTokenAccessEndsWithTheAccessToken(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	status, err := b.signIn(t, reg.ID, simulator.Choice{Username: "amara", Password: "patient-pass1", Decline: []string{"offline_access", "patient/Observation.rs"}})
	if err != nil {
		t.Fatal(err)
	}
	if status.Refreshable || status.AccessEndsAt == nil || !status.AccessEndsAt.Equal(*status.AccessExpiresAt) {
		t.Errorf("%+v", status)
	}
	for _, want := range []string{"Not granted: reading and searching observations.", "offline_access was not granted", "new sign-in"} {
		if !strings.Contains(status.ScopesNote, want) {
			t.Errorf("the note %q does not say %q", status.ScopesNote, want)
		}
	}
	_, err = b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "not-refreshable")
	b.clock.pass(2 * time.Hour)
	if status, _ = b.Status(t.Context(), reg.ID); status.State != workstation.NeedsReconnect {
		t.Errorf("after two hours: %s", status.State)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	if err != nil || report.OK || report.Checks[1].ID != "token" || report.Checks[1].Result != workstation.Fail {
		t.Errorf("%+v %v", report, err)
	}
}

func TestANetworkErrorKeepsTheGrant(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.clock.pass(2 * time.Hour)
	if err := b.ehr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := b.Refresh(t.Context(), reg.ID)
	if f := workstation.Fault(err); f == nil || !f.Retryable {
		t.Fatalf("%+v", f)
	}
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.Expired || !status.Refreshable || status.LastError == nil {
		t.Errorf("%+v %v", status, err)
	}
	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || d.Revocation != "failed" || d.Error == nil || d.Status.State != workstation.NotConnected {
		t.Errorf("a disconnect without network: %+v %v", d, err)
	}
}

func TestARevokedGrantNeedsReconnect(t *testing.T) {
	b := newBench(t, simulator.Settings{RefreshTokenLife: time.Hour})
	reg, _ := b.connected(t)
	b.clock.pass(3 * time.Hour)
	_, err := b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "grant-ended")
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.NeedsReconnect || status.Refreshable {
		t.Errorf("%+v %v", status, err)
	}
	if status, err = b.signIn(t, reg.ID, amara); err != nil || status.State != workstation.Connected {
		t.Errorf("reconnecting: %+v %v", status, err)
	}
}

func TestManyReadersOfAnExpiredGrantCauseOneRefresh(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	other := openDesk(t, b.home, b.clock) // as a second process has it
	b.clock.pass(2 * time.Hour)
	before := b.asked("/auth/token")
	var wg sync.WaitGroup
	for i := range 20 {
		desk := b.Workstation
		if i%2 == 1 {
			desk = other
		}
		wg.Go(func() {
			if _, err := desk.Read(context.Background(), reg.ID, "Patient/amara-nwosu"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := b.asked("/auth/token") - before; n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
}

func TestTwoSignInsWaitAtOnce(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	first := b.register(t)
	in := b.input()
	in.Name = "Mercy again"
	second, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	one, err := b.BeginConnect(t.Context(), first.ID, workstation.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.BeginConnect(t.Context(), second.ID, workstation.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	daniel := simulator.Choice{Username: "daniel", Password: "patient-pass1"}
	if _, err := simulator.SignIn(t.Context(), two.AuthorizationURL(), daniel); err != nil {
		t.Fatal(err)
	}
	if _, err := simulator.SignIn(t.Context(), one.AuthorizationURL(), amara); err != nil {
		t.Fatal(err)
	}
	a, errA := one.Wait(t.Context())
	d, errD := two.Wait(t.Context())
	if errA != nil || errD != nil || *a.Patient != "amara-nwosu" || *d.Patient != "daniel-whitlock" {
		t.Errorf("%v %v %v %v", a.Patient, errA, d.Patient, errD)
	}
}

func TestAProviderWithoutPatientIsSeenByTheUser(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	in := b.input()
	in.Audience = "provider"
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	status, err := b.signIn(t, reg.ID, simulator.Choice{Username: "dr.okafor", Password: "clinician-pass1"})
	if err != nil || status.Patient != nil {
		t.Fatalf("%+v %v", status, err)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	if err != nil || !report.OK {
		t.Fatalf("%+v %v", report, err)
	}
	if status, _ = b.Status(t.Context(), reg.ID); status.UserName == nil || !strings.Contains(*status.UserName, "Okafor") {
		t.Errorf("user name = %v", status.UserName)
	}
}

func TestNoKeyFailsBeforeTheServerIsAsked(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	w, err := workstation.Open(t.Context(), workstation.Options{Home: t.TempDir(), Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	reg, _, err := w.SaveRegistration(t.Context(), "", b.input()) // a public client needs no vault
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "keyring-unavailable")
	if n := len(b.ehr.Requests()); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	if s, err := w.VaultStatus(t.Context()); err != nil || s.State != "none" {
		t.Errorf("%+v %v", s, err)
	}
}

func TestALockedVaultShowsStatusWithoutIdentity(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	locked, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	status, err := locked.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.Connected || !status.IdentityLocked || status.Patient != nil || status.FHIRUser != nil {
		t.Errorf("%+v %v", status, err)
	}
	_, err = locked.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "passphrase-needed")
	wantCode(t, locked.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: secret.New("not the passphrase")}), "passphrase-wrong")
	if err := locked.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: secret.New("a long test passphrase")}); err != nil {
		t.Fatal(err)
	}
	if _, err := locked.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	if err := locked.Lock(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if status, _ = locked.Status(t.Context(), reg.ID); !status.IdentityLocked {
		t.Error("the identity is shown after the lock")
	}
	wantCode(t, locked.CreateVault(t.Context(), secret.New("another passphrase")), "vault-locked")
	if err := locked.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: secret.New("a long test passphrase")}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, locked.CreateVault(t.Context(), secret.New("another passphrase")), "vault-exists")
}

func TestTheRecordNamesThePatientAfterALockToo(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	w := b.Workstation
	if err := w.Lock(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if err := w.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: secret.New("a long test passphrase")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Read(t.Context(), reg.ID, "Observation?patient=amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	latest, err := w.AuditLog(t.Context(), 1)
	if err != nil || len(latest) != 1 || latest[0].Action != audit.Read || latest[0].Patient != "Patient/amara-nwosu" {
		t.Errorf("%+v %v", latest, err)
	}
}

func TestTheSeatNeedsThePassphraseOnlyWhereNoFileGivesIt(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	b.connected(t)
	file := func(context.Context, bool) (secret.Value, error) { return secret.New("a long test passphrase"), nil }
	missing := func(context.Context, bool) (secret.Value, error) {
		return secret.Value{}, workstation.PassphraseNeeded()
	}
	for _, test := range []struct {
		name   string
		stored func(context.Context, bool) (secret.Value, error)
		needed bool
	}{{"no source", nil, true}, {"no file", missing, true}, {"a file", file, false}} {
		t.Run(test.name, func(t *testing.T) {
			w, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now, Passphrase: test.stored, StoredPassphrase: test.stored})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.Lock(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			if s, err := w.Seat(t.Context()); err != nil || s.Passphrase != test.needed {
				t.Errorf("%+v %v", s, err)
			}
			err = w.Unlock(t.Context(), workstation.UnlockRequest{})
			if test.needed {
				wantCode(t, err, "passphrase-needed")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASecondKeyIsNeverMade(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.execSQL(t, "DELETE FROM vault")
	w := openDesk(t, b.home, b.clock)
	_, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "vault-damaged")
	wantCode(t, w.CreateVault(t.Context(), secret.New("another passphrase")), "vault-damaged")
	if s, err := w.VaultStatus(t.Context()); err != nil || s.State == "unlocked" {
		t.Errorf("%+v %v", s, err)
	}
}

func TestATokenMovedToAnotherPlaceDoesNotOpen(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	b.execSQL(t, "UPDATE grants SET access_token = refresh_token")
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "vault-damaged")
}

func TestManyFirstUsesMakeOneVault(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	home := filepath.Join(t.TempDir(), "shared")
	var wg sync.WaitGroup
	for i := range 8 {
		w := openDesk(t, home, b.clock)
		wg.Go(func() {
			in := b.input()
			in.Name, in.ClientID = fmt.Sprintf("Mercy %d", i), "app-with-secret"
			in.ClientType, in.ClientSecret = "confidential-symmetric", secretOfTest
			if _, _, err := w.SaveRegistration(context.Background(), "", in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w := openDesk(t, home, b.clock)
	regs, err := w.Registrations(t.Context())
	if err != nil || len(regs) != 8 {
		t.Fatalf("%d registrations, %v", len(regs), err)
	}
	for _, reg := range regs {
		// Each secret opens with the one key: clientAuth comes before anything is asked of the server.
		login, err := w.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		login.Cancel()
		_, _ = login.Wait(t.Context())
	}
}

func TestSavingSaysWhatIsWrongAtTheField(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	for name, c := range map[string]struct {
		change func(*workstation.RegistrationInput)
		field  string
	}{
		"no name":         {func(in *workstation.RegistrationInput) { in.Name = " " }, "name"},
		"no URL":          {func(in *workstation.RegistrationInput) { in.FHIRBaseURL = "" }, "fhir_base_url"},
		"not a URL":       {func(in *workstation.RegistrationInput) { in.FHIRBaseURL = "mercy" }, "fhir_base_url"},
		"http elsewhere":  {func(in *workstation.RegistrationInput) { in.FHIRBaseURL = "http://ehr.example/R4" }, "fhir_base_url"},
		"metadata pasted": {func(in *workstation.RegistrationInput) { in.FHIRBaseURL = "https://ehr.example/R4/metadata" }, "fhir_base_url"},
		"query pasted":    {func(in *workstation.RegistrationInput) { in.FHIRBaseURL = "https://ehr.example/R4?x=y" }, "fhir_base_url"},
		"Epic DSTU2": {func(in *workstation.RegistrationInput) {
			in.FHIRBaseURL = "https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/DSTU2"
		}, "fhir_base_url"},
		"Epic OAuth": {func(in *workstation.RegistrationInput) {
			in.FHIRBaseURL = "https://fhir.epic.com/interconnect-fhir-oauth/oauth2/authorize"
		}, "fhir_base_url"},
		"no client ID":      {func(in *workstation.RegistrationInput) { in.ClientID = "" }, "client_id"},
		"a login":           {func(in *workstation.RegistrationInput) { in.ClientID = "jane@example.org" }, "client_id"},
		"a sandbox sign-in": {func(in *workstation.RegistrationInput) { in.ClientID = "fhircamila" }, "client_id"},
		"a URL as ID":       {func(in *workstation.RegistrationInput) { in.ClientID = "https://x.example" }, "client_id"},
		"space in ID":       {func(in *workstation.RegistrationInput) { in.ClientID = "a b" }, "client_id"},
		"no secret":         {func(in *workstation.RegistrationInput) { in.ClientType = "confidential-symmetric" }, "client_secret"},
		"secret of public":  {func(in *workstation.RegistrationInput) { in.ClientSecret = "x" }, "client_secret"},
		"secret of two lines": {func(in *workstation.RegistrationInput) {
			in.ClientType, in.ClientSecret = "confidential-symmetric", "a\nb"
		}, "client_secret"},
		"asymmetric": {func(in *workstation.RegistrationInput) {
			in.ClientType, in.ClientSecret, in.ClientSecretAction = "confidential-asymmetric", "x-secret", "replace"
		}, "client_secret"},
		"type":        {func(in *workstation.RegistrationInput) { in.ClientType = "secretive" }, "client_type"},
		"audience":    {func(in *workstation.RegistrationInput) { in.Audience = "both" }, "audience"},
		"environment": {func(in *workstation.RegistrationInput) { in.Environment = "test" }, "environment"},
		"scope":       {func(in *workstation.RegistrationInput) { in.Scopes = []string{"patient/observation.rs"} }, "scopes"},
		"redirect elsewhere": {func(in *workstation.RegistrationInput) {
			in.RedirectURIs = []string{"http://ehr.example:18320/callback"}
		}, "redirect_uris"},
		"redirect without a port": {func(in *workstation.RegistrationInput) { in.RedirectURIs = []string{"http://localhost/callback"} }, "redirect_uris"},
		"redirect twice":          {func(in *workstation.RegistrationInput) { in.RedirectURIs = []string{b.redirect, b.redirect} }, "redirect_uris"},
	} {
		t.Run(name, func(t *testing.T) {
			in := b.input()
			c.change(&in)
			_, _, err := b.SaveRegistration(t.Context(), "", in)
			wantCode(t, err, "invalid-registration")
			var invalid *workstation.InvalidInput
			if !errors.As(err, &invalid) || !slices.ContainsFunc(invalid.Problems, func(p workstation.FieldProblem) bool {
				return p.Field == c.field && p.Level == "error" && p.Message != "" && p.Advice != ""
			}) {
				t.Errorf("no problem at %s: %+v", c.field, invalid)
			}
		})
	}
	if regs, err := b.Registrations(t.Context()); err != nil || len(regs) != 0 {
		t.Errorf("%d registrations were stored (%v)", len(regs), err)
	}
	b.register(t)
	_, _, err := b.SaveRegistration(t.Context(), "", b.input())
	wantCode(t, err, "invalid-registration") // the name is taken
}

func TestEpicSandboxFillsInItsURLAndTheURLIsKeptToTheLetter(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, problems, err := b.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Epic", EHR: "epic", Environment: "sandbox", ClientID: "not-a-uuid"})
	if err != nil || reg.FHIRBaseURL != workstation.EpicSandboxBaseURL {
		t.Fatalf("%+v %v", reg, err)
	}
	if !slices.ContainsFunc(problems, func(p workstation.FieldProblem) bool { return p.Field == "client_id" && p.Level == "notice" }) {
		t.Errorf("nothing was said of the odd client ID: %+v", problems)
	}
	// Several registrations for one server, and the slash as it was typed.
	for _, base := range []string{"https://ehr.example/R4", "https://ehr.example/R4/"} {
		reg, _, err := b.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: base, FHIRBaseURL: base, ClientID: "x"})
		if err != nil || reg.FHIRBaseURL != base || reg.Environment != "production" {
			t.Errorf("%+v %v", reg, err)
		}
	}
}

func TestAnUnreachableServerFailsTheConfigurationTestWithAdvice(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	if err := b.ehr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var seen []string
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, func(c workstation.Check) { seen = append(seen, c.ID) })
	if err != nil || report.OK {
		t.Fatalf("%+v %v", report, err)
	}
	if len(seen) != len(report.Checks) {
		t.Errorf("%d checks were told as they finished, the report has %d", len(seen), len(report.Checks))
	}
	for _, c := range report.Checks {
		want := map[string]workstation.Result{"values": workstation.Pass, "redirect": workstation.Pass, "server": workstation.Fail, "discovery": workstation.Fail}[c.ID]
		if want == "" {
			want = workstation.Skipped
		}
		if c.Result != want || (c.Result == workstation.Fail && c.Advice == "") || c.Detail == "" {
			t.Errorf("%+v, want %s", c, want)
		}
	}
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.LastTest == nil || status.LastTest.OK {
		t.Errorf("%+v %v", status.LastTest, err)
	}
}

func TestRemovingARegistrationRevokesItsGrant(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	if err := b.RemoveRegistration(t.Context(), reg.ID); err != nil {
		t.Fatal(err)
	}
	if b.asked("/auth/revoke") == 0 {
		t.Error("the EHR was not told")
	}
	_, err := b.Registration(t.Context(), reg.ID)
	wantCode(t, err, "registration-not-found")
}

func TestAllPortsTakenNamesThem(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	port := b.redirect[strings.LastIndex(b.redirect, ":")+1 : strings.LastIndex(b.redirect, "/")]
	l, err := net.Listen("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	if f := wantCode(t, err, "ports-taken"); !strings.Contains(f.Message, port) {
		t.Errorf("%q does not name port %s", f.Message, port)
	}
}

func TestTheOtherProcessIsSeenWithinTwoSeconds(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	other := openDesk(t, b.home, b.clock)
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 10)
	ended := make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func() { changed <- struct{}{} }) }()
	time.Sleep(100 * time.Millisecond)
	if _, _, err := other.SaveRegistration(t.Context(), "", b.input()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(2 * time.Second):
		t.Error("the other process's write was not seen within two seconds")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestVaultMovesBetweenPassphrases(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	next := secret.New("an even longer passphrase")
	if err := b.ProtectVault(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	w, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	wantCode(t, w.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: secret.New("a long test passphrase")}), "passphrase-wrong")
	if err := w.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: next}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
}
