// Package simulator is a SMART on FHIR authorization server and a FHIR R4
// server in one, on the loopback interface. It is the product's sandbox: a
// server like any other, with sign-in and consent pages, its own patients, and
// state that outlives a connection.
//
// It owns the server's side of the protocol (discovery, EHR launch, authorize,
// token, revocation, introspection, registration, id_token), its clients and
// sign-ins, the records it serves and the log of what it was asked. To apps it
// speaks only what a real server would: no parameter of theirs skips a page or
// a check. Who runs it changes it by Change and by /control, from this computer.
// It knows nothing of Chartkey's client, registrations or storage, and any
// SMART app may use it.
//
// New makes a server, Start binds it to 127.0.0.1 and ::1, Close ends it.
// SignIn (browser.go) is the other side of its pages: a scripted person who
// signs in and decides.
package simulator

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// DefaultPort is where the sandbox is found when nothing else is asked for. It
// is below the ephemeral ranges of Linux, macOS and Windows, so that no other
// program is given it by chance.
const DefaultPort = 18340

// Settings are what may be changed while the server runs. A zero duration
// stands for its default.
type Settings struct {
	// CodeLife is how long an authorization code can be redeemed: 60 seconds.
	// RFC 6749 section 4.1.2 allows ten minutes at most.
	CodeLife time.Duration
	// AccessTokenLife is the expires_in of an access token: one hour.
	AccessTokenLife time.Duration
	// RefreshTokenLife is how long access granted with offline_access can be
	// renewed, counted from the sign-in: 90 days.
	RefreshTokenLife time.Duration
	// OnlineLife is the same for online_access, where it stands for the user's
	// session at the EHR: 8 hours.
	OnlineLife time.Duration
	// SignInLife is how long a person has for the pages: 10 minutes.
	SignInLife time.Duration
	// FixedRefreshTokens turns rotation off: a refresh answers without a new
	// refresh token and the old one stays good.
	FixedRefreshTokens bool

	// LaunchLife is how long the launch of an EHR launch waits for its app: 5 minutes.
	LaunchLife time.Duration
	// SignInAtLaunch shows the sign-in page in an EHR launch too, where the
	// user is signed in at the EHR already.
	SignInAtLaunch bool
	// SkipConsentAtLaunch leaves the consent page out of EHR launches, as EHRs
	// do for apps that the organisation has approved for everyone.
	SkipConsentAtLaunch bool
	// The next four leave pages out, for scripts. SignedInAs is the user name
	// of a person who is signed in at all times; a picker that is skipped takes
	// what it would offer first; without a consent page, all that was asked for is allowed.
	SignedInAs                                          string
	SkipPatientPicker, SkipEncounterPicker, SkipConsent bool
}

