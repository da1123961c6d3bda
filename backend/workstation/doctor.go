package workstation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/loopback"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"
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

// DoctorOptions tell a doctor what it cannot find out by itself.
type DoctorOptions struct {
	Getenv func(string) string
	// Version names this Chartkey in a sentence.
	Version string
	// WebKit is the library that the window of this build is drawn with, as
	// pkg-config names it; "" where it has no window, or needs no library.
	WebKit string
	// Window tells that this build has a window.
	Window bool
	// Offline leaves out what asks the registered servers.
	Offline bool
	// Simulator is the port that the simulated EHR has by default.
	Simulator int
}

// doctorTimeout bounds what the doctor waits for a server's time, or for a program that it asks.
const doctorTimeout = 4 * time.Second

// doctor is one examination. Where the data folder could not be opened, the
// workstation has no store, and closed says why.
type doctor struct {
	*Workstation
	DoctorOptions
	closed *fault.Error
	// open are the paths that others could read before the data folder was opened, which closes them.
	open []string
	none bool // there is no data folder yet
}

// Examine checks what Chartkey needs of this computer, also where the data
// folder cannot be opened: what depends on it is then told as not known. It
// makes no data folder. user is the profile to act for, as for ActAs. Faults: those of ActAs.
func Examine(ctx context.Context, o Options, user string, d DoctorOptions) (found []Finding, err error) {
	x := &doctor{DoctorOptions: d, open: openToOthers(o.Home)}
	if _, err := os.Lstat(o.Home); errors.Is(err, fs.ErrNotExist) {
		x.none = true
	} else if x.Workstation, err = Open(ctx, o); err != nil {
		x.closed = Fault(err)
	}
	if x.Workstation == nil {
		now := o.Now
		if now == nil {
			now = time.Now
		}
		x.Workstation = &Workstation{home: o.Home, now: now, keyring: o.Keyring, receiver: loopback.NewReceiver(now), systemProxy: network.NewSystemProxy(now)}
		return x.examine(ctx), nil
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	if err := x.ActAs(ctx, user); err != nil {
		return nil, err
	}
	return x.examine(ctx), nil
}

// Doctor is Examine for a workstation that is open.
func (w *Workstation) Doctor(ctx context.Context, d DoctorOptions) []Finding {
	return (&doctor{Workstation: w, DoctorOptions: d}).examine(ctx)
}

func (d *doctor) examine(ctx context.Context) []Finding {
	found := []Finding{{"version", Healthy, d.Version, ""}, d.doctorKeyring(ctx), d.vaultFinding(ctx), d.folder(), d.database(ctx), d.activityRecord(ctx)}
	found = append(found, d.ports(ctx)...)
	found = append(found, d.loopback(ctx), localhost(ctx, net.DefaultResolver), d.browser(), d.display(), d.webkit(ctx), d.doctorClock())
	found = append(found, d.serverClocks(ctx)...)
	found = append(found, d.network(ctx)...)
	return append(found, doctorRoots(), d.localHTTPS(ctx), d.certificates(ctx))
}

// readable tells whether there is a store to look into; where not, f is what to say.
func (d *doctor) readable(id string) (f Finding, ok bool) {
	switch {
	case d.none:
		return Finding{id, Healthy, "There is none yet, as there is no data folder.", ""}, false
	case d.closed != nil:
		return Finding{id, Attention, "It cannot be looked at, as the data folder or its database cannot be opened.", "Mend that first, then run chartkey doctor again."}, false
	}
	return f, true
}

func (d *doctor) vaultFinding(ctx context.Context) Finding {
	if f, ok := d.readable("vault"); !ok {
		return f
	}
	return d.doctorVault(ctx)
}

// openToOthers gives the paths of the data folder that others may read.
func openToOthers(home string) (open []string) {
	if runtime.GOOS == "windows" {
		return nil // its permissions are not these
	}
	for _, path := range []string{home, filepath.Join(home, store.FileName)} {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 {
			open = append(open, fmt.Sprintf("%s (mode %o)", path, info.Mode().Perm()))
		}
	}
	return open
}

func (d *doctor) folder() Finding {
	if d.none {
		return Finding{"data-folder", Healthy, d.home + " is not there yet. It is made when something has to be stored.", ""}
	}
	if d.closed != nil && d.closed.Code == "data-folder-unusable" {
		return Finding{"data-folder", Problem, d.closed.Message, d.closed.Advice}
	}
	if still := openToOthers(d.home); len(still) > 0 {
		return Finding{"data-folder", Problem, "Others may read " + strings.Join(still, " and ") + ".", "Take the permissions of others away: chmod -R go-rwx " + d.home}
	}
	if len(d.open) > 0 {
		return Finding{"data-folder", Attention, "Others could read " + strings.Join(d.open, " and ") + ". It is closed to them now.", "Find out what opened it, such as a backup that was restored."}
	}
	return Finding{"data-folder", Healthy, d.home + " is yours alone.", ""}
}

func (d *doctor) database(ctx context.Context) Finding {
	if d.closed != nil && d.closed.Code != "data-folder-unusable" {
		return Finding{"database", Problem, d.closed.Message, d.closed.Advice}
	}
	if f, ok := d.readable("database"); !ok {
		return f
	}
	if err := d.store.Check(ctx); err != nil {
		return Finding{"database", Problem, Fault(err).Message, Fault(err).Advice}
	}
	return Finding{"database", Healthy, "The database is whole.", ""}
}

// activityRecord verifies the activity record, as far as that goes without asking for a passphrase.
func (d *doctor) activityRecord(ctx context.Context) Finding {
	if f, ok := d.readable("activity-record"); !ok {
		return f
	}
	key := d.recordKey(ctx)
	if _, exists, err := d.readHeader(ctx); key == nil && (exists || err != nil) {
		return Finding{"activity-record", Attention, "It cannot be verified while the vault is not open.", "Open the vault (see there), then run chartkey doctor again."}
	}
	var result audit.Result
	err := d.store.View(ctx, func(q *store.Queries) (err error) {
		result, err = verifyRecord(ctx, q, key)
		return err
	})
	switch {
	case err != nil:
		return Finding{"activity-record", Problem, Fault(err).Message, Fault(err).Advice}
	case result.Problem != "" && result.Bad > 0:
		return Finding{"activity-record", Problem, fmt.Sprintf("Entry %d: %s", result.Bad, result.Problem), "An admin sees more by chartkey audit verify."}
	case result.Problem != "":
		return Finding{"activity-record", Problem, result.Problem, "An admin sees more by chartkey audit verify."}
	case key == nil:
		return Finding{"activity-record", Healthy, fmt.Sprintf("Its %d entries are in order. It is sealed once there is a vault.", result.Entries), ""}
	}
	return Finding{"activity-record", Healthy, fmt.Sprintf("Its %d entries are as they were written.", result.Entries), ""}
}

// ports looks at the ports of sign-ins, launches, published keys and the simulator.
func (d *doctor) ports(ctx context.Context) []Finding {
	all := DefaultRedirectURIs()
	free := d.receiver.Free(ctx, all)
	f := Finding{ID: "ports", Result: Healthy, Detail: fmt.Sprintf("%d of %d redirect ports are free.", len(free), len(all))}
	holders, advice := d.holders(all, free)
	f.Detail = strings.TrimSpace(f.Detail + " " + holders)
	switch {
	case len(free) == 0:
		f.Result, f.Advice = Problem, "End the programs that hold 18320, 18321 and 18322, or register another redirect URI."+advice
	case len(free) < len(all):
		f.Result, f.Advice = Attention, "A sign-in will use one of the others; all have to be registered at the EHR."+advice
	}
	found := []Finding{f}
	launch := DefaultLaunchURL
	if d.store != nil {
		if s, err := d.LaunchSettings(ctx); err == nil {
			launch = s.URL
		}
	}
	for _, p := range []struct{ id, what, url, means string }{
		{"launch-port", "EHR launches", launch, "EHR launches cannot be received there."},
		{"keys-port", "the public keys", KeySetURL, "The public keys cannot be published there."},
		{"simulator-port", "the simulated EHR", fmt.Sprintf("http://localhost:%d/", d.Simulator), "The simulated EHR has to be started on another port."},
	} {
		found = append(found, d.port(ctx, p.id, p.what, p.url, p.means))
	}
	return found
}

func (d *doctor) port(ctx context.Context, id, what, address, means string) Finding {
	port := portOf(address)
	if len(d.receiver.Free(ctx, []string{address})) > 0 {
		return Finding{id, Healthy, fmt.Sprintf("Port %s, for %s, is free.", port, what), ""}
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return Finding{id, Attention, fmt.Sprintf("The address for %s has no port that can be used: %s.", what, address), "Set it anew."}
	}
	h := holderOf(n)
	if h.ours {
		return Finding{id, Healthy, fmt.Sprintf("Port %s, for %s, is in use by %s.", port, what, h), ""}
	}
	advice := "End that program where you need the port."
	if h.pid == 0 {
		advice += " " + findHolder(n)
	}
	return Finding{id, Attention, fmt.Sprintf("Port %s, for %s, is held by %s. %s", port, what, h, means), advice}
}

// holders says who has those of the ports that are not free.
func (d *doctor) holders(all, free []string) (sentence, advice string) {
	var parts []string
	for _, uri := range all {
		if slices.Contains(free, uri) {
			continue
		}
		n, err := strconv.Atoi(portOf(uri))
		if err != nil {
			continue
		}
		h := holderOf(n)
		parts = append(parts, fmt.Sprintf("%d is held by %s", n, h))
		if h.pid == 0 {
			advice = " " + findHolder(n)
		}
	}
	if len(parts) == 0 {
		return "", ""
	}
	return strings.Join(parts, ", ") + ".", advice
}

// loopback tells whether programs here can be reached from here, by IPv4 and IPv6.
func (d *doctor) loopback(ctx context.Context) Finding {
	v4, v6 := bindable(ctx, "127.0.0.1"), bindable(ctx, "::1")
	switch {
	case v4 && v6:
		return Finding{"loopback", Healthy, "This computer reaches itself by 127.0.0.1 and ::1.", ""}
	case v4:
		return Finding{"loopback", Healthy, "This computer reaches itself by 127.0.0.1. It has no ::1, which is not needed.", ""}
	case v6:
		return Finding{"loopback", Attention, "This computer reaches itself by ::1 and not by 127.0.0.1.", "A redirect URI with 127.0.0.1 will not work: use one with localhost."}
	}
	return Finding{"loopback", Problem, "No port can be opened on 127.0.0.1 or ::1, so no sign-in can come back.", "Look for a sandbox, a firewall or a container that takes the loopback away."}
}

func bindable(ctx context.Context, host string) bool {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return false
	}
	_ = l.Close() // nothing was accepted
	return true
}

