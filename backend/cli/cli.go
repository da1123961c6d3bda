// Package cli is the command line: commands over the workstation's use-cases,
// as text for people or as NDJSON for programs, with exit codes. It holds no
// logic that the window would need too. docs/cli.md is its contract.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/vault"
	"chartkey/backend/workstation"

	"github.com/cli/browser"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes, as docs/cli.md promises them.
const (
	exitDone     = 0
	exitFailed   = 1 // the server said no, a test failed, time ran out
	exitUsage    = 2 // wrong usage or invalid input
	exitNotReady = 3 // the local environment: vault locked, port taken, no display
)

// notReady are the faults of the local environment.
var notReady = []string{
	"no-window", "no-display", "data-folder-unusable", "store-newer", "store-damaged", "store-unavailable", "store-busy", "disk-full",
	"keyring-unavailable", "keyring-locked", "keyring-entry-missing", "keyring-entry-mismatch", "keyring-timeout",
	"passphrase-needed", "passphrase-wrong", "passphrase-file", "vault-locked", "vault-damaged", "vault-missing", "vault-busy", "vault-too-new",
	"passcode-needed", "passcode-wrong", "passcode-delayed", "passcode-not-set", "passcode-file",
	"localhost-authority-missing", "localhost-authority-expired", "localhost-authority-unusable", "certutil-missing", "certutil-failed", "browser-store-missing",
	"ports-taken", "port-taken", "launch-port-taken", "keys-not-published", "listener-off", "window-failed",
}

// invalidInput are the faults of what was entered.
var invalidInput = []string{
	"usage", "invalid-registration", "invalid-scopes", "invalid-audience", "invalid-layer", "invalid-revoke", "invalid-secret-source", "invalid-clients",
	"registration-not-found", "sign-in-not-needed", "issuer-not-found", "invalid-issuer", "invalid-launch-url", "redirect-uri-invalid", "redirect-uri-port", "redirect-uri-unsupported", "redirect-uri-missing", "user-not-found", "user-exists", "invalid-user", "own-profile", "invalid-policy", "invalid-format", "audit-anchor-invalid", "passcode-too-short", "passcode-unusable", "passcode-exists", "callback-invalid", "nothing-pasted", "localhost-authority-exists",
	"invalid-proxy", "url-invalid", "proxy-url-invalid", "proxy-url-password", "proxy-user-without-url", "certificate-file",
	"ca-bundle-damaged", "ca-bundle-empty", "ca-bundle-expired", "ca-bundle-not-authority", "ca-bundle-not-certificates", "ca-bundle-private-key", "ca-bundle-too-large",
	"client-certificate-expired", "client-certificate-key-encrypted", "client-certificate-mismatch", "client-certificate-no-key", "client-certificate-passphrase",
	"client-certificate-several", "client-certificate-too-large", "client-certificate-unreadable", "client-certificate-unusable",
	"confirmation-needed", "vault-exists", "passphrase-too-short", "passphrase-unusable", "fhir-path-invalid", "fhir-other-server",
	"not-asymmetric", "client-key-missing", "client-key-not-found", "client-key-in-use", "client-key-exists", "client-key-not-a-key", "client-key-public", "client-key-kind", "client-key-damaged",
	"client-key-several", "client-key-encrypted", "client-key-curve", "client-key-use", "client-key-algorithm", "client-key-weak", "client-key-id",
}

// Streams are what a run of the command line reads, writes and asks.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	// Terminal tells whether a person sits before In and Err, so that prompts make sense.
	Terminal bool
	// OpenBrowser opens a URL in the system browser.
	OpenBrowser func(string) error
}

// System gives the streams of the process.
func System() Streams {
	// What the browser's launcher prints is no output of ours.
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv,
		Terminal:    term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		OpenBrowser: browser.OpenURL,
	}
}

// Build tells which Chartkey this is.
type Build struct {
	Version string   `json:"version"`
	Commit  string   `json:"commit"`
	Tags    []string `json:"tags"`
	Go      string   `json:"go"`
}