func (s Settings) withDefaults() (Settings, error) {
	for _, d := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"CodeLife", &s.CodeLife, time.Minute},
		{"AccessTokenLife", &s.AccessTokenLife, time.Hour},
		{"RefreshTokenLife", &s.RefreshTokenLife, 90 * 24 * time.Hour},
		{"OnlineLife", &s.OnlineLife, 8 * time.Hour},
		{"SignInLife", &s.SignInLife, 10 * time.Minute},
		{"LaunchLife", &s.LaunchLife, 5 * time.Minute},
	} {
		if *d.value < 0 {
			return s, fmt.Errorf("the setting %s is negative", d.name)
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if s.SignedInAs != "" {
		if _, err := launchUser(s.SignedInAs); err != nil {
			return s, fmt.Errorf("the setting SignedInAs: %w", err)
		}
	}
	return s, nil
}

// Options are what a server is made with. The zero value is a server with the
// preset clients on a free port.
type Options struct {
	// Host is the name in the server's URLs: "localhost" unless told. It must
	// be a loopback name or address.
	Host string
	// Port is where to listen; 0 takes a free one. The sandbox's own is DefaultPort.
	Port int
	// Clients are registered beside the presets, or in place of the preset
	// with the same client ID. LoadClients reads them from a file.
	Clients []Client
	// Patients are generated beside the published ones, 50,000 at most, for
	// trying out an app under load. The same Seed makes the same patients.
	Patients int
	Seed     uint64
	// Settings can be changed later with Change.
	Settings Settings
	// Profile is ProfileSpec (as is "") or ProfileEpic; SetTraits and SetProfile change it later.
	Profile string
	// Faults are those of Faults to begin with; SetFaults changes them later.
	Faults []string
	// TLS serves https with a certificate that clients must refuse: one of
	// TLSModes. Empty serves http, which clients accept on this computer only.
	TLS string
	// HTTP fetches the key sets that clients publish at their jwks_uri; nil is
	// a client that follows no redirect and waits five seconds.
	HTTP *http.Client
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Rand is where codes and tokens come from; nil is crypto/rand. It need not be safe for concurrent use.
	Rand io.Reader
	// Log is told of every request once it is answered, from the goroutine that served it.
	Log func(Request)
}

// Server is one simulated EHR.
type Server struct {
	host     string
	now      func() time.Time
	clients  *clientBook
	records  *records
	keys     *signingKeys
	ledger   *ledger
	launches *launchBook
	keySets  *keySets
	seen     seenIDs
	log      *requestLog
	handler  http.Handler

	traits, faults *switches
	rotation       rotation
	tls            *tls.Config // nil serves http
	authority      *x509.Certificate
	stopping       chan struct{} // closed by Close
	stop           sync.Once

	randMu sync.Mutex // protects rand
	rand   io.Reader

	mu       sync.RWMutex // protects settings and what Start sets
	settings Settings
	port     int
	server   *http.Server
	served   chan error // one value for each listener, when it ends
	serving  int
}

// New makes a server that is not listening yet. It fails where the options
// contradict themselves.
func New(opts Options) (*Server, error) {
	if opts.Host == "" {
		opts.Host = "localhost"
	}
	if ip := net.ParseIP(opts.Host); opts.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("the simulator serves on this computer only: %q is not localhost or a loopback address", opts.Host)
	}
	if opts.Port < 0 || opts.Port > 65535 {
		return nil, fmt.Errorf("%d is no port number", opts.Port)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.HTTP == nil {
		opts.HTTP = newKeyClient()
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	clients, err := newClientBook(opts.Clients)
	if err != nil {
		return nil, err
	}
	settings, err := opts.Settings.withDefaults()
	if err != nil {
		return nil, err
	}
	records, err := publishedRecords()
	if err != nil {
		return nil, err
	}
	if opts.Patients < 0 || opts.Patients > maxPatients {
		return nil, fmt.Errorf("%d patients cannot be generated; %d are the most", opts.Patients, maxPatients)
	}
	if opts.Patients > 0 {
		records = generated(records, opts.Patients, opts.Seed)
	}
	s := &Server{
		host:     opts.Host,
		port:     opts.Port,
		now:      opts.Now,
		rand:     opts.Rand,
		clients:  clients,
		settings: settings,
		records:  records,
		keys:     newSigningKeys(),
		log:      newRequestLog(opts.Log),
		traits:   newSwitches("trait", traitNames(false)),
		faults:   newSwitches("fault", faultNames()),
		stopping: make(chan struct{}),
	}
	s.ledger = newLedger(opts.Now, s.random)
	s.launches = newLaunchBook(opts.Now, s.random)
	s.keySets = newKeySets(opts.HTTP, opts.Now)
	s.ledger.token = s.padded
	if opts.Profile == "" {
		opts.Profile = ProfileSpec
	}
	if err := errors.Join(s.SetProfile(opts.Profile), s.SetFaults(opts.Faults...)); err != nil {
		return nil, err
	}
	if opts.TLS != "" {
		if s.tls, s.authority, err = newTLS(opts.TLS, opts.Host, opts.Now()); err != nil {
			return nil, err
		}
	}
	s.handler = s.guard(s.withFaults(s.routes()))
	return s, nil
}

// Start binds 127.0.0.1 and ::1 and serves until Close. A computer without
// IPv6 is served on 127.0.0.1 alone. ctx bounds the binding only.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return errors.New("the simulator is running already")
	}
	listeners, err := listen(ctx, s.port)
	if err != nil {
		return err
	}
	s.port = listeners[0].Addr().(*net.TCPAddr).Port
	s.server = &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    128 << 10, // a 64 KB access token must fit, as real ones of that size exist
		ErrorLog:          s.errorLog(),
	}
	s.served = make(chan error, len(listeners))
	s.serving = len(listeners)
	for _, l := range listeners {
		if s.tls != nil {
			l = tls.NewListener(l, s.tls)
		}
		go func() { s.served <- s.server.Serve(l) }()
	}
	return nil
}

// listen binds both loopback addresses on one port. "localhost" is ::1 first on
// many machines, so the port must be ours there too: were another program
// behind it, the browser would meet that one.
func listen(ctx context.Context, port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	ipv6 := hasIPv6Loopback(ctx)
	// A port that is free on 127.0.0.1 may be taken on ::1; where any will do, another is tried.
	for attempt := 0; ; attempt++ {
		first, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, fmt.Errorf("the simulator cannot listen on port %d: %w", port, err)
		}
		if !ipv6 {
			return []net.Listener{first}, nil
		}
		got := first.Addr().(*net.TCPAddr).Port
		second, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(got)))
		if err == nil {
			return []net.Listener{first, second}, nil
		}
		_ = first.Close()
		if port != 0 || attempt == 10 {
			return nil, fmt.Errorf("the simulator cannot listen on [::1]:%d: %w", got, err)
		}
	}
}

