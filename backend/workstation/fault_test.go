package workstation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// ending is how the client ends what it does under one fault of the simulated
// EHR: the fault code for a sign-in, a refresh and a read, or "" where it
// works. Each is tried on a connection that works, and must leave one behind.
type ending struct {
	Connect string `json:"connect"`
	Refresh string `json:"refresh"`
	Read    string `json:"read"`
	// Retry are those of the three whose fault says that trying again can help.
	Retry []string `json:"retry"`
	// Lost tells after which of the three the old grant is gone for good, as the
	// EHR has ended it; in all other cases it must be as good as before.
	Lost []string `json:"lost"`
	// Warning is part of what a sign-in that works is remarked with.
	Warning string `json:"warning"`
	// Says is part of the message of every fault.
	Says string `json:"says"`
	// Quick gives the client little patience, so that the test need not wait as a person would.
	Quick bool `json:"quick"`
	// Why is for those who read the list.
	Why string `json:"why"`
}

// endings reads the list that has a row for every fault that the simulated EHR
// knows. The tests of the command line and of the page go by the same list.
func endings(t *testing.T) map[string]ending {
	t.Helper()
	text, err := os.ReadFile("testdata/fault-endings.json")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]ending
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// looks judge what a sign-in under a fault has led to.
var looks = map[string]func(t *testing.T, d *ailing, status workstation.Status){
	"token-redirect": notElsewhere,
	"missing-patient": func(t *testing.T, _ *ailing, s workstation.Status) {
		if s.Patient != nil {
			t.Errorf("the patient is %s, whom nobody named", *s.Patient)
		}
	},
	"fewer-scopes": func(t *testing.T, d *ailing, s workstation.Status) {
		if !strings.Contains(s.ScopesNote, "observations") || slices.Contains(s.ScopesGranted, "patient/Observation.rs") {
			t.Errorf("granted %v, noted %q", s.ScopesGranted, s.ScopesNote)
		}
		_, err := d.Read(t.Context(), d.registration, "Observation?patient=amara-nwosu")
		wantCode(t, err, "fhir-forbidden")
	},
	"expires-in-string": func(t *testing.T, d *ailing, s workstation.Status) {
		if s.AccessExpiresAt == nil || s.AccessExpiresAt.Sub(d.clock.now()) < 50*time.Minute {
			t.Errorf("access runs out at %v", s.AccessExpiresAt)
		}
	},
	"expires-in-missing": func(t *testing.T, _ *ailing, s workstation.Status) {
		if s.AccessExpiresAt != nil || s.State != workstation.Connected {
			t.Errorf("%s until %v, which nobody said", s.State, s.AccessExpiresAt)
		}
	},
	"refresh-token-empty": func(t *testing.T, _ *ailing, s workstation.Status) {
		if s.Refreshable {
			t.Error("an empty refresh token counts as one")
		}
	},
}

// notElsewhere sees to it that no redirect of the token endpoint was followed.
func notElsewhere(t *testing.T, d *ailing, _ workstation.Status) {
	if d.asked("/elsewhere") != 0 {
		t.Error("the redirect of the token endpoint was followed, with all that it carried")
	}
}

func TestEveryFaultOfAServerEndsWell(t *testing.T) {
	known, listed := map[string]bool{}, endings(t)
	for _, f := range simulator.Faults() {
		known[f.Name] = true
		want, ok := listed[f.Name]
		if !ok {
			t.Errorf("nothing says how the client should end the fault %s", f.Name)
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			d := newAiling(t, want.Quick)
			for _, under := range []func(*testing.T, *ailing, string, ending){readUnder, refreshUnder, connectUnder} {
				// What was discovered runs out, so that it is asked for again.
				d.clock.pass(10 * time.Minute)
				under(t, d, f.Name, want)
			}
			d.tellsNoSecret(t)
		})
	}
	for name := range listed {
		if !known[name] {
			t.Errorf("there is no fault %s any more", name)
		}
	}
}

