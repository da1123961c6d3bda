package loopback

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"chartkey/backend/fault"
)

// The bounds on what an EHR launch may carry. Launch values seen in the field
// are opaque strings of up to about 2 KiB.
const (
	maxIssuer     = 2 << 10
	maxLaunch     = 8 << 10
	maxLaunchBody = 16 << 10

	// launchTimeout bounds the work behind one launch: a discovery that is asked twice.
	launchTimeout = 40 * time.Second
)

// Launch is one EHR launch as it came in (SMART App Launch 2.2, "EHR launch").
type Launch struct {
	// Issuer is the iss parameter: the FHIR base URL that the EHR names.
	Issuer string
	// Value is the launch parameter, decoded once and otherwise as it came.
	Value string
	// Unattended tells that the browser says of this navigation that a page, and
	// no person, started it (Fetch Metadata: cross-site, without Sec-Fetch-User).
	Unattended bool
}

// LaunchAnswer is where the browser goes, or what it shows.
type LaunchAnswer struct {
	// Redirect is the authorization URL; where it is "", Page is shown.
	Redirect string
	Status   int
	Page     Page
}

// LaunchHandler says what becomes of a launch whose form was checked.
type LaunchHandler func(ctx context.Context, l Launch) LaunchAnswer

// Why a launch request is refused, as its OnRefused hears it.
const (
	refusedLaunchBody    = "body"
	refusedLaunchLong    = "too-long"
	refusedLaunchIssuer  = "iss-missing-or-repeated"
	refusedLaunchValue   = "launch-missing-or-repeated"
	refusedLaunchFramed  = "framed"
	refusedLaunchUnknown = "form"
)

var launchRefusals = map[string]struct {
	status  int
	title   string
	message string
}{
	refusedHost:          {http.StatusMisdirectedRequest, "This address is not answered here", ""},
	refusedPath:          {http.StatusNotFound, "There is nothing here", ""},
	refusedMethod:        {http.StatusMethodNotAllowed, "This kind of request is not answered here", ""},
	refusedLaunchBody:    {http.StatusUnsupportedMediaType, "The launch is not readable", "An EHR launch is a link, or a form that is sent."},
	refusedLaunchLong:    {http.StatusRequestEntityTooLarge, "The launch is too long", "Launch again from the EHR."},
	refusedLaunchIssuer:  {http.StatusBadRequest, "The launch is incomplete", "It has to name its server once (iss). Launch again from the EHR, and check the launch URL that is registered there."},
	refusedLaunchValue:   {http.StatusBadRequest, "The launch is incomplete", "It has to carry its launch value once. Launch again from the EHR, and check the launch URL that is registered there."},
	refusedLaunchFramed:  {http.StatusForbidden, "A launch is not answered inside another page", "Have the EHR open it in a window or tab of its own."},
	refusedLaunchUnknown: {http.StatusBadRequest, "The launch is not readable", "Launch again from the EHR."},
}

// LaunchListener receives EHR launches at one URL of this computer.
type LaunchListener struct {
	// OnRefused, where set with the listener, hears why a request was refused.
	onRefused func(reason string)
	target    target
	handle    LaunchHandler
	server    *http.Server
	work      sync.WaitGroup
	ctx       context.Context
	end       context.CancelFunc
}

// ListenLaunch answers EHR launches at launchURL until Close: by GET and by
// form POST, without authentication, as SMART asks. onRefused, where not nil,
// hears why a request was refused; it must not block.
//
// Faults: launch-port-taken, and those of CheckRedirectURI, whose form launchURL has.
func ListenLaunch(ctx context.Context, launchURL string, onRefused func(reason string), handle LaunchHandler) (*LaunchListener, error) {
	return ListenSecureLaunch(ctx, launchURL, nil, onRefused, handle)
}

