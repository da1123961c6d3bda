package workstation_test

import (
	"context"
	"testing"

	"chartkey/backend/loopback"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func TestASignInComesBackByTheAppsOwnScheme(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	if err := b.ehr.Register(simulator.Client{ID: "native", Name: "Native", Type: simulator.Public, RedirectURIs: []string{loopback.AppRedirectURI}}); err != nil {
		t.Fatal(err)
	}
	in := b.input()
	in.ClientID, in.RedirectURIs = "native", []string{loopback.AppRedirectURI}
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
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
	if err != nil {
		t.Fatal(err)
	}
	// What the desktop starts is another process with the same data folder.
	second := openDesk(t, b.home, b.clock)
	d, err := second.DeliverCallback(context.Background(), callback)
	if err != nil || !d.OK {
		t.Fatalf("%+v %v", d, err)
	}
	if s, err := login.Wait(t.Context()); err != nil || s.State != workstation.Connected {
		t.Errorf("%+v %v", s, err)
	}
}
