package localca

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"chartkey/backend/fault"
)

const (
	// certutilTimeout bounds one call; it takes some tens of milliseconds.
	certutilTimeout = 15 * time.Second
	maxOutput       = 1 << 20
)

// The kinds of stores.
const (
	KindChromium = "chromium"
	KindFirefox  = "firefox"
)

// Store is a certificate database of NSS: that of a browser on Linux.
type Store struct {
	// Kind is chromium (Chrome, Edge and the like share one) or firefox.
	Kind string `json:"kind"`
	// Folder holds the database.
	Folder string `json:"folder"`
}

// Stores finds the databases of the browsers of a person on Linux, whose home
// folder is home. Without one of Chromium's, it names the one that every
// version of Chromium would use, which Trust makes.
func Stores(home string, getenv func(string) string) []Store {
	data, config := getenv("XDG_DATA_HOME"), getenv("XDG_CONFIG_HOME")
	if data == "" {
		data = filepath.Join(home, ".local/share")
	}
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	// Since version 146 Chromium has its database below .local/share, but where the one of before is.
	old := filepath.Join(home, ".pki/nssdb")
	var stores []Store
	for _, folder := range []string{old, filepath.Join(data, "pki/nssdb"), filepath.Join(home, ".local/share/pki/nssdb"), filepath.Join(home, "snap/chromium/current/.pki/nssdb")} {
		s := Store{KindChromium, folder}
		if s.exists() && !slices.Contains(stores, s) {
			stores = append(stores, s)
		}
	}
	if len(stores) == 0 {
		stores = append(stores, Store{KindChromium, old})
	}
	for _, root := range []string{
		filepath.Join(home, ".mozilla/firefox"), filepath.Join(config, "mozilla/firefox"),
		filepath.Join(home, "snap/firefox/common/.mozilla/firefox"), filepath.Join(home, ".var/app/org.mozilla.firefox/.mozilla/firefox"),
	} {
		profiles, err := os.ReadDir(root)
		if err != nil {
			continue
		}
		for _, profile := range profiles {
			if s := (Store{KindFirefox, filepath.Join(root, profile.Name())}); s.exists() && !slices.Contains(stores, s) {
				stores = append(stores, s)
			}
		}
	}
	return stores
}

func (s Store) exists() bool {
	_, err := os.Stat(filepath.Join(s.Folder, "cert9.db"))
	return err == nil
}

// Trusted tells whether the browser of the store trusts a for servers.
//
// Faults: certutil-missing, certutil-failed, localhost-authority-unusable.
func (s Store) Trusted(ctx context.Context, a Authority) (bool, error) {
	c, err := a.parse()
	if err != nil {
		return false, err
	}
	if !s.exists() {
		return false, nil
	}
	held, err := s.holds(ctx, c)
	if err != nil || !held {
		return false, err
	}
	// NSS itself says whether it would take the certificate for an authority of servers.
	_, err = s.certutil(ctx, nil, "-V", "-u", "L", "-n", c.Subject.CommonName)
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		return false, nil
	}
	return err == nil, err
}

// holds tells whether the very certificate is in the store.
func (s Store) holds(ctx context.Context, c *x509.Certificate) (bool, error) {
	out, err := s.certutil(ctx, nil, "-L", "-a", "-n", c.Subject.CommonName)
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		// None of that name, or no database: the list tells which.
		_, err = s.certutil(ctx, nil, "-L")
		return false, err
	}
	if err != nil {
		return false, err
	}
	for rest := out; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return false, nil
		}
		if bytes.Equal(block.Bytes, c.Raw) {
			return true, nil
		}
	}
}

// Trust makes the browser of the store trust a for servers. The browser may
// have to be started again. A database of Chromium is made where it is missing.
//
// Faults: certutil-missing, certutil-failed, browser-store-missing,
// localhost-authority-unusable.
func (s Store) Trust(ctx context.Context, a Authority) error {
	c, err := a.parse()
	if err != nil {
		return err
	}
	if !s.exists() {
		if s.Kind != KindChromium {
			return fault.New("browser-store-missing", "There is no Firefox profile at "+s.Folder+".", "Start Firefox once, and try again.")
		}
		if err := os.MkdirAll(s.Folder, 0o700); err != nil {
			return certutilFailed(s).Because(err)
		}
		if _, err := s.certutil(ctx, nil, "-N", "--empty-password"); err != nil {
			return err
		}
	}
	if _, err = s.certutil(ctx, a.PEM(), "-A", "-a", "-t", "C,,", "-n", c.Subject.CommonName); err != nil {
		return err
	}
	trusted, err := s.Trusted(ctx, a)
	if err == nil && !trusted {
		err = certutilFailed(s)
	}
	return err
}

// Untrust takes a out of the store. It is no fault where it is not in it.
//
// Faults: certutil-missing, certutil-failed, localhost-authority-unusable.
func (s Store) Untrust(ctx context.Context, a Authority) error {
	c, err := a.parse()
	if err != nil {
		return err
	}
	if !s.exists() {
		return nil
	}
	held, err := s.holds(ctx, c)
	if err != nil || !held {
		return err
	}
	_, err = s.certutil(ctx, nil, "-D", "-n", c.Subject.CommonName)
	return err
}

// certutil runs NSS's program of that name on the store, without a shell, and
// gives what it prints. Its standard input is never a terminal, so it asks nobody.
func (s Store) certutil(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	program, err := exec.LookPath("certutil")
	if err != nil {
		return nil, fault.New("certutil-missing", "The program certutil, which manages the certificates of browsers, is not installed.",
			"Install it (libnss3-tools on Debian and Ubuntu, nss-tools on Fedora), or import the authority in the browser's settings.").Because(err)
	}
	ctx, cancel := context.WithTimeout(ctx, certutilTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, append([]string{"-d", "sql:" + s.Folder}, args...)...)
	command.Stdin = bytes.NewReader(input)
	command.WaitDelay = time.Second
	out := &limited{left: maxOutput}
	command.Stdout = out
	err = command.Run()
	if ctx.Err() != nil { // and not its exit status, which would be an answer
		err = ctx.Err()
	}
	if err != nil {
		return nil, certutilFailed(s).Because(err)
	}
	return out.Bytes(), nil
}

func certutilFailed(s Store) *fault.Error {
	browser := "Chromium"
	if s.Kind == KindFirefox {
		browser = "Firefox"
	}
	return fault.Newf("certutil-failed", "Close the browser and try again. If its certificates are guarded by a password, import the authority in the browser's settings instead.",
		"The certificates of %s in %s cannot be read or changed.", browser, s.Folder)
}

// limited is a buffer that forgets what is over its limit.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	_, _ = l.Buffer.Write(p[:n])
	return len(p), nil
}
