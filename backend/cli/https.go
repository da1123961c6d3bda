package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) httpsCommand() *cobra.Command {
	command := func(use, short, long string, do func(ctx context.Context, w *workstation.Workstation) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Long: long, Args: noArgs, Example: "  chartkey https " + use, RunE: func(cmd *cobra.Command, _ []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if do != nil {
					if err := do(cmd.Context(), w); err != nil {
						return err
					}
				}
				return r.showHTTPS(cmd.Context(), w)
			})
		}}
	}
	return group("https", "Receive sign-ins and launches by https on this computer",
		command("show", "Show the authority of this computer, who trusts it, and the steps by hand", "", nil),
		command("enable", "Make a certificate authority for this computer alone",
			"Some EHRs take no http redirect or launch URL in production. The authority can sign for localhost,\n"+
				"127.0.0.1 and ::1 and for nothing else. Its key stays encrypted here, and nothing trusts it until you\n"+
				"have it trusted. Then register https://localhost:18320/callback, or the like, at the EHR and here.",
			func(ctx context.Context, w *workstation.Workstation) error { return w.EnableLocalHTTPS(ctx) }),
		command("trust", "Have the browsers of this account trust it", "", func(ctx context.Context, w *workstation.Workstation) error {
			return w.TrustLocalHTTPS(ctx, r.Getenv, true)
		}),
		command("untrust", "Have them forget it", "", func(ctx context.Context, w *workstation.Workstation) error {
			return w.TrustLocalHTTPS(ctx, r.Getenv, false)
		}),
		command("disable", "Forget the authority and its key", "", func(ctx context.Context, w *workstation.Workstation) error {
			return w.DisableLocalHTTPS(ctx, r.Getenv)
		}),
	)
}

func (r *run) showHTTPS(ctx context.Context, w *workstation.Workstation) error {
	s, err := w.LocalHTTPS(ctx, r.Getenv)
	if err != nil {
		return err
	}
	return r.out.print(s, func(out io.Writer) {
		if s.Authority == nil {
			fmt.Fprintln(out, "There is no authority for https on this computer. chartkey https enable makes one.")
			return
		}
		pairs(out, "Authority", s.Authority.Subject, "Until", s.Authority.NotAfter.Format("2006-01-02"), "SHA-256", s.Authority.Fingerprint, "File", s.File)
		for _, b := range s.Browsers {
			state := "does not trust it"
			switch {
			case b.Error != nil:
				state = b.Error.Message
			case b.Trusted:
				state = "trusts it"
			}
			fmt.Fprintf(out, "%s (%s): %s\n", b.Kind, b.Folder, state)
		}
		for _, i := range s.Instructions {
			fmt.Fprintf(out, "\nBy hand, for %s:\n  %s\nTo take it back:\n  %s\n", i.For, strings.Join(i.Trust, "\n  "), strings.Join(i.Remove, "\n  "))
			if i.Note != "" {
				fmt.Fprintln(out, i.Note)
			}
		}
	})
}
