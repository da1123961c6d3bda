package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/session"
	"chartkey/backend/simulator"
	"chartkey/backend/vault"
	"chartkey/backend/workstation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// page stands where the page is: it keeps what it was sent, and opens what
// the system browser would.
type page struct {
	*session.Session
	desk *workstation.Workstation
	ehr  *simulator.Server

	mu     sync.Mutex // protects the rest
	events []event
	woken  chan struct{}
	opened []string
	copied []string
	noOpen error
}

type event struct {
	name string
	data any
}

func newPage(t *testing.T) *page {
	t.Helper()
	desk, err := workstation.Open(t.Context(), workstation.Options{
		Home: filepath.Join(t.TempDir(), "data"), KeyCost: vault.Cost{Time: 1, MemoryKiB: 8, Threads: 1},
		Passphrase: func(context.Context, bool) (secret.Value, error) { return secret.New("a long test passphrase"), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &page{desk: desk, woken: make(chan struct{}, 1)}
	p.Session = session.New(desk, session.Hooks{
		Emit: func(name string, data any) {
			p.mu.Lock()
			p.events = append(p.events, event{name, data})
			p.mu.Unlock()
			select {
			case p.woken <- struct{}{}:
			default:
			}
		},
		OpenBrowser: func(url string) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.opened = append(p.opened, url)
			return p.noOpen
		},
		Copy: func(text string) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.copied = append(p.copied, text)
			return nil
		},
	}, 0)
	t.Cleanup(func() {
		p.Close()
		if err := desk.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// withEHR starts a simulated EHR on a free port, and gives the input that registers at it.
func (p *page) withEHR(t *testing.T) workstation.RegistrationInput {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	redirect := fmt.Sprintf("http://localhost:%d/callback", l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p.ehr, err = simulator.New(simulator.Options{Clients: []simulator.Client{{ID: "app", Type: simulator.Public, RedirectURIs: []string{redirect}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ehr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = p.ehr.Close(ctx) // some tests have closed it already
	})
	return workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: p.ehr.FHIRBaseURL(), ClientID: "app", RedirectURIs: []string{redirect}}
}

// await waits for the first event that fits.
func await[T any](t *testing.T, p *page, name string, fits func(T) bool) T {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		for _, e := range p.events {
			if data, ok := e.data.(T); ok && e.name == name && fits(data) {
				p.mu.Unlock()
				return data
			}
		}
		p.mu.Unlock()
		select {
		case <-p.woken:
		case <-deadline:
			t.Fatalf("no such %q event came", name)
		}
	}
}

// browsed gives the n-th address that the system browser was opened with, waiting for it.
func (p *page) browsed(t *testing.T, n int) string {
	t.Helper()
	for range 400 {
		p.mu.Lock()
		opened := slices.Clone(p.opened)
		p.mu.Unlock()
		if len(opened) >= n {
			return opened[n-1]
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the browser was not opened %d times", n)
	return ""
}

func TestSaveIsFollowedByATestOfItself(t *testing.T) {
	p := newPage(t)
	started := time.Now()
	saved, err := p.SaveRegistration("", p.withEHR(t))
	if err != nil {
		t.Fatal(err)
	}
	check := await(t, p, "test", func(e session.TestEvent) bool { return e.Check != nil && e.Check.ID == "values" })
	if d := time.Since(started); d < time.Second {
		t.Errorf("the test began after %s, not after a second", d)
	}
	done := await(t, p, "test", func(e session.TestEvent) bool { return e.Done })
	if done.Error != nil || done.Report == nil || !done.Report.OK || done.RegistrationID != saved.Registration.ID || done.Run == 0 || done.Run != check.Run {
		t.Errorf("%+v", done)
	}
	rp, err := p.RegistrationPage(saved.Registration.ID)
	if err != nil || rp.Testing || rp.Status.LastTest == nil {
		t.Errorf("%+v %v", rp, err)
	}
}

func TestConnectOpensTheBrowserAndTellsItsEnd(t *testing.T) {
	p := newPage(t)
	saved, err := p.SaveRegistration("", p.withEHR(t))
	if err != nil {
		t.Fatal(err)
	}
	id := saved.Registration.ID
	login, err := p.Connect(id)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := p.Overview(); err != nil || o.Connections[0].Connecting == nil || o.Connections[0].Connecting.ID != login.ID {
		t.Errorf("%+v %v", o, err)
	}
	if err := p.CopyLink(login.ID); err != nil || !slices.Equal(p.copied, []string{p.browsed(t, 1)}) {
		t.Errorf("copied %v (%v)", p.copied, err)
	}
	if err := p.OpenAgain(login.ID); err != nil {
		t.Error(err)
	}
	if _, err := simulator.SignIn(t.Context(), p.browsed(t, 2), simulator.Choice{Username: "amara", Password: "patient-pass1"}); err != nil {
		t.Fatal(err)
	}
	end := await(t, p, "connect", func(e session.ConnectEvent) bool { return e.Phase != "waiting" })
	if end.Phase != "connected" || end.Status == nil || *end.Status.Patient != "amara-nwosu" {
		t.Errorf("%+v", end)
	}
	// The live test follows by itself, and learns the patient's name.
	await(t, p, "test", func(e session.TestEvent) bool {
		return e.Done && e.Report != nil && e.Report.Layer == workstation.LayerAll
	})
	if rp, err := p.RegistrationPage(id); err != nil || rp.Status.PatientName == nil || rp.Report == nil {
		t.Errorf("%+v %v", rp, err)
	}
	e, err := p.Explore(id, "Patient/amara-nwosu")
	if err != nil || e.Summary.ResourceType != "Patient" || !json.Valid([]byte(e.JSON)) || !strings.Contains(e.JSON, "\n  ") {
		t.Errorf("%+v %v", e, err)
	}
	if s, err := p.Refresh(id); err != nil || s.RefreshedAt == nil {
		t.Errorf("%+v %v", s, err)
	}
	d, err := p.Disconnect(id)
	if err != nil || !d.Revoked || d.Status.State != workstation.NotConnected {
		t.Errorf("%+v %v", d, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		b, err := json.Marshal(e.data)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"access_token\"", "refresh_token\"", "code_verifier", "state=", "code="} {
			if strings.Contains(string(b), word) {
				t.Errorf("the page was sent %q in a %s event: %s", word, e.name, b)
			}
		}
	}
}

func TestTheWaysOutReachThePage(t *testing.T) {
	p := newPage(t)
	saved, err := p.SaveRegistration("", p.withEHR(t))
	if err != nil {
		t.Fatal(err)
	}
	id := saved.Registration.ID
	t.Run("cancel", func(t *testing.T) {
		login, err := p.Connect(id)
		if err != nil {
			t.Fatal(err)
		}
		p.browsed(t, 1)
		if err := p.CancelConnect(login.ID); err != nil {
			t.Fatal(err)
		}
		await(t, p, "connect", func(e session.ConnectEvent) bool { return e.LoginID == login.ID && e.Phase == "cancelled" })
		if err := p.OpenAgain(login.ID); fault.Code(err) != "login-not-found" {
			t.Errorf("%v", err)
		}
	})
	t.Run("denied", func(t *testing.T) {
		login, err := p.Connect(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := simulator.SignIn(t.Context(), p.browsed(t, 2), simulator.Choice{Username: "amara", Password: "patient-pass1", Deny: true}); err != nil {
			t.Fatal(err)
		}
		e := await(t, p, "connect", func(e session.ConnectEvent) bool { return e.LoginID == login.ID && e.Phase == "failed" })
		if e.Error == nil || e.Error.Code != "denied" || e.Error.Advice == "" {
			t.Errorf("%+v", e.Error)
		}
	})
	t.Run("no browser", func(t *testing.T) {
		p.mu.Lock()
		p.noOpen = errors.New("no browser here")
		p.mu.Unlock()
		login, err := p.Connect(id)
		if err != nil {
			t.Fatal(err)
		}
		await(t, p, "failed", func(f *fault.Error) bool { return f.Code == "browser-not-opened" })
		// The sign-in still waits: the copied link works in any browser.
		if _, err := simulator.SignIn(t.Context(), p.browsed(t, 3), simulator.Choice{Username: "amara", Password: "patient-pass1"}); err != nil {
			t.Fatal(err)
		}
		await(t, p, "connect", func(e session.ConnectEvent) bool { return e.LoginID == login.ID && e.Phase == "connected" })
	})
}

func TestALaterTestTakesThePlaceOfAnEarlierOne(t *testing.T) {
	p := newPage(t)
	saved, err := p.SaveRegistration("", p.withEHR(t)) // its own test begins in a second
	if err != nil {
		t.Fatal(err)
	}
	p.StartTest(saved.Registration.ID, workstation.LayerConfiguration)
	done := await(t, p, "test", func(e session.TestEvent) bool { return e.Done })
	if done.Error != nil {
		t.Errorf("the test that was asked for last did not end well: %+v", done.Error)
	}
	p.StartTest(saved.Registration.ID, workstation.LayerConfiguration)
	p.CancelTest(saved.Registration.ID)
	await(t, p, "test", func(e session.TestEvent) bool {
		return e.Done && (e.Report != nil || e.Error != nil && e.Error.Code == "cancelled")
	})
}

func TestLinksAreCheckedBeforeTheyAreOpened(t *testing.T) {
	p := newPage(t)
	for link, ok := range map[string]bool{
		"https://fhir.epic.com/Documentation": true, "http://localhost:18340/": true, "http://127.0.0.1:18340/": true,
		"http://ehr.example/": false, "file:///etc/passwd": false, "javascript:alert(1)": false, "https://user@ehr.example/": false, "ssh://x": false, "": false,
	} {
		before := len(p.opened)
		err := p.OpenExternal(link)
		if ok != (err == nil) || ok != (len(p.opened) == before+1) {
			t.Errorf("%q: %v, opened %v", link, err, p.opened[before:])
		}
	}
}

func TestTheSandboxIsRegisteredOnce(t *testing.T) {
	p := newPage(t)
	first, err := p.SandboxRegister()
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.SandboxRegister()
	if err != nil || second.ID != first.ID {
		t.Errorf("%+v %v", second, err)
	}
	s := p.SandboxStatus()
	if !s.Running || s.FHIRBaseURL != first.FHIRBaseURL || len(s.Clients) == 0 || len(s.SignIns) == 0 {
		t.Errorf("%+v", s)
	}
	if s = p.SandboxStop(); s.Running {
		t.Error("it still runs")
	}
	if s, err := p.SandboxStart(); err != nil || !s.Running {
		t.Errorf("%+v %v", s, err)
	}
}

func TestInputErrorsReachThePageByField(t *testing.T) {
	p := newPage(t)
	_, err := p.SaveRegistration("", workstation.RegistrationInput{Name: "X", FHIRBaseURL: "http://ehr.example", ClientID: "a@b"})
	var f session.PageFault
	if err := json.Unmarshal([]byte(session.PageError(err)), &f); err != nil {
		t.Fatal(err)
	}
	if f.Code != "invalid-registration" || f.Advice == "" || len(f.Fields) != 2 {
		t.Errorf("%+v", f)
	}
}

func TestCloseEndsWhatIsUnderWayAtOnce(t *testing.T) {
	p := newPage(t)
	saved, err := p.SaveRegistration("", p.withEHR(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Connect(saved.Registration.ID); err != nil {
		t.Fatal(err)
	}
	p.StartTest(saved.Registration.ID, workstation.LayerAll)
	done := make(chan struct{})
	go func() { p.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("closing takes longer than five seconds")
	}
}

func TestTheSandboxLaunchesIntoTheListener(t *testing.T) {
	p := newPage(t)
	if err := p.SandboxLaunch(simulator.LaunchRequest{}); fault.Code(err) != "sandbox-off" {
		t.Errorf("%v", err)
	}
	if _, err := p.SandboxRegister(); err != nil {
		t.Fatal(err)
	}
	if err := p.SandboxLaunch(simulator.LaunchRequest{}); fault.Code(err) != "listener-off" {
		t.Errorf("%v", err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("http://localhost:%d/launch", l.Addr().(*net.TCPAddr).Port)
	taken, err := p.SetLaunchListener(true, at)
	if err != nil || taken.Listening || taken.Error == nil || taken.Error.Code != "launch-port-taken" {
		t.Errorf("with the port taken: %+v %v", taken, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	on, err := p.SetLaunchListener(true, at)
	if err != nil || !on.Listening || on.Error != nil {
		t.Fatalf("%+v %v", on, err)
	}
	choices, err := p.SandboxChoices("", "", "")
	if err != nil || len(choices.Users) == 0 || len(choices.Patients) < 2 || len(choices.Clients) == 0 {
		t.Fatalf("%+v %v", choices, err)
	}
	if err := p.SandboxLaunch(simulator.LaunchRequest{Patient: "nobody", ClientID: session.SandboxClientID}); fault.Code(err) != "launch-invalid" {
		t.Errorf("%v", err)
	}
	if err := p.SandboxLaunch(simulator.LaunchRequest{Patient: "daniel-whitlock", ClientID: session.SandboxClientID}); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.browsed(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	if _, err := simulator.SignIn(t.Context(), resp.Header.Get("Location"), simulator.Choice{}); err != nil {
		t.Fatal(err)
	}
	var page session.LaunchesPage
	for range 400 {
		if page, err = p.LaunchesPage(); err != nil || (len(page.Launches) == 1 && page.Launches[0].Outcome == "connected") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil || len(page.Connections) != 1 || *page.Connections[0].Patient != "daniel-whitlock" || page.Launches[0].ConnectionID != *page.Connections[0].ConnectionID {
		t.Errorf("%+v %v", page, err)
	}
	if off, err := p.SetLaunchListener(false, ""); err != nil || off.Listening || off.Settings.URL != workstation.DefaultLaunchURL {
		t.Errorf("%+v %v", off, err)
	}
}

func TestTheSandboxsSwitches(t *testing.T) {
	p := newPage(t)
	if _, err := p.SandboxControls(); fault.Code(err) != "sandbox-off" {
		t.Errorf("%v", err)
	}
	if _, err := p.SandboxStart(); err != nil {
		t.Fatal(err)
	}
	on := func(list []session.SandboxSwitch) (names []string) {
		for _, s := range list {
			if s.Sentence == "" {
				t.Errorf("%s has no sentence", s.Name)
			}
			if s.On {
				names = append(names, s.Name)
			}
		}
		return names
	}
	c, err := p.SandboxControls()
	if err != nil || c.Profile != "spec" || len(on(c.Faults)) != 0 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = p.SandboxSetProfile("epic"); err != nil || c.Profile != "epic" || len(on(c.Traits)) == 0 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = p.SandboxSetFaults([]string{c.Faults[0].Name}); err != nil || len(on(c.Faults)) != 1 {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := p.SandboxSetFaults([]string{"no such fault"}); fault.Code(err) != "invalid-switch" {
		t.Errorf("%v", err)
	}
}
