package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) registrationCommand() *cobra.Command {
	return group("registration", "Keep what this app is registered as at an EHR",
		r.registrationAdd(), r.registrationList(), r.registrationShow(), r.registrationEdit(), r.registrationRemove(), r.registrationKit(), r.registrationScopes(), r.registrationSurvey(), r.registrationKey(), r.registrationRegister())
}

// registrationFlags are the flags that add and edit share.
type registrationFlags struct {
	in            workstation.RegistrationInput
	scopes        string
	offline       bool
	patient       bool
	periodDays    int64
	periodRolling bool
	secretStdin   bool
	secretFile    string
	noSecret      bool
	noTest        bool
}

// bind binds the flags of a registration that the EHR has made.
func (f *registrationFlags) bind(cmd *cobra.Command) {
	f.bindChoices(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.in.ClientID, "client-id", "", "the client `ID` that the EHR issued")
	flags.BoolVar(&f.secretStdin, "client-secret-stdin", false, "read the client secret from standard input")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "read the client secret from `file`")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		given := 0
		for _, is := range []bool{f.secretStdin, f.secretFile != "", f.noSecret} {
			if is {
				given++
			}
		}
		if given > 1 {
			return usage(cmd, "only one flag can say what becomes of the client secret")
		}
		return nil
	}
}

// bindChoices binds the flags of what a person chooses.
func (f *registrationFlags) bindChoices(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.in.Name, "name", "", "a `name` that you will recognise")
	flags.StringVar(&f.in.Kind, "kind", "", "app, which people sign in to, or backend: a service that is this workstation's own")
	flags.StringVar(&f.in.FHIRBaseURL, "fhir-base-url", "", "the R4 base `URL`, kept exactly as given")
	flags.StringVar(&f.in.EHR, "ehr", "", "epic or other; with epic and sandbox the base URL is filled in")
	flags.StringVar(&f.in.Environment, "environment", "", "sandbox or production")
	flags.StringVar(&f.in.ClientType, "client-type", "", "public, confidential-symmetric or confidential-asymmetric")
	flags.StringVar(&f.in.Audience, "audience", "", "patient or provider: who signs in")
	flags.StringVar(&f.scopes, "scopes", "", "the `scopes` to ask for, separated by spaces (default: a set for the audience)")
	flags.BoolVar(&f.offline, "offline-access", true, "have the default scopes ask for access that outlasts the sign-in")
	flags.BoolVar(&f.patient, "patient-needed", false, "have a provider choose a patient at the sign-in")
	flags.Int64Var(&f.periodDays, "access-period-days", 0, "for how many `days` the EHR lets a person stay connected, if its operator told; 0 is not known")
	flags.BoolVar(&f.periodRolling, "access-period-rolling", false, "count that from the last refresh, and not from the sign-in")
	flags.StringArrayVar(&f.in.RedirectURIs, "redirect-uri", nil, "a redirect `URI` registered at the EHR; may be repeated")
	flags.BoolVar(&f.noTest, "no-test", false, "do not test the configuration afterwards")
}

// input completes what the flags say with the secret from where they name it.
func (f *registrationFlags) input(ctx context.Context, r *run, base workstation.RegistrationInput, cmd *cobra.Command) (workstation.RegistrationInput, error) {
	in := f.choices(base, cmd)
	if cmd.Flags().Changed("client-id") {
		in.ClientID = f.in.ClientID
	}
	var secret secret.Value
	var err error
	switch {
	case f.secretStdin:
		secret, err = readSecret(ctx, r.In, "client secret", "invalid-secret-source")
	case f.secretFile != "":
		secret, err = readSecretFile(ctx, f.secretFile, "client secret", "invalid-secret-source")
	case f.noSecret:
		in.ClientSecretAction = workstation.SecretRemove
	case needsSecret(base, in) && r.Terminal:
		secret, err = r.ask(ctx, "Client secret: ")
	}
	if err != nil {
		return in, err
	}
	if !secret.IsEmpty() {
		in.ClientSecretAction, in.ClientSecret = workstation.SecretReplace, secret.Reveal()
	}
	return in, nil
}

