package workstation_test

import (
	"strings"
	"testing"

	"chartkey/backend/simulator"
	"chartkey/backend/trace"
	"chartkey/backend/workstation"
)

func TestOperationsLeaveARedactedTrace(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg, s := b.connected(t)
	if _, err := b.Read(t.Context(), reg.ID, "Patient/"+*s.Patient); err != nil {
		t.Fatal(err)
	}
	all, err := b.Traces(t.Context(), "Mercy", 10)
	if err != nil || len(all) < 2 || all[0].Operation != "read" || all[0].Registration != "Mercy" {
		t.Fatalf("%d %v", len(all), err)
	}
	connect := all[len(all)-1]
	if connect.Operation != "connect" || connect.Outcome != "ok" {
		t.Errorf("%s ended %s", connect.Operation, connect.Outcome)
	}
	var kinds []string
	for _, e := range connect.Exchanges {
		kinds = append(kinds, e.Kind)
	}
	for _, n := range connect.Notes {
		kinds = append(kinds, n.Step)
	}
	for _, want := range []string{trace.KindToken, trace.StepAuthorize, trace.StepCallback} {
		if !strings.Contains(strings.Join(kinds, " "), want) {
			t.Errorf("no %s among %v", want, kinds)
		}
	}
	if len(connect.Sequence) < 4 {
		t.Errorf("the sequence has %d arrows", len(connect.Sequence))
	}
	for _, one := range all {
		text := string(mustJSON(t, one))
		for _, name := range []string{*s.Patient, "Nwosu"} {
			if strings.Contains(text, name) {
				t.Errorf("the trace of %s names the patient:\n%s", one.Operation, text)
			}
		}
	}
	wantCode(t, b.WriteTrace(t.Context(), 99999, workstation.TraceHAR, nil), "trace-not-found")
	for range 30 {
		if _, err := b.Read(t.Context(), reg.ID, "Patient/"+*s.Patient); err != nil {
			t.Fatal(err)
		}
	}
	if all, err = b.Traces(t.Context(), "", 100); err != nil || len(all) != 20 {
		t.Errorf("%d traces are kept, %v", len(all), err)
	}
}
