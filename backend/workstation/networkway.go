package workstation

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// ProxySettings is the workstation's own choice of a proxy.
type ProxySettings struct {
	// Mode is "automatic" (the environment's, then the system's), "direct", or "manual".
	Mode string `json:"mode"`
	// URL, User and Except are for manual: see network.Proxy.
	URL  string `json:"url"`
	User string `json:"user"`
	// Password is "set" or "none", never the password.
	Password string `json:"password"`
	Except   string `json:"except"`
}

// The modes of a proxy.
const (
	ProxyAutomatic = "automatic"
	ProxyDirect    = "direct"
	ProxyManual    = "manual"
)

// NetworkSettings are the way from this workstation to its servers, or what one
// registration adds to it.
type NetworkSettings struct {
	// Proxy is the workstation's; it is empty for a registration.
	Proxy ProxySettings `json:"proxy"`
	// Authorities are trusted beside the system's.
	Authorities []network.CertificateInfo `json:"authorities"`
	// ClientCertificate is shown to a server that asks for one; null where there is none.
	ClientCertificate *network.CertificateInfo `json:"client_certificate"`
}

// way is how one server is reached, for as long as the settings stay the same.
type way struct {
	stamp string
	http  *http.Client
	smart *smart.Client
}

const systemWay = workstationOwner

// to gives the way to the server of a base URL. Faults: those of the vault,
// where a proxy's password or a client certificate's key has to be opened.
func (w *Workstation) to(ctx context.Context, base string) (*way, error) {
	if w.http != nil {
		return &way{http: w.http, smart: w.smart}, nil
	}
	rows, err := w.store.NetworkWaysTo(ctx, base)
	if err != nil {
		return nil, err
	}
	var stamp string
	for _, row := range rows {
		stamp += fmt.Sprintf("%s %d\n", row.WayOf, row.UpdatedAt) // each change has a time of its own
	}
	w.waysMu.Lock()
	known := w.ways[base]
	w.waysMu.Unlock()
	if known != nil && known.stamp == stamp {
		return known, nil
	}
	o, err := w.networkOptions(ctx, rows)
	if err != nil {
		return nil, err
	}
	client, err := network.NewClientWith(o)
	if err != nil {
		return nil, err
	}
	client.Transport = observing{client.Transport}
	fresh := &way{stamp: stamp, http: client, smart: &smart.Client{HTTP: client, Now: w.now}}
	w.waysMu.Lock()
	defer w.waysMu.Unlock()
	if w.ways[base] == nil && len(w.ways) >= maxWays {
		clear(w.ways)
	}
	w.ways[base] = fresh
	return fresh, nil
}

// forgetWays takes the clients out of memory, with the proxy's password and the
// certificates' keys that they hold. What is under way goes on with its own.
func (w *Workstation) forgetWays() {
	w.waysMu.Lock()
	defer w.waysMu.Unlock()
	for _, known := range w.ways {
		known.http.CloseIdleConnections()
	}
	clear(w.ways)
}

// maxWays bounds how many servers have a client of their own at once.
const maxWays = 1000

func (w *Workstation) networkOptions(ctx context.Context, rows []store.NetworkWay) (network.Options, error) {
	o := network.Options{System: w.systemProxy}
	for _, row := range rows {
		if row.WayOf == systemWay {
			var err error
			if o.Proxy, err = w.proxyOf(ctx, row); err != nil {
				return o, err
			}
		}
		if row.Authorities != "" {
			bundle, _, err := network.ParseBundle(w.wayName(ctx, row.WayOf), []byte(row.Authorities), w.now())
			if err != nil {
				return o, err
			}
			o.ExtraCAs = append(o.ExtraCAs, bundle)
		}
		// A registration's own certificate wins over the workstation's.
		if row.ClientChain != "" && (o.ClientCertificate == nil || row.WayOf != systemWay) {
			key, err := w.open(ctx, workstationOwner, wayBinding("client_key", row.WayOf), row.ClientKey)
			if err != nil {
				return o, err
			}
			o.ClientCertificate = &network.ClientCertificate{Chain: ofPEM(row.ClientChain), Key: key}
		}
	}
	return o, nil
}

func (w *Workstation) wayName(ctx context.Context, id string) string {
	if reg, err := w.store.Registration(ctx, id); err == nil {
		return reg.Name
	}
	return "this workstation"
}

func wayBinding(column, id string) vault.Binding {
	return vault.Binding{Table: "network_way", Column: column, Row: id}
}

