package session

import (
	"context"
	"errors"
	"sync"
	"syscall"
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
	for _, c := range b.server.Clients() {
		out.Clients = append(out.Clients, SandboxClient{c.ID, c.Type, c.RedirectURIs})
	}
	for _, a := range b.server.Accounts() {
		out.SignIns = append(out.SignIns, SandboxSignIn{a.Username, a.Password, a.Name, a.Kind})
	}
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
		if errors.Is(err, syscall.EADDRINUSE) {
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
		if r.Name == name {
			name += " (built-in)"
		}
	}
	saved, err := s.SaveRegistration("", workstation.RegistrationInput{
		Name: name, EHR: "other", Environment: "sandbox", FHIRBaseURL: status.FHIRBaseURL, ClientID: SandboxClientID,
	})
	return saved.Registration, err
}
