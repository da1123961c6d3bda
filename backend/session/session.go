// Package session is one run of the window: the tests and sign-ins that are
// under way, the sandbox that the window hosts, and the events that tell the
// page of them. The use-cases themselves are the workstation's; this package
// adds only that they run in the background and report as they go.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/secret"
	"chartkey/backend/trace"
	"chartkey/backend/workstation"
)

// autoTestDelay is how long after Save the configuration test starts by itself.
const autoTestDelay = time.Second

// Hooks are what the session needs of the window.
type Hooks struct {
	// Emit sends an event to the page. Nothing secret is ever handed to it.
	Emit func(name string, data any)
	// OpenBrowser opens a URL in the system browser.
	OpenBrowser func(url string) error
	// Copy puts text on the clipboard.
	Copy func(text string) error
	// SaveFile asks the person for a place to save a file; "" is nowhere.
	SaveFile func(suggested string) (path string, err error)
}

// Session is one run of the window.
type Session struct {
	w       *workstation.Workstation
	hooks   Hooks
	sandbox sandbox
	// launches has a lock of its own.
	launches launches
	ctx      context.Context
	end      context.CancelFunc
	work     sync.WaitGroup

	mu    sync.Mutex          // protects those below
	tests map[string]*testRun // by registration
	runs  int                 // how many tests were begun
	// stay counts the locks and unlocks: what was begun before one is not told after it.
	stay int
	// active is when a person last did something.
	active time.Time
	// lockedHere is set from a lock to the unlock.
	lockedHere bool
}

// New begins a session over an open workstation; its sandbox will listen on
// sandboxPort, or on a free port where that is 0. Close ends it.
func New(w *workstation.Workstation, hooks Hooks, sandboxPort int) *Session {
	ctx, end := context.WithCancel(context.Background())
	s := &Session{w: w, hooks: hooks, ctx: ctx, end: end, tests: map[string]*testRun{}}
	s.sandbox.port = sandboxPort
	s.work.Go(s.applyLaunchSettings)
	s.sandbox.changed = func() { hooks.Emit("sandbox", nil) }
	s.work.Go(func() {
		if err := w.Watch(ctx, func() {
			s.followLock()
			hooks.Emit("changed", nil)
		}); err != nil {
			hooks.Emit("failed", workstation.Fault(err))
		}
	})
	s.Touch()
	s.work.Go(s.lockWhenIdle)
	s.work.Go(s.lockWithTheSystem)
	s.work.Go(s.keepRecordShort)
	s.work.Go(s.keepFresh)
	return s
}

// Close cancels what is under way, stops the sandbox and waits for both.
func (s *Session) Close() {
	s.end()
	s.work.Wait()
	s.closeLaunches()
	s.sandbox.close()
}

// Connection is one row of the Connections place.
type Connection struct {
	Registration workstation.Registration `json:"registration"`
	Status       workstation.Status       `json:"status"`
	Connecting   *workstation.LoginInfo   `json:"connecting"`
	Testing      bool                     `json:"testing"`
}

// Overview is what the Connections place shows.
type Overview struct {
	Seat        workstation.SeatStatus  `json:"seat"`
	Connections []Connection            `json:"connections"`
	Vault       workstation.VaultStatus `json:"vault"`
	Sandbox     SandboxStatus           `json:"sandbox"`
}

// Overview gives every connection, the vault and the sandbox.
func (s *Session) Overview() (Overview, error) {
	regs, err := s.w.Registrations(s.ctx)
	if err != nil {
		return Overview{}, err
	}
	statuses, err := s.w.Statuses(s.ctx)
	if err != nil {
		return Overview{}, err
	}
	byReg := make(map[string]workstation.Status, len(statuses))
	for _, st := range statuses {
		byReg[st.RegistrationID] = st
	}
	out := Overview{Connections: make([]Connection, 0, len(regs)), Sandbox: s.sandbox.status()}
	for _, reg := range regs {
		if st, ok := byReg[reg.ID]; ok { // a registration may have come between the two reads
			out.Connections = append(out.Connections, Connection{reg, st, s.w.LoginOf(reg.ID), s.testing(reg.ID)})
		}
	}
	if out.Vault, err = s.w.VaultStatus(s.ctx); err != nil {
		return out, err
	}
	out.Seat, err = s.w.Seat(s.ctx)
	return out, err
}

