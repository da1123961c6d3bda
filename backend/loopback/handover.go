package loopback

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"chartkey/backend/fault"
)

const (
	// AppScheme is the scheme of Chartkey's own addresses, which the operating
	// system gives to Chartkey once it is registered there (RFC 8252 section 7.1).
	AppScheme = "chartkey"
	// AppRedirectURI is the one of them that receives sign-ins.
	AppRedirectURI = AppScheme + "://callback"

	// handOverPort stands for the place of Receiver.HandOver among the ports.
	handOverPort = 0
	// handOverTimeout is longer than any handler takes.
	handOverTimeout = handlerTimeout + writeTimeout
	// maxHandOverPage bounds the page that is read back.
	maxHandOverPage = 64 << 10
)

// portName names a port in a message.
func portName(number int) string {
	if number == handOverPort {
		return "the place of " + AppRedirectURI
	}
	return strconv.Itoa(number)
}

// listenHandOver takes the place where callbacks are handed over. A socket file
// that nobody answers at was left by a process that was killed.
func listenHandOver(ctx context.Context, path string) (net.Listener, error) {
	if path == "" {
		return nil, errors.New("no place to hand over at")
	}
	var d net.Dialer
	if conn, err := d.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return nil, errors.New("another process waits there")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// Delivery is what became of a callback that was handed over.
type Delivery struct {
	OK      bool   `json:"ok"`
	Title   string `json:"title"`
	Message string `json:"message"`
	// Next is where the browser has to go on to, or "".
	Next string `json:"-"`
}

// Deliver hands the callback that the operating system gave this process over
// to the one whose sign-in waits at path. The callback holds a code, and so
// belongs in no log.
//
// Faults: callback-invalid, no-sign-in-waits.
func Deliver(ctx context.Context, path, callback string) (Delivery, error) {
	u, err := url.Parse(callback)
	if err != nil || !strings.EqualFold(u.Scheme, AppScheme) || u.Host != "callback" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return Delivery{}, fault.New("callback-invalid", "That is no address of a sign-in that came back.", "The browser opens it by itself, after a sign-in whose redirect URI is "+AppRedirectURI+".")
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	waits := fault.New("no-sign-in-waits", "No sign-in waits for this answer.", "Connect again from Chartkey; a sign-in counts once, and for a few minutes.")
	status, header, page, err := get(ctx, client, "http://"+AppScheme+"/callback?"+u.RawQuery)
	if err != nil {
		return Delivery{}, waits.Because(err)
	}
	if to := header.Get("Location"); status == http.StatusSeeOther {
		if !strings.HasPrefix(to, donePath) {
			return Delivery{OK: true, Next: to}, nil
		}
		if _, _, page, err = get(ctx, client, "http://"+AppScheme+to); err != nil {
			return Delivery{}, waits.Because(err)
		}
	}
	var d Delivery
	if err := json.Unmarshal(page, &d); err != nil {
		return Delivery{}, waits.Because(err)
	}
	return d, nil
}

// show shows a page, or tells it to the process that handed a callback over.
func (p *port) show(w http.ResponseWriter, status int, page Page) {
	if p.number != handOverPort {
		show(w, status, page)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Delivery{OK: page.OK, Title: page.Title, Message: page.Message}) // a reader that has gone needs no answer
}

func get(ctx context.Context, client *http.Client, address string) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	page, err := io.ReadAll(io.LimitReader(res.Body, maxHandOverPage))
	return res.StatusCode, res.Header, page, err
}
