package workstation_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// clinic is a bench that several people share: its owner, who is an admin, and
// two clinicians. Each has a passcode.
type clinic struct {
	*bench
	*tap
	passcodes map[string]secret.Value
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{tap: newTap(), passcodes: map[string]secret.Value{}}
	c.bench = newBench(t, simulator.Settings{}, c.listens)
	for _, name := range []string{"owner", "dr okafor", "nurse bell"} {
		c.passcodes[name] = secret.New("passcode of " + name)
	}
	for _, name := range []string{"dr okafor", "nurse bell"} {
		in := workstation.NewProfile{Name: name, Role: workstation.RoleClinician, Passcode: c.passcodes[name]}
		if name == "dr okafor" {
			in.OwnPasscode = c.passcodes["owner"]
		}
		if _, err := c.AddProfile(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// unlock signs a person in at the workstation.
func (c *clinic) unlock(t *testing.T, name string) {
	t.Helper()
	c.unlockAt(t, c.Workstation, name)
}

func (c *clinic) unlockAt(t *testing.T, w *workstation.Workstation, name string) {
	t.Helper()
	if err := w.Unlock(t.Context(), workstation.UnlockRequest{Profile: name, Passcode: c.passcodes[name]}); err != nil {
		t.Fatal(err)
	}
}

// process opens the data folder once more, as another process does, for a
// person who has not been asked for a passcode yet.
func (c *clinic) process(t *testing.T, name string) *workstation.Workstation {
	t.Helper()
	w := openDesk(t, c.home, c.clock, c.listens)
	if err := w.ActAs(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return w
}

// tap is a client's way to the network. It keeps the tokens that come in, and
// does something once, between the token endpoint's answer and the client.
type tap struct {
	http *http.Client

	mu     sync.Mutex // protects the rest
	then   func()
	tokens []tokens
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func newTap() *tap {
	p := &tap{http: network.NewClient()}
	p.http.Transport = tapped{p, p.http.Transport}
	return p
}

func (p *tap) listens(o *workstation.Options) {
	o.HTTP = p.http
	o.StoredPassphrase = o.Passphrase // as from the file that the environment names
}

// atAnswer has do happen when the next tokens have been issued, before the client knows.
func (p *tap) atAnswer(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.then = do
}

// latest gives the tokens that were issued last.
func (p *tap) latest(t *testing.T) tokens {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tokens) == 0 {
		t.Fatal("no tokens were issued")
	}
	return p.tokens[len(p.tokens)-1]
}

type tapped struct {
	*tap
	next http.RoundTripper
}

func (p tapped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.next.RoundTrip(r)
	if err != nil || r.URL.Path != "/auth/token" {
		return resp, err
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	var got tokens
	if json.Unmarshal(text, &got) == nil && got.Access != "" {
		p.mu.Lock()
		p.tokens = append(p.tokens, got)
		then := p.then
		p.then = nil
		p.mu.Unlock()
		if then != nil {
			then()
		}
	}
	return resp, nil
}

// live tells whether the EHR still takes an access token and its refresh token.
// Asking uses the refresh token.
func (c *clinic) live(t *testing.T, of tokens) (access, refresh bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.ehr.FHIRBaseURL()+"/Patient/amara-nwosu", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+of.Access)
	get, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	get.Body.Close()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {of.Refresh}, "client_id": {"app"}}
	post, err := c.http.PostForm(c.ehr.Origin()+"/auth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	post.Body.Close()
	return get.StatusCode == http.StatusOK, post.StatusCode == http.StatusOK
}

// dead fails where the EHR still takes the tokens that were issued last.
func (c *clinic) dead(t *testing.T) {
	t.Helper()
	if access, refresh := c.live(t, c.latest(t)); access || refresh {
		t.Errorf("tokens that nobody keeps live on: the access token %v, the refresh token %v", access, refresh)
	}
}

// grants counts the stored grants, of everybody.
func (c *clinic) grants(t *testing.T) int {
	t.Helper()
	return strings.Count("\n"+c.dump(t), "\ngrants ")
}

// sqlOf opens the database of a data folder behind the workstation's back.
func sqlOf(t *testing.T, home string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(home, "chartkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// dump gives every row of the database as text, a line each.
func (b *bench) dump(t *testing.T) string {
	t.Helper()
	db := sqlOf(t, b.home)
	defer db.Close()
	var lines []string
	for _, table := range column(t, db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		lines = append(lines, rowsOf(t, db, table)...)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func rowsOf(t *testing.T, db *sql.DB, table string) (lines []string) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := table
		for i, v := range values {
			line += fmt.Sprintf(" %s=%x", columns[i], fmt.Sprint(v))
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func column(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// changes gives the lines of two dumps that only one of them has.
func changes(before, after string) string {
	var out []string
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			out = append(out, "- "+line[:min(len(line), 300)])
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			out = append(out, "+ "+line[:min(len(line), 300)])
		}
	}
	return strings.Join(out, "\n")
}
