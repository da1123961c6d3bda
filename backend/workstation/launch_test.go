package workstation_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"
)

// launchpad is a bench whose workstation listens for launches.
type launchpad struct {
	*bench
	listener  *workstation.LaunchListener
	at        string
	seen      chan workstation.LaunchSeen
	connected chan workstation.Status
	failed    chan *fault.Error
}

func newLaunchpad(t *testing.T, settings simulator.Settings) *launchpad {
	t.Helper()
	l := &launchpad{
		bench: newBench(t, settings), at: strings.Replace(freeRedirect(t), "/callback", "/launch", 1),
		seen: make(chan workstation.LaunchSeen, 4096), connected: make(chan workstation.Status, 4096), failed: make(chan *fault.Error, 4096),
	}
	var err error
	l.listener, err = l.ListenForLaunches(t.Context(), l.at, workstation.LaunchSink{
		Seen:      func(s workstation.LaunchSeen) { l.seen <- s },
		Connected: func(_ string, s workstation.Status) { l.connected <- s },
		Failed:    func(_ string, f *fault.Error) { l.failed <- f },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.listener.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// browse opens an address as a browser does that says who started it.
func browse(t *testing.T, address string, header map[string]string) (status int, location, page string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

func (l *launchpad) invent(iss string) string {
	return l.at + "?" + url.Values{"iss": {iss}, "launch": {fmt.Sprint(time.Now().UnixNano())}}.Encode()
}

func next[T any](t *testing.T, ch chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

func TestALaunchBringsItsContext(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	reg, standalone := l.bench.connected(t)
	banner := false
	entry, err := l.ehr.Launch(simulator.LaunchRequest{
		User: "dr.okafor", Patient: "daniel-whitlock", Intent: "reconcile-medications", ClientID: "app", LaunchURL: l.at, NeedPatientBanner: &banner, Tenant: "north",
		FHIRContext: []simulator.FHIRContextItem{{Reference: "Task/1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	status, authorize, page := browse(t, entry, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-User": "?1", "Sec-Fetch-Dest": "document"})
	if status != http.StatusFound {
		t.Fatalf("%d %s", status, page)
	}
	u, err := url.Parse(authorize)
	if err != nil {
		t.Fatal(err)
	}
	sent, got := must(url.Parse(entry)).Query(), u.Query()
	if !strings.HasPrefix(authorize, l.ehr.Origin()+"/auth/authorize?") || got.Get("launch") != sent.Get("launch") || got.Get("aud") != l.ehr.FHIRBaseURL() ||
		got.Get("code_challenge_method") != "S256" || got.Get("state") == "" {
		t.Errorf("the authorization request is %v", got)
	}
	scopes := strings.Fields(got.Get("scope"))
	if scopes[0] != "launch" || strings.Contains(got.Get("scope"), "launch/patient") {
		t.Errorf("the scopes are %v", scopes)
	}
	if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{}); err != nil {
		t.Fatal(err)
	}
	if s := next(t, l.seen); s.Decision != "authorize" || s.Registration == nil || *s.Registration != "Mercy" {
		t.Errorf("%+v", s)
	}
	s := next(t, l.connected)
	if s.Kind != "launch" || !s.Accepted || *s.Patient != "daniel-whitlock" || s.Launch == nil || s.Launch.Intent != "reconcile-medications" ||
		s.Launch.NeedPatientBanner == nil || *s.Launch.NeedPatientBanner || s.Launch.Tenant != "north" || len(s.Launch.FHIRContext) == 0 || s.FHIRUser == nil ||
		s.PatientName == nil || !strings.Contains(*s.PatientName, "Whitlock") || s.UserName == nil || !strings.Contains(*s.UserName, "Okafor") {
		t.Errorf("%+v %+v", s, s.Launch)
	}
	// It lives beside the standalone connection, and each reads its own patient.
	if now, err := l.Status(t.Context(), reg.ID); err != nil || *now.ConnectionID != *standalone.ConnectionID || *now.Patient != "amara-nwosu" {
		t.Errorf("%+v %v", now, err)
	}
	if _, err := l.Read(t.Context(), *s.ConnectionID, "Patient/daniel-whitlock"); err != nil {
		t.Error(err)
	}
	if _, err := l.Read(t.Context(), reg.ID, "Patient/daniel-whitlock"); fault.Code(err) != "fhir-not-found" {
		t.Errorf("the standalone grant read another patient: %v", err)
	}
	if all, err := l.LaunchStatuses(t.Context(), ""); err != nil || len(all) != 1 || *all[0].ConnectionID != *s.ConnectionID {
		t.Errorf("%+v %v", all, err)
	}
	if d, err := l.Disconnect(t.Context(), *s.ConnectionID, workstation.RevokeAuto); err != nil || !d.Revoked {
		t.Errorf("%+v %v", d, err)
	}
	if now, err := l.Status(t.Context(), reg.ID); err != nil || now.State != workstation.Connected {
		t.Errorf("the standalone connection went with the launch: %+v %v", now, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestALaunchThatNoPersonStartedWaitsToBeAccepted(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	entry, err := l.ehr.Launch(simulator.LaunchRequest{Patient: "amara-nwosu", ClientID: "app", LaunchURL: l.at})
	if err != nil {
		t.Fatal(err)
	}
	_, authorize, _ := browse(t, entry, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"})
	if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{}); err != nil {
		t.Fatal(err)
	}
	s := next(t, l.connected)
	if s.Accepted {
		t.Error("it was accepted by itself")
	}
	_, err = l.Read(t.Context(), *s.ConnectionID, "Patient/amara-nwosu")
	wantCode(t, err, "launch-not-accepted")
	_, err = l.Read(t.Context(), s.RegistrationID, "Patient/amara-nwosu")
	wantCode(t, err, "not-connected") // nor by the registration's name
	if err := l.AcceptConnection(t.Context(), *s.ConnectionID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), s.RegistrationID, "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	wantCode(t, l.AcceptConnection(t.Context(), "no-such-connection"), "not-connected")
}

func TestAnUnknownIssuerIsNeverFetched(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	var asked atomic.Int32
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer stranger.Close()
	iss := strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1) + "/fhir"

	status, location, page := browse(t, l.invent(iss), nil)
	if status != http.StatusForbidden || location != "" || !strings.Contains(page, "not known here") || strings.Contains(page, iss) {
		t.Errorf("%d %q %s", status, location, page)
	}
	if s := next(t, l.seen); s.Decision != "pending" || s.Registration != nil {
		t.Errorf("%+v", s)
	}
	issuers, err := l.Issuers(t.Context())
	if err != nil || len(issuers) != 1 || issuers[0].Decision != "pending" || issuers[0].Received != iss || issuers[0].Launches != 1 {
		t.Fatalf("%+v %v", issuers, err)
	}
	// Refused: a page that says so. Withdrawn: it waits again.
	if err := l.RefuseIssuer(t.Context(), iss); err != nil {
		t.Fatal(err)
	}
	if status, _, page := browse(t, l.invent(iss+"/"), nil); status != http.StatusForbidden || !strings.Contains(page, "refused here") {
		t.Errorf("%d %s", status, page)
	}
	if s := next(t, l.seen); s.Decision != "refused" {
		t.Errorf("%+v", s)
	}
	if err := l.WithdrawIssuer(t.Context(), iss); err != nil {
		t.Fatal(err)
	}
	wantCode(t, l.WithdrawIssuer(t.Context(), iss), "issuer-not-found")
	if status, _, page := browse(t, l.invent(iss), nil); status != http.StatusForbidden || !strings.Contains(page, "not known here") {
		t.Errorf("%d %s", status, page)
	}
	time.Sleep(50 * time.Millisecond)
	if n := asked.Load(); n != 0 {
		t.Errorf("the unknown issuer was asked %d times", n)
	}
	// Its own registration ends the wait.
	if _, _, err := l.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Stranger", FHIRBaseURL: iss, ClientID: "x"}); err != nil {
		t.Fatal(err)
	}
	if issuers, err := l.Issuers(t.Context()); err != nil || len(issuers) != 0 {
		t.Errorf("%+v %v", issuers, err)
	}
	if err := l.RemoveRegistration(t.Context(), "Stranger"); err != nil {
		t.Fatal(err)
	}
	browse(t, l.invent(iss), nil)
	// A person looks at it: only now is it fetched.
	if _, err := l.InspectIssuer(t.Context(), iss); err == nil || asked.Load() == 0 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	_, err = l.InspectIssuer(t.Context(), "https://never.example/fhir")
	wantCode(t, err, "issuer-not-found")
}

func TestAnApprovedIssuerUsesItsRegistration(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	reg := l.register(t)
	iss := "https://alias.example/fhir"
	if err := l.ApproveIssuer(t.Context(), iss, "Mercy"); err != nil {
		t.Fatal(err)
	}
	status, location, page := browse(t, l.invent(iss), nil)
	if status != http.StatusFound || !strings.HasPrefix(location, l.ehr.Origin()) {
		t.Errorf("%d %s %s", status, location, page)
	}
	if s := next(t, l.seen); s.RegistrationID == nil || *s.RegistrationID != reg.ID {
		t.Errorf("%+v", s)
	}
	wantCode(t, l.ApproveIssuer(t.Context(), iss, "nobody"), "registration-not-found")
	wantCode(t, l.ApproveIssuer(t.Context(), "http://ehr.example/fhir", "Mercy"), "invalid-issuer")
	if err := l.RemoveRegistration(t.Context(), reg.ID); err != nil {
		t.Fatal(err)
	}
	if issuers, err := l.Issuers(t.Context()); err != nil || len(issuers) != 0 {
		t.Errorf("the decision outlived its registration: %+v %v", issuers, err)
	}
}

func TestSeveralRegistrationsForOneServerNeedAChoiceThatIsRemembered(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	in := l.input()
	in.Name, in.FHIRBaseURL = "Mercy West", in.FHIRBaseURL+"/"
	second, _, err := l.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, page := browse(t, l.invent(l.ehr.FHIRBaseURL()), nil); status != http.StatusForbidden || !strings.Contains(page, "Choose one") {
		t.Errorf("%d %s", status, page)
	}
	if s := next(t, l.seen); s.Decision != "pending" || !strings.Contains(s.Reason, "Several") {
		t.Errorf("%+v", s)
	}
	if err := l.ApproveIssuer(t.Context(), l.ehr.FHIRBaseURL(), second.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		status, location, _ := browse(t, l.invent(l.ehr.FHIRBaseURL()), nil)
		if status != http.StatusFound || must(url.Parse(location)).Query().Get("aud") != second.FHIRBaseURL {
			t.Errorf("%d %s", status, location)
		}
	}
}

func TestHostileIssuersAreRefusedAndKeptNowhere(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	base := must(url.Parse(l.ehr.FHIRBaseURL()))
	for _, iss := range []string{
		"not a url", "ehr.example/fhir", "ftp://ehr.example/fhir", "file:///etc/passwd", "javascript:alert(1)", "http://ehr.example/fhir", "http://169.254.169.254/latest",
		"https://user:pw@ehr.example/fhir", "https://ehr.example/fhir#x", "https://ehr.example/fhir?x=y", "https://ehr.example/fhir/../x", "https://ehr.example/%2e%2e/x",
		"https://ehr.example\\@evil.example/", "http://localhost@evil.example/", "http://[::ffff:10.0.0.1]/fhir", "http://2130706433/fhir", "http://0x7f.1/fhir", " ", "https://",
		"https://ehr.exam\u200bple/fhir", base.Scheme + "://" + base.Host + "@evil.example/fhir",
	} {
		status, location, _ := browse(t, l.at+"?"+url.Values{"iss": {iss}, "launch": {"x"}}.Encode(), nil)
		if status != http.StatusBadRequest || location != "" {
			t.Errorf("%q: %d %s", iss, status, location)
		}
		if s := next(t, l.seen); s.Decision != "refused" || s.Reason == "" {
			t.Errorf("%q: %+v", iss, s)
		}
	}
	// These look like the registered one and are not: they wait as strangers.
	for _, iss := range []string{"https://localhost.evil.example/fhir", l.ehr.FHIRBaseURL() + "x", strings.Replace(l.ehr.FHIRBaseURL(), "/fhir", "/FHIR", 1)} {
		if status, location, _ := browse(t, l.invent(iss), nil); status != http.StatusForbidden || location != "" {
			t.Errorf("%q: %d %s", iss, status, location)
		}
	}
	if issuers, err := l.Issuers(t.Context()); err != nil || len(issuers) != 3 {
		t.Errorf("%d issuers are kept (%v): %+v", len(issuers), err, issuers)
	}
}

func TestALaunchValueCountsOnce(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	entry := l.invent(l.ehr.FHIRBaseURL())
	if status, _, _ := browse(t, entry, nil); status != http.StatusFound {
		t.Errorf("the first: %d", status)
	}
	if status, _, page := browse(t, entry, nil); status != http.StatusConflict || !strings.Contains(page, "used already") {
		t.Errorf("the replay: %d %s", status, page)
	}
	l.clock.pass(11 * time.Minute)
	if status, _, _ := browse(t, entry, nil); status != http.StatusFound {
		t.Errorf("after the window: %d", status)
	}
}

func TestAFloodOfLaunchesIsBounded(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	counts := map[int]int{}
	for range 100 {
		status, _, _ := browse(t, l.invent(l.ehr.FHIRBaseURL()), nil)
		counts[status]++
	}
	if counts[http.StatusFound] == 0 || counts[http.StatusTooManyRequests] == 0 || counts[http.StatusFound]+counts[http.StatusTooManyRequests] != 100 {
		t.Errorf("%v", counts)
	}
	for i := range 150 {
		browse(t, l.invent(fmt.Sprintf("https://ehr-%d.example/fhir", i)), nil)
	}
	if issuers, err := l.Issuers(t.Context()); err != nil || len(issuers) == 0 || len(issuers) > 100 {
		t.Errorf("%d unknown issuers are kept (%v)", len(issuers), err)
	}
	// The known one is still answered: strangers have a bound of their own.
	time.Sleep(200 * time.Millisecond)
	if status, _, page := browse(t, l.invent(l.ehr.FHIRBaseURL()), nil); status != http.StatusFound {
		t.Errorf("%d %s", status, page)
	}
}

func TestASlowServerDoesNotSlowALaunch(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	if _, err := l.Test(t.Context(), "Mercy", workstation.LayerConfiguration, nil); err != nil { // discovery is known from here on
		t.Fatal(err)
	}
	if err := l.ehr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, location, _ := browse(t, l.invent(l.ehr.FHIRBaseURL()), nil); status != http.StatusFound || location == "" {
		t.Errorf("with warm discovery: %d", status)
	}
	// Stale, and the server is down: asked twice, then explained.
	l.clock.pass(48 * time.Hour)
	status, _, page := browse(t, l.invent(l.ehr.FHIRBaseURL()), nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(page, "could not go on") {
		t.Errorf("with stale discovery: %d %s", status, page)
	}
}

func TestALockedVaultIsSaidOnTheLaunchPage(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	b.connected(t)
	locked, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	at := strings.Replace(freeRedirect(t), "/callback", "/launch", 1)
	seen := make(chan workstation.LaunchSeen, 1)
	listener, err := locked.ListenForLaunches(t.Context(), at, workstation.LaunchSink{Seen: func(s workstation.LaunchSeen) { seen <- s }})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	status, _, page := browse(t, at+"?"+url.Values{"iss": {b.ehr.FHIRBaseURL()}, "launch": {"x"}}.Encode(), nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(page, "passphrase") {
		t.Errorf("%d %s", status, page)
	}
	if s := next(t, seen); s.Decision != "refused" {
		t.Errorf("%+v", s)
	}
}

func TestADeniedLaunchFailsWithAdvice(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	entry, err := l.ehr.Launch(simulator.LaunchRequest{Patient: "amara-nwosu", ClientID: "app", LaunchURL: l.at})
	if err != nil {
		t.Fatal(err)
	}
	_, authorize, _ := browse(t, entry, nil)
	if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{Deny: true}); err != nil {
		t.Fatal(err)
	}
	if f := next(t, l.failed); f.Code != "denied" || f.Advice == "" {
		t.Errorf("%+v", f)
	}
	if all, err := l.LaunchStatuses(t.Context(), "Mercy"); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
}

func TestLaunchConnectionsAreBounded(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	reg := l.register(t)
	for i := range 53 {
		l.clock.pass(time.Second)
		entry, err := l.ehr.Launch(simulator.LaunchRequest{Patient: "amara-nwosu", ClientID: "app", LaunchURL: l.at, SkipConsent: true})
		if err != nil {
			t.Fatal(err)
		}
		status, authorize, page := browse(t, entry, nil)
		if status == http.StatusTooManyRequests {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if status != http.StatusFound {
			t.Fatalf("launch %d: %d %s", i, status, page)
		}
		if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{}); err != nil {
			t.Fatal(err)
		}
		next(t, l.connected)
	}
	all, err := l.LaunchStatuses(t.Context(), reg.ID)
	if err != nil || len(all) == 0 || len(all) > 50 {
		t.Errorf("%d connections from launches are kept (%v)", len(all), err)
	}
}

func TestTheListenerIsRemembered(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	s, err := b.LaunchSettings(t.Context())
	if err != nil || s.On || s.URL != workstation.DefaultLaunchURL {
		t.Errorf("%+v %v", s, err)
	}
	reg := b.register(t)
	if err := b.SaveLaunchSettings(t.Context(), workstation.LaunchSettings{On: true, URL: "http://localhost:18331/start"}); err != nil {
		t.Fatal(err)
	}
	if s, err = b.LaunchSettings(t.Context()); err != nil || !s.On || s.URL != "http://localhost:18331/start" {
		t.Errorf("%+v %v", s, err)
	}
	if kit, err := b.Kit(t.Context(), reg.ID); err != nil || kit.LaunchURL != "http://localhost:18331/start" {
		t.Errorf("%+v %v", kit, err)
	}
	wantCode(t, b.SaveLaunchSettings(t.Context(), workstation.LaunchSettings{URL: "http://0.0.0.0:1/x"}), "invalid-launch-url")
}

// FuzzIssuer holds the two readings of an issuer together: what the check
// lets through has a normal form, and that form is its own.
func FuzzIssuer(f *testing.F) {
	for _, s := range []string{"https://ehr.example/fhir", "HTTPS://EHR.example:443/fhir/", "http://localhost:18340/fhir", "https://ehr.example/fhir/../x", "https://a@b/c", "https://ehr.example/%2e%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, iss string) {
		if len(smart.CheckBaseURL(iss)) > 0 {
			return
		}
		normal, err := smart.NormalizeBaseURL(iss)
		if err != nil {
			t.Fatalf("%q passes the check and has no normal form: %v", iss, err)
		}
		again, err := smart.NormalizeBaseURL(normal)
		if err != nil || again != normal {
			t.Errorf("%q becomes %q, then %q (%v)", iss, normal, again, err)
		}
		u, err := url.Parse(normal)
		if err != nil || u.User != nil || u.Fragment != "" || u.RawQuery != "" || (u.Scheme != "https" && !smart.IsLoopbackHost(u.Hostname())) {
			t.Errorf("%q became %q", iss, normal)
		}
	})
}
