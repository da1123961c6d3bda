package main

import (
	"context"
	"os"

	"chartkey/backend/secret"
	"chartkey/backend/session"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"
)

// App is what the page sees: each method calls the session or the
// workstation and returns its value. Errors reach the page as typed faults.
type App struct {
	session *session.Session
	desk    *workstation.Workstation
}

// AboutInfo tells which Chartkey this is and where its data lies.
type AboutInfo struct {
	Version    string   `json:"version"`
	Commit     string   `json:"commit"`
	Tags       []string `json:"tags"`
	Go         string   `json:"go"`
	DataFolder string   `json:"data_folder"`
}

// About tells which Chartkey this is.
func (a *App) About() AboutInfo {
	b := build()
	return AboutInfo{b.Version, b.Commit, b.Tags, b.Go, a.desk.Home()}
}

// Overview gives every connection, the vault and the sandbox.
func (a *App) Overview() (session.Overview, error) { return a.session.Overview() }

// RegistrationPage gives one registration with all that its page shows.
func (a *App) RegistrationPage(id string) (session.RegistrationPage, error) {
	return a.session.RegistrationPage(id)
}

// Defaults suggests what to fill in for an EHR, environment and audience.
func (a *App) Defaults(ehr, environment, audience string) workstation.Defaults {
	return workstation.SuggestDefaults(ehr, environment, audience)
}

// CheckRegistration tells what Save would say of the input.
func (a *App) CheckRegistration(id string, in workstation.RegistrationInput) ([]workstation.FieldProblem, error) {
	return a.desk.CheckRegistration(context.Background(), id, in)
}

// SaveRegistration saves, and a second later tests the configuration.
func (a *App) SaveRegistration(id string, in workstation.RegistrationInput) (session.Saved, error) {
	return a.session.SaveRegistration(id, in)
}

// RemoveRegistration forgets a registration with its secret and connection.
func (a *App) RemoveRegistration(id string) error { return a.session.RemoveRegistration(id) }

// ClientKeys gives the key pairs of a registration: the one that signs, then the latest first.
func (a *App) ClientKeys(id string) ([]workstation.ClientKey, error) {
	return a.desk.ClientKeys(context.Background(), id)
}

// PublicKey gives one public key for the EHR's form; kid "" is the one that signs.
func (a *App) PublicKey(id, kid string) (workstation.PublicKey, error) {
	return a.desk.PublicKey(context.Background(), id, kid)
}

// NewClientKey makes a key pair: "RS384" or "ES384".
func (a *App) NewClientKey(id, algorithm string) (workstation.ClientKey, error) {
	return a.session.NewClientKey(id, smart.KeyAlgorithm(algorithm))
}

// ImportClientKey takes an existing private key: PEM, a JWK or a JWK set.
func (a *App) ImportClientKey(id, private string) (workstation.ClientKey, error) {
	return a.session.ImportClientKey(id, secret.New(private))
}

// UseClientKey has another of the keys sign from now on.
func (a *App) UseClientKey(id, kid string) error { return a.session.UseClientKey(id, kid) }

// RemoveClientKey forgets a key that no longer signs.
func (a *App) RemoveClientKey(id, kid string) error { return a.session.RemoveClientKey(id, kid) }

// StartTest runs a layer of the test; its checks come as "test" events.
func (a *App) StartTest(id, layer string) { a.session.StartTest(id, workstation.Layer(layer)) }

// CancelTest ends a test that runs.
func (a *App) CancelTest(id string) { a.session.CancelTest(id) }

// Survey looks at what the server of a registration declares and does, and at what that means for it.
func (a *App) Survey(id string) (workstation.Survey, error) { return a.session.Survey(id) }

// Connect begins a sign-in; its end comes as a "connect" event.
func (a *App) Connect(id string) (workstation.LoginInfo, error) { return a.session.Connect(id) }

// CancelConnect ends a sign-in that waits.
func (a *App) CancelConnect(loginID string) error { return a.session.CancelConnect(loginID) }

// OpenAgain opens the browser once more.
func (a *App) OpenAgain(loginID string) error { return a.session.OpenAgain(loginID) }

// CopyLink puts the sign-in's address on the clipboard.
func (a *App) CopyLink(loginID string) error { return a.session.CopyLink(loginID) }