// connectUnder signs in anew over a connection that works, and so must keep
// it where the new one fails.
func connectUnder(t *testing.T, d *ailing, name string, want ending) {
	before := d.status(t)
	d.set(t, name)
	status, err := d.again(t)
	want.judge(t, "connect", err)
	if err == nil {
		if status.State != workstation.Connected || *status.ConnectionID == *before.ConnectionID {
			t.Errorf("after the sign-in: %+v", status)
		}
		if got := strings.Join(status.Warnings, " "); want.Warning == "" && got != "" || !strings.Contains(got, want.Warning) {
			t.Errorf("remarked %q, want %q", got, want.Warning)
		}
	} else if status = d.status(t); *status.ConnectionID != *before.ConnectionID || status.State != workstation.Connected {
		t.Errorf("the failed sign-in cost the connection: %+v", status)
	}
	if look := looks[name]; look != nil && (err != nil) == (want.Connect != "") {
		look(t, d, status)
	}
	if name == "late-keys" { // the second fetch of the keys has the new one
		if _, err := d.again(t); err != nil {
			t.Errorf("the second sign-in: %v", err)
		}
	}
	d.set(t)
	if err != nil {
		d.works(t)
	}
	if _, err := d.again(t); err != nil {
		t.Errorf("a sign-in when the fault is over: %v", err)
	}
	d.works(t)
}

func refreshUnder(t *testing.T, d *ailing, name string, want ending) {
	before := d.status(t)
	d.set(t, name)
	status, err := d.Refresh(d.patient(t), d.registration)
	want.judge(t, "refresh", err)
	if err == nil && (status.RefreshedAt == nil || !status.Refreshable || *status.Patient != *before.Patient || status.FHIRUser == nil) {
		t.Errorf("after the refresh: %+v", status)
	}
	if err != nil {
		if status = d.status(t); status.LastError == nil || status.LastError.Code != want.Refresh {
			t.Errorf("the status does not tell the failure: %+v", status.LastError)
		}
	}
	d.set(t)
	want.after(t, "refresh", d)
}

func readUnder(t *testing.T, d *ailing, name string, want ending) {
	d.set(t, name)
	asked := d.asked("/auth/token")
	resource, err := d.Read(d.patient(t), d.registration, "Patient/amara-nwosu")
	want.judge(t, "read", err)
	if err == nil && resource.ID != "amara-nwosu" {
		t.Errorf("read %s/%s", resource.Type, resource.ID)
	}
	if asked = d.asked("/auth/token") - asked; asked > 1 {
		t.Errorf("one read led to %d token requests", asked)
	}
	d.set(t)
	want.after(t, "read", d)
}

// judge compares how one thing ended with what is wanted.
func (want ending) judge(t *testing.T, what string, err error) {
	t.Helper()
	code := map[string]string{"connect": want.Connect, "refresh": want.Refresh, "read": want.Read}[what]
	if code == "" {
		if err != nil {
			t.Fatalf("%v (%s), want success", err, fault.Code(err))
		}
		return
	}
	f := wantCode(t, err, code)
	if f.Retryable != slices.Contains(want.Retry, what) {
		t.Errorf("retryable = %v", f.Retryable)
	}
	if !strings.Contains(f.Message, want.Says) {
		t.Errorf("the message %q does not say %q", f.Message, want.Says)
	}
	for _, text := range []string{f.Message, f.Advice} {
		if !strings.HasSuffix(text, ".") && !strings.Contains(text, "It says: ") {
			t.Errorf("%q is no sentence", text)
		}
	}
}

// after sees what is left of the connection when the fault is over.
func (want ending) after(t *testing.T, what string, d *ailing) {
	t.Helper()
	if !slices.Contains(want.Lost, what) {
		d.works(t)
		return
	}
	// A client that did not hear of it learns it now; both times it is told to sign in.
	_, err := d.Refresh(t.Context(), d.registration)
	if code := fault.Code(err); code != "grant-ended" && code != "needs-reconnect" {
		t.Errorf("a refresh of the lost grant: %v (%s)", err, code)
	}
	if s := d.status(t); s.State != workstation.NeedsReconnect || s.Refreshable {
		t.Errorf("the lost grant is %+v", s)
	}
	if _, err := d.again(t); err != nil {
		t.Errorf("a new sign-in: %v", err)
	}
	d.works(t)
}