// localhost tells what the name in the redirect URIs stands for. A browser
// tries the addresses in this order.
func localhost(ctx context.Context, r *net.Resolver) Finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	addresses, err := r.LookupIPAddr(ctx, "localhost")
	if err != nil {
		return Finding{"localhost", Problem, "The name localhost cannot be looked up, so a browser may not find its way back.", "Add 127.0.0.1 localhost to the hosts file."}
	}
	return localhostFinding(addresses)
}

func localhostFinding(addresses []net.IPAddr) Finding {
	var names []string
	v4, strays := false, false
	for _, a := range addresses {
		names = append(names, a.String())
		v4 = v4 || a.IP.To4() != nil
		strays = strays || !a.IP.IsLoopback()
	}
	f := Finding{"localhost", Healthy, "localhost is " + strings.Join(names, ", then ") + ".", ""}
	switch {
	case len(addresses) == 0 || strays:
		f.Result, f.Advice = Problem, "It must be this computer alone, or sign-ins go astray: correct the hosts file to 127.0.0.1 localhost and ::1 localhost."
		if len(addresses) == 0 {
			f.Detail = "localhost has no address."
		}
	case addresses[0].IP.To4() == nil && v4:
		f.Detail += " Browsers try ::1 first; Chartkey listens on both."
	}
	return f
}

