package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

type listeningEvent struct {
	Event        string   `json:"event"`
	LaunchURL    string   `json:"launch_url"`
	CallbackURLs []string `json:"callback_urls"`
}

type launchEvent struct {
	Event string `json:"event"`
	workstation.LaunchSeen
}

type launchConnectedEvent struct {
	Event    string             `json:"event"`
	LaunchID string             `json:"launch_id"`
	Status   workstation.Status `json:"status"`
}

type launchFailedEvent struct {
	Event    string       `json:"event"`
	LaunchID string       `json:"launch_id"`
	Error    *fault.Error `json:"error"`
}

func (r *run) listenCommand() *cobra.Command {
	var port int
	var path string
	cmd := &cobra.Command{
		Use: "listen", Short: "Receive EHR launches until it is stopped", Args: noArgs,
		Example: "  chartkey listen\n  chartkey listen --launch-port 18331 --json",
		Long: "Chartkey answers EHR launches at a URL of this computer, which is registered at the EHR as\n" +
			"the app's launch URL. Only servers that are registered here are answered; the launch of any\n" +
			"other waits for chartkey issuer approve or refuse.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				settings, err := w.LaunchSettings(cmd.Context())
				if err != nil {
					return err
				}
				if settings.URL, err = launchURL(settings.URL, port, path); err != nil {
					return err
				}
				return r.listen(cmd.Context(), w, settings.URL)
			})
		},
	}
	cmd.Flags().IntVar(&port, "launch-port", 0, "the `port` to listen on (default: the remembered one, 18330)")
	cmd.Flags().StringVar(&path, "launch-path", "", "the `path` to answer at (default: the remembered one, /launch)")
	return cmd
}

// launchURL gives the remembered launch URL with another port or path.
func launchURL(remembered string, port int, path string) (string, error) {
	u, err := url.Parse(remembered)
	if err != nil {
		return "", fault.New("invalid-launch-url", "The remembered launch URL cannot be read.", "Give --launch-port and --launch-path.").Because(err)
	}
	if port != 0 {
		u.Host = fmt.Sprintf("%s:%d", u.Hostname(), port)
	}
	if path != "" {
		u.Path = path
	}
	return u.String(), nil
}

func (r *run) listen(ctx context.Context, w *workstation.Workstation, at string) (err error) {
	// A launch cannot wait for a passphrase, so the vault is opened first.
	if err := w.OpenVault(ctx); err != nil {
		return err
	}
	callbacks, err := w.CallbackURLs(ctx)
	if err != nil {
		return err
	}
	// An event that cannot be written is lost; the listener goes on.
	listener, err := w.ListenForLaunches(ctx, at, workstation.LaunchSink{
		Seen: func(s workstation.LaunchSeen) {
			_ = r.out.print(launchEvent{"launch", s}, func(out io.Writer) {
				fmt.Fprintf(out, "%s launch from %s: %s. %s\n", s.At.Format(time.TimeOnly), s.Issuer, s.Decision, s.Reason)
			})
		},
		Connected: func(id string, s workstation.Status) {
			_ = r.out.print(launchConnectedEvent{"connected", id, s}, func(out io.Writer) {
				fmt.Fprintln(out, "Connected.")
				r.out.status(s)(out)
			})
		},
		Failed: func(id string, f *fault.Error) {
			if f.Code == "cancelled" {
				return // by the end of the command
			}
			_ = r.out.print(launchFailedEvent{"failed", id, f}, func(out io.Writer) { fmt.Fprintf(out, "Failed: %s\n  → %s\n", f.Message, f.Advice) })
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	if err := r.out.print(listeningEvent{"listening", listener.URL(), callbacks}, func(out io.Writer) {
		fmt.Fprintf(out, "Waiting for EHR launches at %s\nStop with Ctrl+C.\n", listener.URL())
	}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (r *run) issuerCommand() *cobra.Command {
	decide := func(use, short, example, decision string, bind func(*cobra.Command), do func(ctx context.Context, w *workstation.Workstation, iss string) error) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: exactArgs("an issuer"), RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if err := do(cmd.Context(), w, args[0]); err != nil {
					return err
				}
				return r.out.print(map[string]any{"event": decision, "issuer": args[0]}, func(out io.Writer) {
					fmt.Fprintf(out, "%s: %s. It counts from the next launch on.\n", args[0], decision)
				})
			})
		}}
		if bind != nil {
			bind(cmd)
		}
		return cmd
	}
	var registration string
	return group("issuer", "Decide which EHRs may launch here",
		&cobra.Command{
			Use: "list", Short: "List the launch issuers seen and what was decided", Args: noArgs, Example: "  chartkey issuer list",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.desk(cmd.Context(), func(w *workstation.Workstation) error { return r.issuers(cmd.Context(), w) })
			},
		},
		decide("approve ISS", "Take an issuer for another address of a registration's server", "  chartkey issuer approve https://ehr.example/fhir --registration Mercy", "approved",
			func(c *cobra.Command) {
				c.Flags().StringVar(&registration, "registration", "", "the `registration` whose client its launches use")
			},
			func(ctx context.Context, w *workstation.Workstation, iss string) error {
				if registration == "" {
					return fault.New("usage", "No registration was named.", "Add --registration with a registration's name.")
				}
				return w.ApproveIssuer(ctx, iss, registration)
			}),
		decide("refuse ISS", "Refuse launches from an issuer", "  chartkey issuer refuse https://ehr.example/fhir", "refused", nil,
			func(ctx context.Context, w *workstation.Workstation, iss string) error {
				return w.RefuseIssuer(ctx, iss)
			}),
		decide("withdraw ISS", "Forget what was decided of an issuer", "  chartkey issuer withdraw https://ehr.example/fhir", "withdrawn", nil,
			func(ctx context.Context, w *workstation.Workstation, iss string) error {
				return w.WithdrawIssuer(ctx, iss)
			}),
	)
}

