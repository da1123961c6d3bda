package cli

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show which Chartkey this is", Args: noArgs, Example: "  chartkey version --json",
		RunE: func(*cobra.Command, []string) error {
			v := r.build
			return r.out.print(v, func(w io.Writer) {
				pairs(w, "Chartkey", v.Version, "Commit", v.Commit, "Build tags", strings.Join(v.Tags, ", "), "Go", v.Go)
			})
		},
	}
}

func (r *run) windowCommand() *cobra.Command {
	var sandbox bool
	cmd := &cobra.Command{
		Use: "window", Short: "Open the window, as without a command", Args: noArgs, Example: "  chartkey window --sandbox",
		RunE: func(cmd *cobra.Command, _ []string) error { return r.openWindow(cmd.Context(), sandbox) },
	}
	cmd.Flags().BoolVar(&sandbox, "sandbox", false, "start the built-in simulated EHR and register it")
	return cmd
}

func (r *run) doctorCommand() *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check what Chartkey needs of this computer", Args: noArgs, Example: "  chartkey doctor\n  chartkey doctor --offline --json",
		Long: "Check keyring, vault, database, data folder, ports and who holds them, browser, display,\n" +
			"clock, proxy and certificates. It works without a display, and where the data folder\n" +
			"cannot be opened. Of the registered servers only the time is asked.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := r.deskOptions()
			if err != nil {
				return err
			}
			found, err := workstation.Examine(cmd.Context(), o, r.user, r.doctorOptions(offline))
			if err != nil {
				return err
			}
			problems := 0
			for _, f := range found {
				if f.Result == workstation.Problem {
					problems++
				}
				if err := r.out.print(f, func(out io.Writer) {
					fmt.Fprintf(out, "%-9s %-16s %s\n", f.Result, f.ID, f.Detail)
					if f.Advice != "" {
						fmt.Fprintf(out, "%-26s → %s\n", "", f.Advice)
					}
				}); err != nil {
					return err
				}
			}
			if problems > 0 {
				return fault.Newf("doctor-problems", "Follow the advice at each problem.", "%d of the checks found a problem.", problems)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the registered servers for their time")
	return cmd
}

func (r *run) doctorOptions(offline bool) workstation.DoctorOptions {
	v := r.build
	d := workstation.DoctorOptions{
		Getenv: r.Getenv, Offline: offline, Window: !slices.Contains(v.Tags, "headless"), Simulator: simulator.DefaultPort,
		Version: fmt.Sprintf("Chartkey %s, built with %s for %s on %s.", v.Version, v.Go, runtime.GOOS, runtime.GOARCH),
	}
	if d.Window {
		d.WebKit = "webkit2gtk-4.0"
		if slices.Contains(v.Tags, "webkit2_41") {
			d.WebKit = "webkit2gtk-4.1"
		}
	}
	return d
}

// unlock ends a lock. A profile that has no passcode and needs one chooses it now.
func (r *run) unlock(ctx context.Context, w *workstation.Workstation) error {
	s, err := w.Seat(ctx)
	if err != nil {
		return err
	}
	request := workstation.UnlockRequest{Profile: r.user}
	if err = w.Unlock(ctx, request); err == nil && !s.Locked {
		if v, err := w.VaultStatus(ctx); err != nil {
			return err
		} else if v.State == "none" {
			return fault.New("vault-missing", "There is no vault to unlock yet.", "Connect, or store a client secret: that makes one.")
		}
	}
	if fault.Code(err) != "passcode-not-set" || !r.Terminal {
		return err
	}
	if request.NewPasscode, err = r.newPasscode(ctx, s.Profile); err != nil {
		return err
	}
	return w.Unlock(ctx, request)
}

func (r *run) vaultCommand() *cobra.Command {
	command := func(use, short string, do func(cmd *cobra.Command, w *workstation.Workstation) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: noArgs, Example: "  chartkey vault " + use, RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if do != nil {
					if err := do(cmd, w); err != nil {
						return err
					}
				}
				s, err := w.VaultStatus(cmd.Context())
				if err != nil {
					return err
				}
				return r.out.print(s, func(out io.Writer) {
					problem := ""
					if s.Error != nil {
						problem = s.Error.Message
					}
					pairs(out, "Vault", s.State, "Protected by", s.Protection, "System keyring", s.Keyring, "Problem", problem, "Advice", s.Advice)
				})
			})
		}}
	}
	return group("vault", "See and change how the encryption key is kept",
		command("status", "Show whether the key is there, and what guards it", nil),
		command("lock", "Lock every Chartkey that has this data folder open, until it is unlocked", func(cmd *cobra.Command, w *workstation.Workstation) error {
			return w.LockEverywhere(cmd.Context())
		}),
		command("unlock", "End the lock, asking for the passphrase and the passcode where there are any", func(cmd *cobra.Command, w *workstation.Workstation) error {
			return r.unlock(cmd.Context(), w)
		}),
		command("use-passphrase", "Guard the key by a passphrase, or change the passphrase", func(cmd *cobra.Command, w *workstation.Workstation) error {
			if s, err := w.VaultStatus(cmd.Context()); err != nil {
				return err
			} else if s.State == "locked" {
				return s.Error // the present key comes before the new passphrase
			}
			pass, err := r.passphrase(cmd.Context(), true)
			if err != nil {
				return err
			}
			return w.ProtectVault(cmd.Context(), &pass)
		}),
		command("use-keyring", "Move the key from the passphrase into the system's keyring", func(cmd *cobra.Command, w *workstation.Workstation) error {
			return w.ProtectVault(cmd.Context(), nil)
		}),
	)
}
