package cli

import (
	"fmt"
	"io"

	"chartkey/backend/trace"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) traceCommand() *cobra.Command {
	last := 1
	var format string
	cmd := &cobra.Command{
		Use: "trace [REG]", Short: "Show what the latest operations said to the servers, without a secret", Args: optionalReg,
		Example: "  chartkey trace Mercy\n  chartkey trace Mercy --last 5 --json\n  chartkey trace Mercy --format har > mercy.har",
		Long: "Tokens, secrets, codes and what tells of a patient are replaced by marks such as ‹access token 1›\n" +
			"before anything is kept. --format har or markdown writes the latest one for a support ticket.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if last < 1 || last > 100 {
				return usage(cmd, "--last takes a number from 1 to 100")
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				all, err := w.Traces(cmd.Context(), optionalRegistration(args), last)
				if err != nil {
					return err
				}
				if format != "" && len(all) > 0 {
					return w.WriteTrace(cmd.Context(), all[0].ID, format, r.Out)
				}
				for _, t := range all {
					if err := r.out.print(t, func(out io.Writer) { err = trace.Text(out, t.Trace) }); err != nil {
						return err
					}
				}
				if len(all) == 0 && !r.json {
					fmt.Fprintln(r.Err, "There is no trace yet.")
				}
				return err
			})
		},
	}
	cmd.Flags().IntVar(&last, "last", last, "how `many`, the latest first")
	cmd.Flags().StringVar(&format, "format", "", "har or markdown")
	return cmd
}
