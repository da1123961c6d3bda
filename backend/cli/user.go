package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

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
							passcode := p.Passcode
							if p.WaitUntil != nil {
								passcode += ", waits until " + when(p.WaitUntil)
							}
							row(p.Name, p.Role, passcode, fmt.Sprint(len(p.Connections)))
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

// loss is what a reset or a removal ends, and how it is asked for.
type loss struct {
	yes bool
	// passcodeFile holds the person's own passcode, by which the EHRs can be told first.
	passcodeFile string
}

func (l *loss) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&l.passcodeFile, "revoke-passcode-file", "", "the `file` that holds the person's own passcode, to have the EHRs told first")
}

// confirm says what is lost before it is, and has the EHRs told first where the
// person's own passcode is given for that. It gives the profile and how many of
// its connections are left to be lost.
func (l *loss) confirm(ctx context.Context, r *run, w *workstation.Workstation, user, question string) (p workstation.Profile, lost int, err error) {
	if p, err = w.Profile(ctx, user); err != nil {
		return p, 0, err
	}
	passcode, err := l.passcode(ctx, r, p)
	if err != nil {
		return p, 0, err
	}
	if !passcode.IsEmpty() {
		done, err := w.RevokeConnections(ctx, p.ID, passcode)
		for _, d := range done {
			r.out.note(d.Status.RegistrationName + ": " + d.Message)
		}
		if err != nil {
			return p, 0, err
		}
		if p, err = w.Profile(ctx, p.ID); err != nil {
			return p, 0, err
		}
	}
	if lost = len(p.Connections); lost > 0 {
		r.out.note(fmt.Sprintf("%s of %s lost with the key. The EHRs are not told; for that, give the person's own passcode by --revoke-passcode-file.", connections(lost, "is", "are"), p.Name))
	}
	if l.yes || !r.Terminal {
		return p, lost, nil
	}
	return p, lost, r.confirm(ctx, fmt.Sprintf("%s %s? [y/N] ", question, p.Name))
}

// passcode is the person's own, from the file or, at a terminal, if they are there to give it.
func (l *loss) passcode(ctx context.Context, r *run, p workstation.Profile) (secret.Value, error) {
	switch {
	case l.passcodeFile != "":
		r.warnOfMode(l.passcodeFile, "passcode")
		return readSecretFile(ctx, l.passcodeFile, "passcode", "passcode-file")
	case !r.Terminal || l.yes || len(p.Connections) == 0 || p.Passcode != "set":
		return secret.Value{}, nil
	}
	fmt.Fprintf(r.Err, "%s of %s would be lost. With the person's own passcode the EHRs are told first.\n", connections(len(p.Connections), "", ""), p.Name)
	return r.askIfKnown(ctx, "Passcode of "+p.Name+", or nothing: ")
}

// connections gives "1 connection is" or "2 connections are".
func connections(n int, one, many string) string {
	text, verb := fmt.Sprintf("%d connection", n), one
	if n != 1 {
		text, verb = text+"s", many
	}
	return strings.TrimSpace(text + " " + verb)
}

// lostProfile says of whom a command removed or reset the key, and what went with it.
type lostProfile struct {
	Event string `json:"event"` // removed | reset
	workstation.Profile
	ConnectionsLost int `json:"connections_lost"`
}

func (r *run) userRemoveCommand() *cobra.Command {
	var l loss
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a person, with their key and connections", Args: exactArgs("a name"),
		Example: "  chartkey user remove dr.okafor --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				p, lost, err := l.confirm(cmd.Context(), r, w, args[0], "Remove")
				if err != nil {
					return err
				}
				if err := w.RemoveProfile(cmd.Context(), p.ID); err != nil {
					return err
				}
				return r.out.print(lostProfile{"removed", p, lost}, func(out io.Writer) {
					fmt.Fprintf(out, "%s is removed. The key is destroyed, and with it %s.\n", p.Name, connections(lost, "", ""))
				})
			})
		},
	}
	l.flags(cmd)
	return cmd
}

func (r *run) userResetCommand() *cobra.Command {
	var l loss
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Take a lost passcode away, with the connections that it locked", Args: exactArgs("a name"),
		Example: "  chartkey user reset dr.okafor --yes",
		Long:    "The key that the passcode locked is destroyed, so its connections are gone. The profile chooses\na new passcode when it is used next.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				p, lost, err := l.confirm(cmd.Context(), r, w, args[0], "Reset the passcode of")
				if err != nil {
					return err
				}
				if err := w.ResetPasscode(cmd.Context(), p.ID); err != nil {
					return err
				}
				if p, err = w.Profile(cmd.Context(), p.ID); err != nil {
					return err
				}
				return r.out.print(lostProfile{"reset", p, lost}, func(out io.Writer) {
					fmt.Fprintf(out, "%s has no passcode now, and chooses one at the next use. The key is destroyed, and with it %s.\n", p.Name, connections(lost, "", ""))
				})
			})
		},
	}
	l.flags(cmd)
	return cmd
}

func (r *run) userPasscodeCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "passcode NAME", Short: "Change a passcode, by the present one, or set the first one", Args: exactArgs("a name"),
		Example: "  CHARTKEY_PASSCODE_FILE=old.txt chartkey user passcode dr.okafor --passcode-file new.txt",
		Long:    "The present passcode comes from CHARTKEY_PASSCODE_FILE, or is asked for. The connections stay.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				p, err := w.Profile(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				next, err := r.passcodeFrom(cmd.Context(), file, p.Name)
				if err != nil {
					return err
				}
				if next.IsEmpty() {
					return fault.New("passcode-needed", "There is no new passcode.", "Name a file that holds it by --passcode-file, or run the command in a terminal to be asked.")
				}
				if err := w.ChangePasscode(cmd.Context(), p.ID, secret.Value{}, next); err != nil {
					return err
				}
				if p, err = w.Profile(cmd.Context(), p.ID); err != nil {
					return err
				}
				return r.printProfile(p)
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
