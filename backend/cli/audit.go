package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) auditCommand() *cobra.Command {
	return group("audit", "See, check and export the activity record", r.auditListCommand(), r.auditVerifyCommand(), r.auditExportCommand(), r.auditResealCommand())
}

func (r *run) auditListCommand() *cobra.Command {
	last := 50
	cmd := &cobra.Command{
		Use: "list", Short: "Show the latest activities", Args: noArgs, Example: "  chartkey audit list --last 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if last < 1 || last > 10000 {
				return usage(cmd, "--last takes a number from 1 to 10000")
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				all, err := w.AuditLog(cmd.Context(), last)
				if err != nil {
					return err
				}
				if r.json {
					for _, a := range all {
						if err := r.out.print(a, nil); err != nil {
							return err
						}
					}
					return nil
				}
				return r.out.print(nil, func(out io.Writer) {
					table(out, []string{"WHEN", "WHO", "WHAT", "WHERE", "PATIENT", "OUTCOME", "FROM"}, func(row func(cells ...string)) {
						for _, a := range all {
							row(a.At.Format(time.RFC3339), a.ProfileName, a.Words(), a.RegistrationName, a.Patient, outcome(a), string(a.Origin))
						}
					})
				})
			})
		},
	}
	cmd.Flags().IntVar(&last, "last", last, "how `many`")
	return cmd
}

func outcome(a audit.Activity) string {
	if a.Fault != "" {
		return a.Outcome() + ": " + a.Fault
	}
	return a.Outcome()
}

// verification is what audit verify says.
type verification struct {
	OK bool `json:"ok"`
	audit.Result
	Notices []string `json:"notices"`
}

func (r *run) auditVerifyCommand() *cobra.Command {
	var anchor string
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that no activity was changed, removed or added", Args: noArgs, Example: "  chartkey audit verify",
		Long: "It names the first entry that is not as it was written, and exits 1 then. The anchor that it\n" +
			"prints is the end of the record now: kept elsewhere and given back by --anchor, it shows also\n" +
			"that a whole record was put back to an older copy.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var anchors []audit.Anchor
			if anchor != "" {
				a, err := audit.ParseAnchor(anchor)
				if err != nil {
					return err
				}
				anchors = append(anchors, a)
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				found, err := w.VerifyAudit(cmd.Context(), anchors...)
				if err != nil {
					return err
				}
				v := verification{OK: found.Whole(), Result: found, Notices: append([]string{}, found.Notices()...)}
				if err := r.out.print(v, func(out io.Writer) {
					state := "whole: nothing was changed, removed or added"
					if !v.OK {
						state = "not whole: " + found.Problem
					}
					pairs(out, "Activity record", state, "Entries", fmt.Sprint(found.Entries), "Anchor", found.Anchor.String())
					for _, n := range v.Notices {
						fmt.Fprintln(out, "note: "+n)
					}
				}); err != nil {
					return err
				}
				return found.Fault()
			})
		},
	}
	cmd.Flags().StringVar(&anchor, "anchor", "", "an `anchor` that was printed before, to check against")
	return cmd
}

func (r *run) auditResealCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "reseal", Short: "Let a damaged record go on, after somebody has looked into it", Args: noArgs, Example: "  chartkey audit reseal --yes",
		Long: "Nothing is removed. The record says for good that nothing vouches for what it had until then.\n" +
			"While it is damaged nothing is recorded, and so nothing is done.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if !yes {
					if err := r.confirm(cmd.Context(), "Let the record go on, marked as damaged until now? [y/N] "); err != nil {
						return err
					}
				}
				if err := w.ResealAudit(cmd.Context()); err != nil {
					return err
				}
				return r.out.print(resealed{"resealed"}, func(out io.Writer) { fmt.Fprintln(out, "The record goes on.") })
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// resealed says that the record goes on.
type resealed struct {
	Event string `json:"event"`
}

func (r *run) auditExportCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the whole activity record to stdout", Args: noArgs,
		Example: "  chartkey audit export --format fhir > activity.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if r.json && format == workstation.ExportFHIR {
					line := &oneLine{to: r.Out}
					return errors.Join(w.ExportAudit(cmd.Context(), format, line), line.end())
				}
				return w.ExportAudit(cmd.Context(), format, r.Out)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", workstation.ExportNDJSON, "ndjson, or fhir for R4 AuditEvents")
	return cmd
}

// oneLine makes one line of JSON that has others between its values.
type oneLine struct {
	to    io.Writer
	begun bool
}

func (l *oneLine) Write(b []byte) (int, error) {
	l.begun = true
	if _, err := l.to.Write(bytes.ReplaceAll(b, []byte("\n"), nil)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (l *oneLine) end() error {
	if !l.begun {
		return nil
	}
	_, err := io.WriteString(l.to, "\n")
	return err
}
