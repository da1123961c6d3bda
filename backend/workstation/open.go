// Package workstation is the domain: registrations, profiles, grants, and the
// use-cases that a person has of them — register, test, connect, see the
// status, refresh, read, disconnect. The window and the command line call
// these and add nothing.
//
// It is the only package that knows several others: it asks smart and fhir to
// speak with servers, loopback to receive redirects, vault to seal, and store
// to keep. It knows nothing of Wails, flags or HTML.
package workstation

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/localca"
	"chartkey/backend/loopback"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"

	"github.com/adrg/xdg"
	"github.com/google/uuid"
)

// Options are what a Workstation is opened with.
type Options struct {
	// Home is the data folder.
	Home string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// HTTP reaches servers; its transport is wrapped. nil is a hardened client for each, by the settings of the network.
	HTTP *http.Client
	// Passphrase is asked where the vault has no usable keyring; nil, or a
	// passphrase-needed fault, means that nobody can be asked.
	Passphrase func(ctx context.Context, isNew bool) (secret.Value, error)
	// StoredPassphrase is Passphrase without a person: it is asked where only the activity
	// record would be the better for it. nil is none.
	StoredPassphrase func(ctx context.Context, isNew bool) (secret.Value, error)
	// Passcode is asked for the passcode of a profile, or for a new one; nil, or a
	// passcode-needed fault, means that nobody can be asked.
	Passcode func(ctx context.Context, profile string, isNew bool) (secret.Value, error)
	// Origin is what the activity record names as the place where an action was asked for.
	Origin audit.Origin
	// Version is that of this Chartkey, for the exports of the activity record.
	Version string
	// KeyCost is the work that the key of a new passphrase or passcode takes; the zero value is the vault's default.
	KeyCost vault.Cost
	// Keyring is the system's keyring; nil leaves it out, for a vault that lives only as long as its folder.
	Keyring *vault.Keyring
	// KeySetURL is where public keys are published for servers of this computer; "" is the package's KeySetURL.
	KeySetURL string
	// Log receives diagnostics; nil discards them. No secret is ever logged.
	Log *slog.Logger
}

// HomeFrom gives the data folder: CHARTKEY_HOME, else the platform's own.
func HomeFrom(getenv func(string) string) (string, error) {
	home := getenv("CHARTKEY_HOME")
	if home == "" {
		home = filepath.Join(xdg.DataHome, "chartkey")
	}
	abs, err := filepath.Abs(home)
	if err != nil {
		return "", fault.Newf("data-folder-unusable", "Name a folder in CHARTKEY_HOME.", "The data folder %q has no absolute name.", home).Because(err)
	}
	return abs, nil
}

// Workstation is one open data folder. Its methods may be called at once from
// several goroutines; other processes may have the same folder open.
type Workstation struct {
	home     string
	now      func() time.Time
	http     *http.Client
	log      *slog.Logger
	smart    *smart.Client
	store    *store.Store
	receiver *loopback.Receiver
	askPass  func(context.Context, bool) (secret.Value, error)
	// storedPass is askPass where nobody is to be bothered.
	storedPass func(context.Context, bool) (secret.Value, error)
	// askPasscode gives the passcode of a profile, or a new one for it.
	askPasscode func(ctx context.Context, profile string, isNew bool) (secret.Value, error)
	origin      audit.Origin
	// hostName and version are what an export of the activity record names.
	hostName, version string
	keyCost           vault.Cost
	keyring           *vault.Keyring

	seatMu sync.Mutex // protects the one below
	seat   *seat

	vaultMu sync.Mutex // protects those below
	vault   *vault.Vault
	header  vault.Header
	keys    map[string]heldKey // by owner
	// barred keeps the vault closed from a lock until the unlock.
	barred bool
	// auditKey chains the activity record. It stays through a lock.
	auditKey *audit.Key

	// keySetURL is where the public keys are published.
	keySetURL string

	systemProxy *network.SystemProxy
	waysMu      sync.Mutex // protects the one below
	ways        map[string]*way

	issuerMu sync.Mutex // protects the one below
	issuer   *localca.Issuer

	// These have locks of their own.
	published publishedKeys
	services  serviceTokens
	backoff   backoff
	renewing  turns
	live      liveTokens
	// trading is held for reading while a refresh token is out.
	trading sync.RWMutex

	loginMu sync.Mutex // protects the two below
	logins  map[string]*Login
	closed  bool

	work sync.WaitGroup // the sign-ins that are supervised
}