// hasIPv6Loopback tells a computer without IPv6 from one where a port is taken on ::1.
func hasIPv6Loopback(ctx context.Context) bool {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// Close stops listening, lets requests under way finish until ctx ends and
// cuts off those that do not, and waits for every goroutine of the server. A
// server that never started closes at once; one that was closed stays closed.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	server, serving := s.server, s.serving
	s.serving = 0
	s.mu.Unlock()
	s.stop.Do(func() { close(s.stopping) })
	if server == nil {
		return nil
	}
	err := server.Shutdown(ctx)
	if err != nil {
		err = server.Close()
	}
	for range serving {
		if e := <-s.served; err == nil && !errors.Is(e, http.ErrServerClosed) {
			err = e
		}
	}
	return err
}

// Handler serves the whole simulator, for a listener of the caller's own. The
// URLs it hands out carry Options.Host and Options.Port.
func (s *Server) Handler() http.Handler { return s.handler }

// Origin is the scheme, host and port of every URL of the server.
func (s *Server) Origin() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	scheme := "http://"
	if s.tls != nil {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(s.host, strconv.Itoa(s.port))
}

// FHIRBaseURL is what an app is configured with, and the aud it must send.
func (s *Server) FHIRBaseURL() string { return s.Origin() + "/fhir" }

// PortalURL is the home page.
func (s *Server) PortalURL() string { return s.Origin() + "/" }

// issuer is the OAuth and OpenID issuer. It differs from the FHIR base on
// purpose: SMART keeps the two apart, and clients tend to confuse them.
func (s *Server) issuer() string { return s.Origin() + "/auth" }

// tokenEndpoint is the aud of client assertions.
func (s *Server) tokenEndpoint() string { return s.issuer() + "/token" }

// Clients gives the registered clients, sorted by ID.
func (s *Server) Clients() []Client { return s.clients.sorted() }

func (s *Server) client(id string) (Client, bool) { return s.clients.find(id) }

// Accounts gives the published sign-ins.
func (s *Server) Accounts() []Account { return publishedAccounts() }

// Requests gives the latest requests, oldest first.
func (s *Server) Requests() []Request { return s.log.all() }

// Settings gives the settings in force.
func (s *Server) Settings() Settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.settings
}

// Change puts new settings in force, for what is issued from now on.
func (s *Server) Change(settings Settings) error {
	settings, err := settings.withDefaults()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = settings
	return nil
}

// random gives 256 bits in base64url. A source that fails ends the request,
// not the server: the guard answers 500.
func (s *Server) random() string {
	var b [32]byte
	s.randMu.Lock()
	defer s.randMu.Unlock()
	if _, err := io.ReadFull(s.rand, b[:]); err != nil {
		panic(fmt.Errorf("no randomness: %w", err))
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /style.css", s.stylesheet)
	mux.HandleFunc("GET /brands.json", s.brands)
	mux.HandleFunc("GET /smart-style.json", s.smartStyle)
	mux.HandleFunc("GET /smart-style-dark.json", s.smartStyleDark)
	mux.HandleFunc("POST /launch", sameOrigin(s.launchFromPortal))
	mux.HandleFunc("POST /keys", sameOrigin(s.keysFromPortal))
	mux.HandleFunc("POST /control/launch", sameOrigin(s.launchFromControl))
	mux.HandleFunc("POST /control/client", sameOrigin(s.registerFromControl))
	mux.HandleFunc("POST /control/reset", sameOrigin(s.resetFromControl))
	mux.HandleFunc("GET /control/settings", s.showSettings)
	mux.HandleFunc("PATCH /control/settings", sameOrigin(s.takeSettings))

	mux.HandleFunc("GET /auth/.well-known/openid-configuration", s.openIDConfiguration)
	mux.HandleFunc("GET /auth/jwks", s.jwks)
	mux.HandleFunc("GET /auth/authorize", s.authorize)
	mux.HandleFunc("POST /auth/authorize", s.authorize)
	for _, step := range []string{stepSignIn, stepPatient, stepEncounter, stepConsent} {
		mux.HandleFunc("GET /auth/"+step, s.showStep(step))
		mux.HandleFunc("POST /auth/"+step, s.takeStep(step))
	}
	mux.HandleFunc("POST /auth/token", s.token)
	mux.HandleFunc("POST /auth/revoke", s.revoke)
	mux.HandleFunc("POST /auth/introspect", s.introspect)
	mux.HandleFunc("POST /auth/register", s.register)

	mux.HandleFunc("GET /fhir/.well-known/smart-configuration", s.smartConfiguration)
	mux.HandleFunc("/fhir", s.fhir)
	mux.HandleFunc("/fhir/", s.fhir)

	mux.HandleFunc("GET "+myChartErrors, s.myChartErrorPage)
	mux.HandleFunc("GET /control/faults", s.showFaults)
	mux.HandleFunc("PUT /control/faults", sameOrigin(s.takeFaults))
	mux.HandleFunc("GET /control/traits", s.showTraits)
	mux.HandleFunc("PUT /control/traits", sameOrigin(s.takeTraits))
	return s.unknownPaths(mux)
}
