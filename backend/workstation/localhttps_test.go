package workstation_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func TestASignInComesBackByHTTPS(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	secure := strings.Replace(b.redirect, "http:", "https:", 1)
	if err := b.ehr.Register(simulator.Client{ID: "secure", Name: "Secure", Type: simulator.Public, RedirectURIs: []string{secure}}); err != nil {
		t.Fatal(err)
	}
	in := b.input()
	in.ClientID, in.RedirectURIs = "secure", []string{secure}
	reg, problems, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil || len(problems) == 0 || !strings.Contains(problems[len(problems)-1].Advice, "https enable") {
		t.Fatalf("%+v %v", problems, err)
	}
	_, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "localhost-authority-missing")
	if err := b.EnableLocalHTTPS(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.EnableLocalHTTPS(t.Context()), "localhost-authority-exists")
	s, err := b.LocalHTTPS(t.Context(), func(string) string { return "" })
	if err != nil || s.Authority == nil {
		t.Fatalf("%+v %v", s, err)
	}
	authority, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	choice := amara
	choice.Hold = true
	callback, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), choice)
	if err != nil || !strings.HasPrefix(callback, secure) {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	browser := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	res, err := browser.Get(callback)
	if err != nil {
		t.Fatal("a browser that trusts the authority does not reach the callback:", err)
	}
	_ = res.Body.Close()
	if status, err := login.Wait(t.Context()); err != nil || status.State != workstation.Connected {
		t.Errorf("%+v %v", status, err)
	}
	// The key is nowhere in clear, and after the end nothing of it is left.
	if err := b.DisableLocalHTTPS(t.Context(), func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.File); !os.IsNotExist(err) {
		t.Error("the certificate's file stays behind")
	}
	_, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "localhost-authority-missing")
}