// choices gives what a person chose by flags, over what there is.
func (f *registrationFlags) choices(in workstation.RegistrationInput, cmd *cobra.Command) workstation.RegistrationInput {
	set := func(flag string, to *string, value string) {
		if cmd.Flags().Changed(flag) {
			*to = value
		}
	}
	set("name", &in.Name, f.in.Name)
	set("kind", &in.Kind, f.in.Kind)
	set("fhir-base-url", &in.FHIRBaseURL, f.in.FHIRBaseURL)
	set("ehr", &in.EHR, f.in.EHR)
	set("environment", &in.Environment, f.in.Environment)
	set("client-type", &in.ClientType, f.in.ClientType)
	set("audience", &in.Audience, f.in.Audience)
	if cmd.Flags().Changed("scopes") {
		in.Scopes = strings.Fields(f.scopes)
	}
	if cmd.Flags().Changed("offline-access") {
		in.OfflineAccess = &f.offline
	}
	if cmd.Flags().Changed("patient-needed") {
		in.PatientNeeded = &f.patient
	}
	if cmd.Flags().Changed("access-period-days") {
		in.AccessPeriodDays = &f.periodDays
	}
	if cmd.Flags().Changed("access-period-rolling") {
		in.AccessPeriodRolling = &f.periodRolling
	}
	if cmd.Flags().Changed("redirect-uri") {
		in.RedirectURIs = f.in.RedirectURIs
	}
	return in
}

// needsSecret tells whether a client secret has to be entered: there is none
// yet, or the stored one is for another server or client.
func needsSecret(base, in workstation.RegistrationInput) bool {
	return in.ClientType == "confidential-symmetric" && (base.ClientType != in.ClientType || base.FHIRBaseURL != in.FHIRBaseURL || base.ClientID != in.ClientID)
}

func (r *run) registrationAdd() *cobra.Command {
	var f registrationFlags
	cmd := &cobra.Command{
		Use: "add", Short: "Save a registration, then test its configuration", Args: noArgs,
		Example: "  chartkey registration add --name Sandbox --fhir-base-url http://localhost:18340/fhir --client-id chartkey-demo\n" +
			"  chartkey registration add --name Mercy --ehr epic --environment sandbox --client-id 0d9e… --client-type confidential-symmetric --client-secret-file secret.txt\n" +
			"  chartkey registration add --name Ward --ehr epic --environment sandbox --client-id 0d9e… --client-type confidential-asymmetric\n" +
			"  chartkey registration add --name Nightly --kind backend --fhir-base-url http://localhost:18340/fhir --client-id chartkey-backend",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				in, err := f.input(cmd.Context(), r, workstation.RegistrationInput{}, cmd)
				if err != nil {
					return err
				}
				return r.save(cmd.Context(), w, "", in, f.noTest)
			})
		},
	}
	f.bind(cmd)
	return cmd
}

func (r *run) registrationEdit() *cobra.Command {
	var f registrationFlags
	cmd := &cobra.Command{
		Use: "edit REG", Short: "Change a registration, then test its configuration", Args: exactArgs("a registration"),
		Example: "  chartkey registration edit Sandbox --audience provider",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				reg, err := w.Registration(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				in, err := f.input(cmd.Context(), r, reg.Input(), cmd)
				if err != nil {
					return err
				}
				return r.save(cmd.Context(), w, reg.ID, in, f.noTest)
			})
		},
	}
	f.bind(cmd)
	cmd.Flags().BoolVar(&f.noSecret, "remove-client-secret", false, "forget the stored client secret")
	return cmd
}

func (r *run) save(ctx context.Context, w *workstation.Workstation, id string, in workstation.RegistrationInput, noTest bool) error {
	reg, problems, err := w.SaveRegistration(ctx, id, in)
	if err != nil {
		return err
	}
	if id == "" && reg.ClientType == "confidential-asymmetric" {
		r.out.note("A key pair was made for it. What to register at the EHR: chartkey registration kit " + reg.Name)
	}
	return r.saved(ctx, w, reg, problems, noTest)
}

// saved shows what was saved, and tests its configuration.
func (r *run) saved(ctx context.Context, w *workstation.Workstation, reg workstation.Registration, problems []workstation.FieldProblem, noTest bool) error {
	for _, p := range problems {
		fmt.Fprintf(r.Err, "note: %s %s\n", p.Message, p.Advice) // with --json too: what was stored differs from what was given
	}
	if err := r.out.print(reg, r.out.registration(reg)); err != nil || noTest {
		return err
	}
	report, err := w.Test(ctx, reg.ID, workstation.LayerConfiguration, nil)
	if err != nil {
		return err
	}
	return r.out.report(report)
}