func (w *Workstation) proxyOf(ctx context.Context, row store.NetworkWay) (network.Proxy, error) {
	s, err := proxySettings(row)
	if err != nil {
		return network.Proxy{}, err
	}
	p := network.Proxy{Direct: s.Mode == ProxyDirect}
	if s.Mode != ProxyManual {
		return p, nil
	}
	p.URL, p.User, p.Except = s.URL, s.User, s.Except
	if len(row.ProxyPassword) > 0 {
		p.Password, err = w.open(ctx, workstationOwner, wayBinding("proxy_password", row.WayOf), row.ProxyPassword)
	}
	return p, err
}

// storedProxy is a proxy setting as it is stored: the password is a column of its own.
type storedProxy struct {
	Mode   string `json:"mode"`
	URL    string `json:"url"`
	User   string `json:"user"`
	Except string `json:"except"`
}

func proxySettings(row store.NetworkWay) (ProxySettings, error) {
	stored := storedProxy{Mode: ProxyAutomatic}
	s := ProxySettings{Mode: stored.Mode, Password: "none"}
	if row.Proxy != "" {
		if err := json.Unmarshal([]byte(row.Proxy), &stored); err != nil {
			return s, fault.New("store-damaged", "The proxy setting cannot be read.", "Set the proxy again.").Because(err)
		}
	}
	s.Mode, s.URL, s.User, s.Except = stored.Mode, stored.URL, stored.User, stored.Except
	if len(row.ProxyPassword) > 0 {
		s.Password = "set"
	}
	return s, nil
}

// wayRow gives the stored way of the workstation (ref "") or of a registration.
func (w *Workstation) wayRow(ctx context.Context, ref string) (store.NetworkWay, audit.Entry, error) {
	row := store.NetworkWay{WayOf: systemWay}
	entry := audit.Entry{Action: audit.Policy, Detail: "network"}
	if ref != "" {
		reg, err := w.registrationRow(ctx, ref)
		if err != nil {
			return row, entry, err
		}
		row.WayOf = reg.ID
		entry = registrationEntry(audit.Registration, reg)
		entry.Detail = "network"
	}
	stored, err := w.store.NetworkWay(ctx, row.WayOf)
	if errors.Is(err, store.ErrNoRow) {
		return row, entry, nil
	}
	return stored, entry, err
}

// NetworkSettings gives the settings of the workstation (ref "") or what a registration adds.
func (w *Workstation) NetworkSettings(ctx context.Context, ref string) (NetworkSettings, error) {
	s := NetworkSettings{Authorities: []network.CertificateInfo{}}
	row, _, err := w.wayRow(ctx, ref)
	if err != nil {
		return s, err
	}
	if ref == "" {
		if s.Proxy, err = proxySettings(row); err != nil {
			return s, err
		}
	}
	if row.Authorities != "" {
		bundle, _, err := network.ParseBundle("", []byte(row.Authorities), w.now())
		if err != nil {
			return s, err
		}
		s.Authorities = bundle.Authorities()
	}
	if row.ClientChain != "" {
		info, err := (&network.ClientCertificate{Chain: ofPEM(row.ClientChain)}).Info()
		if err != nil {
			return s, err
		}
		s.ClientCertificate = &info
	}
	return s, nil
}

// ProxyInput is a new proxy setting.
type ProxyInput struct {
	Mode string `json:"mode"`
	URL  string `json:"url"`
	User string `json:"user"`
	// PasswordAction is keep (or ""), replace or remove.
	PasswordAction string `json:"password_action"`
	Password       string `json:"password"`
	Except         string `json:"except"`
}

// SetProxy changes the workstation's proxy. Faults: invalid-proxy, and those of network.Proxy.Check.
func (w *Workstation) SetProxy(ctx context.Context, in ProxyInput) error {
	return w.as(ctx, "SetProxy", func(ctx context.Context, who *seat) error {
		row, entry, err := w.wayRow(ctx, "")
		if err != nil {
			return err
		}
		p := network.Proxy{Direct: in.Mode == ProxyDirect}
		switch in.Mode {
		case ProxyAutomatic, ProxyDirect:
			in = ProxyInput{Mode: in.Mode, PasswordAction: SecretRemove}
		case ProxyManual:
			p.URL, p.User, p.Except = in.URL, in.User, in.Except
			if in.URL == "" {
				return fault.New("invalid-proxy", "A manual setting needs the proxy's address.", "Enter it, such as http://proxy.hospital.example:8080, or choose automatic.")
			}
		default:
			return fault.Newf("invalid-proxy", "Choose automatic, direct or manual.", "%q is no way to choose a proxy.", in.Mode)
		}
		if err := p.Check(); err != nil {
			return err
		}
		before, err := proxySettings(row)
		if err != nil {
			before = ProxySettings{}
		}
		switch {
		case in.PasswordAction == SecretReplace:
			if row.ProxyPassword, err = w.seal(ctx, workstationOwner, wayBinding("proxy_password", row.WayOf), secret.New(in.Password)); err != nil {
				return err
			}
		case in.PasswordAction == SecretRemove, before.URL != in.URL, before.User != in.User:
			row.ProxyPassword = nil // a password goes to the proxy that it was given for
		}
		text, err := json.Marshal(storedProxy{Mode: in.Mode, URL: in.URL, User: in.User, Except: in.Except})
		if err != nil {
			return err
		}
		row.Proxy = string(text)
		entry.Subject = "proxy " + in.Mode + " " + in.URL
		return w.saveWay(ctx, who, row, entry)
	})
}

