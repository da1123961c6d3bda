package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

// maxPasted bounds what is read of an error page.
const maxPasted = 256 << 10

func (r *run) diagnoseCommand() *cobra.Command {
	var probe, paste bool
	cmd := &cobra.Command{
		Use: "diagnose REG", Short: "Tell what the last failure probably is, and what mends it", Args: exactArgs("a registration"),
		Example: "  chartkey diagnose Mercy\n  chartkey diagnose Mercy --probe\n  chartkey diagnose Mercy --paste < error-page.txt",
		Long: "The causes come in order, each with the evidence for it. --probe asks the server a few harmless\n" +
			"questions first, without a secret. Where an EHR shows an error page of its own, nothing comes\n" +
			"back: --paste reads the page's text, or its address, from standard input.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				d, err := r.diagnosis(cmd.Context(), w, args[0], probe, paste)
				if err != nil {
					return err
				}
				return r.out.print(d, func(out io.Writer) { diagnosisText(out, d) })
			})
		},
	}
	cmd.Flags().BoolVar(&probe, "probe", false, "ask the server what can be asked safely")
	cmd.Flags().BoolVar(&paste, "paste", false, "read what the EHR's error page says from standard input")
	return cmd
}

func (r *run) diagnosis(ctx context.Context, w *workstation.Workstation, ref string, probe, paste bool) (workstation.Diagnosed, error) {
	if !paste {
		return w.Diagnose(ctx, ref, probe)
	}
	text, err := waitFor(ctx, func() ([]byte, error) { return network.Read(r.In, maxPasted) })
	if ctx.Err() != nil {
		return workstation.Diagnosed{}, cancelled()
	}
	if err != nil {
		return workstation.Diagnosed{}, fault.New("nothing-pasted", "What was pasted cannot be read.", "Paste the text of the error page, or its address.").Because(err)
	}
	return w.RecognizePage(ctx, ref, string(text))
}

func diagnosisText(out io.Writer, d workstation.Diagnosed) {
	fmt.Fprintf(out, "%s\n", d.Error.Message)
	for i, c := range d.Causes {
		fmt.Fprintf(out, "\n%d. %s (%s)\n", i+1, c.Title, c.Likelihood)
		for _, e := range c.Evidence {
			fmt.Fprintf(out, "   + %s\n", e)
		}
		for _, e := range c.Against {
			fmt.Fprintf(out, "   - %s\n", e)
		}
		fmt.Fprintf(out, "   → %s\n", c.Fix.Text)
		if c.Distinguish != "" {
			fmt.Fprintf(out, "   To tell it from the others: %s\n", c.Distinguish)
		}
	}
	if len(d.Askable) > 0 {
		fmt.Fprintf(out, "\nWith --probe Chartkey asks the server more (%s).\n", strings.Join(d.Askable, ", "))
	}
}