// display tells whether a window can be opened.
func (d *doctor) display() Finding {
	switch {
	case !d.Window:
		return Finding{"display", Healthy, "This build has no window, so it needs no display.", ""}
	case runtime.GOOS != "linux":
		return Finding{"display", Healthy, "The system's own display is used.", ""}
	}
	wayland, x := d.Getenv("WAYLAND_DISPLAY"), d.Getenv("DISPLAY")
	switch {
	case wayland != "":
		return Finding{"display", Healthy, "The window opens on Wayland (" + network.Clean(wayland, 60) + ").", ""}
	case x != "":
		return Finding{"display", Healthy, "The window opens on X11 (" + network.Clean(x, 60) + ").", ""}
	}
	return Finding{"display", Attention, "There is no display, so the window cannot be opened.", "Use the commands, or start Chartkey in a desktop session."}
}

// webkit tells whether the library that draws the window is there.
func (d *doctor) webkit(ctx context.Context) Finding {
	switch {
	case !d.Window:
		return Finding{"webkit", Healthy, "This build has no window, so it needs no WebKit.", ""}
	case runtime.GOOS == "darwin":
		return Finding{"webkit", Healthy, "The window is drawn by the system's own WebKit.", ""}
	case runtime.GOOS != "linux":
		return Finding{"webkit", Healthy, "The window is drawn by WebView2, which the window asks to install where it is missing.", ""}
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	cache, err := exec.CommandContext(ctx, "/sbin/ldconfig", "-p").Output() // few people have it in their path
	if err != nil {
		cache, err = exec.CommandContext(ctx, "ldconfig", "-p").Output()
	}
	if err != nil {
		cache = nil
	}
	return webkitFinding(d.WebKit, string(cache))
}

// webkitFinding reads the cache of the linker, as ldconfig -p prints it.
func webkitFinding(library, cache string) Finding {
	if cache == "" {
		return Finding{"webkit", Healthy, "Where WebKitGTK is cannot be told here, as there is no ldconfig. The window says so where it is missing.", ""}
	}
	for line := range strings.Lines(cache) {
		name, path, found := strings.Cut(strings.TrimSpace(line), " => ")
		if found && strings.HasPrefix(name, "lib"+library+".so") {
			return Finding{"webkit", Healthy, "The window is drawn by WebKitGTK (" + library + "), " + path + ".", ""}
		}
	}
	return Finding{"webkit", Attention, "WebKitGTK (" + library + ") was not found, so the window may not open.", "Install it: on Debian and Ubuntu it is in a package whose name begins with lib" + library + "."}
}

// serverClocks compares the clock with that of each registered server.
func (d *doctor) serverClocks(ctx context.Context) []Finding {
	if d.Offline || d.store == nil {
		return nil
	}
	bases, err := d.servers(ctx)
	if err != nil {
		return nil // the way to the servers says so
	}
	found := make([]Finding, len(bases))
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i, base := range bases {
		all.Go(func() { found[i] = d.serverClock(ctx, base) })
	}
	all.Wait()
	return found
}

// servers gives the base URLs of the registrations, each once.
func (d *doctor) servers(ctx context.Context) ([]string, error) {
	regs, err := d.store.Registrations(ctx)
	if err != nil {
		return nil, err
	}
	var bases []string
	for _, reg := range regs {
		if !slices.Contains(bases, reg.FHIRBaseURL) {
			bases = append(bases, reg.FHIRBaseURL)
		}
	}
	return bases, nil
}

func (d *doctor) serverClock(ctx context.Context, base string) Finding {
	f := Finding{ID: "server-clock", Result: Healthy}
	way, err := d.to(ctx, base)
	if err != nil {
		return Finding{f.ID, Attention, base + ": " + Fault(err).Message, Fault(err).Advice}
	}
	u, err := url.Parse(strings.TrimRight(base, "/") + "/metadata")
	if err != nil || !network.MaySend(u) {
		return Finding{f.ID, Attention, base + " is no address that can be asked.", "Correct it in the registration."}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return Finding{f.ID, Attention, base + " is no address that can be asked.", "Correct it in the registration."}
	}
	client := http.Client{Transport: way.http.Transport, CheckRedirect: network.NoRedirects}
	resp, err := client.Do(req)
	if err != nil {
		return Finding{f.ID, Attention, network.Fault(err, u.Host).Message, network.Fault(err, u.Host).Advice}
	}
	_ = resp.Body.Close() // the answer to HEAD has none
	host := network.Clean(u.Host, 200)
	offset, told := smart.ClockOffset(resp.Header, d.now())
	if !told {
		f.Detail = host + " did not tell its time."
		return f
	}
	f.Detail = "The clock of " + host + " is " + apart(offset) + "."
	if offset.Abs() > clockApart {
		f.Result, f.Advice = Attention, "Set this computer's clock by network time: a sign-in may be refused as too old or from the future. If it is right, tell the server's operator."
	}
	return f
}

// localHTTPS looks at the authority for https on this computer.
func (d *doctor) localHTTPS(ctx context.Context) Finding {
	if f, ok := d.readable("localhost-https"); !ok {
		return f
	}
	a, _, ok, err := d.localAuthority(ctx)
	if err == nil && !ok {
		return Finding{"localhost-https", Healthy, "Sign-ins come back by http, which stays on this computer; https is not set up.", ""}
	}
	var info network.CertificateInfo
	if err == nil {
		info, err = a.Info()
	}
	if err != nil {
		return Finding{"localhost-https", Problem, Fault(err).Message, Fault(err).Advice}
	}
	f := Finding{"localhost-https", Healthy, "The authority for https on this computer counts until " + info.NotAfter.Format(time.DateOnly) + ".", ""}
	const renew = "Make another one: chartkey https disable, then chartkey https enable and chartkey https trust."
	switch left := info.NotAfter.Sub(d.now()); {
	case left <= 0:
		f.Result, f.Detail, f.Advice = Problem, "The authority for https on this computer ran out on "+info.NotAfter.Format(time.DateOnly)+".", renew
	case left < certificateSoon:
		f.Result, f.Advice = Attention, renew
	}
	return f
}

// certificates looks at the authorities and client certificates that were added for hospital networks.
func (d *doctor) certificates(ctx context.Context) Finding {
	if f, ok := d.readable("certificates"); !ok {
		return f
	}
	refs := map[string]string{"": "this workstation"}
	order := []string{""}
	regs, err := d.store.Registrations(ctx)
	if err != nil {
		return Finding{"certificates", Problem, Fault(err).Message, Fault(err).Advice}
	}
	for _, reg := range regs {
		refs[reg.ID] = reg.Name
		order = append(order, reg.ID)
	}
	count := 0
	var soon, over []string
	look := func(whose string, c network.CertificateInfo) {
		count++
		switch left := c.NotAfter.Sub(d.now()); {
		case left <= 0:
			over = append(over, fmt.Sprintf("%s of %s ran out on %s", c.Subject, whose, c.NotAfter.Format(time.DateOnly)))
		case left < certificateSoon:
			soon = append(soon, fmt.Sprintf("%s of %s runs out on %s", c.Subject, whose, c.NotAfter.Format(time.DateOnly)))
		}
	}
	for _, ref := range order {
		s, err := d.NetworkSettings(ctx, ref)
		if err != nil {
			over = append(over, fmt.Sprintf("those of %s cannot be used: %s", refs[ref], strings.TrimSuffix(Fault(err).Message, ".")))
			continue
		}
		for _, a := range s.Authorities {
			look(refs[ref], a)
		}
		if s.ClientCertificate != nil {
			look(refs[ref], *s.ClientCertificate)
		}
	}
	const advice = "Ask your IT department for the new ones, and set them with chartkey network."
	switch {
	case len(over) > 0:
		return Finding{"certificates", Problem, "Of the certificates that were added, " + strings.Join(append(over, soon...), "; ") + ".", advice}
	case len(soon) > 0:
		return Finding{"certificates", Attention, "Of the certificates that were added, " + strings.Join(soon, "; ") + ".", advice}
	case count == 0:
		return Finding{"certificates", Healthy, "No authority and no client certificate was added.", ""}
	}
	return Finding{"certificates", Healthy, fmt.Sprintf("The %d certificates that were added last for a while.", count), ""}
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

func (d *doctor) browser() Finding {
	f := Finding{ID: "browser", Result: Healthy, Detail: "The system's default browser is used."}
	if runtime.GOOS != "linux" {
		return f
	}
	// The programs that the browser library tries, in its order.
	for _, name := range []string{"xdg-open", "x-www-browser", "www-browser", "wslview"} {
		if path, err := exec.LookPath(name); err == nil {
			f.Detail = "Pages open with " + path + "."
			if d.Getenv("DISPLAY") == "" && d.Getenv("WAYLAND_DISPLAY") == "" {
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

// network tells which way each registered server is reached, and why.
func (d *doctor) network(ctx context.Context) []Finding {
	var bases []string
	if d.store != nil {
		var err error
		if bases, err = d.servers(ctx); err != nil {
			return []Finding{{"proxy", Problem, Fault(err).Message, Fault(err).Advice}}
		}
	}
	if len(bases) == 0 {
		bases = []string{"https://fhir.epic.com"} // which way most servers would be reached
	}
	var found []Finding
	for _, base := range bases {
		found = append(found, d.doctorRoute(ctx, base))
	}
	return found
}

func (d *doctor) doctorRoute(ctx context.Context, base string) Finding {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	var route network.Route
	var err error
	if d.store == nil { // the workstation's own settings cannot be read
		route, err = network.Explain(ctx, base, network.Options{System: d.systemProxy})
	} else {
		route, err = d.route(ctx, base)
	}
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
