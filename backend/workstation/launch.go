package workstation

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/loopback"
	"chartkey/backend/network"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/trace"
)

// The bounds of the launch listener. A clinician launches a few times a
// minute; what comes faster is a page or a program gone wrong.
const (
	launchesPerSecond = 20
	launchBurst       = 40
	// unknownPerSecond bounds what unknown issuers may cost: each one is a row.
	unknownPerSecond = 5
	unknownBurst     = 20
	// maxLimited is how many issuers have a rate of their own at once.
	maxLimited = 256
	// maxWaiting is how many launches may be on their way through the EHR's pages.
	maxWaiting = 200
	// Launches that no person started have a rate, places and a time of their
	// own, so that a page cannot take those of a clinician.
	unattendedPerSecond = 1
	unattendedBurst     = 5
	maxUnattended       = 10
	unattendedTimeout   = 2 * time.Minute
	// refusedPerSecond bounds how many refusals are told: each one is an event.
	refusedPerSecond = 10
	refusedBurst     = 50
	// replayWindow is how long a launch value is remembered. EHRs let one live for minutes.
	replayWindow = 10 * time.Minute
	maxReplays   = 4096
	// keptLaunches is how many connections from launches are kept for a registration.
	keptLaunches = 50
	// warmInterval is how often discovery is looked at; it is asked anew in the last fifth of its life.
	warmInterval = time.Minute
)

// LaunchSettings are what the workstation remembers of its launch listener.
type LaunchSettings struct {
	// On tells whether the window listens.
	On bool `json:"on"`
	// URL is where launches come in, and what to register at the EHR.
	URL string `json:"url"`
}

const launchSetting = "launch_listener"

// LaunchSettings gives what is remembered of the launch listener: off, at
// DefaultLaunchURL, until it is changed.
func (w *Workstation) LaunchSettings(ctx context.Context) (LaunchSettings, error) {
	s := LaunchSettings{URL: DefaultLaunchURL}
	text, err := w.store.Setting(ctx, launchSetting)
	if errors.Is(err, store.ErrNoRow) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fault.New("store-damaged", "The setting of the launch listener cannot be read.", "Switch the listener off and on.").Because(err)
	}
	return s, nil
}

// SaveLaunchSettings remembers them. An empty URL stands for DefaultLaunchURL.
func (w *Workstation) SaveLaunchSettings(ctx context.Context, s LaunchSettings) error {
	return w.as(ctx, "SaveLaunchSettings", func(ctx context.Context, who *seat) error {
		return w.saveLaunchSettings(ctx, who, s)
	})
}

func (w *Workstation) saveLaunchSettings(ctx context.Context, who *seat, s LaunchSettings) error {
	if s.URL == "" {
		s.URL = DefaultLaunchURL
	}
	if err := w.checkLaunchURL(s.URL); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	detail := "launch-listener-off"
	if s.On {
		detail = "launch-listener-on"
	}
	return w.record(ctx, who.profile, audit.Entry{Action: audit.Policy, Detail: detail, Subject: s.URL}, func(q *store.Queries) error {
		return q.SetSetting(ctx, store.SetSettingParams{Name: launchSetting, Value: string(text)})
	})
}

func (w *Workstation) checkLaunchURL(launchURL string) error {
	if err := w.receiver.CheckRedirectURI(launchURL); err != nil {
		return fault.Newf("invalid-launch-url", "Use an address of this computer with a port from 1024 to 65535 and a path, such as "+DefaultLaunchURL+".",
			"%s cannot be listened at.", network.Clean(launchURL, 200)).Because(err)
	}
	return nil
}

// LaunchSeen is one EHR launch that came in, and what became of it.
type LaunchSeen struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at" ts_type:"string"`
	Issuer string    `json:"iss"`
	// Registration is whose client is used; null where none is.
	Registration   *string `json:"registration"`
	RegistrationID *string `json:"registration_id"`
	Decision       string  `json:"decision"` // authorize | pending | refused
	Reason         string  `json:"reason"`
}

// LaunchSink hears what happens at the listener. None may block.
type LaunchSink struct {
	Seen      func(LaunchSeen)
	Connected func(launchID string, s Status)
	Failed    func(launchID string, f *fault.Error)
}

