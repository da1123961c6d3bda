//go:build linux && system

package loopback_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"chartkey/backend/localca"
	"chartkey/backend/localca/browsertest"
)

func TestARealBrowserComesBackByHTTPS(t *testing.T) {
	home := browsertest.NewHome(t)
	a := newAuthority(t)
	r := newReceiver(t)
	r.Certificates = certificates(t, a)
	heard := make(chan string, 20)
	r.OnRefused = func(reason string) { heard <- reason }
	uri := fmt.Sprintf("https://localhost:%d/callback", freePort(t))
	begin(t, r, uri, "good", welcome)
	begin(t, r, uri, "keeps the port", welcome)

	if page := browsertest.Visit(t, home, uri+"?state=good&code=c"); strings.Contains(page, "You are signed in") {
		t.Fatal("Chromium trusts it before it is told to")
	}
	hears(t, heard, "certificate-refused")
	for _, s := range localca.Stores(home, os.Getenv) {
		if err := s.Trust(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if page := browsertest.Visit(t, home, uri+"?state=good&code=c"); !strings.Contains(page, "You are signed in") {
		t.Error(page)
	}
}
