package workstation_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// partVariable holds the part that a process plays. Such a process is the test
// binary, started anew.
const partVariable = "CHARTKEY_TEST_PART"

// part is what a process of its own does with a data folder.
type part struct {
	// Do is read, refresh, connect or both.
	Do           string
	Home         string
	Registration string
	// Offset is that of the clock.
	Offset time.Duration
	// Readers is how many read at once.
	Readers int
}

// outcome is what a process tells of its part.
type outcome struct {
	Done    int
	Faults  map[string]int // by code and message
	Longest time.Duration  // that a reader waited
}

func (o *outcome) note(err error) {
	if err == nil {
		o.Done++
		return
	}
	if o.Faults == nil {
		o.Faults = map[string]int{}
	}
	o.Faults[fault.Code(err)+": "+err.Error()]++
}

// couldNotPlay is an exit code that no killed process has, on any system.
const couldNotPlay = 3

// playPart says "ready", waits for a line to begin, plays, and tells the outcome.
func playPart(text string) int {
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return couldNotPlay
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c := &clock{offset: p.Offset}
	w, err := workstation.Open(ctx, workstation.Options{Home: p.Home, Now: c.now, KeyCost: cheap, Passphrase: passphraseOfTest})
	if err == nil {
		err = w.OpenVault(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return couldNotPlay
	}
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return couldNotPlay // the test has ended
	}
	var over sync.WaitGroup
	if p.Do != "read" {
		over.Go(func() { // the test closes the pipe to have the loop end
			_, _ = io.Copy(io.Discard, in)
			stop()
		})
	}
	var out outcome
	switch p.Do {
	case "read":
		out = readAtOnce(ctx, w, p.Registration, p.Readers)
	default:
		out = loop(ctx, w, p)
	}
	stop()
	if err := w.Close(); err != nil {
		out.note(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return couldNotPlay
	}
	return 0
}

func passphraseOfTest(context.Context, bool) (secret.Value, error) {
	return secret.New("a long test passphrase"), nil
}

// readAtOnce has many goroutines read with one grant.
func readAtOnce(ctx context.Context, w *workstation.Workstation, ref string, readers int) outcome {
	var out outcome
	var mu sync.Mutex // protects out
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			began := time.Now()
			_, err := w.Read(ctx, ref, "Patient/amara-nwosu")
			mu.Lock()
			defer mu.Unlock()
			out.note(err)
			out.Longest = max(out.Longest, time.Since(began))
		})
	}
	wg.Wait()
	return out
}

// loop refreshes, connects, or does both in turn, until something fails or ctx ends.
func loop(ctx context.Context, w *workstation.Workstation, p part) outcome {
	var out outcome
	for i := 0; ctx.Err() == nil; i++ {
		var err error
		if p.Do == "connect" || p.Do == "both" && i%2 == 1 {
			err = signInAnew(ctx, w, p.Registration)
		} else {
			_, err = w.Refresh(ctx, p.Registration)
		}
		if ctx.Err() != nil && fault.Code(err) != "grant-ended" {
			break // what it cut off is no failure
		}
		out.note(err)
		if err != nil {
			break
		}
	}
	return out
}

func signInAnew(ctx context.Context, w *workstation.Workstation, ref string) error {
	login, err := w.BeginConnect(ctx, ref, workstation.ConnectOptions{})
	if err != nil {
		return err
	}
	if _, err := simulator.SignIn(ctx, login.AuthorizationURL(), amara); err != nil {
		login.Cancel()
		return err
	}
	_, err = login.Wait(ctx)
	return err
}

// process is a part that is being played.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err strings.Builder
}

// start starts a process, which waits to begin.
func start(t testing.TB, p part) *process {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &process{cmd: exec.Command(self, "-test.run=^$")}
	c.cmd.Env = append(os.Environ(), partVariable+"="+string(text))
	c.cmd.Stderr = &c.err
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(stdout)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.end)
	return c
}

// ready waits until the process has opened its data folder.
func (c *process) ready(t testing.TB) {
	t.Helper()
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the process said %q (%v): %s", line, err, c.err.String())
	}
}

// begin lets it play.
func (c *process) begin(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(c.in, "go\n"); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the outcome, and has a loop end first.
func (c *process) ended(t testing.TB) outcome {
	t.Helper()
	_ = c.in.Close() // it may have ended by itself
	var out outcome
	decodeErr := json.NewDecoder(c.out).Decode(&out)
	if err := c.cmd.Wait(); err != nil || decodeErr != nil {
		t.Fatalf("the process ended with %v (%v): %s", err, decodeErr, c.err.String())
	}
	return out
}

// kill ends it as kill -9 does. It fails where the process had ended by itself.
func (c *process) kill(t testing.TB) {
	t.Helper()
	c.end()
	if code := c.cmd.ProcessState.ExitCode(); code == 0 || code == couldNotPlay {
		t.Fatalf("the process had ended by itself: %s %s", c.err.String(), c.said())
	}
}

func (c *process) end() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // tells that it was killed
		_ = c.in.Close()
	}
}

// said is what it has written and nobody has read.
func (c *process) said() string {
	text, _ := io.ReadAll(c.out)
	return string(text)
}