// LaunchListener is the launch listener while it runs.
type LaunchListener struct {
	w        *Workstation
	url      string
	sink     LaunchSink
	listener *loopback.LaunchListener
	end      context.CancelFunc
	work     sync.WaitGroup

	mu       sync.Mutex // protects the rest
	limits   map[string]*rate.Limiter
	launched map[[sha256.Size]byte]time.Time
	// waiting counts the launches under way: of persons (false) and of pages (true).
	waiting map[bool]int

	// These have a lock of their own.
	unknown, unattended, refusals *rate.Limiter
}

// ListenForLaunches answers EHR launches at launchURL until Close (SMART App
// Launch 2.2, "EHR launch"). Only the server of a registration, or an issuer
// that a person approved, is ever fetched or redirected to.
//
// Faults: launch-port-taken, invalid-launch-url.
func (w *Workstation) ListenForLaunches(ctx context.Context, launchURL string, sink LaunchSink) (*LaunchListener, error) {
	l := &LaunchListener{
		w: w, url: launchURL, sink: sink, limits: map[string]*rate.Limiter{}, launched: map[[sha256.Size]byte]time.Time{}, waiting: map[bool]int{},
		unknown: rate.NewLimiter(unknownPerSecond, unknownBurst), unattended: rate.NewLimiter(unattendedPerSecond, unattendedBurst),
		refusals: rate.NewLimiter(refusedPerSecond, refusedBurst),
	}
	if err := w.checkLaunchURL(launchURL); err != nil {
		return nil, err
	}
	if err := w.prepareHTTPS(ctx, launchURL); err != nil {
		return nil, err
	}
	var err error
	l.listener, err = loopback.ListenSecureLaunch(ctx, launchURL, w.localCertificate, func(reason string) {
		w.log.Warn("a request to the launch listener was refused", "reason", reason)
	}, l.answer)
	if err != nil {
		return nil, err
	}
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	l.work.Go(func() { l.keepWarm(background) })
	return l, nil
}

// URL gives where it listens.
func (l *LaunchListener) URL() string { return l.url }

// Close stops listening. Launches that are on their way through the EHR's
// pages still come back.
func (l *LaunchListener) Close() error {
	l.end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := l.listener.Close(ctx)
	l.work.Wait()
	return err
}

