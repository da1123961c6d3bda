package session

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// SandboxName is the name that the sandbox is registered under.
const SandboxName = "Sandbox"

// SandboxClientID is the preset public client of the simulated EHR.
const SandboxClientID = "chartkey-demo"

// SandboxStatus is what the Sandbox place shows.
type SandboxStatus struct {
	Running     bool                `json:"running"`
	FHIRBaseURL string              `json:"fhir_base_url"`
	PortalURL   string              `json:"portal_url"`
	Clients     []SandboxClient     `json:"clients"`
	SignIns     []SandboxSignIn     `json:"sign_ins"`
	Requests    []simulator.Request `json:"requests"`
}

// SandboxClient is one app that the simulated EHR knows.
type SandboxClient struct {
	ClientID     string   `json:"client_id"`
	ClientType   string   `json:"client_type"`
	RedirectURIs []string `json:"redirect_uris"`
}

// SandboxSignIn is one published test sign-in.
type SandboxSignIn struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Name     string `json:"name"`
	Role     string `json:"role"`
}

// SandboxClients gives the apps that a simulated EHR knows, without their secrets.
func SandboxClients(server *simulator.Server) []SandboxClient {
	out := []SandboxClient{}
	for _, c := range server.Clients() {
		out = append(out, SandboxClient{c.ID, c.Type, append([]string{}, c.RedirectURIs...)})
	}
	return out
}

// SandboxSignIns gives the published test sign-ins of a simulated EHR.
func SandboxSignIns(server *simulator.Server) []SandboxSignIn {
	out := []SandboxSignIn{}
	for _, a := range server.Accounts() {
		out = append(out, SandboxSignIn{a.Username, a.Password, a.Name, a.Kind})
	}
	return out
}

// sandbox is the simulated EHR that the window hosts.
type sandbox struct {
	changed func()
	port    int

	mu     sync.Mutex // protects server
	server *simulator.Server
}

func (b *sandbox) status() SandboxStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := SandboxStatus{Clients: []SandboxClient{}, SignIns: []SandboxSignIn{}, Requests: []simulator.Request{}}
	if b.server == nil {
		return out
	}
	out.Running, out.FHIRBaseURL, out.PortalURL = true, b.server.FHIRBaseURL(), b.server.PortalURL()
	out.Clients, out.SignIns = SandboxClients(b.server), SandboxSignIns(b.server)
	out.Requests = append(out.Requests, b.server.Requests()...)
	return out
}

func (b *sandbox) start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return nil
	}
	server, err := simulator.New(simulator.Options{Port: b.port, Log: func(simulator.Request) { b.changed() }})
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "listen" {
			return fault.Newf("port-taken", "If it is another Chartkey's sandbox, use that one; else end the program that holds the port.",
				"Port %d is taken by another program.", b.port).CanRetry().Because(err)
		}
		return fault.New("sandbox-failed", "The sandbox could not start.", "Try again.").CanRetry().Because(err)
	}
	b.server = server
	return nil
}

func (b *sandbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// A request that still runs after a second is cut off: only invented patients are behind it.
	_ = b.server.Close(ctx)
	b.server = nil
}

// SandboxStatus tells how the sandbox fares.
func (s *Session) SandboxStatus() SandboxStatus { return s.sandbox.status() }

// SandboxStart starts the simulated EHR on its own port. Fault: port-taken.
func (s *Session) SandboxStart() (SandboxStatus, error) {
	err := s.sandbox.start(s.ctx)
	s.hooks.Emit("sandbox", nil)
	return s.sandbox.status(), err
}

// SandboxStop stops it. What it granted is forgotten with it.
func (s *Session) SandboxStop() SandboxStatus {
	s.sandbox.close()
	s.hooks.Emit("sandbox", nil)
	return s.sandbox.status()
}

// SandboxRegister starts the sandbox where it is off, and gives its
// registration, making it where there is none.
func (s *Session) SandboxRegister() (workstation.Registration, error) {
	status, err := s.SandboxStart()
	if err != nil {
		return workstation.Registration{}, err
	}
	regs, err := s.w.Registrations(s.ctx)
	if err != nil {
		return workstation.Registration{}, err
	}
	name := SandboxName
	for _, r := range regs {
		if r.FHIRBaseURL == status.FHIRBaseURL && r.ClientID == SandboxClientID {
			return r, nil
		}
		if strings.EqualFold(r.Name, name) {
			name += " (built-in)"
		}
	}
	saved, err := s.SaveRegistration("", workstation.RegistrationInput{
		Name: name, EHR: "other", Environment: "sandbox", FHIRBaseURL: status.FHIRBaseURL, ClientID: SandboxClientID,
	})
	return saved.Registration, err
}

