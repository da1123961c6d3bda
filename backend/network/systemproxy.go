package network

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// systemProxyTimeout bounds one question to the system. Windows may have to
	// look for a configuration script in the network first.
	systemProxyTimeout = 5 * time.Second
	// systemProxyFresh is how long an answer counts, a failure among them. People
	// change networks, and a script's answer may depend on where they are.
	systemProxyFresh = 2 * time.Minute
	maxSystemAnswers = 200
)

// errNoSystemProxy tells that this system has no settings that can be asked.
var errNoSystemProxy = errors.New("there are no system settings")

// SystemProxy knows the proxy settings of the desktop: on Linux those that the
// desktop portal knows (GNOME's, and KDE's through libproxy), on Windows those of
// the internet options and WinHTTP, with their configuration scripts (PAC).
// Elsewhere it knows none. It may be used by several clients at once.
type SystemProxy struct {
	now func() time.Time
	ask func(ctx context.Context, origin *url.URL) ([]string, error)

	mu      sync.Mutex // protects answers
	answers map[string]systemAnswer
}

type systemAnswer struct {
	proxy  *url.URL
	notice string
	at     time.Time
}

// NewSystemProxy gives the settings of this system. It asks nothing yet.
func NewSystemProxy(now func() time.Time) *SystemProxy {
	return &SystemProxy{now: now, ask: systemAsker(), answers: map[string]systemAnswer{}}
}

// lookup gives the proxy for u; nil is none. notice is a sentence where the
// system did not tell. No more of u than its origin is told to the system, as a
// script could send it anywhere.
func (s *SystemProxy) lookup(ctx context.Context, u *url.URL) (proxy *url.URL, notice string) {
	origin := &url.URL{Scheme: strings.ToLower(u.Scheme), Host: strings.ToLower(u.Host), Path: "/"}
	key := origin.String()
	s.mu.Lock()
	found, ok := s.answers[key]
	s.mu.Unlock()
	if ok && s.now().Sub(found.at) < systemProxyFresh {
		return found.proxy, found.notice
	}
	asking, cancel := context.WithTimeout(ctx, systemProxyTimeout)
	defer cancel()
	list, err := s.ask(asking, origin)
	answer := systemAnswer{at: s.now()}
	switch {
	case err == nil:
		answer.proxy, answer.notice = firstUsable(list)
	case ctx.Err() != nil:
		return nil, "" // says nothing of the system, and the request has ended
	case asking.Err() != nil:
		answer.notice = "The system's proxy settings did not answer in time, so the server is reached directly."
	case !errors.Is(err, errNoSystemProxy):
		answer.notice = "The system's proxy settings cannot be read, so the server is reached directly."
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) >= maxSystemAnswers {
		clear(s.answers)
	}
	s.answers[key] = answer
	return answer.proxy, answer.notice
}

// firstUsable gives the first entry of a system's list that this program can
// use, in the form of GProxyResolver: scheme://[user:password@]host:port, or
// direct://.
func firstUsable(list []string) (proxy *url.URL, notice string) {
	for _, entry := range list {
		if strings.HasPrefix(entry, "direct:") {
			return nil, ""
		}
		// To GIO, socks is version 5.
		if rest, ok := strings.CutPrefix(entry, "socks://"); ok {
			entry = "socks5://" + rest
		}
		if u, err := parseProxy(entry); err == nil {
			return u, ""
		}
	}
	if len(list) == 0 {
		return nil, ""
	}
	return nil, "The system's proxy settings name a proxy of a kind that Chartkey cannot use, so the server is reached directly."
}
