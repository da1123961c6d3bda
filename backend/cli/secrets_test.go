package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/simulator"

	_ "modernc.org/sqlite" // the driver, to take a row away behind the product's back
)

// wiretap serves a simulator and keeps every secret that passes its token and
// revocation endpoints, in either direction.
type wiretap struct {
	next http.Handler

	mu      sync.Mutex // protects secrets
	secrets map[string]string
}

func (w *wiretap) keep(what, secret string) {
	if secret == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.secrets[secret] == "" {
		w.secrets[secret] = what
	}
}

func (w *wiretap) all() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]string, len(w.secrets))
	for k, v := range w.secrets {
		out[k] = v
	}
	return out
}

func (w *wiretap) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/auth/token" && r.URL.Path != "/auth/revoke" {
		w.next.ServeHTTP(rw, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err == nil {
		for _, name := range []string{"code", "code_verifier", "refresh_token", "client_secret", "token", "client_assertion", "assertion"} {
			w.keep(name, form.Get(name))
		}
	}
	_, basic, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	w.keep("basic credentials", basic)
	answer := &recorder{ResponseWriter: rw}
	w.next.ServeHTTP(answer, r)
	var tokens map[string]any
	if json.Unmarshal(answer.body.Bytes(), &tokens) == nil {
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if s, ok := tokens[name].(string); ok {
				w.keep(name, s)
			}
		}
	}
}

type recorder struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// tappedEHR starts a simulator behind a wiretap. It knows canary-client with
// the secret and redirect URI.
func tappedEHR(t *testing.T, secret, redirectURI string) (*simulator.Server, *wiretap) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	server, err := simulator.New(simulator.Options{Port: port, Clients: []simulator.Client{
		{ID: "canary-client", Type: simulator.ConfidentialSymmetric, Secret: secret, RedirectURIs: []string{redirectURI}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tap := &wiretap{next: server.Handler(), secrets: map[string]string{}}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: tap, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	t.Cleanup(func() {
		_ = h.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return server, tap
}

// desk runs chartkey on one data folder and keeps all that it says.
type desk struct {
	t    *testing.T
	home string
	env  []string

	mu   sync.Mutex // protects said
	said bytes.Buffer
}

func (d *desk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said.Write(p)
}

func (d *desk) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	d.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "chartkey", args...)
	cmd.Env = d.env
	return cmd
}

func (d *desk) run(code int, args ...string) []byte {
	d.t.Helper()
	cmd := d.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, d), d
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		d.t.Fatalf("chartkey %s: exit code %d, want %d (%v)\n%s", strings.Join(args, " "), got, code, err, &out)
	}
	return out.Bytes()
}

// begin starts a sign-in and gives its address and what waits for its end,
// interrupting it where the exit code is to be 130.
func (d *desk) begin(args ...string) (authorize string, end func(code int)) {
	d.t.Helper()
	cmd := d.command(append([]string{"connect"}, args...)...)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, d), d
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	var e struct {
		URL string `json:"url"`
	}
	for end := time.Now().Add(patience); e.URL == ""; time.Sleep(5 * time.Millisecond) {
		line, _, whole := strings.Cut(out.String(), "\n")
		if whole {
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.URL == "" {
				d.t.Fatalf("no authorize event: %q", line)
			}
		}
		if time.Now().After(end) {
			d.t.Fatal("no authorize event")
		}
	}
	return e.URL, func(code int) {
		d.t.Helper()
		if code == 130 {
			_ = cmd.Process.Signal(os.Interrupt)
		}
		err := cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code {
			d.t.Fatalf("connect: exit code %d, want %d (%v)\n%s", got, code, err, &out)
		}
	}
}

// leaks gives where a secret stands in the clear, or in an encoding that hides nothing.
func leaks(place string, b []byte, secrets map[string]string) []string {
	var out []string
	for secret, what := range secrets {
		for _, form := range []string{
			secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
			hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		} {
			if bytes.Contains(b, []byte(form)) {
				out = append(out, fmt.Sprintf("%s holds a %s", place, what))
				break
			}
		}
	}
	return out
}

// look searches all that was printed, and every file of the data folder, for what the tap has heard.
func (d *desk) look(when string, tap *wiretap) {
	d.t.Helper()
	files := map[string][]byte{}
	if err := readTree(d.home, files); err != nil {
		d.t.Fatal(err)
	}
	if len(files) == 0 {
		d.t.Fatal("the data folder has no files")
	}
	d.mu.Lock()
	found := leaks("the output", d.said.Bytes(), tap.all())
	d.mu.Unlock()
	for path, b := range files {
		found = append(found, leaks(filepath.Base(path), b, tap.all())...)
	}
	slices.Sort(found)
	for _, f := range found {
		d.t.Errorf("%s: %s", when, f)
	}
}

