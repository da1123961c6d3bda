package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

// maxKeyFile bounds a file or stream that holds a private key: a JWK set with one is far smaller.
const maxKeyFile = 64 << 10

func (r *run) registrationKey() *cobra.Command {
	return group("key", "Keep the keys with which a confidential-asymmetric client signs",
		r.keyList(), r.keyNew(), r.keyImport(), r.keyUse(), r.keyRemove(), r.keyExport())
}

func (r *run) keyList() *cobra.Command {
	return &cobra.Command{
		Use: "list REG", Short: "List the keys of a registration, the one that signs first", Args: exactArgs("a registration"), Example: "  chartkey registration key list Ward",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				keys, err := w.ClientKeys(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if r.json {
					for _, k := range keys {
						if err := r.out.print(k, nil); err != nil {
							return err
						}
					}
					return nil
				}
				if len(keys) == 0 {
					r.out.note("There is no key. Make one with chartkey registration key new " + args[0] + ".")
					return nil
				}
				table(plainWriter{r.Out}, []string{"KID", "ALGORITHM", "KIND", "USE", "MADE"}, func(row func(...string)) {
					for _, k := range keys {
						row(k.ID, k.Algorithm, k.Kind, keyUse(k), when(&k.CreatedAt))
					}
				})
				return nil
			})
		},
	}
}

// keyIDs completes a kid.
func keyIDs(ctx context.Context, w *workstation.Workstation, ref string) []cobra.Completion {
	keys, err := w.ClientKeys(ctx, ref)
	if err != nil {
		return nil
	}
	var ids []cobra.Completion
	for _, k := range keys {
		ids = append(ids, cobra.CompletionWithDesc(k.ID, k.Kind+", "+keyUse(k)))
	}
	return ids
}

func keyUse(k workstation.ClientKey) string {
	if k.Signs {
		return "signs"
	}
	return "published"
}

// key prints a key, and what is to be done with it.
func (r *run) key(k workstation.ClientKey, ref string) error {
	if !k.Signs {
		r.out.note("Another key still signs. Register this one at the EHR as well, then: chartkey registration key use " + ref + " " + k.ID)
	}
	return r.out.print(k, func(w io.Writer) {
		pairs(w, "KID", k.ID, "Algorithm", k.Algorithm, "Kind", k.Kind, "Use", keyUse(k), "Made", when(&k.CreatedAt))
	})
}

func (r *run) keyNew() *cobra.Command {
	var algorithm string
	cmd := &cobra.Command{
		Use: "new REG", Short: "Make a key; where there is one, it signs on until another is put to use", Args: exactArgs("a registration"),
		Example: "  chartkey registration key new Ward\n  chartkey registration key new Ward --algorithm ES384",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				k, err := w.NewClientKey(cmd.Context(), args[0], smart.KeyAlgorithm(algorithm))
				if err != nil {
					return err
				}
				return r.key(k, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&algorithm, "algorithm", string(smart.RS384), "RS384 or ES384; Epic takes an uploaded key for RS384 only")
	return cmd
}

func (r *run) keyImport() *cobra.Command {
	var file string
	var stdin bool
	cmd := &cobra.Command{
		Use: "import REG", Short: "Take an existing private key, as PEM or JWK, and seal it", Args: exactArgs("a registration"),
		Example: "  chartkey registration key import Ward --file privatekey.pem\n  openssl genrsa 3072 | chartkey registration key import Ward --stdin",
		RunE: func(cmd *cobra.Command, args []string) error {
			if stdin == (file != "") {
				return usage(cmd, "the private key comes from --file or from --stdin, one of the two")
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				private, err := r.privateKey(cmd.Context(), file)
				if err != nil {
					return err
				}
				defer private.Wipe()
				k, err := w.ImportClientKey(cmd.Context(), args[0], private)
				if err != nil {
					return err
				}
				if file != "" {
					r.out.note("The key is sealed in the vault. Delete " + file + " where nothing else needs it.")
				}
				return r.key(k, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "read the private key from `file`")
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read the private key from standard input")
	return cmd
}

// privateKey reads the text of a private key, from standard input where file is "".
func (r *run) privateKey(ctx context.Context, file string) (secret.Value, error) {
	const what, code = "private key", "invalid-secret-source"
	in := r.In
	if file != "" {
		r.warnOfMode(file, what)
		f, err := openFile(ctx, file, what, code)
		if err != nil {
			return secret.Value{}, err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	b, err := readUpTo(ctx, in, maxKeyFile, what, code)
	return secret.Own(b), err
}

func (r *run) keyUse() *cobra.Command {
	return &cobra.Command{
		Use: "use REG KID", Short: "Have another key sign from now on; the earlier one stays published", Args: exactArgs("a registration", "the kid of a key"),
		Example: "  chartkey registration key use Ward 6bVdQ…",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if err := w.UseClientKey(cmd.Context(), args[0], args[1]); err != nil {
					return err
				}
				return r.out.print(map[string]any{"event": "used", "kid": args[1]}, func(w io.Writer) {
					fmt.Fprintf(w, "%s signs from now on.\n", args[1])
				})
			})
		},
	}
}

func (r *run) keyRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove REG KID", Short: "Forget a key that no longer signs", Args: exactArgs("a registration", "the kid of a key"),
		Example: "  chartkey registration key remove Ward 6bVdQ…",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if err := w.RemoveClientKey(cmd.Context(), args[0], args[1]); err != nil {
					return err
				}
				return r.out.print(map[string]any{"event": "removed", "kid": args[1]}, func(w io.Writer) {
					fmt.Fprintf(w, "%s is forgotten. Take it off the EHR's page as well.\n", args[1])
				})
			})
		},
	}
}

