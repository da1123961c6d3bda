package cli

import (
	"fmt"
	"io"

	"chartkey/backend/fault"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

// delivered says what became of a callback.
type delivered struct {
	Event string `json:"event"`
	OK    bool   `json:"ok"`
	Title string `json:"title"`
}

func (r *run) callbackCommand() *cobra.Command {
	return &cobra.Command{
		Use: "callback URL", Short: "Take a sign-in that comes back to chartkey://callback", Args: exactArgs("an address"),
		Example: "  chartkey callback 'chartkey://callback?code=…&state=…'",
		Long: "The desktop runs this when the browser opens an address with Chartkey's own scheme, once the\n" +
			"scheme is registered (see docs/hospital-networks.md). It hands the answer over to the Chartkey\n" +
			"that waits for it, and prints nothing of it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				d, err := w.DeliverCallback(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if d.Next != "" {
					// The EHR is asked once more, for less.
					return r.OpenBrowser(d.Next)
				}
				if !d.OK {
					return fault.New("not-connected", d.Title+".", d.Message)
				}
				return r.out.print(delivered{"delivered", d.OK, d.Title}, func(out io.Writer) { fmt.Fprintln(out, d.Title+". "+d.Message) })
			})
		},
	}
}