// WindowOptions are what the window is opened with.
type WindowOptions struct {
	Home string
	// Sandbox starts and registers the built-in simulated EHR.
	Sandbox bool
	// Passphrase is asked of the file that CHARTKEY_PASSPHRASE_FILE names, and never of a terminal.
	Passphrase func(ctx context.Context, isNew bool) (secret.Value, error)
	Log        *slog.Logger
}

// run is one run of the command line.
type run struct {
	Streams
	build  Build
	window func(context.Context, WindowOptions) error
	json   bool
	user   string
	out    *printer
}

// Main runs the command line and gives the exit code. window opens the
// window; it is called where there is no command.
func Main(args []string, streams Streams, build Build, window func(context.Context, WindowOptions) error) int {
	ctx, stop, signalled := withSignals()
	defer stop()
	r := &run{Streams: streams, build: build, window: window}
	r.out = &printer{run: r}
	root := r.root()
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	if sig := signalled(); sig != nil {
		return 128 + int(sig.(syscall.Signal))
	}
	if err == nil {
		return exitDone
	}
	// A command line that could not be read to its end may ask for JSON after the mistake.
	r.json = r.json || asksForJSON(args)
	f := workstation.Fault(err)
	r.out.fault(f)
	return exitCode(f)
}

// asksForJSON looks for --json among the flags.
func asksForJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

func exitCode(f *fault.Error) int {
	switch {
	case slices.Contains(invalidInput, f.Code):
		return exitUsage
	case slices.Contains(notReady, f.Code):
		return exitNotReady
	}
	return exitFailed
}

// withSignals gives a context that the first SIGINT or SIGTERM ends. A second
// one kills the process as usual.
func withSignals() (ctx context.Context, stop func(), signalled func() os.Signal) {
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	var got atomic.Value
	done := make(chan struct{})
	go func() {
		select {
		case sig := <-ch:
			got.Store(sig)
			signal.Stop(ch)
			cancel()
		case <-done:
		}
	}()
	stop = func() {
		signal.Stop(ch)
		close(done)
		cancel()
	}
	signalled = func() os.Signal {
		sig, _ := got.Load().(os.Signal)
		return sig
	}
	return ctx, stop, signalled
}

func (r *run) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "chartkey",
		Short: "Connect this workstation to Epic and any SMART on FHIR server",
		Long: "Chartkey gets an OAuth client working with an EHR: it registers the app, tests the\n" +
			"configuration, signs in through the system browser, keeps the grant encrypted, and says\n" +
			"honestly how it stands. Without a command it opens its window.",
		Example:       "  chartkey demo\n  chartkey registration add --name Sandbox --fhir-base-url http://localhost:18340/fhir --client-id chartkey-demo\n  chartkey connect Sandbox",
		SilenceErrors: true, SilenceUsage: true,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.openWindow(cmd.Context(), false) },
	}
	root.PersistentFlags().BoolVar(&r.json, "json", false, "print NDJSON: one object a line")
	root.PersistentFlags().StringVar(&r.user, "user", "", "act for this `user` (default: the workstation's owner)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err.Error()) })
	root.AddCommand(
		r.versionCommand(), r.windowCommand(), r.demoCommand(), r.registrationCommand(), r.connectCommand(), r.statusCommand(), r.testCommand(), r.diagnoseCommand(), r.traceCommand(),
		r.refreshCommand(), r.disconnectCommand(), r.fhirCommand(), r.listenCommand(), r.issuerCommand(), r.launchCommand(), r.acceptCommand(), r.simulatorCommand(), r.doctorCommand(), r.vaultCommand(), r.userCommand(), r.policyCommand(), r.auditCommand(), r.networkCommand(), r.httpsCommand(), r.callbackCommand(),
	)
	for _, c := range allCommands(root) {
		if strings.Contains(c.Use, "REG") {
			c.ValidArgsFunction = r.registrationName
		}
	}
	root.SetHelpCommand(helpCommand(root))
	completion(root)
	return root
}

func allCommands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, allCommands(sub)...)
	}
	return all
}

