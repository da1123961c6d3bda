package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with a person (the test) before it.
type terminal struct {
	t       *testing.T
	control *os.File
	tty     *os.File
	screen  lockedBuffer
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, control: control, tty: tty}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for {
			n, err := control.Read(b)
			_, _ = term.screen.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = tty.Close()
		<-read
		_ = control.Close()
	})
	return term
}

// start runs chartkey before the terminal.
func (term *terminal) start(env []string, args ...string) *exec.Cmd {
	term.t.Helper()
	cmd := exec.Command("chartkey", args...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.tty, term.tty, term.tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		term.t.Fatal(err)
	}
	term.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func (term *terminal) expect(text string, times int) {
	term.t.Helper()
	for end := time.Now().Add(patience); strings.Count(term.screen.String(), text) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			term.t.Fatalf("%q does not appear on the screen:\n%s", text, &term.screen)
		}
	}
}

// write is what the person types, once echo is what they expect.
func (term *terminal) write(text string, echo bool) {
	term.t.Helper()
	for end := time.Now().Add(patience); term.echoes() != echo; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			term.t.Fatalf("the terminal's echo stays %v", !echo)
		}
	}
	if _, err := term.control.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) echoes() bool {
	term.t.Helper()
	state, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func (term *terminal) ends(cmd *exec.Cmd, code int) {
	term.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its exit code is looked at below
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		term.t.Fatalf("chartkey has not ended:\n%s", &term.screen)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		term.t.Fatalf("exit code %d, want %d:\n%s", got, code, &term.screen)
	}
	if !term.echoes() {
		term.t.Error("the terminal is left without its echo")
	}
}

// TestPrompts plays a person who is asked at a terminal.
func TestPrompts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "CHARTKEY_HOME=" + filepath.Join(folder, "home")}
	add := func(name string) []string {
		return []string{"registration", "add", "--name", name, "--fhir-base-url", "https://fhir.example.org/R4", "--client-id", "x", "--client-type", "confidential-symmetric", "--no-test"}
	}
	const secret, wrong = "canary-typed-secret", "canary-wrong-passphrase"
	unseen := func(t *testing.T, term *terminal) {
		t.Helper()
		for _, text := range []string{secret, passphrase, wrong} {
			if strings.Contains(term.screen.String(), text) {
				t.Errorf("what was typed is on the screen:\n%s", &term.screen)
			}
		}
	}

	// The secret is asked for; without a keyring a new passphrase is, twice.
	term := openTerminal(t)
	cmd := term.start(env, add("Typed")...)
	term.expect("Client secret: ", 1)
	term.write(secret+"\n", false)
	term.expect("New vault passphrase: ", 1)
	term.write(passphrase+"\n", false)
	term.expect("Once more: ", 1)
	term.write(passphrase+"\n", false)
	term.ends(cmd, 0)
	term.expect("Client secret:   set", 0)
	unseen(t, term)

	for _, c := range []struct {
		name, typed string
		code        int
	}{{"the right passphrase", passphrase + "\n", 0}, {"a wrong one", wrong + "\n", 3}, {"nothing", "\n", 2}, {"control-C", "\x03", 130}} {
		t.Run(c.name, func(t *testing.T) {
			term := openTerminal(t)
			cmd := term.start(env, "vault", "unlock")
			term.expect("Vault passphrase: ", 1)
			term.write(c.typed, false)
			term.ends(cmd, c.code)
			unseen(t, term)
		})
	}

	t.Run("two passphrases that differ", func(t *testing.T) {
		term := openTerminal(t)
		cmd := term.start(append(env, "CHARTKEY_HOME="+filepath.Join(folder, "other")), add("Typed")...)
		term.expect("Client secret: ", 1)
		term.write(secret+"\n", false)
		term.expect("New vault passphrase: ", 1)
		term.write(passphrase+"\n", false)
		term.expect("Once more: ", 1)
		term.write(wrong+"\n", false)
		term.ends(cmd, 2)
		unseen(t, term)
	})

	// A removal is confirmed; control-C and "no" keep the registration.
	for _, c := range []struct {
		name, typed string
		code        int
	}{{"removal, control-C", "\x03", 130}, {"removal, no", "n\n", 2}, {"removal, yes", "y\n", 0}, {"removal, gone", "", 2}} {
		t.Run(c.name, func(t *testing.T) {
			term := openTerminal(t)
			cmd := term.start(env, "registration", "remove", "Typed")
			if c.typed != "" {
				term.expect("Forget Typed", 1)
				term.write(c.typed, true)
			}
			term.ends(cmd, c.code)
		})
	}

	// --client-secret-stdin at a terminal can be left.
	term = openTerminal(t)
	cmd = term.start(env, append(add("Left"), "--client-secret-stdin")...)
	time.Sleep(500 * time.Millisecond) // nothing tells that it reads
	term.write("\x03", true)
	term.ends(cmd, 130)
}
