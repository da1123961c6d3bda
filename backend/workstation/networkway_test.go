package workstation_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"chartkey/backend/secret"
	"chartkey/backend/workstation"
)

// hospitalServer is an https server with an authority that no system knows.
func hospitalServer(t *testing.T) (*httptest.Server, []byte) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/metadata") {
			w.Header().Set("Content-Type", "application/fhir+json")
			_, _ = io.WriteString(w, `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func checkOf(t *testing.T, report workstation.TestReport, id string) workstation.Check {
	t.Helper()
	for _, c := range report.Checks {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no check %s in %+v", id, report.Checks)
	return workstation.Check{}
}

func TestARegistrationTrustsItsOwnAuthority(t *testing.T) {
	w := openDesk(t, filepath.Join(t.TempDir(), "data"), &clock{})
	server, authority := hospitalServer(t)
	reg, _, err := w.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: server.URL + "/fhir", ClientID: "app"})
	if err != nil {
		t.Fatal(err)
	}
	report, err := w.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if c := checkOf(t, report, "server"); err != nil || c.Result != workstation.Fail || !strings.Contains(c.Detail, "trust") {
		t.Fatalf("before: %+v %v", c, err)
	}
	if _, err := w.SetAuthorities(t.Context(), reg.ID, authority); err != nil {
		t.Fatal(err)
	}
	report, err = w.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if c := checkOf(t, report, "server"); err != nil || c.Result != workstation.Pass {
		t.Errorf("with its authority: %+v %v", c, err)
	}
	s, err := w.NetworkSettings(t.Context(), reg.ID)
	if err != nil || len(s.Authorities) != 1 {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := w.SetAuthorities(t.Context(), reg.ID, nil); err != nil {
		t.Fatal(err)
	}
	report, err = w.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if c := checkOf(t, report, "server"); err != nil || c.Result != workstation.Fail {
		t.Errorf("after it was taken away: %+v %v", c, err)
	}
}

// connectProxy answers CONNECT for a user, sends everything to one address, and counts.
func connectProxy(t *testing.T, to, credentials string) (address string, served *atomic.Int32) {
	t.Helper()
	served = &atomic.Int32{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != credentials {
			w.Header().Set("Proxy-Authenticate", `Basic realm="hospital"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		served.Add(1)
		up, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer up.Close()
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(up, bufio.NewReader(buffered)) }()
		_, _ = io.Copy(conn, up)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL, served
}

func TestTheProxyOfTheWorkstationIsUsedAndItsPasswordIsSealed(t *testing.T) {
	home := filepath.Join(t.TempDir(), "data")
	w := openDesk(t, home, &clock{})
	server, authority := hospitalServer(t)
	// A name that only the proxy knows: example.com is in the certificate of httptest.
	reg, _, err := w.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: "https://example.com/fhir", ClientID: "app"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetAuthorities(t.Context(), "", authority); err != nil {
		t.Fatal(err)
	}
	address, served := connectProxy(t, server.Listener.Addr().String(), "Basic Y2hhcnQ6cHIweHktcGFzc3cwcmQ=") // chart:pr0xy-passw0rd
	if err := w.SetProxy(t.Context(), workstation.ProxyInput{Mode: "manual", URL: address, User: "chart", PasswordAction: "replace", Password: "wrong-one"}); err != nil {
		t.Fatal(err)
	}
	report, err := w.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if c := checkOf(t, report, "server"); err != nil || c.Result != workstation.Fail || !strings.Contains(c.Detail, "proxy") {
		t.Errorf("with a wrong password: %+v %v", c, err)
	}
	if err := w.SetProxy(t.Context(), workstation.ProxyInput{Mode: "manual", URL: address, User: "chart", PasswordAction: "replace", Password: "pr0xy-passw0rd"}); err != nil {
		t.Fatal(err)
	}
	report, err = w.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if c := checkOf(t, report, "server"); err != nil || c.Result != workstation.Pass || served.Load() == 0 {
		t.Errorf("through the proxy: %+v %v, %d tunnels", c, err, served.Load())
	}
	route, err := w.Route(t.Context(), "https://example.com/fhir")
	if err != nil || route.Proxy != address || !route.SignsIn || len(route.Authorities) != 1 {
		t.Errorf("%+v %v", route, err)
	}
	wantCode(t, w.SetProxy(t.Context(), workstation.ProxyInput{Mode: "manual", URL: "http://user:pass@proxy:1"}), "proxy-url-password")
	wantCode(t, w.SetProxy(t.Context(), workstation.ProxyInput{Mode: "manual"}), "invalid-proxy")
	// Another address does not get the password of this one.
	if err := w.SetProxy(t.Context(), workstation.ProxyInput{Mode: "manual", URL: "http://other.example:8080", User: "chart"}); err != nil {
		t.Fatal(err)
	}
	if s, err := w.NetworkSettings(t.Context(), ""); err != nil || s.Proxy.Password != "none" {
		t.Errorf("%+v %v", s, err)
	}
	files, err := filepath.Glob(filepath.Join(home, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), "pr0xy-passw0rd") {
			t.Errorf("%s holds the proxy's password", name)
		}
	}
}

func TestAClinicianDoesNotChangeTheNetwork(t *testing.T) {
	w := openDesk(t, filepath.Join(t.TempDir(), "data"), &clock{})
	if _, err := w.AddProfile(t.Context(), workstation.NewProfile{Name: "dr", Role: "clinician", Passcode: secret.New("a passcode"), OwnPasscode: secret.New("an own passcode")}); err != nil {
		t.Fatal(err)
	}
	if err := w.Unlock(context.Background(), workstation.UnlockRequest{Profile: "dr", Passcode: secret.New("a passcode")}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.SetProxy(t.Context(), workstation.ProxyInput{Mode: "direct"}), "role-needed")
	_, err := w.SetAuthorities(t.Context(), "", nil)
	wantCode(t, err, "role-needed")
}
