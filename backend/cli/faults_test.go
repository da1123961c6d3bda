package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/simulator"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestEveryFaultEndsOnTheCommandLine goes through the main job with each fault
// of the simulated EHR on: each command ends by itself, or at once by Ctrl+C,
// with success or with an error that says what to do. How each ends is in the
// list of the workstation's own tests.
func TestEveryFaultEndsOnTheCommandLine(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "workstation", "testdata", "fault-endings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endings map[string]faultEnding
	if err := json.Unmarshal(text, &endings); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range simulator.Faults() {
		want, ok := endings[f.Name]
		if !ok {
			t.Errorf("nothing says how the client should end the fault %s", f.Name)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name+".txtar"), []byte(want.script(f.Name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := scripts(dir)
	p.Cmds = maps.Clone(p.Cmds)
	p.Cmds["leave"] = cmdLeave
	testscript.Run(t, p)
}

type faultEnding struct {
	Connect, Refresh, Read string
	Lost                   []string
}

// script is the main job under a fault that is on from the beginning.
func (want faultEnding) script(fault string) string {
	var s strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	// ends judges the end of what was started as job; with "" the last exits.
	ends := func(job, command, code string) {
		exit := 0
		if code != "" {
			exit = 1
		}
		if job == "" {
			job = "stdout"
			say("exits %d %s", exit, command)
		} else {
			say("ends %s %d", job, exit)
		}
		if code != "" {
			say("json %s last error.code %s", job, code)
		}
	}
	// interrupted sees that it waits with patience, and ends at once by Ctrl+C.
	interrupted := func(job string) {
		say("sleep 1s\nsignal %s INT\nends %s 130", job, job)
	}
	const connect, read, refresh = "chartkey connect Sandbox --no-browser --json", "chartkey fhir get Sandbox Patient/amara-nwosu --json", "chartkey refresh Sandbox --json"

	say("redirect CALLBACK\nclients clients.json $CALLBACK")
	say("start sim chartkey simulator --port 0 --clients clients.json --fault %s --json", fault)
	say("json sim 1 fhir_base_url >BASE")
	say("exits 0 chartkey registration add --name Sandbox --fhir-base-url $BASE --client-id chartkey-demo --redirect-uri $CALLBACK --no-test --json")
	switch {
	case fault == "discovery-hangs":
		say("start connect %s", connect)
		interrupted("connect")
	case strings.HasPrefix(fault, "discovery-") && want.Connect != "":
		ends("", connect, want.Connect)
		say("lines stdout 1")
	case fault == "token-hangs":
		say("start connect %s\njson connect event=authorize url >URL\nleave $URL", connect)
		interrupted("connect")
	case want.Connect == "sign-in-timeout":
		say("start connect %s --timeout 6s\njson connect event=authorize url >URL\nsignin $URL user=amara", connect)
		ends("connect", "", want.Connect)
	default:
		say("start connect %s\njson connect event=authorize url >URL\nsignin $URL user=amara", connect)
		ends("connect", "", want.Connect)
	}
	if want.Connect != "" {
		say("exits 0 chartkey status Sandbox --json\njson stdout 1 state not_connected")
		return s.String()
	}
	say("json connect last status.state connected")
	switch {
	case fault == "fhir-hangs":
		say("start read %s", read)
		interrupted("read")
	default:
		ends("", read, want.Read)
	}
	switch {
	case slices.Contains(want.Lost, "read"):
		say("exits 0 chartkey status Sandbox --json\njson stdout 1 state needs_reconnect")
	case fault == "refresh-token-empty": // from the first answer on, so there is none to refresh with
		ends("", refresh, "not-refreshable")
	default:
		ends("", refresh, want.Refresh)
	}
	return s.String()
}

// cmdLeave signs in as signin does, and leaves the browser alone with what comes of it.
func cmdLeave(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: leave URL")
	}
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		// Whether it is answered is not for the browser to judge: its app is about to end.
		_, _ = simulator.SignIn(ctx, args[0], simulator.Choice{Username: "amara", Password: "patient-pass1"})
	}()
	ts.Defer(func() {
		cancel()
		<-left
	})
}
