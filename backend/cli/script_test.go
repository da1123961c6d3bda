package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"chartkey/backend/simulator"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds whatever a script waits for. It is long, because the race
// detector and a busy machine slow everything down; a hang still ends the test.
const patience = 60 * time.Second

// scriptCommands are what the scripts have beside the commands of testscript:
//
//	exits CODE program args…       runs it, checks the exit code and the form of what it says
//	start NAME program args…       runs it in the background, its output readable as it comes
//	signal NAME INT|TERM|KILL      sends a signal
//	ends NAME CODE                 waits for its end and checks as exits does
//	[!] json SRC LINE PATH VALUE   looks at a line of NDJSON; SRC is stdout or a NAME, LINE is a
//	                               number, last, or member=value; VALUE is text, ~regexp, or >VAR
//	members SRC LINE name,…        the line has these members and no others
//	lines SRC N                    there are N lines
//	redirect VAR…                  sets each to a redirect URI whose port is free, and VAR_PORT to the port
//	clients FILE URI…              writes a clients file with the presets' IDs and these redirect URIs
//	signin URL user=… [deny=yes] [hold=VAR] [decline=scope] [patient=ID]
//	take URL… / listening URL / [!] reachable URL
//	private DIR                    modes 0600 and 0700 throughout
//	[!] holds DIR text…            some file of DIR has the text in it, as bytes
//	within DURATION                the last exits took no longer
//	sleep DURATION
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":     cmdExits,
	"start":     cmdStart,
	"signal":    cmdSignal,
	"ends":      cmdEnds,
	"json":      cmdJSON,
	"members":   cmdMembers,
	"lines":     cmdLines,
	"redirect":  cmdRedirect,
	"clients":   cmdClients,
	"signin":    cmdSignin,
	"take":      cmdTake,
	"reachable": cmdReachable,
	"private":   cmdPrivate,
	"holds":     cmdHolds,
	"sql":       cmdSQL,
	"within":    cmdWithin,
	"sleep":     cmdSleep,
}

// scriptSecret is the client secret of the confidential client in a clients file.
const scriptSecret = "script-client-secret-5f2c"

type worldKey struct{}

// world is what one script has going on beside testscript's own state.
type world struct {
	names   []string // of the environment
	running map[string]*process
	took    time.Duration // by the last exits
}