// ailing is a workstation that is connected to a simulated EHR whose faults
// are about to be turned on, and what it said and sent so far.
type ailing struct {
	*bench
	registration string
	client       *http.Client
	quick        bool
	wire         *wiretap
	log          bytes.Buffer
	logMu        sync.Mutex
	said         []string
}

func (d *ailing) Write(b []byte) (int, error) {
	d.logMu.Lock()
	defer d.logMu.Unlock()
	return d.log.Write(b)
}

func newAiling(t *testing.T, quick bool) *ailing {
	t.Helper()
	d := &ailing{bench: &bench{home: filepath.Join(t.TempDir(), "data"), clock: &clock{}, redirect: freeRedirect(t)}}
	var err error
	if d.ehr, err = simulator.New(simulator.Options{Now: d.clock.now, Clients: []simulator.Client{
		{ID: "app", Name: "App", Type: simulator.Public, RedirectURIs: []string{d.redirect}},
	}}); err != nil {
		t.Fatal(err)
	}
	if err := d.ehr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = d.ehr.Close(ctx)
	})
	client := network.NewClient()
	d.wire = &wiretap{next: client.Transport}
	client.Transport = d.wire
	d.client, d.quick = client, quick
	t.Cleanup(client.CloseIdleConnections)
	if d.Workstation, err = workstation.Open(t.Context(), workstation.Options{
		Home: d.home, Now: d.clock.now, KeyCost: cheap, HTTP: client,
		Log:        slog.New(slog.NewTextHandler(d, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Passphrase: func(context.Context, bool) (secret.Value, error) { return secret.New("a long test passphrase"), nil },
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	reg, _ := d.connected(t)
	d.registration = reg.ID
	return d
}

// set turns exactly these faults on. A client that is to be quick is so only
// while there are any.
func (d *ailing) set(t *testing.T, faults ...string) {
	t.Helper()
	d.client.Timeout = time.Minute
	if d.quick && len(faults) > 0 {
		d.client.Timeout = 700 * time.Millisecond
	}
	if err := d.ehr.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// patient gives a context that ends long after the client should have, so
// that a hang fails the test by name.
func (d *ailing) patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// again signs in at the browser once more.
func (d *ailing) again(t *testing.T) (workstation.Status, error) {
	t.Helper()
	o := workstation.ConnectOptions{Timeout: 20 * time.Second}
	if d.client.Timeout < time.Minute {
		o.Timeout = 1500 * time.Millisecond
	}
	login, err := d.BeginConnect(d.patient(t), d.registration, o)
	if err != nil {
		d.keep(err)
		return workstation.Status{}, err
	}
	u, err := url.Parse(login.AuthorizationURL())
	if err != nil {
		t.Fatal(err)
	}
	d.wire.note(u.Query().Get("state"))
	if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err != nil {
		t.Fatal(err)
	}
	status, err := login.Wait(d.patient(t))
	d.keep(err, status)
	return status, err
}

func (d *ailing) Refresh(ctx context.Context, ref string) (workstation.Status, error) {
	s, err := d.Workstation.Refresh(ctx, ref)
	d.keep(err, s)
	return s, err
}

func (d *ailing) status(t *testing.T) workstation.Status {
	t.Helper()
	s, err := d.Status(t.Context(), d.registration)
	if err != nil {
		t.Fatal(err)
	}
	d.keep(nil, s)
	return s
}

// works sees to it that the stored grant can be renewed and read with.
func (d *ailing) works(t *testing.T) {
	t.Helper()
	if _, err := d.Refresh(t.Context(), d.registration); err != nil {
		t.Errorf("a refresh when the fault is over: %v (%s)", err, fault.Code(err))
	}
	if _, err := d.Read(t.Context(), d.registration, "Patient/amara-nwosu"); err != nil {
		t.Errorf("a read when the fault is over: %v (%s)", err, fault.Code(err))
	}
}

// keep notes everything that was said to a person or a program.
func (d *ailing) keep(err error, values ...any) {
	for _, v := range append(values, workstation.Fault(err)) {
		text, _ := json.Marshal(v)
		d.said = append(d.said, fmt.Sprintf("%s %+v %#v", text, v, v))
	}
	for ; err != nil; err = unwrap(err) {
		d.said = append(d.said, err.Error())
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// tellsNoSecret looks for whatever secret went over the wire in all that was said.
func (d *ailing) tellsNoSecret(t *testing.T) {
	t.Helper()
	d.logMu.Lock()
	said := append(slices.Clone(d.said), d.log.String())
	d.logMu.Unlock()
	said = append(said, d.traced(t)...)
	secrets := d.wire.all()
	if len(secrets) < 5 {
		t.Fatalf("only %d secrets went over the wire, so the search for them proves nothing", len(secrets))
	}
	for _, s := range secrets {
		for _, text := range said {
			if strings.Contains(text, s) || strings.Contains(text, url.QueryEscape(s)) {
				t.Errorf("a secret of %d characters was told in: %.300s", len(s), text)
			}
		}
	}
}

// traced gives the traces of what was done, in each form.
func (d *ailing) traced(t *testing.T) []string {
	t.Helper()
	all, err := d.Traces(t.Context(), "", 100)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d traces, %v", len(all), err)
	}
	var out []string
	for _, one := range all {
		out = append(out, string(mustJSON(t, one)))
		for _, format := range []string{workstation.TraceHAR, workstation.TraceMarkdown} {
			var text bytes.Buffer
			if err := d.WriteTrace(t.Context(), one.ID, format, &text); err != nil {
				t.Fatal(err)
			}
			out = append(out, text.String())
		}
	}
	return out
}

// wiretap notes the secrets that requests and answers of the token endpoint carry.
type wiretap struct {
	next http.RoundTripper

	mu      sync.Mutex
	secrets []string
}

func (w *wiretap) note(secrets ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range secrets {
		if len(s) >= 8 {
			w.secrets = append(w.secrets, s)
		}
	}
}

func (w *wiretap) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.secrets)
}

func (w *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/token") || r.Body == nil {
		return w.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	if form, err := url.ParseQuery(string(body)); err == nil {
		w.note(form.Get("code"), form.Get("code_verifier"), form.Get("refresh_token"))
	}
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	original := resp.Body
	var answer bytes.Buffer
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(original, &answer), closer(func() error {
		var tokens struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
			ID      string `json:"id_token"`
		}
		if json.Unmarshal(answer.Bytes(), &tokens) == nil {
			w.note(tokens.Access, tokens.Refresh, tokens.ID)
		}
		return original.Close()
	})}
	return resp, nil
}

func (w *wiretap) CloseIdleConnections() {
	if c, ok := w.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type closer func() error

func (c closer) Close() error { return c() }

func TestCertificatesThatMustBeRefused(t *testing.T) {
	for mode, code := range map[string]string{simulator.TLSUnknownAuthority: "tls-untrusted", simulator.TLSExpired: "tls-expired"} {
		t.Run(mode, func(t *testing.T) {
			ehr, err := simulator.New(simulator.Options{TLS: mode})
			if err != nil {
				t.Fatal(err)
			}
			if err := ehr.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				_ = ehr.Close(ctx)
			})
			w := openDesk(t, filepath.Join(t.TempDir(), "data"), &clock{})
			reg, _, err := w.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: ehr.FHIRBaseURL(), ClientID: "chartkey-demo", RedirectURIs: []string{freeRedirect(t)}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
			if f := wantCode(t, err, code); f.Retryable {
				t.Error("trying again does not mend a certificate")
			}
			if n := len(ehr.Requests()); slices.ContainsFunc(ehr.Requests(), func(r simulator.Request) bool { return r.Method != http.MethodConnect }) {
				t.Errorf("%d requests came through", n)
			}
		})
	}
}