func (r *run) issuers(ctx context.Context, w *workstation.Workstation) error {
	all, err := w.Issuers(ctx)
	if err != nil {
		return err
	}
	if r.json {
		for _, i := range all {
			if err := r.out.print(i, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		r.out.note("No other EHR has launched here.")
		return nil
	}
	table(r.Out, []string{"ISSUER", "DECISION", "REGISTRATION", "LAUNCHES", "LAST SEEN"}, func(row func(...string)) {
		for _, i := range all {
			row(i.Issuer, i.Decision, value(i.Registration), fmt.Sprint(i.Launches), when(&i.LastSeen))
		}
	})
	return nil
}

type launchedEvent struct {
	Event        string `json:"event"`
	Issuer       string `json:"iss"`
	Registration string `json:"registration"`
	Patient      string `json:"patient,omitempty"`
	Encounter    string `json:"encounter,omitempty"`
	Answer       string `json:"answer"` // the listener's answer: authorize or an HTTP status
}

func (r *run) launchCommand() *cobra.Command {
	var at, registration string
	var request simulator.LaunchRequest
	cmd := &cobra.Command{
		Use: "launch", Short: "Have the simulated EHR launch into the running listener", Args: noArgs,
		Example: "  chartkey launch --simulator http://localhost:18340 --registration Sandbox --patient amara-nwosu",
		Long: "The simulated EHR (chartkey simulator) launches the registration's client into the listener\n" +
			"(chartkey listen, or the window's). A scripted browser goes through the pages.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if at == "" || registration == "" {
				return fault.New("usage", "Both --simulator and --registration are needed.", "See chartkey launch --help.")
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				return r.launch(cmd.Context(), w, at, registration, request)
			})
		},
	}
	cmd.Flags().StringVar(&at, "simulator", "", "the simulated EHR's `URL`")
	cmd.Flags().StringVar(&registration, "registration", "", "the `registration` whose client is launched")
	cmd.Flags().StringVar(&request.LaunchURL, "launch-url", "", "where the listener answers (default: the remembered `URL`)")
	cmd.Flags().StringVar(&request.User, "as", "", "the sign-in name of who launches (default: the first practitioner)")
	cmd.Flags().StringVar(&request.Patient, "patient", "", "the `id` of the patient whose chart is open")
	cmd.Flags().StringVar(&request.Encounter, "encounter", "", "the `id` of the encounter")
	cmd.Flags().StringVar(&request.Intent, "intent", "", "what the user means to do")
	return cmd
}