func (w *Workstation) saveWay(ctx context.Context, who *seat, row store.NetworkWay, entry audit.Entry) error {
	row.UpdatedAt = max(w.now().UnixMilli(), row.UpdatedAt+1)
	return w.record(ctx, who.profile, entry, func(q *store.Queries) error {
		return q.SaveNetworkWay(ctx, store.SaveNetworkWayParams(row))
	})
}

// SetAuthorities has the certificates of a PEM or DER file trusted beside the
// system's, for all servers (ref "") or for a registration's, in place of those
// that were set before; no data is none. It gives notices on what was left out.
// Faults: those of network.ParseBundle.
func (w *Workstation) SetAuthorities(ctx context.Context, ref string, data []byte) (notices []network.Notice, err error) {
	err = w.as(ctx, "SetAuthorities", func(ctx context.Context, who *seat) error {
		row, entry, err := w.wayRow(ctx, ref)
		if err != nil {
			return err
		}
		row.Authorities, entry.Subject = "", "no authorities of its own"
		if len(data) > 0 {
			var bundle network.Bundle
			if bundle, notices, err = network.ParseBundle("", data, w.now()); err != nil {
				return err
			}
			row.Authorities, entry.Subject = string(bundle.PEM()), "authorities"
			for _, a := range bundle.Authorities() {
				entry.Subject += " " + a.Subject
			}
		}
		return w.saveWay(ctx, who, row, entry)
	})
	return notices, err
}

// SetClientCertificate has a certificate shown to servers that ask for one: to
// all (ref "") or to a registration's; no data is none. The caller wipes data.
// Faults: those of network.ParseClientCertificate.
func (w *Workstation) SetClientCertificate(ctx context.Context, ref string, data []byte, passphrase secret.Value) (notices []network.Notice, err error) {
	err = w.as(ctx, "SetClientCertificate", func(ctx context.Context, who *seat) error {
		row, entry, err := w.wayRow(ctx, ref)
		if err != nil {
			return err
		}
		row.ClientChain, row.ClientKey, entry.Subject = "", nil, "no client certificate"
		if len(data) > 0 {
			var c *network.ClientCertificate
			if c, notices, err = network.ParseClientCertificate(data, passphrase, w.now()); err != nil {
				return err
			}
			defer c.Key.Wipe()
			info, err := c.Info()
			if err != nil {
				return err
			}
			if row.ClientKey, err = w.seal(ctx, workstationOwner, wayBinding("client_key", row.WayOf), c.Key); err != nil {
				return err
			}
			row.ClientChain, entry.Subject = toPEM(c.Chain), "client certificate "+info.Subject
		}
		return w.saveWay(ctx, who, row, entry)
	})
	return notices, err
}

// Route tells which way a server is reached, and why. Nothing is asked of it.
func (w *Workstation) Route(ctx context.Context, base string) (r network.Route, err error) {
	err = w.as(ctx, "Route", func(ctx context.Context, _ *seat) error {
		r, err = w.route(ctx, base)
		return err
	})
	return r, err
}

func (w *Workstation) route(ctx context.Context, base string) (network.Route, error) {
	rows, err := w.store.NetworkWaysTo(ctx, base)
	if err != nil {
		return network.Route{}, err
	}
	o, err := w.networkOptions(ctx, rows)
	if err != nil {
		return network.Route{}, err
	}
	return network.Explain(ctx, base, o)
}

func toPEM(chain [][]byte) string {
	var b bytes.Buffer
	for _, der := range chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // to memory
	}
	return b.String()
}

func ofPEM(text string) (chain [][]byte) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain
		}
		chain = append(chain, block.Bytes)
	}
}

// routeTimeout bounds what the doctor spends on one server.
const routeTimeout = 3 * time.Second