// TestSecretsStaySealed follows real secrets — a client secret, codes,
// verifiers and every token of a sign-in, three refreshes and a revocation —
// and looks for them in all that was printed and in the bytes of every file of
// the data folder, the journal of a database in use included.
func TestSecretsStaySealed(t *testing.T) {
	t.Parallel()
	const secret = "canary-client-secret-c0ffee-4711"
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	redirect := fmt.Sprintf("http://localhost:%d/callback", port)
	server, tap := tappedEHR(t, secret, redirect)
	base := server.FHIRBaseURL()
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d := &desk{t: t, home: filepath.Join(folder, "home")}
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder, "CHARTKEY_HOME=" + d.home,
		"CHARTKEY_PASSPHRASE_FILE=" + write("passphrase", passphrase),
	}
	tap.keep("client secret", secret)
	tap.keep("vault passphrase", passphrase)

	look := func(when string) {
		t.Helper()
		d.look(when, tap)
	}

	d.run(0, "registration", "add", "--name", "Canary", "--fhir-base-url", base, "--client-id", "canary-client", "--client-type", "confidential-symmetric",
		"--client-secret-file", write("secret", secret), "--redirect-uri", redirect, "--json")
	authorize, end := d.begin("Canary", "--no-browser", "--json")
	look("while the sign-in waits")
	if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{Username: "amara", Password: "patient-pass1"}); err != nil {
		t.Fatal(err)
	}
	end(0)
	look("after the sign-in")

	// A second sign-in waits all the while, so that the journal is there to be searched.
	_, endWaiting := d.begin("Canary", "--no-browser", "--json")
	for _, args := range [][]string{
		{"refresh", "Canary", "--json"}, {"refresh", "Canary"}, {"refresh", "Canary", "--json"},
		{"test", "Canary", "--json"}, {"test", "Canary"}, {"status", "--json"}, {"status", "Canary"}, {"status"},
		{"registration", "show", "Canary", "--json"}, {"registration", "show", "Canary"}, {"registration", "list", "--json"}, {"registration", "kit", "Canary"},
		{"fhir", "get", "Canary", "Patient/amara-nwosu", "--json"}, {"doctor", "--json"}, {"vault", "status", "--json"},
	} {
		d.run(0, args...)
	}
	if _, err := os.Stat(filepath.Join(d.home, "chartkey.db-wal")); err != nil {
		t.Error("the journal is not there to be searched: ", err)
	}
	look("while the database is in use")

	// Failures talk more than successes do.
	d.run(0, "registration", "edit", "Canary", "--client-secret-file", write("wrong", secret+"-wrong"), "--no-test", "--json")
	d.run(1, "refresh", "Canary", "--json")
	d.run(1, "refresh", "Canary")
	d.run(0, "registration", "edit", "Canary", "--client-secret-file", write("secret", secret), "--no-test", "--json")
	d.run(0, "disconnect", "Canary", "--json")
	endWaiting(130)
	look("at the end")
	trace, err := json.Marshal(server.Requests())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range leaks("the simulator's trace", trace, tap.all()) {
		t.Error(f)
	}

	// The search itself is worth something only if the tap heard it all.
	heard := map[string]int{}
	for _, what := range tap.all() {
		heard[what]++
	}
	for what, least := range map[string]int{"code": 1, "code_verifier": 1, "access_token": 4, "id_token": 1, "basic credentials": 1} {
		if heard[what] < least {
			t.Errorf("the tap heard %d of %s, want at least %d: %v", heard[what], what, least, heard)
		}
	}
	if got := leaks("here", []byte("x"+secret+"y"), map[string]string{secret: "secret"}); len(got) != 1 {
		t.Error("the search finds nothing")
	}
}

// TestNoNewKeyOverAnOldVault takes the vault's header away, as a botched
// restore might. The sealed rows must not become unreadable for good.
func TestNoNewKeyOverAnOldVault(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d := &desk{t: t, home: filepath.Join(folder, "home")}
	d.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "CHARTKEY_HOME=" + d.home, "CHARTKEY_PASSPHRASE_FILE=" + file("passphrase", passphrase)}
	add := []string{
		"registration", "add", "--fhir-base-url", "https://fhir.example.org/R4", "--client-id", "x", "--client-type", "confidential-symmetric",
		"--client-secret-file", file("secret", "canary-old-secret"), "--no-test", "--json",
	}
	d.run(0, append(add, "--name", "Old")...)

	header := deleteHeader(t, d.home)
	out := d.run(3, append(add, "--name", "New")...)
	if !bytes.Contains(out, []byte(`"code":"vault-damaged"`)) {
		t.Errorf("want vault-damaged: %s", out)
	}
	d.run(3, "connect", "Old", "--no-browser", "--json")
	d.run(3, "vault", "use-passphrase", "--json")
	if n := countHeaders(t, d.home); n != 0 {
		t.Fatalf("%d new headers over an old vault", n)
	}
	restoreHeader(t, d.home, header)
	if out := d.run(0, "vault", "unlock", "--json"); !bytes.Contains(out, []byte(`"state":"unlocked"`)) {
		t.Errorf("the old vault does not open any more: %s", out)
	}
}

// header is the vault's row, as SQLite keeps it.
type header struct {
	id, text         string
	created, updated int64
}

func database(t *testing.T, home string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(home, "chartkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func deleteHeader(t *testing.T, home string) header {
	t.Helper()
	db := database(t, home)
	var h header
	if err := db.QueryRowContext(t.Context(), "SELECT id, header, created_at, updated_at FROM vault").Scan(&h.id, &h.text, &h.created, &h.updated); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "DELETE FROM vault"); err != nil {
		t.Fatal(err)
	}
	return h
}

func restoreHeader(t *testing.T, home string, h header) {
	t.Helper()
	if _, err := database(t, home).ExecContext(t.Context(), "INSERT INTO vault (id, header, created_at, updated_at) VALUES (?, ?, ?, ?)", h.id, h.text, h.created, h.updated); err != nil {
		t.Fatal(err)
	}
}

func countHeaders(t *testing.T, home string) (n int) {
	t.Helper()
	if err := database(t, home).QueryRowContext(t.Context(), "SELECT count(*) FROM vault").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