// The forms in which the public half of a key leaves.
const (
	formatJWKS        = "jwks"
	formatJWK         = "jwk"
	formatPEM         = "pem"
	formatCertificate = "certificate"
)

func (r *run) keyExport() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "export REG [KID]", Short: "Print public keys for the EHR: all of a registration as a JWK set, or one in another form", Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 2 {
				return nil
			}
			return usage(cmd, cmd.CommandPath()+" takes a registration, and at most one kid")
		},
		Example: "  chartkey registration key export Ward >jwks.json\n  chartkey registration key export Ward --format certificate >publickey509.pem",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{formatJWKS, formatJWK, formatPEM, formatCertificate}, format) {
				return usage(cmd, fmt.Sprintf("%q is no format: use jwks, jwk, pem or certificate", format))
			}
			kid := ""
			if len(args) == 2 {
				kid = args[1]
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if format == formatJWKS && kid == "" {
					set, err := w.KeySet(cmd.Context(), args[0])
					if err != nil {
						return err
					}
					return r.out.print(set, jsonText(set))
				}
				key, err := w.PublicKey(cmd.Context(), args[0], kid)
				if err != nil {
					return err
				}
				return r.exportKey(key, format)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", formatJWKS, "jwks, jwk, pem or certificate (X.509)")
	return cmd
}

func (r *run) exportKey(key workstation.PublicKey, format string) error {
	switch format {
	case formatJWKS:
		set, err := json.Marshal(map[string][]json.RawMessage{"keys": {key.JWK}})
		if err != nil {
			return err
		}
		return r.out.print(json.RawMessage(set), jsonText(set))
	case formatJWK:
		return r.out.print(key.JWK, jsonText(key.JWK))
	}
	text := key.PEM
	if format == formatCertificate {
		text = key.Certificate
		r.out.note("SHA-1 of the certificate: " + key.SHA1)
	}
	return r.out.print(key, func(w io.Writer) { fmt.Fprint(w, text) })
}

func jsonText(b []byte) func(io.Writer) {
	return func(w io.Writer) { fmt.Fprintf(w, "%s\n", b) }
}

// keysText is the part of a kit about public keys.
func keysText(w io.Writer, k workstation.Kit) {
	fmt.Fprintln(w, "\nPublic keys")
	for _, key := range k.PublicKeys {
		fmt.Fprintf(w, "  %s (%s, %s, %s)\n", key.ID, key.Algorithm, key.Kind, keyUse(key.ClientKey))
	}
	if k.JWKSURL != "" {
		fmt.Fprintf(w, "\nJWKS URL\n  %s\n", k.JWKSURL)
	}
	fmt.Fprintf(w, "\nJWK set\n  %s\n", k.JWKS)
	for _, key := range k.PublicKeys {
		if key.Certificate != "" {
			fmt.Fprintf(w, "\nCertificate of %s (SHA-1 %s)\n%s", key.ID, key.SHA1, indented(key.Certificate))
		}
	}
}

func keysMarkdown(w io.Writer, k workstation.Kit) {
	fmt.Fprint(w, "## Public keys\n\n| kid | algorithm | kind | use | SHA-1 of the certificate |\n| --- | --- | --- | --- | --- |\n")
	for _, key := range k.PublicKeys {
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | `%s` |\n", strings.ReplaceAll(key.ID, "|", `\|`), key.Algorithm, key.Kind, keyUse(key.ClientKey), key.SHA1)
	}
	fmt.Fprintf(w, "\nJWK set:\n\n```json\n%s\n```\n\n", k.JWKS)
	for _, key := range k.PublicKeys {
		if key.Certificate != "" {
			fmt.Fprintf(w, "Certificate of `%s`:\n\n```\n%s```\n\n", key.ID, key.Certificate)
		}
	}
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}
