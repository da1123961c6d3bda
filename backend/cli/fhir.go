package cli

import (
	"bytes"
	"encoding/json"
	"fmt"

	"chartkey/backend/fhir"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) fhirCommand() *cobra.Command {
	var allPages bool
	var limit int
	get := &cobra.Command{
		Use: "get REG PATH", Short: "Read a FHIR resource or search with the stored grant", Args: exactArgs("a registration", "a path"),
		Example: "  chartkey fhir get Sandbox Patient/amara-nwosu\n  chartkey fhir get Sandbox 'Observation?patient=amara-nwosu&category=laboratory' --all-pages",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if allPages || limit > 0 {
					return w.ReadPages(cmd.Context(), args[0], args[1], limit, func(entry json.RawMessage) error { return r.printRaw(entry, true) })
				}
				res, err := w.Read(cmd.Context(), args[0], args[1])
				if err != nil {
					return err
				}
				return r.printRaw(res.Raw, r.json)
			})
		},
	}
	get.Flags().BoolVar(&allPages, "all-pages", false, "follow the pages of a search; each entry is a line")
	get.Flags().IntVar(&limit, "max", 0, "at most `N` entries, following pages (0 = all)")
	return group("fhir", "Read FHIR with a connection", get)
}

// printRaw writes a resource, on one line or indented.
func (r *run) printRaw(raw json.RawMessage, oneLine bool) error {
	text := fhir.Indent(raw)
	if oneLine {
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return err
		}
		text = b.Bytes()
	}
	_, err := fmt.Fprintf(r.Out, "%s\n", escapeControls(text))
	return err
}
