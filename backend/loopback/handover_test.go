package loopback_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
)

func TestACallbackIsHandedOverByAnotherProcess(t *testing.T) {
	place := filepath.Join(t.TempDir(), "callback.sock")
	// What a process that was killed left behind is in nobody's way.
	if err := os.WriteFile(place, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := loopback.NewReceiver(time.Now)
	r.HandOver = place
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var got url.Values
	l, err := r.Begin(t.Context(), []string{loopback.AppRedirectURI}, func(string) (string, error) { return "the-state", nil }, func(_ context.Context, q url.Values) loopback.Page {
		got = q
		return loopback.Page{OK: true, Title: "Connected", Message: "To <Mercy>."}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(place); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	// A second process finds the place taken.
	other := loopback.NewReceiver(time.Now)
	other.HandOver = place
	_, err = other.Begin(t.Context(), []string{loopback.AppRedirectURI}, func(string) (string, error) { return "s", nil }, nil)
	if fault.Code(err) != "ports-taken" {
		t.Errorf("the second: %v", err)
	}
	for _, bad := range []string{"", "https://callback?x=y", "chartkey://elsewhere?state=the-state", "chartkey://callback/more?state=the-state", "chartkey:callback"} {
		if _, err := loopback.Deliver(t.Context(), place, bad); fault.Code(err) != "callback-invalid" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if d, err := loopback.Deliver(t.Context(), place, "chartkey://callback?code=c&state=another"); err != nil || d.OK || got != nil {
		t.Errorf("an unknown state: %+v %v", d, err)
	}
	// A browser may add the slash of an empty path.
	d, err := loopback.Deliver(t.Context(), place, "chartkey://callback/?code=c+d&state=the-state")
	if err != nil || !d.OK || d.Title != "Connected" || d.Message != "To <Mercy>." || got.Get("code") != "c d" {
		t.Errorf("%+v %v %v", d, err, got)
	}
	if d, err := loopback.Deliver(t.Context(), place, "chartkey://callback?code=c&state=the-state"); err != nil || d.OK {
		t.Errorf("twice: %+v %v", d, err)
	}
	l.Close()
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := loopback.Deliver(t.Context(), place, "chartkey://callback?code=c&state=the-state"); fault.Code(err) != "no-sign-in-waits" {
		t.Errorf("nobody there: %v", err)
	}
}
