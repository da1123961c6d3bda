package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/session"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Show the whole main job against the built-in simulated EHR", Args: noArgs, Example: "  chartkey demo\n  chartkey demo --json",
		Long: "The demo starts the simulated EHR, registers, tests, connects (a scripted browser signs in),\n" +
			"shows the status, reads, refreshes and disconnects. It works in a data folder and a vault of its\n" +
			"own that live only as long as it runs: your registrations and connections are not touched.",
		RunE: func(cmd *cobra.Command, _ []string) error { return r.demo(cmd.Context()) },
	}
}

type stepEvent struct {
	Event string `json:"event"`
	Step  string `json:"step"`
	Data  any    `json:"data,omitempty"`
}

type doneEvent struct {
	Event      string `json:"event"`
	OK         bool   `json:"ok"`
	DurationMS int64  `json:"duration_ms"`
}

// demo runs the main job as the window and the other commands do it.
func (r *run) demo(ctx context.Context) (err error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	home, err := os.MkdirTemp("", "chartkey-demo-")
	if err != nil {
		return fault.New("data-folder-unusable", "No temporary folder can be made.", "Check that the folder for temporary files is writable.").Because(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	redirect, err := freeRedirectURI(ctx)
	if err != nil {
		return err
	}
	// One redirect URI more than the preset client has, so that a window that
	// waits on all three registered ports is not in the way.
	server, err := startSimulator(ctx, simulator.Options{Clients: []simulator.Client{
		{ID: session.SandboxClientID, Name: "Chartkey demo", Type: simulator.Public, RedirectURIs: []string{redirect}},
	}})
	if err != nil {
		return err
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = errors.Join(err, server.Close(stopCtx))
	}()
	w, err := workstation.Open(ctx, workstation.Options{Home: home, Log: r.log(), Passphrase: func(context.Context, bool) (secret.Value, error) {
		return secret.New(demoPassphrase), nil
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := r.mainJob(ctx, w, server, redirect); err != nil {
		return err
	}
	done := doneEvent{"done", true, time.Since(started).Milliseconds()}
	return r.out.print(done, func(out io.Writer) {
		fmt.Fprintf(out, "\nDone in %d ms: the main job works on this computer.\n", done.DurationMS)
	})
}

// demoPassphrase guards a vault that is gone with the demo.
var demoPassphrase = rand.Text()

// freeRedirectURI gives a redirect URI on a port that is free now.
func freeRedirectURI(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fault.New("ports-taken", "No port is free on this computer.", "End a program that holds many ports.").Because(err)
	}
	defer l.Close()
	return fmt.Sprintf("http://localhost:%d/callback", l.Addr().(*net.TCPAddr).Port), nil
}

func (r *run) mainJob(ctx context.Context, w *workstation.Workstation, server *simulator.Server, redirect string) error {
	step := func(name string, data any, text func(io.Writer)) error {
		return r.out.print(stepEvent{"step", name, data}, func(out io.Writer) {
			fmt.Fprintf(out, "\n%s\n", name)
			text(out)
		})
	}
	line := func(text string) func(io.Writer) { return func(out io.Writer) { fmt.Fprintln(out, "  "+text) } }

	if err := step("simulator", map[string]string{"fhir_base_url": server.FHIRBaseURL()}, line("The simulated EHR answers at "+server.FHIRBaseURL())); err != nil {
		return err
	}
	reg, _, err := w.SaveRegistration(ctx, "", workstation.RegistrationInput{
		Name: session.SandboxName, Environment: "sandbox", FHIRBaseURL: server.FHIRBaseURL(), ClientID: session.SandboxClientID, RedirectURIs: []string{redirect},
	})
	if err != nil {
		return err
	}
	if err := step("register", reg, line("Registered "+reg.Name+" as "+reg.ClientID)); err != nil {
		return err
	}
	if err := r.demoTest(ctx, w, reg.ID, "test configuration", workstation.LayerConfiguration); err != nil {
		return err
	}
	if !r.json {
		fmt.Fprintln(r.Out, "\nconnect (a scripted browser signs in now)")
	}
	signedIn := make(chan error, 1)
	if err := r.connect(ctx, w, reg.ID, workstation.ConnectOptions{Timeout: 30 * time.Second}, func(url string) error {
		// The scripted person clicks through the same pages as a real one.
		go func() {
			_, err := simulator.SignIn(ctx, url, demoChoice(server))
			signedIn <- err
		}()
		return nil
	}); err != nil {
		return err
	}
	if err := <-signedIn; err != nil {
		return fault.New("demo-sign-in", "The scripted browser could not finish the sign-in.", "Report this: it is a mistake in Chartkey.").Because(err)
	}
	status, err := w.Status(ctx, reg.ID)
	if err != nil {
		return err
	}
	if err := step("status", status, func(out io.Writer) { r.out.status(status)(out) }); err != nil {
		return err
	}
	if err := r.demoTest(ctx, w, reg.ID, "test live", workstation.LayerLive); err != nil {
		return err
	}
	if status, err = w.Refresh(ctx, reg.ID); err != nil {
		return err
	}
	if err := step("refresh", status, line("The access token was renewed; usable until "+when(status.AccessExpiresAt))); err != nil {
		return err
	}
	d, err := w.Disconnect(ctx, reg.ID, workstation.RevokeAuto)
	if err != nil {
		return err
	}
	return step("disconnect", d, line(d.Message))
}

func demoChoice(server *simulator.Server) simulator.Choice {
	for _, a := range server.Accounts() {
		if a.Kind == simulator.PatientAccount {
			return simulator.Choice{Username: a.Username, Password: a.Password}
		}
	}
	return simulator.Choice{}
}

func (r *run) demoTest(ctx context.Context, w *workstation.Workstation, id, name string, layer workstation.Layer) error {
	report, err := w.Test(ctx, id, layer, nil)
	if err != nil {
		return err
	}
	if err := r.out.print(stepEvent{"step", name, report}, func(out io.Writer) {
		fmt.Fprintf(out, "\n%s\n", name)
		for _, c := range report.Checks {
			r.out.check(out, c)
		}
	}); err != nil {
		return err
	}
	return testFailed(report)
}