// SandboxSwitch is one fault or quirk of the sandbox, and whether it is on.
type SandboxSwitch struct {
	Name     string `json:"name"`
	Sentence string `json:"sentence"`
	On       bool   `json:"on"`
}

// SandboxControls are what can be changed of the sandbox while it runs.
type SandboxControls struct {
	// Profile is "spec", "epic" or "custom".
	Profile string          `json:"profile"`
	Traits  []SandboxSwitch `json:"traits"`
	Faults  []SandboxSwitch `json:"faults"`
}

// sandboxOff says that something needs the sandbox to run.
func sandboxOff() *fault.Error {
	return fault.New("sandbox-off", "The sandbox is off.", "Start it first.")
}

// running gives the sandbox's server. Fault: sandbox-off.
func (b *sandbox) running() (*simulator.Server, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return nil, sandboxOff()
	}
	return b.server, nil
}

// SandboxControls gives the profile, quirks and faults of the sandbox. Fault: sandbox-off.
func (s *Session) SandboxControls() (SandboxControls, error) {
	server, err := s.sandbox.running()
	if err != nil {
		return SandboxControls{}, err
	}
	c := SandboxControls{Profile: cmp.Or(server.Profile(), "custom"), Traits: []SandboxSwitch{}, Faults: []SandboxSwitch{}}
	traits, faults := server.Traits(), server.Faults()
	for _, t := range simulator.Traits() {
		c.Traits = append(c.Traits, SandboxSwitch{t.Name, t.Sentence, slices.Contains(traits, t.Name)})
	}
	for _, f := range simulator.Faults() {
		c.Faults = append(c.Faults, SandboxSwitch{f.Name, f.Sentence, slices.Contains(faults, f.Name)})
	}
	return c, nil
}

// SandboxSetProfile has the sandbox behave as "spec" or "epic". Faults:
// sandbox-off, invalid-switch.
func (s *Session) SandboxSetProfile(profile string) (SandboxControls, error) {
	return s.changeSandbox(func(server *simulator.Server) error { return server.SetProfile(profile) })
}

// SandboxSetTraits switches these quirks on and all others off.
func (s *Session) SandboxSetTraits(names []string) (SandboxControls, error) {
	return s.changeSandbox(func(server *simulator.Server) error { return server.SetTraits(names...) })
}

// SandboxSetFaults switches these faults on and all others off.
func (s *Session) SandboxSetFaults(names []string) (SandboxControls, error) {
	return s.changeSandbox(func(server *simulator.Server) error { return server.SetFaults(names...) })
}

func (s *Session) changeSandbox(change func(*simulator.Server) error) (SandboxControls, error) {
	server, err := s.sandbox.running()
	if err != nil {
		return SandboxControls{}, err
	}
	if err := change(server); err != nil {
		return SandboxControls{}, fault.New("invalid-switch", "The sandbox knows no such switch.", "Choose one of those that are listed.").Because(err)
	}
	s.hooks.Emit("sandbox", nil)
	return s.SandboxControls()
}

// SandboxChoices gives what a launch can be made of. Fault: sandbox-off.
func (s *Session) SandboxChoices(user, patient, find string) (simulator.LaunchChoices, error) {
	server, err := s.sandbox.running()
	if err != nil {
		return simulator.LaunchChoices{}, err
	}
	return server.LaunchChoices(user, patient, find), nil
}

// SandboxLaunch has the sandbox launch as its portal does: the system browser
// opens the launch URL. Where none is named, it is this window's own listener,
// which must be on. Faults: sandbox-off, listener-off, launch-invalid.
func (s *Session) SandboxLaunch(request simulator.LaunchRequest) error {
	server, err := s.sandbox.running()
	if err != nil {
		return err
	}
	if request.LaunchURL == "" {
		settings, err := s.w.LaunchSettings(s.ctx)
		if err != nil {
			return err
		}
		if !settings.On {
			return fault.New("listener-off", "The launch listener is off, so nobody would answer.", "Switch it on under Launches.")
		}
		request.LaunchURL = settings.URL
	}
	entry, err := server.Launch(request)
	if err != nil {
		return fault.New("launch-invalid", "The sandbox cannot launch that: "+err.Error()+".", "Choose a user, patient, encounter and client that fit together.").Because(err)
	}
	go func() { // some launchers return only when the browser is closed
		if err := s.hooks.OpenBrowser(entry); err != nil {
			s.hooks.Emit("failed", browserFault(err))
		}
	}()
	return nil
}
