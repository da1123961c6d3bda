package workstation_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chartkey/backend/workstation"
)

func finding(t *testing.T, found []workstation.Finding, id string) workstation.Finding {
	t.Helper()
	for _, f := range found {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("there is no finding %s", id)
	return workstation.Finding{}
}

var plainDoctor = workstation.DoctorOptions{Getenv: func(string) string { return "" }, Version: "Chartkey 1", Offline: true, Simulator: 18340}

// TestDoctorTellsOfCertificatesInTime lets the years pass over an authority for
// https here and over one that was added for a hospital's network.
func TestDoctorTellsOfCertificatesInTime(t *testing.T) {
	c := &clock{}
	w := openDesk(t, filepath.Join(t.TempDir(), "data"), c)
	look := func(id string) workstation.Finding { return finding(t, w.Doctor(t.Context(), plainDoctor), id) }
	for _, id := range []string{"localhost-https", "certificates"} {
		if f := look(id); f.Result != workstation.Healthy {
			t.Errorf("before there is any: %+v", f)
		}
	}
	if err := w.EnableLocalHTTPS(t.Context()); err != nil {
		t.Fatal(err)
	}
	https, err := w.LocalHTTPS(t.Context(), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	e := newPublishedEHR(t)
	if _, err := w.SetAuthorities(t.Context(), "", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw})); err != nil {
		t.Fatal(err)
	}
	for id, until := range map[string]time.Time{"localhost-https": https.Authority.NotAfter, "certificates": e.Certificate().NotAfter} {
		for _, step := range []struct {
			before time.Duration
			want   workstation.Severity
		}{{60 * 24 * time.Hour, workstation.Healthy}, {10 * 24 * time.Hour, workstation.Attention}, {-time.Hour, workstation.Problem}} {
			c.pass(until.Add(-step.before).Sub(c.now()))
			if f := look(id); f.Result != step.want || (f.Advice == "") != (step.want == workstation.Healthy) {
				t.Errorf("%s before the end of %s: %+v", step.before, id, f)
			}
		}
	}
}

func TestExamineMakesNothing(t *testing.T) {
	home := filepath.Join(t.TempDir(), "data")
	found, err := workstation.Examine(t.Context(), workstation.Options{Home: home}, "", plainDoctor)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Result == workstation.Problem && f.ID != "ports" {
			t.Errorf("%+v", f)
		}
	}
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("the data folder was made: %v", err)
	}
}