func newWorld(env *testscript.Env) *world {
	w := &world{running: map[string]*process{}}
	for _, v := range env.Vars {
		name, _, _ := strings.Cut(v, "=")
		w.names = append(w.names, name)
	}
	env.Defer(func() {
		for _, p := range w.running {
			p.end()
		}
	})
	return w
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// environment gives what the script's environment is now.
func (w *world) environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range append(slices.Clone(w.names), "NO_COLOR", "CHARTKEY_PASSCODE_FILE", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR") {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// process is a program in the background.
type process struct {
	cmd    *exec.Cmd
	out    lockedBuffer
	err    lockedBuffer
	done   chan struct{}
	result error
}

type lockedBuffer struct {
	mu sync.Mutex // protects b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (p *process) end() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME program args…")
	}
	w := worldOf(ts)
	if w.running[args[0]] != nil {
		ts.Fatalf("%s was started already", args[0])
	}
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	p := &process{cmd: exec.Command(program, args[2:]...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = ts.MkAbs("."), w.environment(ts)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	ts.Check(p.cmd.Start())
	w.running[args[0]] = p
	go func() {
		p.result = p.cmd.Wait()
		close(p.done)
	}()
}

func processOf(ts *testscript.TestScript, name string) *process {
	p := worldOf(ts).running[name]
	if p == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}
	if neg || len(args) != 2 || signals[args[1]] == nil {
		ts.Fatalf("usage: signal NAME INT|TERM|KILL")
	}
	ts.Check(processOf(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func cmdEnds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ends NAME CODE")
	}
	p := processOf(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(patience):
		p.end()
		ts.Fatalf("%s has not ended within %s\n%s\n%s", args[0], patience, &p.out, &p.err)
	}
	ts.Logf("[stdout]\n%s\n[stderr]\n%s", &p.out, &p.err)
	judge(ts, args[1], p.cmd.Args, p.result, p.out.String(), p.err.String())
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program args…")
	}
	started := time.Now()
	err := ts.Exec(args[1], args[2:]...)
	worldOf(ts).took = time.Since(started)
	ts.Logf("[took %s]", worldOf(ts).took.Round(time.Millisecond))
	judge(ts, args[0], args[1:], err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
}

// judge checks what every command promises: its exit code; under --json lines
// of JSON alone, of which the last is the error of a failure; without it,
// error and advice on stderr.
func judge(ts *testscript.TestScript, wantCode string, argv []string, err error, stdout, stderr string) {
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != wantCode {
		ts.Fatalf("exit code %d, want %s", code, wantCode)
	}
	if filepath.Base(argv[0]) != "chartkey" || slices.Contains(argv, "--help") {
		return
	}
	if end := slices.Index(argv, "--"); end >= 0 {
		argv = argv[:end]
	}
	failed := code == 1 || code == 2 || code == 3
	if !slices.Contains(argv, "--json") {
		if failed && (!regexp.MustCompile(`(?m)^error: .+$`).MatchString(stderr) || !regexp.MustCompile(`(?m)^advice: .+$`).MatchString(stderr)) {
			ts.Fatalf("a failure without error and advice on stderr")
		}
		if !failed && strings.Contains(stderr, "error:") {
			ts.Fatalf("an error on stderr of a command that did not fail")
		}
		return
	}
	if local := regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*[^Z"]"`).FindString(stdout); local != "" && !slices.Contains(argv, "fhir") {
		ts.Fatalf("a time that is not in UTC: %s", local)
	}
	var last map[string]any
	for i, line := range ndjson(ts, stdout) {
		if _, isError := line["error"]; isError && line["revocation"] == nil && line["state"] == nil && i < strings.Count(stdout, "\n")-1 {
			ts.Fatalf("an error line that is not the last")
		}
		last = line
	}
	if !failed {
		return
	}
	f, ok := last["error"].(map[string]any)
	if !ok || len(last) != 1 || len(f) != 4 {
		ts.Fatalf("the last line is not {\"error\":{code,message,advice,retryable}}")
	}
	codeText, _ := f["code"].(string)
	message, _ := f["message"].(string)
	advice, _ := f["advice"].(string)
	_, told := f["retryable"].(bool)
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(codeText) || message == "" || advice == "" || !told {
		ts.Fatalf("the error has no code, message, advice or retryable: %v", f)
	}
}

// ndjson reads lines of JSON objects; anything else fails the script.
func ndjson(ts *testscript.TestScript, text string) []map[string]any {
	if text != "" && !strings.HasSuffix(text, "\n") {
		ts.Fatalf("the last line has no end: %q", text[strings.LastIndex(text, "\n")+1:])
	}
	var out []map[string]any
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("a line that is no JSON object: %q", line)
		}
		out = append(out, object)
	}
	return out
}

// source gives the whole lines that a source has now.
func source(ts *testscript.TestScript, name string) (text string, growing *process) {
	if name == "stdout" {
		return ts.ReadFile("stdout"), nil
	}
	p := processOf(ts, name)
	text = p.out.String()
	return text[:strings.LastIndex(text, "\n")+1], p
}

// pick finds a line, waiting for it where a process may still say it.
func pick(ts *testscript.TestScript, src, which string) map[string]any {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		ended := true
		if src != "stdout" {
			select {
			case <-processOf(ts, src).done:
			default:
				ended = false
			}
		}
		text, p := source(ts, src)
		if line := choose(ts, ndjson(ts, text), which); line != nil {
			return line
		}
		if ended || time.Now().After(end) {
			diagnostics := ""
			if p != nil {
				diagnostics = p.err.String()
			}
			ts.Fatalf("no line %s in %s:\n%s%s", which, src, text, diagnostics)
		}
	}
}

func choose(ts *testscript.TestScript, lines []map[string]any, which string) map[string]any {
	name, value, byMember := strings.Cut(which, "=")
	if byMember {
		for _, line := range lines {
			if got, ok := at(line, name); ok && render(got) == value {
				return line
			}
		}
		return nil
	}
	n := len(lines)
	if which != "last" {
		var err error
		n, err = strconv.Atoi(which)
		ts.Check(err)
	}
	if n < 1 || n > len(lines) {
		return nil
	}
	return lines[n-1]
}

// at follows a path such as status.scopes_granted.0, or checks.id=token.result.
func at(value any, path string) (any, bool) {
	for step := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			next, ok := v[step]
			if !ok {
				return nil, false
			}
			value = next
		case []any:
			if name, want, byMember := strings.Cut(step, "="); byMember {
				i := slices.IndexFunc(v, func(e any) bool {
					object, ok := e.(map[string]any)
					return ok && render(object[name]) == want
				})
				if i < 0 {
					return nil, false
				}
				value = v[i]
				continue
			}
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

func render(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: [!] json SRC LINE PATH VALUE")
	}
	got, ok := at(pick(ts, args[0], args[1]), args[2])
	if !ok {
		ts.Fatalf("there is no %s", args[2])
	}
	text, want := render(got), args[3]
	if name, isVar := strings.CutPrefix(want, ">"); isVar && !neg {
		ts.Setenv(name, text)
		return
	}
	matches := text == want
	if pattern, isPattern := strings.CutPrefix(want, "~"); isPattern {
		re, err := regexp.Compile(pattern)
		ts.Check(err)
		matches = re.MatchString(text)
	}
	if matches == neg {
		ts.Fatalf("%s is %s; want %v %s", args[2], text, !neg, want)
	}
}

func cmdMembers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: members SRC LINE[:PATH] name,…")
	}
	which, path, nested := strings.Cut(args[1], ":")
	var value any = pick(ts, args[0], which)
	if nested {
		value, _ = at(value, path)
	}
	object, ok := value.(map[string]any)
	if !ok {
		ts.Fatalf("there is no object at %s", args[1])
	}
	for name := range strings.SplitSeq(args[2], ",") {
		if _, ok := object[name]; !ok {
			ts.Fatalf("the member %s is missing: %s", name, render(value))
		}
	}
}

func cmdLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines SRC N")
	}
	text, _ := source(ts, args[0])
	if n := strings.Count(text, "\n"); strconv.Itoa(n) != args[1] {
		ts.Fatalf("%d lines, want %s", n, args[1])
	}
}

var (
	portsMu sync.Mutex
	given   = map[int]bool{} // ports that a script was given
)

// freePort gives a port below the ephemeral ranges, so that no connection
// takes it before the script listens.
func freePort() (int, error) {
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 200 {
		port := 20000 + rand.IntN(9000)
		if given[port] || !portFree(port) {
			continue
		}
		given[port] = true
		return port, nil
	}
	return 0, errors.New("no port is free")
}

func portFree(port int) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			return false
		}
		if err == nil {
			_ = l.Close()
		}
	}
	return true
}

func cmdRedirect(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: redirect VAR…")
	}
	for _, name := range args {
		port, err := freePort()
		ts.Check(err)
		ts.Setenv(name, fmt.Sprintf("http://localhost:%d/callback", port))
		ts.Setenv(name+"_PORT", strconv.Itoa(port))
	}
}

func cmdClients(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: clients FILE URI…")
	}
	text, err := json.Marshal([]simulator.Client{
		{ID: "chartkey-demo", Type: simulator.Public, RedirectURIs: args[1:]},
		{ID: "chartkey-confidential", Type: simulator.ConfidentialSymmetric, Secret: scriptSecret, RedirectURIs: args[1:]},
		{ID: "chartkey-provider", Type: simulator.Public, RedirectURIs: args[1:]},
	})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

func cmdSignin(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] signin URL user=… …")
	}
	choice := simulator.Choice{}
	hold := ""
	for _, option := range args[1:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "user":
			choice.Username, choice.Password = value, "patient-pass1"
			if strings.Contains(value, ".") {
				choice.Password = "clinician-pass1"
			}
		case "deny":
			choice.Deny = true
		case "hold":
			choice.Hold, hold = true, value
		case "decline":
			choice.Decline = append(choice.Decline, value)
		case "patient":
			choice.Patient = value
		default:
			ts.Fatalf("signin does not know %s", name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	callback, err := simulator.SignIn(ctx, args[0], choice)
	if (err != nil) != neg {
		ts.Fatalf("the sign-in: %v", err)
	}
	if hold != "" {
		ts.Setenv(hold, callback)
	}
}

// cmdTake listens where the URLs point, as another program might. A port that
// another program has already is as taken.
func cmdTake(ts *testscript.TestScript, neg bool, args []string) {
	for _, raw := range args {
		u, err := url.Parse(raw)
		ts.Check(err)
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", u.Port()))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		ts.Check(err)
		ts.Defer(func() { _ = l.Close() })
	}
}

func cmdReachable(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] reachable URL")
	}
	u, err := url.Parse(args[0])
	ts.Check(err)
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, u.Port()), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		if host == "127.0.0.1" && (err == nil) == neg || err == nil && neg {
			ts.Fatalf("something listens at %s:%s: %v", host, u.Port(), err == nil)
		}
	}
}

func cmdPrivate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: private DIR")
	}
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a journal that is gone by now
		}
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if got := info.Mode().Perm(); got != want {
			return fmt.Errorf("%s has mode %o, want %o", path, got, want)
		}
		return nil
	}))
	if files == 0 {
		ts.Fatalf("there is no file in %s", args[0])
	}
}

func cmdHolds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] holds DIR text…")
	}
	files := map[string][]byte{}
	ts.Check(readTree(ts.MkAbs(args[0]), files))
	for _, text := range args[1:] {
		found := ""
		for path, b := range files {
			if bytes.Contains(b, []byte(text)) {
				found = path
			}
		}
		if (found != "") == neg {
			ts.Fatalf("%q is held by %q", text, found)
		}
	}
}

// readTree reads every file below dir into files.
func readTree(dir string, files map[string][]byte) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a journal that is gone by now
		}
		files[path] = b
		return err
	})
}

// cmdSQL changes a database behind Chartkey's back, as damage or another program would.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql FILE STATEMENT…")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	db.SetMaxOpenConns(1) // pragmas count for one connection
	for _, statement := range args[1:] {
		_, err := db.Exec(statement)
		ts.Check(err)
	}
}

func cmdWithin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: within DURATION")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	if took := worldOf(ts).took; took > limit {
		ts.Fatalf("it took %s, more than %s", took, limit)
	}
}

func cmdSleep(ts *testscript.TestScript, neg bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	time.Sleep(d)
}