func (r *run) acceptCommand() *cobra.Command {
	return &cobra.Command{
		Use: "accept CONNECTION", Short: "Use a connection that waits for somebody to look at it", Args: exactArgs("a connection's id"),
		Example: "  chartkey status\n  chartkey accept 0f6ad9a8-3f0e-4f9b-8f57-5d7f6d1a8a10",
		Long: "A web page can launch by itself, and a sign-in can be of another account than the last time.\n" +
			"Such a connection waits until somebody has looked whose account and which patient it is\n" +
			"(chartkey status), and accepts it or disconnects it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if err := w.AcceptConnection(cmd.Context(), args[0]); err != nil {
					return err
				}
				s, err := w.Status(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return r.out.print(s, r.out.status(s))
			})
		},
	}
}

// launchTimeout bounds the whole of a scripted launch.
const launchTimeout = time.Minute

func (r *run) launch(ctx context.Context, w *workstation.Workstation, at, registration string, request simulator.LaunchRequest) error {
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	reg, err := w.Registration(ctx, registration)
	if err != nil {
		return err
	}
	settings, err := w.LaunchSettings(ctx)
	if err != nil {
		return err
	}
	request.ClientID = reg.ClientID
	if request.LaunchURL == "" {
		request.LaunchURL = settings.URL
	}
	entry, err := askForLaunch(ctx, at, request)
	if err != nil {
		return err
	}
	next, answer, err := followLaunch(ctx, entry)
	if err != nil {
		return err
	}
	e := launchedEvent{Event: "launched", Issuer: reg.FHIRBaseURL, Registration: reg.Name, Patient: request.Patient, Encounter: request.Encounter, Answer: answer}
	if next != "" {
		if _, err := simulator.SignIn(ctx, next, simulator.Choice{}); err != nil {
			return fault.New("launch-failed", "The launch was answered, but its sign-in did not end: "+err.Error()+".", "See what the listener says of it.").CanRetry().Because(err)
		}
	}
	if err := r.out.print(e, func(out io.Writer) { fmt.Fprintf(out, "Launched %s; the listener answered: %s.\n", reg.Name, answer) }); err != nil {
		return err
	}
	if next == "" {
		return fault.New("launch-refused", "The listener did not go on with the launch: "+answer+".", "See chartkey issuer list, and what the listener says of it.")
	}
	return nil
}

// askForLaunch has the simulated EHR make a launch, and gives the address that
// its portal would open.
func askForLaunch(ctx context.Context, at string, request simulator.LaunchRequest) (string, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || !network.MaySend(u) {
		return "", fault.Newf("usage", "Give the address that chartkey simulator prints.", "%q is no simulator's URL.", at)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/control/launch"}).String(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := loopbackClient().Do(req)
	if err != nil {
		return "", network.Fault(err, u.Host)
	}
	defer resp.Body.Close()
	text, err := network.Read(resp.Body, 64<<10)
	if err != nil {
		return "", network.Fault(err, u.Host)
	}
	var answer struct {
		URL   string `json:"launch_url"`
		Error string `json:"error_description"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.URL == "" {
		why := answer.Error
		if why == "" {
			why = resp.Status
		}
		return "", fault.New("launch-failed", "The simulated EHR did not launch: "+network.Clean(why, 300)+".", "Check that it is a chartkey simulator, and that it knows the client, patient and encounter.")
	}
	return answer.URL, nil
}

// followLaunch opens the launch URL as the EHR's browser would. next is the
// authorization URL, or "" where the listener shows a page.
func followLaunch(ctx context.Context, entry string) (next, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, entry, nil)
	if err != nil {
		return "", "", err
	}
	resp, err := loopbackClient().Do(req)
	if err != nil {
		return "", "", fault.Newf("listener-off", "Start it with chartkey listen, or in the window under Launches.", "No launch listener answers at %s.", req.URL.Host).CanRetry().Because(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusFound {
		return resp.Header.Get("Location"), "authorize", nil
	}
	return "", resp.Status, nil
}

func loopbackClient() *http.Client {
	c := network.NewClient()
	c.CheckRedirect = network.NoRedirects
	return c
}
