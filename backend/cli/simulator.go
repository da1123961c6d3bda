package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/session"
	"chartkey/backend/simulator"

	"github.com/spf13/cobra"
)

type readyEvent struct {
	Event       string                  `json:"event"`
	FHIRBaseURL string                  `json:"fhir_base_url"`
	PortalURL   string                  `json:"portal_url"`
	Clients     []session.SandboxClient `json:"clients"`
	SignIns     []session.SandboxSignIn `json:"sign_ins"`
}

type requestEvent struct {
	Event string `json:"event"`
	simulator.Request
}

func (r *run) simulatorCommand() *cobra.Command {
	var o simulator.Options
	var clients string
	var trace, listFaults, listTraits, skipPickers bool
	cmd := &cobra.Command{
		Use: "simulator", Short: "Run the simulated EHR until it is stopped", Args: noArgs,
		Example: "  chartkey simulator\n  chartkey simulator --port 0 --json --trace\n  chartkey simulator --profile epic --fault token-503",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if listFaults || listTraits {
				return r.listConditions(listFaults, listTraits)
			}
			if clients != "" {
				var err error
				if o.Clients, err = simulator.LoadClients(clients); err != nil {
					return fault.New("invalid-clients", "The clients file cannot be used: "+err.Error()+".", "Correct the file; docs/simulator.md shows its form.").Because(err)
				}
			}
			o.Settings.SkipPatientPicker, o.Settings.SkipEncounterPicker = skipPickers, skipPickers
			if trace {
				o.Log = r.printRequest
			}
			return r.simulate(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.Port, "port", simulator.DefaultPort, "the port to listen on; 0 takes a free one")
	cmd.Flags().StringVar(&clients, "clients", "", "a JSON `file` with more clients")
	cmd.Flags().BoolVar(&trace, "trace", false, "print each request and what the server made of it")
	cmd.Flags().DurationVar(&o.Settings.AccessTokenLife, "access-token-life", 0, "how long an access token lasts (default 1h)")
	cmd.Flags().StringVar(&o.Settings.SignedInAs, "signed-in-as", "", "leave the sign-in page out: this `user` is signed in already")
	cmd.Flags().BoolVar(&o.Settings.SkipConsent, "skip-consent", false, "leave the consent page out")
	cmd.Flags().BoolVar(&skipPickers, "skip-pickers", false, "leave the patient and encounter pages out: the first of each is taken")
	cmd.Flags().IntVar(&o.Patients, "patients", 0, "generate this many patients more, for load")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "generate the same patients for the same `number`")
	cmd.Flags().StringVar(&o.Profile, "profile", simulator.ProfileSpec, "how it behaves: "+strings.Join(simulator.Profiles(), " or "))
	cmd.Flags().StringArrayVar(&o.Faults, "fault", nil, "a fault to turn on, by `name`; may be given more than once")
	cmd.Flags().StringVar(&o.TLS, "tls", "", "serve https with a certificate that clients must refuse: "+strings.Join(simulator.TLSModes(), " or "))
	cmd.Flags().BoolVar(&listFaults, "list-faults", false, "list the faults instead, each with why a client should survive it")
	cmd.Flags().BoolVar(&listTraits, "list-traits", false, "list the traits that profiles are made of instead")
	for flag, values := range map[string][]string{"profile": simulator.Profiles(), "tls": simulator.TLSModes(), "fault": faultNames()} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // it fails for a flag that is not there, or twice
	}
	return cmd
}

func faultNames() []string {
	var out []string
	for _, f := range simulator.Faults() {
		out = append(out, f.Name)
	}
	return out
}

// listConditions prints what the simulated EHR can be made to do, one a line.
func (r *run) listConditions(faults, traits bool) error {
	line := func(v any, name, sentence string) error {
		return r.out.print(v, func(w io.Writer) { fmt.Fprintf(w, "%s\n    %s\n", name, sentence) })
	}
	var err error
	if faults {
		for _, f := range simulator.Faults() {
			err = errors.Join(err, line(f, f.Name, f.Sentence))
		}
	}
	if traits {
		for _, t := range simulator.Traits() {
			err = errors.Join(err, line(t, t.Name, t.Sentence))
		}
	}
	return err
}

func (r *run) printRequest(q simulator.Request) {
	// A line that cannot be written is lost; the server goes on.
	_ = r.out.print(requestEvent{"request", q}, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s %s %d %s\n", q.At.UTC().Format(time.TimeOnly), q.Method, q.Path, q.Status, q.Verdict)
	})
}

func startSimulator(ctx context.Context, o simulator.Options) (*simulator.Server, error) {
	server, err := simulator.New(o)
	if err != nil {
		return nil, fault.New("usage", sentence(err.Error()), "See chartkey simulator --help.").Because(err)
	}
	if err := server.Start(ctx); err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "listen" {
			return nil, fault.Newf("port-taken", "End the program that holds it, or give another with --port.", "Port %d cannot be listened on.", o.Port).Because(err)
		}
		return nil, fault.New("sandbox-failed", "The simulated EHR could not start.", "Try again.").CanRetry().Because(err)
	}
	return server, nil
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// simulate serves until ctx ends.
func (r *run) simulate(ctx context.Context, o simulator.Options) error {
	server, err := startSimulator(ctx, o)
	if err != nil {
		return err
	}
	ready := readyEvent{Event: "ready", FHIRBaseURL: server.FHIRBaseURL(), PortalURL: server.PortalURL()}
	ready.Clients, ready.SignIns = session.SandboxClients(server), session.SandboxSignIns(server)
	err = r.out.print(ready, func(w io.Writer) {
		pairs(w, "FHIR base URL", ready.FHIRBaseURL, "Home page", ready.PortalURL)
		fmt.Fprintln(w)
		table(w, []string{"CLIENT ID", "TYPE"}, func(row func(...string)) {
			for _, c := range ready.Clients {
				row(c.ClientID, c.ClientType)
			}
		})
		fmt.Fprintln(w)
		table(w, []string{"SIGN-IN", "PASSWORD", "WHO"}, func(row func(...string)) {
			for _, a := range ready.SignIns {
				row(a.Username, a.Password, a.Name+", "+a.Role)
			}
		})
		fmt.Fprintln(w, "\nRunning. Stop it with Ctrl+C.")
	})
	if err == nil {
		<-ctx.Done()
	}
	stopCtx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return errors.Join(err, server.Close(stopCtx))
}
