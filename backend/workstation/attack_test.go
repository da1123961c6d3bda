package workstation_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// snoop is a server that keeps the credentials and bodies that it is sent.
type snoop struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func newSnoop(t *testing.T, configuration func(base string) map[string]any) *snoop {
	t.Helper()
	s := &snoop{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.got = append(s.got, r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.PostForm.Encode())
		s.mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/.well-known/smart-configuration") {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(configuration(s.URL)); err != nil {
				t.Error(err)
			}
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	return s
}

// carried fails where anything but requests for public documents came.
func (s *snoop) carried(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.got {
		if parts := strings.SplitN(line, " ", 3); parts[1] != "" || parts[2] != "" {
			t.Errorf("it was sent %q", line)
		}
	}
}

func (b *bench) confidential(t *testing.T) workstation.Registration {
	t.Helper()
	in := b.input()
	in.ClientID, in.ClientType, in.ClientSecret = "app-with-secret", "confidential-symmetric", secretOfTest
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestAStoredSecretDoesNotFollowItsRegistrationToAnotherServer(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.confidential(t)
	for name, change := range map[string]func(*workstation.RegistrationInput){
		"another server": func(in *workstation.RegistrationInput) { in.FHIRBaseURL = "https://evil.example/fhir" },
		"another client": func(in *workstation.RegistrationInput) { in.ClientID = "another" },
	} {
		in := reg.Input()
		change(&in)
		_, _, err := b.SaveRegistration(t.Context(), reg.ID, in)
		if wantCode(t, err, "invalid-registration"); !strings.Contains(err.Error(), "client_secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nor does it where the row is changed behind Chartkey's back.
	b.execSQL(t, "UPDATE registration SET client_id = 'another'")
	_, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "vault-damaged")
}

func TestADisconnectSendsTheNewServersSecretToNobody(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.confidential(t)
	in := reg.Input()
	in.FHIRBaseURL, in.ClientID = "https://new.example/fhir", "new-client"
	in.ClientSecretAction, in.ClientSecret = workstation.SecretReplace, "the new server's secret"
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, in); err != nil {
		t.Fatal(err)
	}
	before := b.asked("/auth/revoke")
	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || d.Revoked || d.Error == nil {
		t.Errorf("%+v %v", d, err)
	}
	if n := b.asked("/auth/revoke") - before; n != 0 {
		t.Errorf("the old server was asked %d times", n)
	}
}

func TestAChangedRowSendsTokensNowhere(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	evil := newSnoop(t, func(base string) map[string]any {
		return map[string]any{"authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token", "capabilities": []string{}}
	})
	base := strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)
	b.execSQL(t, fmt.Sprintf("UPDATE grants SET fhir_base_url = '%s'", base))
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "vault-damaged")
	_, err = b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "vault-damaged")
	if _, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto); err != nil {
		t.Error(err)
	}
	evil.carried(t)
}

func TestADiscoveryThatMovesTheTokenEndpointGetsNoToken(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	evil := newSnoop(t, func(string) map[string]any { return nil })
	b.execSQL(t, fmt.Sprintf(`UPDATE discovery SET configuration = replace(configuration, '"%s/auth/', '"%s/')`, b.ehr.Origin(), evil.URL))
	_, err := b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "server-changed")
	if d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto); err != nil || d.Revoked || d.Error == nil || d.Error.Code != "server-changed" {
		t.Errorf("%+v %v", d, err)
	}
	evil.carried(t)
}

func TestAnIssuerThatAnotherServerClaimsIsRefused(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	b.connected(t) // the honest server is known, with its issuer
	evil := newSnoop(t, func(base string) map[string]any {
		return map[string]any{
			"issuer": b.ehr.Origin() + "/auth", "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token", "jwks_uri": base + "/jwks",
			"code_challenge_methods_supported": []string{"S256"}, "capabilities": []string{"launch-standalone"},
		}
	})
	reg, _, err := b.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Evil", FHIRBaseURL: evil.URL, ClientID: "x", RedirectURIs: []string{b.redirect}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "issuer-claimed")
	evil.carried(t)
}

func TestAChangedRowAcceptsNoLaunch(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	entry, err := l.ehr.Launch(simulator.LaunchRequest{Patient: "amara-nwosu", ClientID: "app", LaunchURL: l.at})
	if err != nil {
		t.Fatal(err)
	}
	_, authorize, _ := browse(t, entry, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"})
	if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{}); err != nil {
		t.Fatal(err)
	}
	s := next(t, l.connected)
	_, err = l.Refresh(t.Context(), *s.ConnectionID)
	wantCode(t, err, "launch-not-accepted")
	l.execSQL(t, "UPDATE grants SET accepted = 1")
	_, err = l.Read(t.Context(), *s.ConnectionID, "Patient/amara-nwosu")
	wantCode(t, err, "vault-damaged")
}

func TestAPageThatLaunchesTakesNoPlaceOfAPerson(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	page := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
	refused := 0
	for range 40 {
		if status, _, _ := browse(t, l.invent(l.ehr.FHIRBaseURL()), page); status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 25 {
		t.Errorf("only %d of 40 launches of a page were refused", refused)
	}
	if status, _, text := browse(t, l.invent(l.ehr.FHIRBaseURL()), nil); status != http.StatusFound {
		t.Errorf("a person's launch: %d %s", status, text)
	}
	if s, err := l.Status(t.Context(), "Mercy"); err != nil || s.LastError != nil {
		t.Errorf("launches left an error at the registration: %+v %v", s.LastError, err)
	}
	before := len(l.seen)
	for range 200 {
		browse(t, l.at+"?iss=nonsense&launch=x", nil)
	}
	if n := len(l.seen) - before; n > 80 {
		t.Errorf("%d of 200 refusals were told one by one", n)
	}
}

func TestTwoEditsAtOnceLoseNothing(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	b.clock.pass(-1) // the clock may even go back between two edits
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 8 {
		wg.Go(func() {
			in := reg.Input()
			in.Name = fmt.Sprintf("Mercy %d", i)
			_, _, err := b.SaveRegistration(t.Context(), reg.ID, in)
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	saved := 0
	for err := range errs {
		if err == nil {
			saved++
		} else {
			wantCode(t, err, "registration-changed")
		}
	}
	if saved == 0 {
		t.Error("nothing was saved")
	}
}
