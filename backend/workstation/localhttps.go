package workstation

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/localca"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// authorityFile is where the authority's certificate is written for the
// programs that import it. It is public.
const authorityFile = "localhost-authority.pem"

// LocalHTTPS tells how https on this computer stands: the authority that was
// made for it, and which browsers trust it.
type LocalHTTPS struct {
	// Authority is null until one is made.
	Authority *network.CertificateInfo `json:"authority"`
	// File holds its certificate.
	File     string         `json:"file"`
	Browsers []BrowserStore `json:"browsers"`
	// Instructions are the steps by hand, for this system.
	Instructions []localca.Instruction `json:"instructions"`
}

// BrowserStore is where a browser keeps what it trusts.
type BrowserStore struct {
	localca.Store
	Trusted bool `json:"trusted"`
	// Error is why that could not be found out.
	Error *fault.Error `json:"error"`
}

func authorityBinding() vault.Binding {
	return vault.Binding{Table: "localhost_authority", Column: "key", Row: "1"}
}

func noAuthority() *fault.Error {
	return fault.New("localhost-authority-missing", "A redirect or launch URL with https needs a certificate for this computer, and there is none.",
		"Make one: chartkey https enable. Then have your browser trust it: chartkey https trust.")
}

// localAuthority gives the authority without its key; ok is false where there is none.
func (w *Workstation) localAuthority(ctx context.Context) (a localca.Authority, sealed []byte, ok bool, err error) {
	row, err := w.store.LocalhostAuthority(ctx)
	if errors.Is(err, store.ErrNoRow) {
		return a, nil, false, nil
	}
	if err != nil {
		return a, nil, false, err
	}
	a.Certificate = row.Certificate
	return a, row.Key, true, nil
}

// LocalHTTPS tells how https on this computer stands. getenv is the environment
// in which browsers are looked for.
func (w *Workstation) LocalHTTPS(ctx context.Context, getenv func(string) string) (LocalHTTPS, error) {
	out := LocalHTTPS{Browsers: []BrowserStore{}, Instructions: []localca.Instruction{}}
	a, _, ok, err := w.localAuthority(ctx)
	if err != nil || !ok {
		return out, err
	}
	info, err := a.Info()
	if err != nil {
		return out, err
	}
	out.Authority, out.File = &info, filepath.Join(w.home, authorityFile)
	stores := browserStores(getenv)
	for _, s := range stores {
		b := BrowserStore{Store: s}
		if b.Trusted, err = s.Trusted(ctx, a); err != nil {
			b.Error = Fault(err)
		}
		out.Browsers = append(out.Browsers, b)
	}
	out.Instructions, err = a.Instructions(runtime.GOOS, out.File, stores)
	return out, err
}

func browserStores(getenv func(string) string) []localca.Store {
	if runtime.GOOS != "linux" || getenv("HOME") == "" {
		return nil
	}
	return localca.Stores(getenv("HOME"), getenv)
}

// EnableLocalHTTPS makes the authority for https on this computer. Its key stays
// in the vault; nothing trusts it until a person has it trusted. Fault:
// localhost-authority-exists.
func (w *Workstation) EnableLocalHTTPS(ctx context.Context) error {
	return w.as(ctx, "EnableLocalHTTPS", func(ctx context.Context, who *seat) error {
		if _, _, ok, err := w.localAuthority(ctx); err != nil {
			return err
		} else if ok {
			return fault.New("localhost-authority-exists", "This computer has an authority for https already.", "Disable https first to make another one.")
		}
		a, err := localca.New(w.hostName, w.now())
		if err != nil {
			return err
		}
		defer a.Key.Wipe()
		sealed, err := w.seal(ctx, workstationOwner, authorityBinding(), a.Key)
		if err != nil {
			return err
		}
		return w.record(ctx, who.profile, audit.Entry{Action: audit.Policy, Detail: "localhost-authority-made"}, func(q *store.Queries) error {
			if err := os.WriteFile(filepath.Join(w.home, authorityFile), a.PEM(), 0o600); err != nil {
				return fault.New("data-folder-unusable", "The data folder cannot be written.", "Make it writable for your account.").Because(err)
			}
			return q.SaveLocalhostAuthority(ctx, store.SaveLocalhostAuthorityParams{Certificate: a.Certificate, Key: sealed, CreatedAt: w.now().UnixMilli()})
		})
	})
}