func (r *run) registrationList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the registrations", Args: noArgs, Example: "  chartkey registration list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				regs, err := w.Registrations(cmd.Context())
				if err != nil {
					return err
				}
				if r.json {
					for _, reg := range regs {
						if err := r.out.print(reg, nil); err != nil {
							return err
						}
					}
					return nil
				}
				if len(regs) == 0 {
					r.out.note("There is no registration yet. Add one with chartkey registration add.")
					return nil
				}
				table(r.Out, []string{"NAME", "ENVIRONMENT", "CLIENT TYPE", "AUDIENCE", "FHIR BASE URL"}, func(row func(...string)) {
					for _, reg := range regs {
						row(reg.Name, reg.Environment, reg.ClientType, audienceOrKind(reg), reg.FHIRBaseURL)
					}
				})
				return nil
			})
		},
	}
}

// audienceOrKind tells who signs in, or that nobody does.
func audienceOrKind(reg workstation.Registration) string {
	if reg.Kind == workstation.KindBackend {
		return "backend service"
	}
	return reg.Audience
}

func (r *run) registrationShow() *cobra.Command {
	return &cobra.Command{
		Use: "show REG", Short: "Show a registration, never its secret", Args: exactArgs("a registration"), Example: "  chartkey registration show Sandbox",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				reg, err := w.Registration(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return r.out.print(reg, r.out.registration(reg))
			})
		},
	}
}