// ListenSecureLaunch is ListenLaunch for a launchURL that may be https, where
// certificates are not nil.
func ListenSecureLaunch(ctx context.Context, launchURL string, certificates Certificates, onRefused func(reason string), handle LaunchHandler) (*LaunchListener, error) {
	t, err := parseTarget(launchURL, certificates)
	if err != nil {
		return nil, err
	}
	listeners, err := bind(ctx, t.port)
	if err != nil {
		return nil, fault.Newf("launch-port-taken", "End the program that holds the port (another Chartkey may be listening), or choose another port and register that launch URL.",
			"Port %d is taken, so no EHR launch can be received at %s.", t.port, launchURL).CanRetry().Because(err)
	}
	l := &LaunchListener{target: t, handle: handle, onRefused: onRefused}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.server = &http.Server{
		Handler: l, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: launchTimeout + writeTimeout,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true,
	}
	if t.secure {
		l.server.ErrorLog = hearTLS(onRefused)
	}
	l.server.SetKeepAlivesEnabled(false)
	for _, listener := range listeners {
		limited := netutil.LimitListener(listener, maxConnections)
		if t.secure {
			limited = secured(limited, certificates)
		}
		l.work.Go(func() { _ = l.server.Serve(limited) }) // ends with an error always: that of Close
	}
	return l, nil
}

// Close stops listening, and waits for the launches being answered, at most until ctx ends.
func (l *LaunchListener) Close(ctx context.Context) error {
	l.end()
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, l.server.Close())
	}
	l.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

func (l *LaunchListener) refuse(w http.ResponseWriter, reason string) {
	if l.onRefused != nil {
		l.onRefused(reason)
	}
	r := launchRefusals[reason]
	show(w, r.status, Page{Title: r.title, Message: r.message})
}

// ServeHTTP checks the form of one request, and lets the handler decide.
func (l *LaunchListener) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	protect(w.Header())
	switch {
	case strings.ToLower(q.Host) != l.target.host:
		l.refuse(w, refusedHost)
		return
	case q.URL.EscapedPath() != l.target.path:
		l.refuse(w, refusedPath)
		return
	case q.Method != http.MethodGet && q.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		l.refuse(w, refusedMethod)
		return
	case !isNavigation(q.Header.Get("Sec-Fetch-Dest")) || strings.Contains(q.Header.Get("Sec-Purpose"), "prefetch"):
		l.refuse(w, refusedLaunchFramed)
		return
	}
	launch, reason := readLaunch(q)
	if reason != "" {
		l.refuse(w, reason)
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, launchTimeout)
	defer cancel()
	answer := l.handle(ctx, launch)
	if answer.Redirect == "" {
		show(w, answer.Status, answer.Page)
		return
	}
	w.Header().Set("Location", answer.Redirect)
	w.WriteHeader(http.StatusFound)
}

// isNavigation tells whether the browser says that a whole page is loaded, and
// no frame or part of one. Programs and older browsers say nothing.
func isNavigation(dest string) bool { return dest == "" || dest == "document" }

// readLaunch finds the one iss and the one launch of a request. Other
// parameters are left alone, as EHRs add their own.
func readLaunch(q *http.Request) (l Launch, reason string) {
	raw := q.URL.RawQuery
	if q.Method == http.MethodPost {
		kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			return l, refusedLaunchBody
		}
		body, err := io.ReadAll(io.LimitReader(q.Body, maxLaunchBody+1))
		if err != nil {
			return l, refusedLaunchUnknown
		}
		if raw != "" {
			raw += "&"
		}
		raw += string(body)
	}
	if len(raw) > maxLaunchBody {
		return l, refusedLaunchLong
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return l, refusedLaunchUnknown
	}
	iss, launch := values["iss"], values["launch"]
	switch {
	case len(iss) != 1 || iss[0] == "":
		return l, refusedLaunchIssuer
	case len(launch) != 1 || launch[0] == "":
		return l, refusedLaunchValue
	case len(iss[0]) > maxIssuer || len(launch[0]) > maxLaunch:
		return l, refusedLaunchLong
	}
	site := q.Header.Get("Sec-Fetch-Site")
	return Launch{
		Issuer: iss[0], Value: launch[0],
		Unattended: site != "" && site != "none" && q.Header.Get("Sec-Fetch-User") != "?1",
	}, ""
}