// helpCommand is cobra's own, save that a command that does not exist is a mistake.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "Show how a command is used", Example: "  chartkey help registration add",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			at, _, err := root.Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []cobra.Completion
			for _, c := range at.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage(cmd, fmt.Sprintf("there is no command %q", strings.Join(args, " ")))
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// completion makes cobra's completion command follow the conventions of the others.
func completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Example = "  source <(chartkey completion bash)"
		c.Args, c.RunE = noArgs, func(cmd *cobra.Command, _ []string) error {
			return usage(cmd, cmd.CommandPath()+" needs the name of a shell after it")
		}
		for _, shell := range c.Commands() {
			shell.Args, shell.Example = noArgs, "  chartkey completion "+shell.Name()
		}
	}
}

// usage is the fault of a command line that cannot be understood.
func usage(cmd *cobra.Command, what string) error {
	return fault.New("usage", sentence(what), "See "+cmd.CommandPath()+" --help.")
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usage(cmd, fmt.Sprintf("there is no command %q", args[0]))
	}
	return usage(cmd, fmt.Sprintf("%s takes no argument", cmd.CommandPath()))
}

// registrationName completes REG with the names of the registrations, and KID with those of its keys.
func (r *run) registrationName(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const noFiles = cobra.ShellCompDirectiveNoFileComp
	home, err := workstation.HomeFrom(r.Getenv)
	ofKey := len(args) == 1 && strings.Contains(cmd.Use, "KID")
	if err != nil || (len(args) > 0 && !ofKey) {
		return nil, noFiles
	}
	// Pressing Tab makes no data folder.
	if _, err := os.Stat(home); err != nil {
		return nil, noFiles
	}
	w, err := workstation.Open(cmd.Context(), workstation.Options{Home: home})
	if err != nil {
		return nil, noFiles
	}
	defer func() { _ = w.Close() }() // it was only read
	if ofKey {
		return keyIDs(cmd.Context(), w, args[0]), noFiles
	}
	regs, err := w.Registrations(cmd.Context())
	if err != nil {
		return nil, noFiles
	}
	var names []cobra.Completion
	for _, reg := range regs {
		names = append(names, cobra.CompletionWithDesc(reg.Name, reg.FHIRBaseURL))
	}
	return names, noFiles
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usage(cmd, fmt.Sprintf("%s takes %s", cmd.CommandPath(), strings.Join(names, " and ")))
	}
}

func optionalReg(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return usage(cmd, cmd.CommandPath()+" takes at most one registration")
}

// group is a command that only holds others. Its examples are one of each.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return usage(cmd, cmd.CommandPath()+" needs a command after it")
	}}
	c.AddCommand(commands...)
	var examples []string
	for _, sub := range commands {
		first, _, _ := strings.Cut(sub.Example, "\n")
		examples = append(examples, first)
	}
	c.Example = strings.Join(examples, "\n")
	return c
}

// desk opens the workstation for one command and closes it afterwards.
func (r *run) desk(ctx context.Context, do func(w *workstation.Workstation) error) (err error) {
	o, err := r.deskOptions()
	if err != nil {
		return err
	}
	w, err := workstation.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.ActAs(ctx, r.user); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() {
		if err := w.FollowLock(following); err != nil {
			fmt.Fprintln(r.Err, "note: a lock by another Chartkey would not be noticed: "+workstation.Fault(err).Message)
		}
	})
	defer follower.Wait()
	defer stop()
	return do(w)
}

// deskOptions are what the workstation is opened with.
func (r *run) deskOptions() (workstation.Options, error) {
	home, err := workstation.HomeFrom(r.Getenv)
	return workstation.Options{
		Home: home, Keyring: vault.NewKeyring(vault.KeyringOptions{}), Passphrase: r.passphrase, StoredPassphrase: r.filePassphrase, Passcode: r.passcode,
		Log: r.log(), Origin: audit.FromCommandLine, Version: r.build.Version,
	}, err
}

func (r *run) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(r.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (r *run) openWindow(ctx context.Context, sandbox bool) error {
	home, err := workstation.HomeFrom(r.Getenv)
	if err != nil {
		return err
	}
	return r.window(ctx, WindowOptions{Home: home, Sandbox: sandbox, Passphrase: r.filePassphrase, Log: r.log()})
}