// Refresh renews the access token now.
func (a *App) Refresh(id string) (workstation.Status, error) { return a.session.Refresh(id) }

// Disconnect ends a connection.
func (a *App) Disconnect(id string) (workstation.Disconnection, error) {
	return a.session.Disconnect(id)
}

// Explore does a FHIR GET with the stored grant.
func (a *App) Explore(id, path string) (session.Exploration, error) {
	return a.session.Explore(id, path)
}

// SandboxStatus tells how the sandbox fares.
func (a *App) SandboxStatus() session.SandboxStatus { return a.session.SandboxStatus() }

// SandboxStart starts the simulated EHR.
func (a *App) SandboxStart() (session.SandboxStatus, error) { return a.session.SandboxStart() }

// SandboxStop stops the simulated EHR.
func (a *App) SandboxStop() session.SandboxStatus { return a.session.SandboxStop() }

// SandboxRegister starts the sandbox and gives its registration.
func (a *App) SandboxRegister() (workstation.Registration, error) {
	return a.session.SandboxRegister()
}

// SandboxControls gives the profile, quirks and faults of the sandbox.
func (a *App) SandboxControls() (session.SandboxControls, error) { return a.session.SandboxControls() }

// SandboxSetProfile has the sandbox behave as "spec" or "epic".
func (a *App) SandboxSetProfile(profile string) (session.SandboxControls, error) {
	return a.session.SandboxSetProfile(profile)
}

// SandboxSetTraits switches these quirks on and all others off.
func (a *App) SandboxSetTraits(names []string) (session.SandboxControls, error) {
	return a.session.SandboxSetTraits(names)
}

// SandboxSetFaults switches these faults on and all others off.
func (a *App) SandboxSetFaults(names []string) (session.SandboxControls, error) {
	return a.session.SandboxSetFaults(names)
}

// SandboxChoices gives what a launch can be made of.
func (a *App) SandboxChoices(user, patient, find string) (simulator.LaunchChoices, error) {
	return a.session.SandboxChoices(user, patient, find)
}

// SandboxLaunch has the sandbox launch into the listener, by the system browser.
func (a *App) SandboxLaunch(request simulator.LaunchRequest) error {
	return a.session.SandboxLaunch(request)
}

// LaunchesPage gives the launch listener, the launches and the issuers.
func (a *App) LaunchesPage() (session.LaunchesPage, error) { return a.session.LaunchesPage() }

// SetLaunchListener switches the launch listener on or off.
func (a *App) SetLaunchListener(on bool, url string) (session.LaunchesPage, error) {
	return a.session.SetLaunchListener(on, url)
}

// ApproveIssuer has launches from an issuer use a registration.
func (a *App) ApproveIssuer(iss, registrationID string) error {
	return a.session.ApproveIssuer(iss, registrationID)
}

// RefuseIssuer has launches from an issuer be refused.
func (a *App) RefuseIssuer(iss string) error { return a.session.RefuseIssuer(iss) }

// WithdrawIssuer forgets what was decided of an issuer.
func (a *App) WithdrawIssuer(iss string) error { return a.session.WithdrawIssuer(iss) }

// InspectIssuer asks an issuer what it says of itself.
func (a *App) InspectIssuer(iss string) (smart.Configuration, error) {
	return a.session.InspectIssuer(iss)
}

// AcceptConnection lets a connection be used that waits for it.
func (a *App) AcceptConnection(connectionID string) error {
	return a.session.AcceptConnection(connectionID)
}

// Traces gives the redacted traces of the latest operations: of a registration, or of all where id is "".
func (a *App) Traces(id string) ([]workstation.Traced, error) {
	return a.desk.Traces(context.Background(), id, session.ShownTraces)
}

// SaveTrace saves a trace where the person says: as "har" or as "markdown".
func (a *App) SaveTrace(id int64, format string) (string, error) {
	return a.session.SaveTrace(id, format)
}

// Diagnose tells what the last failure of a registration probably is; with
// probe, what can be asked safely is asked first.
func (a *App) Diagnose(id string, probe bool) (workstation.Diagnosed, error) {
	return a.session.Diagnose(id, probe)
}