// RegistrationPage is what the page of one registration shows.
type RegistrationPage struct {
	Connection
	Kit    workstation.Kit         `json:"kit"`
	Report *workstation.TestReport `json:"report"`
}

// RegistrationPage gives one registration with its connection, kit and latest test.
func (s *Session) RegistrationPage(id string) (RegistrationPage, error) {
	var p RegistrationPage
	var err error
	if p.Registration, err = s.w.Registration(s.ctx, id); err != nil {
		return p, err
	}
	if p.Status, err = s.w.Status(s.ctx, id); err != nil {
		return p, err
	}
	if p.Kit, err = s.w.Kit(s.ctx, id); err != nil {
		return p, err
	}
	p.Connecting, p.Testing = s.w.LoginOf(id), s.testing(id)
	p.Report, err = s.w.LatestReport(s.ctx, id)
	return p, err
}

// Saved is the outcome of Save: the registration and the notices on its fields.
type Saved struct {
	Registration workstation.Registration   `json:"registration"`
	Problems     []workstation.FieldProblem `json:"problems"`
}

// SaveRegistration saves, and one second later tests the configuration.
func (s *Session) SaveRegistration(id string, in workstation.RegistrationInput) (Saved, error) {
	reg, problems, err := s.w.SaveRegistration(s.ctx, id, in)
	if err != nil {
		return Saved{}, err
	}
	s.changed()
	s.runTest(reg.ID, workstation.LayerConfiguration, autoTestDelay)
	return Saved{reg, problems}, nil
}

// RemoveRegistration forgets a registration and what hangs on it.
func (s *Session) RemoveRegistration(id string) error {
	s.CancelTest(id)
	err := s.w.RemoveRegistration(s.ctx, id)
	s.changed()
	return err
}

func (s *Session) changed() { s.hooks.Emit("changed", nil) }

// TestEvent tells the page how a test goes on: a check each, and at the end
// the report or why there is none.
type TestEvent struct {
	RegistrationID string `json:"registration_id"`
	// Run counts the tests of this window. Events may reach the page in another
	// order than they were sent in; a check of a run that has ended is late.
	Run    int                     `json:"run"`
	Check  *workstation.Check      `json:"check"`
	Report *workstation.TestReport `json:"report"`
	Error  *fault.Error            `json:"error"`
	Done   bool                    `json:"done"`
}

// StartTest runs a layer in the background and reports by "test" events. A
// test of the same registration that still runs is cancelled first.
func (s *Session) StartTest(id string, layer workstation.Layer) { s.runTest(id, layer, 0) }

func (s *Session) runTest(id string, layer workstation.Layer, delay time.Duration) {
	tell := s.teller()
	ctx, cancel := context.WithCancel(s.ctx)
	run := &testRun{cancel: cancel}
	s.mu.Lock()
	if earlier := s.tests[id]; earlier != nil {
		earlier.cancel()
	}
	s.runs++
	run.number = s.runs
	s.tests[id] = run
	s.mu.Unlock()
	s.work.Go(func() {
		defer cancel()
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			if s.retire(id, run) {
				s.changed()
			}
			return
		}
		report, err := s.w.Test(ctx, id, layer, func(c workstation.Check) {
			if s.isCurrent(id, run) {
				tell("test", TestEvent{RegistrationID: id, Run: run.number, Check: &c})
			}
		})
		if !s.retire(id, run) {
			return // a later test of the same registration tells its own end
		}
		e := TestEvent{RegistrationID: id, Run: run.number, Done: true}
		if err != nil {
			e.Error = workstation.Fault(err)
		} else {
			e.Report = &report
		}
		tell("test", e)
		s.changed()
	})
}