// Open opens a data folder, making it where it is missing. The vault is not
// touched until something must be sealed or opened.
func Open(ctx context.Context, o Options) (*Workstation, error) {
	w := &Workstation{
		home: o.Home, now: o.Now, http: o.HTTP, log: o.Log, askPass: o.Passphrase, storedPass: o.StoredPassphrase, askPasscode: o.Passcode, origin: o.Origin, version: o.Version, keyCost: o.KeyCost, keyring: o.Keyring,
		keySetURL: o.KeySetURL, keys: map[string]heldKey{}, logins: map[string]*Login{},
	}
	if w.now == nil {
		w.now = time.Now
	}
	if name, err := os.Hostname(); err == nil {
		w.hostName = name
	}
	if w.origin == "" {
		w.origin = audit.FromCommandLine
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.http != nil {
		if w.http.Transport == nil {
			w.http.Transport = http.DefaultTransport
		}
		w.http.Transport = observing{w.http.Transport}
	}
	if w.keySetURL == "" {
		w.keySetURL = KeySetURL
	}
	w.smart = &smart.Client{HTTP: w.http, Now: w.now}
	w.systemProxy, w.ways = network.NewSystemProxy(w.now), map[string]*way{}
	w.receiver = loopback.NewReceiver(w.now)
	w.receiver.Certificates = w.localCertificate
	w.receiver.HandOver = filepath.Join(o.Home, handOverFile)
	var err error
	if w.store, err = store.Open(ctx, o.Home); err != nil {
		return nil, err
	}
	owner, err := w.ensureOwner(ctx)
	if err != nil {
		return nil, errors.Join(err, w.store.Close())
	}
	w.seat = newSeat(owner)
	return w, nil
}

// ensureOwner finds the workstation's owner, the first profile, or makes it.
func (w *Workstation) ensureOwner(ctx context.Context) (store.Profile, error) {
	var owner store.Profile
	profiles, err := w.store.Profiles(ctx)
	if err != nil {
		return owner, err
	}
	if len(profiles) > 0 {
		return profiles[0], nil
	}
	err = w.store.Update(ctx, func(q *store.Queries) error {
		// Another process may have been first.
		profiles, err := q.Profiles(ctx)
		if err != nil {
			return err
		}
		if len(profiles) > 0 {
			owner = profiles[0]
			return nil
		}
		owner = store.Profile{ID: uuid.NewString(), Name: "owner", Role: RoleAdmin, CreatedAt: w.now().UnixMilli()}
		return q.InsertProfile(ctx, store.InsertProfileParams{ID: owner.ID, Name: owner.Name, Role: owner.Role, CreatedAt: owner.CreatedAt})
	})
	return owner, err
}

// Home gives the data folder.
func (w *Workstation) Home() string { return w.home }

// Close ends waiting sign-ins, lets a last page reach the browser, wipes the
// keys and closes the database.
func (w *Workstation) Close() error {
	w.loginMu.Lock()
	w.closed = true // a sign-in that begins from here on is cancelled as it is tracked
	for _, l := range w.logins {
		l.Cancel()
	}
	w.loginMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := w.receiver.Close(ctx)
	w.work.Wait()
	w.current().end(errLocked())
	w.trading.Lock() // what a server may have replaced by now is stored first
	defer w.trading.Unlock()
	err = errors.Join(err, w.published.close())
	w.bar()
	return errors.Join(err, w.store.Close())
}

// Watch calls changed whenever another connection or process has written to
// the data folder, within two seconds, until ctx ends.
func (w *Workstation) Watch(ctx context.Context, changed func()) error {
	return w.store.Watch(ctx, time.Second, changed)
}

// Fault gives the typed form of any error of this package.
func Fault(err error) *fault.Error {
	err = store.Translate(err)
	if fault.Code(err) == "" && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return fault.New("cancelled", "It was cancelled before it was done.", "Try again when you are ready.").CanRetry().Because(err)
	}
	return fault.From(err)
}
