package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/report"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

// authorizeEvent says that the browser has to open the URL.
type authorizeEvent struct {
	Event       string    `json:"event"`
	URL         string    `json:"url"`
	RedirectURI string    `json:"redirect_uri"`
	Scopes      []string  `json:"scopes"`
	Warnings    []string  `json:"warnings"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// connectedEvent says that the grant is stored.
type connectedEvent struct {
	Event  string             `json:"event"`
	Status workstation.Status `json:"status"`
}

func (r *run) connectCommand() *cobra.Command {
	var o workstation.ConnectOptions
	var noBrowser bool
	var scopes string
	cmd := &cobra.Command{
		Use: "connect REG", Short: "Sign in through the browser and keep the grant", Args: exactArgs("a registration"),
		Example: "  chartkey connect Sandbox\n  chartkey connect Sandbox --no-browser --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Scopes = strings.Fields(scopes)
			if o.Timeout <= 0 || o.Timeout > workstation.MaxConnectTimeout {
				return usage(cmd, fmt.Sprintf("the timeout must be more than 0 and at most %s", workstation.MaxConnectTimeout))
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				open := r.OpenBrowser
				if noBrowser {
					open = nil
				}
				return r.connect(cmd.Context(), w, args[0], o, open)
			})
		},
	}
	cmd.Flags().StringVar(&o.As, "as", "", "sign in as a patient or a provider, whatever the registration says")
	cmd.Flags().BoolVar(&o.AnyAccount, "any-account", false, "take another account than the last time without being asked")
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "only print the address to open")
	cmd.Flags().StringVar(&scopes, "scopes", "", "the `scopes` to ask for in place of the registration's")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", workstation.DefaultConnectTimeout, "how long to wait for the sign-in, at most 10m")
	return cmd
}

// acceptAccount asks whether another account than the last time is meant.
func (r *run) acceptAccount(ctx context.Context, w *workstation.Workstation, waiting workstation.Status, cause error) (workstation.Status, error) {
	r.out.note(workstation.Fault(cause).Message)
	if err := r.confirm(ctx, "Use this account from now on? [y/N] "); err != nil {
		return waiting, cause
	}
	if err := w.AcceptConnection(ctx, *waiting.ConnectionID); err != nil {
		return waiting, err
	}
	return w.Status(ctx, waiting.RegistrationID)
}

// connect signs in; open takes the address to a browser, or is nil.
func (r *run) connect(ctx context.Context, w *workstation.Workstation, ref string, o workstation.ConnectOptions, open func(string) error) error {
	login, err := w.BeginConnect(ctx, ref, o)
	if err != nil {
		return err
	}
	for _, warning := range login.Warnings {
		r.out.note("note: " + warning)
	}
	e := authorizeEvent{"authorize", login.AuthorizationURL(), login.RedirectURI, login.Scopes, login.Warnings, login.ExpiresAt}
	if err := r.out.print(e, func(w io.Writer) {
		fmt.Fprintf(w, "Sign in at the EHR in a browser on this computer:\n\n  %s\n\nWaiting until %s for the browser to come back to %s.\n", e.URL, e.ExpiresAt.Format(time.RFC3339), e.RedirectURI)
	}); err != nil {
		return err
	}
	if open != nil {
		go func() { // some launchers return only when the browser is closed
			if err := open(login.AuthorizationURL()); err != nil {
				r.out.note("The browser could not be opened; open the address above yourself.")
			}
		}()
	}
	status, err := login.Wait(ctx)
	if fault.Code(err) == "account-changed" && r.Terminal && !r.json {
		if status, err = r.acceptAccount(ctx, w, status, err); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return r.out.print(connectedEvent{"connected", status}, func(w io.Writer) {
		fmt.Fprintln(w, "\nConnected.")
		r.out.status(status)(w)
	})
}

func (r *run) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status [REG]", Short: "Show how the connections stand, without asking a server", Args: optionalReg, Example: "  chartkey status\n  chartkey status Sandbox --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if len(args) == 1 {
					return r.oneStatus(cmd.Context(), w, args[0])
				}
				return r.allStatus(cmd.Context(), w)
			})
		},
	}
}

// oneStatus prints the status of a connection, or of all of a registration:
// the standalone one, then those from EHR launches.
func (r *run) oneStatus(ctx context.Context, w *workstation.Workstation, ref string) error {
	s, err := w.Status(ctx, ref)
	if err != nil {
		return err
	}
	all := []workstation.Status{s}
	if s.ConnectionID == nil || ref != *s.ConnectionID {
		launches, err := w.LaunchStatuses(ctx, s.RegistrationID)
		if err != nil {
			return err
		}
		all = append(all, launches...)
	}
	for i, s := range all {
		if i > 0 && !r.json {
			fmt.Fprintln(r.Out)
		}
		if err := r.out.print(s, r.out.status(s)); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) allStatus(ctx context.Context, w *workstation.Workstation) error {
	all, err := w.Statuses(ctx)
	if err != nil {
		return err
	}
	launches, err := w.LaunchStatuses(ctx, "")
	if err != nil {
		return err
	}
	all = append(all, launches...)
	if r.json {
		for _, s := range all {
			if err := r.out.print(s, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		r.out.note("There is no registration yet. Add one with chartkey registration add.")
		return nil
	}
	table(r.Out, []string{"REGISTRATION", "STATE", "PATIENT", "ACCESS TOKEN UNTIL", "ACCESS ENDS", "KIND"}, func(row func(...string)) {
		for _, s := range all {
			patient := named(s.Patient, s.PatientName)
			if s.IdentityLocked {
				patient = "(vault locked)"
			}
			ends := when(s.AccessEndsAt)
			if ends == "" && s.ConnectionID != nil {
				ends = "not known"
			}
			row(s.RegistrationName, stateWords[s.State], patient, when(s.AccessExpiresAt), ends, s.Kind)
		}
	})
	return nil
}

func (r *run) testCommand() *cobra.Command {
	var layer, format string
	cmd := &cobra.Command{
		Use: "test REG", Short: "Test the configuration, and a real read with the stored grant", Args: exactArgs("a registration"), Example: "  chartkey test Sandbox\n  chartkey test Sandbox --layer configuration --json\n  chartkey test Sandbox --format junit > chartkey.xml",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if format != "" && !slices.Contains(report.Formats(), format) {
					return report.Write(io.Discard, format, report.Document{})
				}
				found, err := w.Test(cmd.Context(), args[0], workstation.Layer(layer), nil)
				if err != nil {
					return err
				}
				if format == "" {
					err = r.out.report(found)
				} else {
					err = r.writeReport(cmd.Context(), w, format, found)
				}
				if err != nil {
					return err
				}
				return testFailed(found)
			})
		},
	}
	cmd.Flags().StringVar(&layer, "layer", string(workstation.LayerAll), "configuration, live or all")
	cmd.Flags().StringVar(&format, "format", "", "write a report that names no patient: html, markdown, json or junit")
	return cmd
}

// writeReport writes a test as a document for others.
func (r *run) writeReport(ctx context.Context, w *workstation.Workstation, format string, found workstation.TestReport) error {
	reg, err := w.Registration(ctx, found.RegistrationID)
	if err != nil {
		return err
	}
	status, err := w.Status(ctx, found.RegistrationID)
	if err != nil {
		return err
	}
	return report.Write(r.Out, format, report.New(r.build.Version, time.Now(), reg, found, &status))
}

// testFailed is the fault of a report with failures: the first of them.
func testFailed(report workstation.TestReport) error {
	for _, c := range report.Checks {
		if c.Result == workstation.Fail {
			return fault.New("test-failed", "The test failed: "+c.Detail, c.Advice)
		}
	}
	return nil
}

func (r *run) refreshCommand() *cobra.Command {
	return &cobra.Command{
		Use: "refresh REG", Short: "Renew the access token now", Args: exactArgs("a registration"), Example: "  chartkey refresh Sandbox",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				s, err := w.Refresh(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return r.out.print(s, r.out.status(s))
			})
		},
	}
}

func (r *run) disconnectCommand() *cobra.Command {
	var revoke string
	cmd := &cobra.Command{
		Use: "disconnect REG", Short: "End the connection: tell the EHR, if it takes that, and forget it here", Args: exactArgs("a registration"), Example: "  chartkey disconnect Sandbox",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				d, err := w.Disconnect(cmd.Context(), args[0], workstation.RevokeMode(revoke))
				if err != nil {
					return err
				}
				return r.out.print(d, func(w io.Writer) {
					fmt.Fprintln(w, d.Message)
					if d.Error != nil {
						fmt.Fprintln(w, "Reason: "+d.Error.Message+" "+d.Error.Advice)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&revoke, "revoke", string(workstation.RevokeAuto), "auto or never: whether to tell the EHR")
	return cmd
}
