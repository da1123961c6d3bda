package cli

import (
	"fmt"
	"io"
	"os"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/workstation"

	"github.com/spf13/cobra"
)

// maxCertificateFile bounds a file of certificates.
const maxCertificateFile = 4 << 20

func (r *run) networkCommand() *cobra.Command {
	return group("network", "See and change the way to the servers: proxy, authorities, client certificate",
		r.networkShowCommand(), r.networkRouteCommand(), r.networkProxyCommand(), r.networkAuthoritiesCommand(), r.networkCertificateCommand())
}

func optionalRegistration(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	return ""
}

func (r *run) networkShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [REG]", Short: "Show the settings of this workstation, or what a registration adds", Args: optionalReg,
		Example: "  chartkey network show\n  chartkey network show Mercy --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error { return r.showNetwork(cmd, w, optionalRegistration(args)) })
		},
	}
}

func (r *run) showNetwork(cmd *cobra.Command, w *workstation.Workstation, ref string) error {
	s, err := w.NetworkSettings(cmd.Context(), ref)
	if err != nil {
		return err
	}
	return r.out.print(s, func(out io.Writer) {
		if ref == "" {
			pairs(out, "Proxy", s.Proxy.Mode, "Address", s.Proxy.URL, "User", s.Proxy.User, "Password", s.Proxy.Password, "Except", s.Proxy.Except)
		}
		for _, a := range s.Authorities {
			fmt.Fprintf(out, "Authority: %s, until %s, SHA-256 %s\n", a.Subject, a.NotAfter.Format("2006-01-02"), a.Fingerprint)
		}
		if c := s.ClientCertificate; c != nil {
			fmt.Fprintf(out, "Client certificate: %s, until %s, SHA-256 %s\n", c.Subject, c.NotAfter.Format("2006-01-02"), c.Fingerprint)
		}
		if ref != "" && len(s.Authorities) == 0 && s.ClientCertificate == nil {
			fmt.Fprintln(out, "It adds nothing to the settings of this workstation.")
		}
	})
}

func (r *run) networkRouteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "route URL", Short: "Tell which way a server is reached, and why, without asking it", Args: exactArgs("an address"),
		Example: "  chartkey network route https://fhir.epic.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				route, err := w.Route(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := r.out.print(route, func(out io.Writer) {
					proxy := "none"
					if route.Proxy != "" {
						proxy = route.Proxy
					}
					pairs(out, "Server", route.Origin, "Proxy", proxy, "Why", route.Detail)
					for _, b := range route.Authorities {
						for _, a := range b.Certificates {
							fmt.Fprintf(out, "Trusted beside the system's (%s): %s\n", b.Name, a.Subject)
						}
					}
					if route.ClientCertificate != nil {
						fmt.Fprintln(out, "Client certificate: "+route.ClientCertificate.Subject)
					}
					for _, n := range route.Notices {
						fmt.Fprintln(out, "note: "+n)
					}
				}); err != nil {
					return err
				}
				if route.Error != nil {
					return route.Error
				}
				return nil
			})
		},
	}
}

func (r *run) networkProxyCommand() *cobra.Command {
	var in workstation.ProxyInput
	var passwordFile string
	cmd := &cobra.Command{
		Use: "proxy MODE", Short: "Choose the proxy: automatic, direct or manual", Args: exactArgs("a mode"),
		Example: "  chartkey network proxy automatic\n  chartkey network proxy manual --url http://proxy.hospital.example:8080 --except .hospital.example",
		Long: "automatic takes the environment's proxy (HTTPS_PROXY, NO_PROXY), else the system's. A password is\n" +
			"read from a file and kept encrypted; the address itself must have none in it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Mode = args[0]
			if passwordFile != "" {
				password, err := readSecretFile(cmd.Context(), passwordFile, "password", "invalid-secret-source")
				if err != nil {
					return err
				}
				in.PasswordAction, in.Password = workstation.SecretReplace, password.Reveal()
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				if err := w.SetProxy(cmd.Context(), in); err != nil {
					return err
				}
				return r.showNetwork(cmd, w, "")
			})
		},
	}
	cmd.Flags().StringVar(&in.URL, "url", "", "the proxy's `address`, for manual")
	cmd.Flags().StringVar(&in.User, "proxy-user", "", "the `user` to sign in to the proxy as")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "the `file` that holds the user's password")
	cmd.Flags().StringVar(&in.Except, "except", "", "the `hosts` that are reached without it, divided by commas")
	return cmd
}

// certificateFile reads a file, or nothing with --remove.
func certificateFile(cmd *cobra.Command, file string, remove bool) ([]byte, error) {
	if (file == "") == !remove {
		return nil, usage(cmd, "give either --file or --remove")
	}
	if remove {
		return nil, nil
	}
	unreadable := fault.Newf("certificate-file", "Check the file's name and that you may read it.", "The file %s cannot be read.", file)
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable.Because(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := network.Read(f, maxCertificateFile)
	if err != nil {
		return nil, unreadable.Because(err)
	}
	return data, nil
}

func (r *run) tellNotices(notices []network.Notice) {
	for _, n := range notices {
		r.out.note(n.Message)
	}
}

func (r *run) networkAuthoritiesCommand() *cobra.Command {
	var file string
	var remove bool
	cmd := &cobra.Command{
		Use: "authorities [REG]", Short: "Trust a hospital's own certificate authorities beside the system's", Args: optionalReg,
		Example: "  chartkey network authorities --file hospital-ca.pem\n  chartkey network authorities Mercy --remove",
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := certificateFile(cmd, file, remove)
			if err != nil {
				return err
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				notices, err := w.SetAuthorities(cmd.Context(), optionalRegistration(args), data)
				if err != nil {
					return err
				}
				r.tellNotices(notices)
				return r.showNetwork(cmd, w, optionalRegistration(args))
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "the PEM or DER `file` with the certificates")
	cmd.Flags().BoolVar(&remove, "remove", false, "trust the system's alone again")
	return cmd
}

func (r *run) networkCertificateCommand() *cobra.Command {
	var file, passphraseFile string
	var remove bool
	cmd := &cobra.Command{
		Use: "client-certificate [REG]", Short: "Show a certificate to servers that ask who connects (mutual TLS)", Args: optionalReg,
		Example: "  chartkey network client-certificate Mercy --file workstation.p12 --passphrase-file p12.txt",
		Long:    "The file is PKCS#12, or PEM with the certificate and its private key. The key is kept encrypted.",
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := certificateFile(cmd, file, remove)
			if err != nil {
				return err
			}
			defer clear(data)
			var passphrase secret.Value
			if passphraseFile != "" {
				if passphrase, err = readSecretFile(cmd.Context(), passphraseFile, "passphrase", "invalid-secret-source"); err != nil {
					return err
				}
			}
			return r.desk(cmd.Context(), func(w *workstation.Workstation) error {
				notices, err := w.SetClientCertificate(cmd.Context(), optionalRegistration(args), data, passphrase)
				if err != nil {
					return err
				}
				r.tellNotices(notices)
				return r.showNetwork(cmd, w, optionalRegistration(args))
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "the `file` with the certificate and its private key")
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "the `file` that holds the passphrase of a PKCS#12 file")
	cmd.Flags().BoolVar(&remove, "remove", false, "show none any more")
	return cmd
}
