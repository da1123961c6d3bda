package workstation

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"chartkey/backend/vault"
)

// Severity is how well one thing of the local environment is.
type Severity string

// The severities of a finding.
const (
	Healthy   Severity = "ok"
	Attention Severity = "warning"
	Problem   Severity = "problem"
)

// Finding is one line of the doctor's.
type Finding struct {
	ID     string   `json:"id"`
	Result Severity `json:"result" ts_type:"string"`
	Detail string   `json:"detail"`
	Advice string   `json:"advice"`
}

// Doctor checks what Chartkey needs of this computer. It changes nothing and
// asks no server.
func (w *Workstation) Doctor(ctx context.Context, getenv func(string) string) []Finding {
	found := []Finding{w.doctorKeyring(ctx), w.doctorVault(ctx), w.doctorDataFolder(ctx), w.doctorPorts(ctx), doctorBrowser(getenv), w.doctorClock(), doctorRoots()}
	return append(found, w.doctorNetwork(ctx)...)
}

func (w *Workstation) doctorKeyring(ctx context.Context) Finding {
	f := Finding{ID: "keyring", Result: Healthy, Detail: "The system's keyring can be used."}
	if state := w.keyringState(ctx); state != vault.KeyringAvailable {
		f.Result, f.Detail = Attention, fmt.Sprintf("The system's keyring cannot be used now (%s).", state)
		f.Advice = "Unlock or start it, or let the vault be guarded by a passphrase (CHARTKEY_PASSPHRASE_FILE, or a prompt)."
	}
	return f
}

func (w *Workstation) doctorVault(ctx context.Context) Finding {
	s, err := w.VaultStatus(ctx)
	switch {
	case err != nil:
		return Finding{"vault", Problem, Fault(err).Message, Fault(err).Advice}
	case s.State == "none":
		return Finding{"vault", Healthy, "Nothing was sealed yet.", s.Advice}
	case s.State == "locked":
		return Finding{"vault", Problem, s.Error.Message, s.Error.Advice}
	}
	return Finding{ID: "vault", Result: Healthy, Detail: "The vault opens; its key is guarded by the " + s.Protection + "."}
}

func (w *Workstation) doctorDataFolder(ctx context.Context) Finding {
	f := Finding{ID: "data-folder", Result: Healthy, Detail: w.home + " is in order."}
	if err := w.store.Check(ctx); err != nil {
		return Finding{"data-folder", Problem, Fault(err).Message, Fault(err).Advice}
	}
	for path, allowed := range map[string]os.FileMode{w.home: 0o700, w.store.Path(): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			return Finding{"data-folder", Problem, "The data folder cannot be read.", "Make it readable for your account."}
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&^allowed != 0 {
			f = Finding{"data-folder", Problem, fmt.Sprintf("%s has mode %o, so others may read it.", path, info.Mode().Perm()), fmt.Sprintf("chmod %o it.", allowed)}
		}
	}
	return f
}

func (w *Workstation) doctorPorts(ctx context.Context) Finding {
	all := DefaultRedirectURIs()
	free := w.receiver.Free(ctx, all)
	f := Finding{ID: "ports", Result: Healthy, Detail: fmt.Sprintf("%d of %d redirect ports are free.", len(free), len(all))}
	switch {
	case len(free) == 0:
		f.Result, f.Advice = Problem, "End the programs that hold 18320, 18321 and 18322, or register another redirect URI."
	case len(free) < len(all):
		f.Result, f.Advice = Attention, "A sign-in will use one of the others; all have to be registered at the EHR."
	}
	return f
}

func doctorBrowser(getenv func(string) string) Finding {
	f := Finding{ID: "browser", Result: Healthy, Detail: "The system's default browser is used."}
	if runtime.GOOS != "linux" {
		return f
	}
	// The programs that the browser library tries, in its order.
	for _, name := range []string{"xdg-open", "x-www-browser", "www-browser", "wslview"} {
		if path, err := exec.LookPath(name); err == nil {
			f.Detail = "Pages open with " + path + "."
			if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" {
				return Finding{"browser", Attention, "There is no display to open a browser on.", "Connect with --no-browser, and open the address in a browser that reaches this computer's loopback ports."}
			}
			return f
		}
	}
	return Finding{"browser", Attention, "No program that opens a browser was found.", "Install xdg-utils and a browser, or connect with --no-browser."}
}

func (w *Workstation) doctorClock() Finding {
	now := w.now()
	if now.Year() < 2026 {
		return Finding{"clock", Problem, "The clock is set to " + now.UTC().Format("2006-01-02") + ", which is in the past.", "Set it, and turn network time on."}
	}
	return Finding{ID: "clock", Result: Healthy, Detail: "The clock says " + now.UTC().Format("2006-01-02 15:04:05") + " UTC."}
}

// doctorNetwork tells which way each registered server is reached, and why.
func (w *Workstation) doctorNetwork(ctx context.Context) []Finding {
	regs, err := w.store.Registrations(ctx)
	if err != nil {
		return []Finding{{"proxy", Problem, Fault(err).Message, Fault(err).Advice}}
	}
	var found []Finding
	seen := map[string]bool{}
	for _, reg := range regs {
		if seen[reg.FHIRBaseURL] {
			continue
		}
		seen[reg.FHIRBaseURL] = true
		found = append(found, w.doctorRoute(ctx, reg.FHIRBaseURL))
	}
	if len(found) == 0 {
		// Which way most servers would be reached.
		found = append(found, w.doctorRoute(ctx, "https://fhir.epic.com"))
	}
	return found
}

func (w *Workstation) doctorRoute(ctx context.Context, base string) Finding {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	route, err := w.route(ctx, base)
	if err == nil && route.Error != nil {
		err = route.Error
	}
	if err != nil {
		return Finding{"proxy", Problem, base + ": " + Fault(err).Message, Fault(err).Advice}
	}
	f := Finding{ID: "proxy", Result: Healthy, Detail: route.Origin + ": " + route.Detail}
	for _, bundle := range route.Authorities {
		f.Detail += fmt.Sprintf(" %d authorities of %s are trusted beside the system's.", len(bundle.Certificates), bundle.Name)
	}
	if c := route.ClientCertificate; c != nil {
		f.Detail += fmt.Sprintf(" The certificate of %s, valid until %s, is shown to a server that asks.", c.Subject, c.NotAfter.Format("2006-01-02"))
	}
	if len(route.Notices) > 0 {
		f.Result, f.Advice = Attention, strings.Join(route.Notices, " ")
	}
	return f
}

func doctorRoots() Finding {
	if _, err := x509.SystemCertPool(); err != nil {
		return Finding{"tls-roots", Problem, "The system's trusted certificates cannot be read.", "Install the ca-certificates package."}
	}
	return Finding{ID: "tls-roots", Result: Healthy, Detail: "The system's trusted certificates are used."}
}