// epicBench is a workstation beside a simulated EHR that behaves like Epic's.
func epicBench(t *testing.T, clientID string, audience string) (*bench, workstation.Registration) {
	t.Helper()
	b := newBench(t, simulator.Settings{})
	if err := b.ehr.SetProfile(simulator.ProfileEpic); err != nil {
		t.Fatal(err)
	}
	in := b.input()
	in.ClientID, in.Audience = clientID, audience
	if clientID == "app-with-secret" {
		in.ClientType, in.ClientSecret = "confidential-symmetric", secretOfTest
	}
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	return b, reg
}

func TestAPatientAtAnEHRLikeEpics(t *testing.T) {
	b, reg := epicBench(t, "app", "patient")
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil {
		t.Fatal(err)
	}
	// The public client gets no refresh token, and is told so; that .rs came back as .read is the same.
	if status.Refreshable || !strings.Contains(status.ScopesNote, "offline_access") || strings.Contains(status.ScopesNote, "demographics") || len(status.Warnings) > 0 {
		t.Errorf("noted %q, warned %q", status.ScopesNote, status.Warnings)
	}
	if status.AccessEndsAt == nil || !slices.Contains(status.ScopesGranted, "patient/Observation.read") {
		t.Errorf("%+v", status)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	if err != nil || !report.OK {
		t.Errorf("the test: %v %+v", err, report)
	}
	_, err = b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "not-refreshable")
	for path, want := range map[string][2]string{
		"Patient/unknown":                             {"fhir-not-found", "code 4102"},
		"Condition":                                   {"fhir-request-refused", "code 4110"},
		"Observation?patient=amara-nwosu":             {"fhir-request-refused", "code 59108"},
		"Condition?patient=nobody":                    {"fhir-request-refused", "code 59102"},
		"Organization/northgate?patient=amara-nwosu":  {"fhir-forbidden", "code 4118"},
		"Organization?name=x":                         {"fhir-forbidden", "code 4118"},
		"Observation?patient=amara-nwosu&category=zz": {"", ""},
	} {
		_, err := b.Read(t.Context(), reg.ID, path)
		if want[0] == "" {
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if f := wantCode(t, err, want[0]); !strings.Contains(f.Message, want[1]) {
			t.Errorf("%s: %s", path, f.Message)
		}
	}
	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || d.Revocation != "not_offered" || d.Revoked {
		t.Errorf("%+v %v", d, err)
	}
}

func TestAClinicianAtAnEHRLikeEpics(t *testing.T) {
	b, reg := epicBench(t, "app-with-secret", "provider")
	status, err := b.signIn(t, reg.ID, simulator.Choice{Username: "dr.okafor", Password: "clinician-pass1"})
	if err != nil {
		t.Fatal(err)
	}
	if !status.Refreshable || status.Patient != nil || status.ScopesNote != "" {
		t.Errorf("%+v", status)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	if err != nil || !report.OK {
		t.Errorf("the test: %v %+v", err, report)
	}
	if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
		t.Error(err)
	}
	_, err = b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	if err != nil {
		t.Error(err)
	}
}

func TestWhatAnEHRLikeEpicsKeepsToItself(t *testing.T) {
	b, reg := epicBench(t, "app-with-secret", "patient")
	in := reg.Input()
	in.ClientSecretAction, in.ClientSecret = workstation.SecretReplace, "the one before"
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	_, err := b.signIn(t, reg.ID, amara)
	if f := wantCode(t, err, "client-refused"); !strings.Contains(f.Advice, "secret") || !strings.Contains(f.Advice, "environment") {
		t.Errorf("advised %q", f.Advice)
	}

	// The error page sends nothing back: the sign-in ends by its clock, with what to check.
	in.ClientID, in.ClientSecret = "of-production", "its own"
	if reg, _, err = b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err == nil {
		t.Error("the browser went on")
	}
	_, err = login.Wait(t.Context())
	if f := wantCode(t, err, "sign-in-timeout"); !strings.Contains(f.Advice, "client ID") {
		t.Errorf("advised %q", f.Advice)
	}

	// A base URL in the wrong case is answered with 200 and a page.
	in = reg.Input()
	in.FHIRBaseURL = strings.Replace(in.FHIRBaseURL, "/fhir", "/FHIR", 1)
	in.ClientSecretAction, in.ClientSecret = workstation.SecretReplace, secretOfTest
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	_, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	if f := wantCode(t, err, "discovery-not-json"); !strings.Contains(f.Advice, "case") {
		t.Errorf("advised %q", f.Advice)
	}
}
