package cli

import (
	"context"
	"fmt"

	"chartkey/backend/secret"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

func (r *run) registrationRegister() *cobra.Command {
	var f registrationFlags
	var tokenFile string
	var tokenStdin bool
	cmd := &cobra.Command{
		Use: "register", Short: "Have a server that offers it register this app, save what it gave, then test", Args: noArgs,
		Example: "  chartkey registration register --name Open --fhir-base-url http://localhost:18340/fhir\n" +
			"  chartkey registration register --name Ward --fhir-base-url https://ehr.example/R4 --client-type confidential-asymmetric --initial-access-token-file token.txt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tokenStdin && tokenFile != "" {
				return usage(cmd, "the initial access token comes from a file or from standard input, one of the two")
			}
			ctx := cmd.Context()
			return r.desk(ctx, func(w *workstation.Workstation) error {
				token, err := r.initialAccessToken(ctx, tokenFile, tokenStdin)
				if err != nil {
					return err
				}
				defer token.Wipe()
				reg, problems, err := w.RegisterApp(ctx, f.choices(workstation.RegistrationInput{}, cmd), token)
				if err != nil {
					return err
				}
				r.out.note(fmt.Sprintf("The server registered the app as %s.", reg.ClientID))
				return r.saved(ctx, w, reg, problems, f.noTest)
			})
		},
	}
	f.bindChoices(cmd)
	cmd.Flags().StringVar(&tokenFile, "initial-access-token-file", "", "read the token that the server asks for before it registers an app from `file`")
	cmd.Flags().BoolVar(&tokenStdin, "initial-access-token-stdin", false, "read it from standard input")
	return cmd
}

func (r *run) initialAccessToken(ctx context.Context, file string, stdin bool) (secret.Value, error) {
	const what, code = "initial access token", "invalid-secret-source"
	switch {
	case stdin:
		return readSecret(ctx, r.In, what, code)
	case file != "":
		r.warnOfMode(file, what)
		return readSecretFile(ctx, file, what, code)
	}
	return secret.Value{}, nil
}