// keepWarm asks the known servers for their discovery before it is due, so
// that a launch is answered at once even where a server is slow.
func (l *LaunchListener) keepWarm(ctx context.Context) {
	tick := time.NewTicker(warmInterval)
	defer tick.Stop()
	for {
		rows, err := l.w.store.Registrations(ctx)
		if err != nil && ctx.Err() == nil {
			l.w.log.Warn("the registrations could not be read", "error", err)
		}
		for _, row := range rows {
			if cached, err := l.w.cachedDiscovery(ctx, row.FHIRBaseURL); err == nil && cached != nil && l.w.now().Before(dueAgain(*cached)) {
				continue
			}
			if _, err := l.w.discoverAnew(ctx, row.FHIRBaseURL); err != nil && ctx.Err() == nil {
				l.w.log.Info("a server's discovery could not be kept warm", "fhir_base_url", row.FHIRBaseURL, "code", fault.Code(err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func dueAgain(c smart.Configuration) time.Time {
	return c.ExpiresAt.Add(-c.ExpiresAt.Sub(c.FetchedAt) / 5)
}

// answer decides on one launch.
func (l *LaunchListener) answer(ctx context.Context, in loopback.Launch) loopback.LaunchAnswer {
	seen := LaunchSeen{ID: uuid.NewString(), At: l.w.now().UTC(), Issuer: in.Issuer}
	refuse := func(status int, title, reason string) loopback.LaunchAnswer {
		seen.Decision, seen.Reason = "refused", reason
		return l.tell(seen, loopback.LaunchAnswer{Status: status, Page: loopback.Page{Title: title, Message: reason}})
	}
	issuer, err := normalIssuer(in.Issuer)
	if err != nil {
		return refuse(http.StatusBadRequest, "The launch names no FHIR server", Fault(err).Message)
	}
	reg, why, err := l.route(ctx, issuer)
	if err != nil {
		return refuse(http.StatusInternalServerError, "The launch could not be looked at", Fault(err).Message)
	}
	if reg == nil {
		return l.withoutRegistration(ctx, seen, issuer, why)
	}
	seen.Registration, seen.RegistrationID = &reg.Name, &reg.ID
	switch {
	case in.Unattended && !l.unattended.Allow():
		return refuse(http.StatusTooManyRequests, "Too many launches at once", "A page launches again and again. Close it, and launch from the EHR.")
	case !in.Unattended && !l.allow(issuer):
		return refuse(http.StatusTooManyRequests, "Too many launches at once", "This EHR launches faster than a person can. Wait a moment, then launch again.")
	case l.replayed(issuer, in.Value):
		return refuse(http.StatusConflict, "This launch was used already", "Each launch counts once. Launch again from the EHR.")
	case !l.reserve(in.Unattended):
		return refuse(http.StatusServiceUnavailable, "Too many launches are under way", "Finish or close some of them, then launch again.")
	}
	login, err := l.begin(ctx, *reg, in)
	if err != nil {
		l.release(in.Unattended)
		f := Fault(err)
		l.w.log.Warn("a launch could not be answered", "code", f.Code)
		seen.Decision, seen.Reason = "refused", f.Message
		return l.tell(seen, loopback.LaunchAnswer{Status: http.StatusServiceUnavailable, Page: loopback.Page{Title: "The launch could not go on", Message: f.Message + " " + f.Advice}})
	}
	seen.Decision, seen.Reason = "authorize", "The issuer is that of "+reg.Name+"."
	if why == IssuerApproved {
		seen.Reason = "The issuer was approved for " + reg.Name + "."
	}
	answer := l.tell(seen, loopback.LaunchAnswer{Redirect: login.AuthorizationURL()})
	l.w.work.Go(func() {
		defer l.release(in.Unattended)
		status, err := login.Wait(context.Background()) // it ends by its own deadline, or with the workstation
		if err != nil {
			l.sink.Failed(seen.ID, Fault(err))
		} else {
			l.sink.Connected(seen.ID, status)
		}
	})
	return answer
}

// tell says what became of a launch, and gives the answer on. A flood of
// refusals is answered, and not told one by one.
func (l *LaunchListener) tell(seen LaunchSeen, a loopback.LaunchAnswer) loopback.LaunchAnswer {
	if seen.Decision == "refused" && !l.refusals.Allow() {
		return a
	}
	seen.Issuer = network.Clean(seen.Issuer, 300) // any page can send one
	l.w.log.Info("EHR launch", "iss", seen.Issuer, "decision", seen.Decision, "reason", seen.Reason)
	l.sink.Seen(seen)
	return a
}

// route finds the registration that an issuer's launches use. why is the
// decision on the issuer, or "several", or "" where it is the registration's own.
func (l *LaunchListener) route(ctx context.Context, issuer string) (reg *store.Registration, why string, err error) {
	row, err := l.w.store.FindIssuer(ctx, issuer)
	switch {
	case errors.Is(err, store.ErrNoRow):
		row.Decision = IssuerPending
	case err != nil:
		return nil, "", err
	case row.Decision == IssuerApproved && row.RegistrationID != nil:
		reg, err := l.w.store.Registration(ctx, *row.RegistrationID)
		return &reg, IssuerApproved, err
	case row.Decision == IssuerRefused:
		return nil, IssuerRefused, nil
	}
	own, err := l.w.store.AppsByIssuer(ctx, issuer)
	switch {
	case err != nil:
		return nil, "", err
	case len(own) == 1:
		return &own[0], "", nil
	case len(own) > 1:
		return nil, "several", nil
	}
	return nil, row.Decision, nil
}

// withoutRegistration keeps an issuer that nobody decided on for a person to
// see. Nothing is fetched from it, and the browser is not sent anywhere.
func (l *LaunchListener) withoutRegistration(ctx context.Context, seen LaunchSeen, issuer, why string) loopback.LaunchAnswer {
	seen.Decision = "pending"
	page := loopback.Page{Title: "This EHR is not known here yet", Message: "Its launch waits in Chartkey, under Launches, for a person to approve or refuse it. Then launch again."}
	status := http.StatusForbidden
	switch why {
	case IssuerRefused:
		seen.Decision, seen.Reason = "refused", "The issuer was refused by a person."
		page = loopback.Page{Title: "Launches from this EHR are refused here", Message: "Somebody decided so in Chartkey, under Launches, and can change it there."}
	case "several":
		seen.Reason = "Several registrations are for this server: choose one."
		page = loopback.Page{Title: "Several registrations fit this EHR", Message: "Choose one in Chartkey, under Launches. The choice is remembered; then launch again."}
	default:
		seen.Reason = "The issuer is not known: approve or refuse it."
	}
	if !l.unknown.Allow() {
		return loopback.LaunchAnswer{Status: http.StatusTooManyRequests, Page: loopback.Page{Title: "Too many launches at once", Message: "Wait a moment, then launch again."}}
	}
	err := l.w.store.Update(ctx, func(q *store.Queries) error {
		if err := q.SeeIssuer(ctx, store.SeeIssuerParams{Issuer: issuer, Received: seen.Issuer, SeenAt: l.w.now().UnixMilli()}); err != nil {
			return err
		}
		return q.ForgetOldPendingIssuers(ctx, maxPendingIssuers)
	})
	if err != nil {
		l.w.log.Warn("a launch could not be kept", "error", err)
		status = http.StatusInternalServerError
		page = loopback.Page{Title: "The launch could not be kept", Message: Fault(err).Message}
	}
	return l.tell(seen, loopback.LaunchAnswer{Status: status, Page: page})
}

// begin starts the authorization of a launch: with launch, its scope, aud as
// saved, PKCE and state.
func (l *LaunchListener) begin(ctx context.Context, reg store.Registration, in loopback.Launch) (*Login, error) {
	w := l.w
	who := w.current()
	if err := w.prove(ctx, who); err != nil {
		return nil, err
	}
	if _, err := w.dataKey(ctx, who.profile.ID); err != nil {
		return nil, err
	}
	auth, err := w.clientAuth(ctx, reg)
	if err != nil {
		return nil, err
	}
	timeout := DefaultConnectTimeout
	if in.Unattended {
		timeout = unattendedTimeout
	}
	ctx = w.watched(ctx)
	observationOf(ctx).record(w, audit.Launch, reg, nil)
	observationOf(ctx).note(trace.StepLaunch, l.url, url.Values{"iss": {in.Issuer}, "launch": {in.Value}})
	return w.startLogin(ctx, signIn{
		who: who, timeout: timeout, reg: reg, auth: auth, kind: ehrLaunch, launch: in.Value, accepted: !in.Unattended,
	})
}

// allow tells whether an issuer keeps to its rate.
func (l *LaunchListener) allow(issuer string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.limits[issuer]
	if limit == nil {
		if len(l.limits) >= maxLimited {
			clear(l.limits) // all begin anew: the map stays small, and nobody is locked out
		}
		limit = rate.NewLimiter(launchesPerSecond, launchBurst)
		l.limits[issuer] = limit
	}
	return limit.Allow()
}

// replayed tells whether the same launch came before, and remembers it.
func (l *LaunchListener) replayed(issuer, value string) bool {
	key := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(issuer), issuer, value))
	now := l.w.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.launched[key]; ok && now.Sub(at) < replayWindow {
		return true
	}
	if len(l.launched) >= maxReplays {
		for k, at := range l.launched {
			if now.Sub(at) >= replayWindow {
				delete(l.launched, k)
			}
		}
		if len(l.launched) >= maxReplays {
			clear(l.launched) // the EHR itself refuses a value that was used
		}
	}
	l.launched[key] = now
	return false
}

func (l *LaunchListener) reserve(unattended bool) bool {
	places := maxWaiting
	if unattended {
		places = maxUnattended
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[unattended] >= places {
		return false
	}
	l.waiting[unattended]++
	return true
}

func (l *LaunchListener) release(unattended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[unattended]--
}

// dropOldLaunches makes room for one more connection from a launch.
func (w *Workstation) dropOldLaunches(ctx context.Context, q *store.Queries, registrationID, profileID string) error {
	old, err := q.OldLaunchGrants(ctx, store.OldLaunchGrantsParams{RegistrationID: registrationID, ProfileID: profileID, Offset: keptLaunches - 1})
	if err != nil {
		return err
	}
	for _, id := range old {
		if _, err := q.DeleteGrant(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// CallbackURLs gives every redirect URI at which a sign-in may come back.
func (w *Workstation) CallbackURLs(ctx context.Context) ([]string, error) {
	rows, err := w.store.Registrations(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	known := map[string]bool{}
	for _, row := range rows {
		for _, uri := range redirectURIs(row) {
			if !known[uri] {
				known[uri] = true
				out = append(out, uri)
			}
		}
	}
	if len(out) == 0 {
		out = DefaultRedirectURIs()
	}
	return out, nil
}