// testRun is one test under way.
type testRun struct {
	cancel context.CancelFunc
	number int
}

func (s *Session) isCurrent(id string, run *testRun) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tests[id] == run
}

// retire takes an ended test off the list. It tells false where a later one has taken its place.
func (s *Session) retire(id string, run *testRun) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tests[id] != run {
		return false
	}
	delete(s.tests, id)
	return true
}

// CancelTest ends a test that runs.
func (s *Session) CancelTest(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if run := s.tests[id]; run != nil {
		run.cancel()
	}
}

// Survey looks at what the server of a registration declares and does.
func (s *Session) Survey(id string) (workstation.Survey, error) { return s.w.Survey(s.ctx, id, nil) }

func (s *Session) testing(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tests[id] != nil
}

// ConnectEvent tells the page how a sign-in goes on.
type ConnectEvent struct {
	LoginID        string              `json:"login_id"`
	RegistrationID string              `json:"registration_id"`
	Phase          string              `json:"phase"` // waiting, connected, failed or cancelled
	Status         *workstation.Status `json:"status"`
	Error          *fault.Error        `json:"error"`
}

// Connect begins a sign-in, opens the system browser and returns at once. Its
// end is told by a "connect" event; after a success the live test follows.
func (s *Session) Connect(id string) (workstation.LoginInfo, error) {
	login, err := s.w.BeginConnect(s.ctx, id, workstation.ConnectOptions{})
	if err != nil {
		return workstation.LoginInfo{}, err
	}
	info, tell := login.LoginInfo, s.teller()
	tell("connect", ConnectEvent{LoginID: info.ID, RegistrationID: id, Phase: "waiting"})
	s.work.Go(func() {
		status, err := login.Wait(s.ctx)
		e := ConnectEvent{LoginID: info.ID, RegistrationID: id, Phase: "connected", Status: &status}
		if err != nil {
			e.Phase, e.Status, e.Error = "failed", nil, workstation.Fault(err)
			if e.Error.Code == "cancelled" {
				e.Phase = "cancelled"
			}
		}
		tell("connect", e)
		s.changed()
		if err == nil {
			s.runTest(id, workstation.LayerAll, 0)
		}
	})
	// Some launchers return only when the browser is closed. One that does not
	// start is no end of the sign-in: the link can be copied.
	go func() {
		if err := s.hooks.OpenBrowser(login.AuthorizationURL()); err != nil {
			s.hooks.Emit("failed", browserFault(err))
		}
	}()
	return info, nil
}

func browserFault(err error) *fault.Error {
	return fault.New("browser-not-opened", "The system browser could not be opened.",
		"Use Copy link and paste it into a browser on this computer.").CanRetry().Because(err)
}

// CancelConnect ends a sign-in that waits.
func (s *Session) CancelConnect(loginID string) error {
	login, err := s.w.Login(loginID)
	if err == nil {
		login.Cancel()
	}
	return err
}

// OpenAgain opens the browser once more for a sign-in that waits.
func (s *Session) OpenAgain(loginID string) error {
	login, err := s.w.Login(loginID)
	if err != nil {
		return err
	}
	if err := s.hooks.OpenBrowser(login.AuthorizationURL()); err != nil {
		return browserFault(err)
	}
	return nil
}

// CopyLink puts the sign-in's address on the clipboard. The page never sees it.
func (s *Session) CopyLink(loginID string) error {
	login, err := s.w.Login(loginID)
	if err != nil {
		return err
	}
	return s.CopyText(login.AuthorizationURL())
}

// CopyText puts text on the clipboard.
func (s *Session) CopyText(text string) error {
	if err := s.hooks.Copy(text); err != nil {
		return fault.New("clipboard", "The clipboard could not be written.", "Select the text and copy it by hand.").CanRetry().Because(err)
	}
	return nil
}