func (r *run) registrationRemove() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove REG", Short: "Forget a registration, its secret and its connection", Args: exactArgs("a registration"), Example: "  chartkey registration remove Sandbox --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				reg, err := w.Registration(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := r.noteOthers(cmd.Context(), w, reg); err != nil {
					return err
				}
				if !yes {
					if err := r.confirm(cmd.Context(), fmt.Sprintf("Forget %s with its client secret and connection? [y/N] ", reg.Name)); err != nil {
						return err
					}
				}
				if err := w.RemoveRegistration(cmd.Context(), reg.ID); err != nil {
					return err
				}
				return r.out.print(map[string]any{"event": "removed", "registration_id": reg.ID, "name": reg.Name}, func(w io.Writer) {
					fmt.Fprintf(w, "%s is forgotten.\n", reg.Name)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// noteOthers says whose connections a removal ends beside one's own.
func (r *run) noteOthers(ctx context.Context, w *workstation.Workstation, reg workstation.Registration) error {
	profiles, err := w.Profiles(ctx)
	if err != nil {
		return err
	}
	for _, p := range profiles {
		for _, c := range p.Connections {
			if !p.Current && c.Registration == reg.Name {
				r.out.note(p.Name + " is connected by it. That connection ends too, and the EHR cannot be told: only " + p.Name + " can open its tokens.")
			}
		}
	}
	return nil
}

// confirm asks the person at the terminal. Without one, --yes is needed.
func (r *run) confirm(ctx context.Context, question string) error {
	refused := fault.New("confirmation-needed", "Nothing was removed.", "Add --yes to go ahead without being asked.")
	if !r.Terminal {
		return refused
	}
	fmt.Fprint(r.Err, question)
	answer, err := waitFor(ctx, func() (string, error) {
		var answer string
		_, err := fmt.Fscanln(r.In, &answer)
		return answer, err
	})
	if err != nil || !strings.HasPrefix(strings.ToLower(answer), "y") {
		return refused
	}
	return nil
}

func (r *run) registrationKit() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "kit REG", Short: "Show what to type into the EHR's own registration page", Args: exactArgs("a registration"), Example: "  chartkey registration kit Sandbox --format markdown",
		RunE: func(cmd *cobra.Command, args []string) error {
			write := map[string]func(io.Writer, workstation.Registration, workstation.Kit){"text": kitText, "markdown": kitMarkdown, "json": nil}
			text, known := write[format]
			if !known {
				return usage(cmd, fmt.Sprintf("%q is no format: use text, markdown or json", format))
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				reg, err := w.Registration(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				kit, err := w.Kit(cmd.Context(), reg.ID)
				if err != nil {
					return err
				}
				r.json = r.json || format == "json"
				return r.out.print(kit, func(w io.Writer) { text(w, reg, kit) })
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, markdown or json")
	return cmd
}

func (r *run) registrationScopes() *cobra.Command {
	return &cobra.Command{
		Use: "scopes REG", Short: "Explain what is asked for by whom, what the server supports and what was granted", Args: exactArgs("a registration"),
		Example: "  chartkey registration scopes Sandbox",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				advice, err := w.ScopeAdvice(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return r.out.print(advice, func(w io.Writer) { scopeAdvice(w, advice) })
			})
		},
	}
}

// contextWords are the contexts that scopes are asked for in.
var contextWords = map[string]string{"patient": "A patient signs in", "provider": "A provider signs in", "launch": "The EHR launches the app", "backend": "The backend service itself"}

func scopeAdvice(w io.Writer, a workstation.ScopeAdvice) {
	fmt.Fprintf(w, "The scopes of %s\n%s\n", a.RegistrationName, a.VersionReason)
	warn := func(sentences []string) {
		for _, s := range sentences {
			fmt.Fprintln(w, "! "+s)
		}
	}
	warn(a.Warnings)
	for _, set := range a.Sets {
		about := "the default"
		if !set.Default {
			about = "as the registration names them"
		}
		switch {
		case set.Context == workstation.KindBackend:
		case set.Asked:
			about += "; this is what connect asks for"
		}
		fmt.Fprintf(w, "\n%s (%s)\n", contextWords[set.Context], about)
		table(w, []string{"SCOPE", "SERVER", "WHAT IT ASKS FOR"}, func(row func(...string)) {
			for _, l := range set.Scopes {
				row(l.Scope, strings.ReplaceAll(string(l.Supported), "_", " "), l.Meaning)
			}
		})
		warn(set.Warnings)
	}
	if g := a.Granted; g != nil {
		fmt.Fprintf(w, "\nGranted last, %s\n", when(&g.ConnectedAt))
		table(w, []string{"SCOPE", "WHAT IT ALLOWS"}, func(row func(...string)) {
			for _, s := range g.Granted {
				row(s.Scope, s.Meaning)
			}
		})
		if d := g.Difference; len(d.Less)+len(d.More)+len(d.Alike) == 0 {
			fmt.Fprintln(w, "This is what was asked for.")
		} else {
			warn(slices.Concat(d.Less, d.More))
			for _, s := range d.Alike {
				fmt.Fprintln(w, s)
			}
		}
	}
}

func kitText(w io.Writer, reg workstation.Registration, k workstation.Kit) {
	fmt.Fprintf(w, "What to enter at the EHR for %s\n\nClient type\n  %s\n", reg.Name, k.ClientType)
	if reg.Kind == workstation.KindApp {
		fmt.Fprintf(w, "\nRedirect URIs\n  %s\n\nLaunch URL\n  %s\n", strings.Join(k.RedirectURIs, "\n  "), k.LaunchURL)
	}
	fmt.Fprintf(w, "\nScopes\n  %s\n", strings.Join(k.Scopes, "\n  "))
	if len(k.PublicKeys) > 0 {
		keysText(w, k)
	}
	fmt.Fprintln(w, "\nNotes")
	for _, n := range k.Notes {
		fmt.Fprintln(w, "  "+n)
	}
}

func kitMarkdown(w io.Writer, reg workstation.Registration, k workstation.Kit) {
	fmt.Fprintf(w, "# %s: what to enter at the EHR\n\n| field | value |\n| --- | --- |\n| Client type | `%s` |\n", strings.ReplaceAll(reg.Name, "|", `\|`), k.ClientType)
	for _, uri := range k.RedirectURIs {
		fmt.Fprintf(w, "| Redirect URI | `%s` |\n", uri)
	}
	if k.LaunchURL != "" {
		fmt.Fprintf(w, "| Launch URL | `%s` |\n", k.LaunchURL)
	}
	fmt.Fprintf(w, "| Scopes | `%s` |\n", strings.Join(k.Scopes, " "))
	if k.JWKSURL != "" {
		fmt.Fprintf(w, "| JWKS URL | `%s` |\n", k.JWKSURL)
	}
	fmt.Fprintln(w)
	if len(k.PublicKeys) > 0 {
		keysMarkdown(w, k)
	}
	for _, n := range k.Notes {
		fmt.Fprintln(w, "- "+n)
	}
}
