package cli

import (
	"context"
	"fmt"
	"io"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) userCommand() *cobra.Command {
	return group("user", "See and change who uses this workstation",
		r.userListCommand(), r.userAddCommand(), r.userRemoveCommand(), r.userPasscodeCommand(), r.userResetCommand())
}

func (r *run) userListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the profiles of this workstation", Args: noArgs, Example: "  chartkey user list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				all, err := w.Profiles(cmd.Context())
				if err != nil {
					return err
				}
				if r.json {
					for _, p := range all {
						if err := r.out.print(p, nil); err != nil {
							return err
						}
					}
					return nil
				}
				return r.out.print(nil, func(out io.Writer) {
					table(out, []string{"NAME", "ROLE", "PASSCODE", "CONNECTIONS"}, func(row func(cells ...string)) {
						for _, p := range all {
							row(p.Name, p.Role, p.Passcode, fmt.Sprint(len(p.Connections)))
						}
					})
				})
			})
		},
	}
}

// printProfile is what a command says of a profile.
func (r *run) printProfile(p workstation.Profile) error {
	return r.out.print(p, func(out io.Writer) {
		pairs(out, "Name", p.Name, "Role", p.Role, "Passcode", p.Passcode, "Connections", fmt.Sprint(len(p.Connections)))
	})
}

// passcodeFrom reads a new passcode from a file, or asks for it where a person
// can be asked. Else it is empty.
func (r *run) passcodeFrom(ctx context.Context, file, name string) (secret.Value, error) {
	if file != "" {
		r.warnOfMode(file, "passcode")
		return readSecretFile(ctx, file, "passcode", "passcode-file")
	}
	if !r.Terminal {
		return secret.Value{}, nil
	}
	return r.newPasscode(ctx, name)
}

func (r *run) userAddCommand() *cobra.Command {
	in := workstation.NewProfile{}
	var file string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add a person who uses this workstation", Args: exactArgs("a name"),
		Example: "  chartkey user add dr.okafor --role clinician --passcode-file okafor.txt",
		Long: "Without a passcode file, and without a terminal to ask at, the profile chooses its passcode\n" +
			"when it is used first. The second profile makes a passcode necessary for the first one too:\n" +
			"it is taken from CHARTKEY_PASSCODE_FILE, or asked for.",
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name = args[0]
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				ctx := cmd.Context()
				seat, err := w.Seat(ctx)
				if err != nil {
					return err
				}
				if seat.Passcode != "set" {
					in.OwnPasscode, err = r.passcode(ctx, seat.Profile, true)
					if fault.Code(err) == "passcode-needed" {
						r.out.note(seat.Profile + " needs a passcode from now on: chartkey user passcode " + seat.Profile)
					} else if err != nil {
						return err
					}
				}
				if in.Passcode, err = r.passcodeFrom(ctx, file, in.Name); err != nil {
					return err
				}
				p, err := w.AddProfile(ctx, in)
				if err != nil {
					return err
				}
				return r.printProfile(p)
			})
		},
	}
	cmd.Flags().StringVar(&in.Role, "role", workstation.RoleClinician, "admin or clinician")
	cmd.Flags().StringVar(&file, "passcode-file", "", "the `file` that holds the new passcode")
	return cmd
}

// confirmLoss says what a reset or a removal ends, before it does, and has the
// EHRs told first where the person's own passcode is given for that.
func (r *run) confirmLoss(ctx context.Context, w *workstation.Workstation, name, what string, yes bool, file string) error {
	if file != "" {
		passcode, err := readSecretFile(ctx, file, "passcode", "passcode-file")
		if err != nil {
			return err
		}
		done, err := w.RevokeConnections(ctx, name, passcode)
		for _, d := range done {
			r.out.note(d.Status.RegistrationName + ": " + d.Message)
		}
		if err != nil {
			return err
		}
	}
	all, err := w.Profiles(ctx)
	if err != nil {
		return err
	}
	lost := 0
	for _, p := range all {
		if p.Name == name || p.ID == name {
			lost = len(p.Connections)
		}
	}
	if lost > 0 {
		r.out.note(fmt.Sprintf("%d connections of %s are lost with the key. The EHRs are not told of it; for that, give the person's own passcode by --revoke-passcode-file.", lost, name))
	}
	if yes || !r.Terminal {
		return nil
	}
	return r.confirm(ctx, fmt.Sprintf("%s %s? [y/N] ", what, name))
}