// TrustLocalHTTPS has the browsers of this account trust the authority, or
// forget it. Where it works for none, the instructions tell how it is done by hand.
// Faults: localhost-authority-missing, certutil-missing, certutil-failed.
func (w *Workstation) TrustLocalHTTPS(ctx context.Context, getenv func(string) string, trust bool) error {
	return w.as(ctx, "TrustLocalHTTPS", func(ctx context.Context, who *seat) error {
		a, _, ok, err := w.localAuthority(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return noAuthority()
		}
		stores := browserStores(getenv)
		if len(stores) == 0 {
			return fault.New("browser-store-missing", "Chartkey cannot change what the browsers of this system trust.", "Follow the steps of chartkey https show.")
		}
		detail := "localhost-authority-trusted"
		if !trust {
			detail = "localhost-authority-untrusted"
		}
		return w.record(ctx, who.profile, audit.Entry{Action: audit.Policy, Detail: detail}, func(*store.Queries) error {
			var failures []error
			for _, s := range stores {
				if trust {
					failures = append(failures, s.Trust(ctx, a))
				} else {
					failures = append(failures, s.Untrust(ctx, a))
				}
			}
			return errors.Join(failures...)
		})
	})
}

// DisableLocalHTTPS forgets the authority and its key, after the browsers that
// Chartkey can reach have forgotten it. Fault: localhost-authority-missing.
func (w *Workstation) DisableLocalHTTPS(ctx context.Context, getenv func(string) string) error {
	return w.as(ctx, "DisableLocalHTTPS", func(ctx context.Context, who *seat) error {
		a, _, ok, err := w.localAuthority(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return noAuthority()
		}
		if err := w.record(ctx, who.profile, audit.Entry{Action: audit.Policy, Detail: "localhost-authority-removed"}, func(q *store.Queries) error {
			for _, s := range browserStores(getenv) {
				trusted, err := s.Trusted(ctx, a)
				if err == nil && trusted {
					err = s.Untrust(ctx, a)
				}
				if err != nil {
					// Without its key, what still trusts the authority trusts nobody.
					w.log.Warn("a browser still lists the authority", "browser", s.Kind, "code", fault.Code(err))
				}
			}
			_, err := q.DeleteLocalhostAuthority(ctx)
			return err
		}); err != nil {
			return err
		}
		w.issuerMu.Lock()
		w.issuer = nil
		w.issuerMu.Unlock()
		if err := os.Remove(filepath.Join(w.home, authorityFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.log.Warn("the authority's certificate file stays behind", "error", err)
		}
		return nil
	})
}

func isHTTPS(u string) bool { return strings.HasPrefix(strings.ToLower(u), "https:") }

// prepareHTTPS has a certificate at hand where one of the URLs is https, so
// that a listener can answer. Fault: localhost-authority-missing.
func (w *Workstation) prepareHTTPS(ctx context.Context, urls ...string) error {
	if !slices.ContainsFunc(urls, isHTTPS) {
		return nil
	}
	a, sealed, ok, err := w.localAuthority(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return noAuthority()
	}
	key, err := w.open(ctx, workstationOwner, authorityBinding(), sealed)
	if err != nil {
		return err
	}
	a.Key = secret.New(key.Reveal())
	defer a.Key.Wipe()
	issuer, err := a.Issuer(w.now)
	if err != nil {
		return err
	}
	w.issuerMu.Lock()
	defer w.issuerMu.Unlock()
	if w.issuer == nil {
		w.issuer = issuer
	}
	return nil
}

// localCertificate gives the certificate that a listener of this computer shows.
func (w *Workstation) localCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	w.issuerMu.Lock()
	issuer := w.issuer
	w.issuerMu.Unlock()
	if issuer == nil {
		return nil, noAuthority()
	}
	return issuer.GetCertificate(hello)
}