// RecognizePage diagnoses by the text or the address of the EHR's error page.
func (a *App) RecognizePage(id, pasted string) (workstation.Diagnosed, error) {
	return a.session.RecognizePage(id, pasted)
}

// ApplyFix mends a cause where Chartkey can, and then tests the configuration.
func (a *App) ApplyFix(id, action, param string) (workstation.Registration, error) {
	return a.session.ApplyFix(id, action, param)
}

// ScopeAdvice gives the three sets of scopes for a registration, explained.
func (a *App) ScopeAdvice(id string) (workstation.ScopeAdvice, error) {
	return a.desk.ScopeAdvice(context.Background(), id)
}

// NetworkSettings gives the way from this workstation to its servers, or what a registration adds to it.
func (a *App) NetworkSettings(registrationID string) (workstation.NetworkSettings, error) {
	return a.desk.NetworkSettings(context.Background(), registrationID)
}

// SetProxy changes the workstation's proxy.
func (a *App) SetProxy(in workstation.ProxyInput) error {
	return a.desk.SetProxy(context.Background(), in)
}

// LocalHTTPS tells how https on this computer stands.
func (a *App) LocalHTTPS() (workstation.LocalHTTPS, error) {
	return a.desk.LocalHTTPS(context.Background(), os.Getenv)
}

// SeatPage tells who acts at this workstation and who else could, and the policy.
func (a *App) SeatPage() (session.SeatPage, error) { return a.session.SeatPage() }

// Touch tells that a person is there, so that the window does not lock itself.
func (a *App) Touch() { a.session.Touch() }

// Lock locks the window.
func (a *App) Lock() error { return a.session.Lock("by hand") }

// Unlock signs a profile in, by id; "" is the one that is there. What is not
// needed is empty: the vault's passphrase, the passcode, or a first passcode.
func (a *App) Unlock(profile, passphrase, passcode, newPasscode string) error {
	return a.session.Unlock(profile, secret.New(passphrase), secret.New(passcode), secret.New(newPasscode))
}

// AddProfile adds a person. own is the passcode of the admin, where one is needed from now on.
func (a *App) AddProfile(name, role, passcode, own string) (workstation.Profile, error) {
	return a.session.AddProfile(name, role, secret.New(passcode), secret.New(own))
}

// RemoveProfile removes a person with their key and connections.
func (a *App) RemoveProfile(id string) error { return a.session.RemoveProfile(id) }

// ResetPasscode takes a person's passcode and key away.
func (a *App) ResetPasscode(id string) error { return a.session.ResetPasscode(id) }

// RevokeConnections ends a person's connections by their own passcode.
func (a *App) RevokeConnections(id, passcode string) ([]workstation.Disconnection, error) {
	return a.session.RevokeConnections(id, secret.New(passcode))
}

// ChangePasscode changes the passcode of the profile that is signed in.
func (a *App) ChangePasscode(old, next string) error {
	return a.session.ChangePasscode(secret.New(old), secret.New(next))
}

// SetPolicy changes what an admin decides for everybody.
func (a *App) SetPolicy(p workstation.Policy) error { return a.session.SetPolicy(p) }

// ActivityPage gives the latest activities, and checks the whole record.
func (a *App) ActivityPage() (session.ActivityPage, error) { return a.session.ActivityPage() }

// ExportAudit saves the activity record where the person says: "ndjson" or "fhir".
func (a *App) ExportAudit(format string) (string, error) { return a.session.ExportAudit(format) }

// VaultStatus tells how the encryption key fares.
func (a *App) VaultStatus() (workstation.VaultStatus, error) {
	return a.desk.VaultStatus(context.Background())
}

// VaultCreate makes a vault under a passphrase.
func (a *App) VaultCreate(passphrase string) error {
	return a.session.CreateVault(secret.New(passphrase))
}

// EventTypes gives empty events. The page does not call it: it is bound so
// that the generated bindings have the events' types.
func (a *App) EventTypes() session.EventTypes { return session.EventTypes{} }

// CopyText puts text on the clipboard.
func (a *App) CopyText(text string) error { return a.session.CopyText(text) }

// OpenExternal opens a page in the system browser, after a check of its address.
func (a *App) OpenExternal(url string) error { return a.session.OpenExternal(url) }