func (r *run) lossFlags(cmd *cobra.Command, yes *bool, file *string) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(file, "revoke-passcode-file", "", "the `file` that holds the person's own passcode, to have the EHRs told first")
}

func (r *run) userRemoveCommand() *cobra.Command {
	var yes bool
	var file string
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a person, with their key and connections", Args: exactArgs("a name"),
		Example: "  chartkey user remove dr.okafor --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if err := r.confirmLoss(cmd.Context(), w, args[0], "Remove", yes, file); err != nil {
					return err
				}
				if err := w.RemoveProfile(cmd.Context(), args[0]); err != nil {
					return err
				}
				return r.out.print(removed{Removed: args[0]}, func(out io.Writer) {
					fmt.Fprintf(out, "Removed %s. The key is destroyed, and the connections with it.\n", args[0])
				})
			})
		},
	}
	r.lossFlags(cmd, &yes, &file)
	return cmd
}

// removed says what a command removed.
type removed struct {
	Removed string `json:"removed"`
}

func (r *run) userResetCommand() *cobra.Command {
	var yes bool
	var file string
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Take a lost passcode away, with the connections that it locked", Args: exactArgs("a name"),
		Example: "  chartkey user reset dr.okafor --yes",
		Long:    "The key that the passcode locked is destroyed, so its connections are gone. The profile chooses\na new passcode when it is used next.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if err := r.confirmLoss(cmd.Context(), w, args[0], "Reset the passcode of", yes, file); err != nil {
					return err
				}
				if err := w.ResetPasscode(cmd.Context(), args[0]); err != nil {
					return err
				}
				return r.showProfile(cmd.Context(), w, args[0])
			})
		},
	}
	r.lossFlags(cmd, &yes, &file)
	return cmd
}

func (r *run) showProfile(ctx context.Context, w *workstation.Workstation, name string) error {
	all, err := w.Profiles(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Name == name || p.ID == name {
			return r.printProfile(p)
		}
	}
	return nil
}

func (r *run) userPasscodeCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "passcode NAME", Short: "Change a passcode, by the present one, or set the first one", Args: exactArgs("a name"),
		Example: "  CHARTKEY_PASSCODE_FILE=old.txt chartkey user passcode dr.okafor --passcode-file new.txt",
		Long:    "The present passcode comes from CHARTKEY_PASSCODE_FILE, or is asked for. The connections stay.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				next, err := r.passcodeFrom(cmd.Context(), file, args[0])
				if err != nil {
					return err
				}
				if next.IsEmpty() {
					return fault.New("passcode-needed", "There is no new passcode.", "Name a file that holds it by --passcode-file, or run the command in a terminal to be asked.")
				}
				if err := w.ChangePasscode(cmd.Context(), args[0], secret.Value{}, next); err != nil {
					return err
				}
				return r.showProfile(cmd.Context(), w, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&file, "passcode-file", "", "the `file` that holds the new passcode")
	return cmd
}

func (r *run) policyCommand() *cobra.Command {
	var idle, days int
	cmd := &cobra.Command{
		Use: "policy", Short: "See or change what an admin decides for everybody", Args: noArgs,
		Example: "  chartkey policy\n  chartkey policy --idle-minutes 10 --audit-days 2192",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				p, err := w.Policy(cmd.Context())
				if err != nil {
					return err
				}
				if cmd.Flags().Changed("idle-minutes") || cmd.Flags().Changed("audit-days") {
					if cmd.Flags().Changed("idle-minutes") {
						p.IdleMinutes = idle
					}
					if cmd.Flags().Changed("audit-days") {
						p.AuditDays = days
					}
					if err := w.SetPolicy(cmd.Context(), p); err != nil {
						return err
					}
				}
				return r.out.print(p, func(out io.Writer) {
					pairs(out, "Locks itself after", fmt.Sprintf("%d minutes idle", p.IdleMinutes), "Activity record kept", fmt.Sprintf("%d days", p.AuditDays))
				})
			})
		},
	}
	cmd.Flags().IntVar(&idle, "idle-minutes", 0, "after how many `minutes` without a person the window locks itself: 1 to 30")
	cmd.Flags().IntVar(&days, "audit-days", 0, "for how many `days` the activity record is kept: 30 to 36500")
	return cmd
}
