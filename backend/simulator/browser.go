package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// Choice is what a scripted person does on the pages.
type Choice struct {
	Username, Password string
	// Patient and Encounter are the IDs to choose; empty takes what the page offers first.
	Patient, Encounter string
	// Decline are the scopes whose boxes are cleared.
	Decline []string
	// Deny says no on the consent page.
	Deny bool
	// Hold gives the callback URL back without opening it.
	Hold bool
}

// maxPages ends a sign-in that goes in circles.
const maxPages = 12

// SignIn is a scripted browser: it opens an authorization URL, fills in the
// server's real forms as a person would, and opens the app's callback. It
// gives the callback URL, which holds the code (or the error) and so belongs
// in no log. It fails where the server shows an error page of its own, a page
// refuses what was entered, or the callback is not on this computer.
func SignIn(ctx context.Context, authorizeURL string, choice Choice) (finalURL string, err error) {
	start, err := url.Parse(authorizeURL)
	if err != nil || start.Host == "" {
		return "", errors.New("the authorization URL cannot be read")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	b := &scriptedBrowser{origin: start, choice: choice, client: &http.Client{
		Transport: transport, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return b.run(ctx)
}

// OpenLaunch is the same person in an EHR who launches an app: it opens the
// launch URL that Launch gave, is led to the server by the app, and goes on as
// SignIn does. It fails where the app answers with a page of its own and leads
// nowhere, or is not on this computer.
func OpenLaunch(ctx context.Context, launchURL string, choice Choice) (finalURL string, err error) {
	app, err := url.Parse(launchURL)
	if err != nil || app.Host == "" {
		return "", errors.New("the launch URL cannot be read")
	}
	if !onThisComputer(app) {
		return "", fmt.Errorf("the app is on %s, not on this computer", app.Hostname())
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	b := &scriptedBrowser{client: &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	at := app
	for range maxPages {
		next, page, err := b.open(ctx, at, nil)
		switch {
		case err != nil:
			return "", err
		case next == nil:
			_, _, _, problem := readPage(page)
			return "", fmt.Errorf("the app did not go on from the launch: %s", problem)
		case next.Host != app.Host:
			return SignIn(ctx, next.String(), choice)
		}
		at = next
	}
	return "", errors.New("the launch goes in circles")
}

func onThisComputer(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

type scriptedBrowser struct {
	origin *url.URL
	choice Choice
	client *http.Client
}

func (b *scriptedBrowser) run(ctx context.Context) (string, error) {
	at, form := b.origin, url.Values(nil)
	lastPage, filled := "", 0
	for range maxPages * 2 {
		next, page, err := b.open(ctx, at, form)
		if err != nil {
			return "", err
		}
		if next != nil {
			if next.Scheme != b.origin.Scheme || next.Host != b.origin.Host {
				return b.callback(ctx, next)
			}
			at, form = next, nil
			continue
		}
		id, action, fields, problem := readPage(page)
		if id == "" {
			return "", fmt.Errorf("the server shows a page without a form: %s", problem)
		}
		// The same page again means that it refused what was entered.
		if problem != "" || (id == lastPage && filled > 0) {
			return "", fmt.Errorf("the %s page refused what was entered: %s", id, problem)
		}
		// A long list is narrowed to the one that is meant, once.
		if id == stepPatient && b.choice.Patient != "" && !offers(fields, id, b.choice.Patient) && !at.Query().Has("find") {
			query := at.Query()
			query.Set("find", b.choice.Patient)
			narrowed := *at
			narrowed.RawQuery = query.Encode()
			at, form = &narrowed, nil
			continue
		}
		lastPage, filled = id, filled+1
		if form, err = b.fill(id, fields); err != nil {
			return "", err
		}
		if at, err = at.Parse(action); err != nil || at.Host != b.origin.Host {
			return "", fmt.Errorf("the %s form leads to another server", id)
		}
	}
	return "", errors.New("the sign-in goes in circles")
}

// open fetches one address and gives either where it leads or the page it is.
func (b *scriptedBrowser) open(ctx context.Context, at *url.URL, form url.Values) (*url.URL, *html.Node, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, nil, errors.New("the sign-in led to an address that cannot be opened")
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, nil, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		next, err := resp.Location()
		if err != nil {
			return nil, nil, fmt.Errorf("the server answered %d and no place to go", resp.StatusCode)
		}
		return next, nil, nil
	}
	page, err := html.Parse(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, nil, fmt.Errorf("a page cannot be read: %w", err)
	}
	return nil, page, nil
}

// callback opens the app's own address and, as a browser would, the page that
// the app leads to from there.
func (b *scriptedBrowser) callback(ctx context.Context, at *url.URL) (string, error) {
	if b.choice.Hold {
		return at.String(), nil
	}
	if !onThisComputer(at) {
		return "", fmt.Errorf("the callback is on %s, not on this computer", at.Hostname())
	}
	next := at
	for range maxPages {
		led, _, err := b.open(ctx, next, nil)
		if err != nil {
			return "", err
		}
		if led == nil || led.Host != at.Host {
			break
		}
		next = led
	}
	return at.String(), nil
}

// withoutURL drops the address from an HTTP error, as it may hold the code.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return fmt.Errorf("a page cannot be opened: %w", ue.Err)
	}
	return err
}

// field is one input of a form, in the order of the page.
type field struct{ name, kind, value string }

func offers(fields []field, name, value string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return f.name == name && f.value == value })
}

// fill answers a page as the person chose.
func (b *scriptedBrowser) fill(id string, fields []field) (url.Values, error) {
	form := url.Values{}
	chosen := map[string]string{stepPatient: b.choice.Patient, stepEncounter: b.choice.Encounter}[id]
	for _, f := range fields {
		switch f.kind {
		case "hidden":
			form.Set(f.name, f.value)
		case "checkbox":
			if !slices.Contains(b.choice.Decline, f.value) {
				form.Add(f.name, f.value)
			}
		case "radio":
			if !form.Has(f.name) && (chosen == "" || chosen == f.value) {
				form.Set(f.name, f.value)
			}
		}
	}
	switch id {
	case stepSignIn:
		form.Set("username", b.choice.Username)
		form.Set("password", b.choice.Password)
	case stepPatient, stepEncounter:
		if !form.Has(id) {
			return nil, fmt.Errorf("the %s page does not offer %q", id, chosen)
		}
	case stepConsent:
		form.Set("decision", "allow")
		if b.choice.Deny {
			form.Set("decision", "deny")
		}
	}
	return form, nil
}

// readPage finds the form of a page, and the problem that it tells.
func readPage(page *html.Node) (id, action string, fields []field, problem string) {
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	forms := 0 // the first is what the page is for
	for n := range page.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch {
		case n.Data == "form":
			if forms++; forms == 1 {
				id, action = attr(n, "id"), attr(n, "action")
			}
		case n.Data == "input" && forms == 1:
			fields = append(fields, field{attr(n, "name"), attr(n, "type"), attr(n, "value")})
		case attr(n, "role") == "alert" && problem == "":
			var text strings.Builder
			for t := range n.Descendants() {
				if t.Type == html.TextNode {
					text.WriteString(t.Data)
				}
			}
			problem = strings.TrimSpace(text.String())
		}
	}
	return id, action, fields, problem
}