// OpenExternal opens an https page, or a page of this computer, in the system browser.
func (s *Session) OpenExternal(address string) error {
	u, err := url.Parse(address)
	loopback := err == nil && u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1"}, u.Hostname())
	if err != nil || u.User != nil || (u.Scheme != "https" && !loopback) {
		return fault.New("link-refused", "That link is no https address, so it is not opened.", "Copy it and look at it first.")
	}
	if err := s.hooks.OpenBrowser(u.String()); err != nil {
		return browserFault(err)
	}
	return nil
}

// Refresh renews the access token now.
func (s *Session) Refresh(id string) (workstation.Status, error) {
	defer s.changed()
	return s.w.Refresh(s.ctx, id)
}

// Disconnect ends a connection.
func (s *Session) Disconnect(id string) (workstation.Disconnection, error) {
	defer s.changed()
	return s.w.Disconnect(s.ctx, id, workstation.RevokeAuto)
}

// Exploration is the answer of a FHIR read, as a summary and as JSON.
type Exploration struct {
	Summary fhir.Summary `json:"summary"`
	JSON    string       `json:"json"`
}

// Explore does a FHIR GET with the stored grant.
func (s *Session) Explore(id, path string) (Exploration, error) {
	res, err := s.w.Read(s.ctx, id, path)
	if err != nil {
		return Exploration{}, err
	}
	return Exploration{fhir.Summarize(res.Raw), string(fhir.Indent(res.Raw))}, nil
}

// AcceptConnection lets a connection be used that waits for it.
func (s *Session) AcceptConnection(connectionID string) error {
	defer s.hooks.Emit("launches", nil)
	defer s.changed()
	return s.w.AcceptConnection(s.ctx, connectionID)
}

// CreateVault makes a vault under a passphrase.
func (s *Session) CreateVault(pass secret.Value) error {
	defer s.changed()
	return s.w.CreateVault(s.ctx, pass)
}

// EventTypes names what the events carry: "test", "connect", "locked" and
// "failed". "changed", "sandbox" and "launches" carry nothing: the page reads
// anew.
type EventTypes struct {
	Locked  LockEvent    `json:"locked"`
	Test    TestEvent    `json:"test"`
	Connect ConnectEvent `json:"connect"`
	Failed  PageFault    `json:"failed"`
	// Wails finds no types inside of a struct that another one embeds: these are a trace's.
	Exchange trace.Exchange `json:"exchange"`
	Note     trace.Note     `json:"note"`
}

// PageFault is the form in which an error reaches the page.
type PageFault struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Advice    string `json:"advice"`
	Retryable bool   `json:"retryable"`
	// Fields are the problems at each field, where the error is about input.
	Fields []workstation.FieldProblem `json:"fields,omitempty"`
}

// PageError gives the page's form of any error as JSON: Wails makes a string
// of what a method rejects with.
func PageError(err error) string {
	text, err := json.Marshal(pageFault(err))
	if err != nil {
		return `{"code":"internal","message":"An error could not be told.","advice":"Try again.","retryable":true}`
	}
	return string(text)
}

func pageFault(err error) PageFault {
	f := workstation.Fault(err)
	p := PageFault{Code: f.Code, Message: f.Message, Advice: f.Advice, Retryable: f.Retryable}
	var invalid *workstation.InvalidInput
	if errors.As(err, &invalid) {
		p.Fields = invalid.Problems
	}
	return p
}

// Diagnose tells what the last failure of a registration probably is; with
// probe, what can be asked safely is asked first.
func (s *Session) Diagnose(id string, probe bool) (workstation.Diagnosed, error) {
	return s.w.Diagnose(s.ctx, id, probe)
}

// RecognizePage diagnoses by what the person sees in the browser.
func (s *Session) RecognizePage(id, pasted string) (workstation.Diagnosed, error) {
	return s.w.RecognizePage(s.ctx, id, pasted)
}

// ApplyFix mends a cause, and a second later tests the configuration.
func (s *Session) ApplyFix(id, action, param string) (workstation.Registration, error) {
	reg, err := s.w.ApplyFix(s.ctx, id, action, param)
	if err == nil {
		s.changed()
		s.runTest(reg.ID, workstation.LayerConfiguration, autoTestDelay)
	}
	return reg, err
}
