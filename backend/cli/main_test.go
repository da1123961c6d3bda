package cli_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"chartkey/backend/cli"
	"chartkey/backend/fault"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes chartkey a program of its own for the scripts: they meet the
// command line as a shell does, by its arguments, streams, exit code and signals.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"chartkey": func() {
		build := cli.Build{Version: "0.0.0-script", Commit: "0123abc", Tags: []string{"headless"}, Go: runtime.Version()}
		os.Exit(cli.Main(os.Args[1:], cli.System(), build, noWindow))
	}})
}

// noWindow is what a build without a window answers.
func noWindow(context.Context, cli.WindowOptions) error {
	return fault.New("no-window", "This build of Chartkey has no window.", "Use a command.")
}

// TestCommands runs one script for each command or question, in parallel. There
// is no keyring, as on a server: a passphrase file guards the vault.
func TestCommands(t *testing.T) {
	testscript.Run(t, scripts("testdata/commands"))
}

// TestDefaultPorts runs by itself, as its scripts use the ports that Chartkey
// and the simulator have by default.
func TestDefaultPorts(t *testing.T) {
	testscript.Run(t, scripts("testdata/serial"))
}

// TestKeys runs its scripts one after the other, as public keys are published at
// one port.
func TestKeys(t *testing.T) {
	files, err := filepath.Glob("testdata/keys/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			p := scripts("")
			p.Files, p.Setup = []string{file}, withKeyFiles
			testscript.Run(t, p)
		})
	}
}

// withKeyFiles gives a script a key made by somebody else.
func withKeyFiles(env *testscript.Env) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{"key.pem": {Type: "PRIVATE KEY", Bytes: private}, "public.pem": {Type: "PUBLIC KEY", Bytes: public}} {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return withPassphrase(env)
}

func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true, Setup: withPassphrase, Cmds: scriptCommands,
	}
}

// passphrase guards the vaults of the scripts.
const passphrase = "script passphrase 1"

func withPassphrase(env *testscript.Env) error {
	file := filepath.Join(env.WorkDir, "passphrase")
	env.Setenv("CHARTKEY_PASSPHRASE_FILE", file)
	if err := os.WriteFile(file, []byte(passphrase+"\n"), 0o600); err != nil {
		return err
	}
	return withHome(env)
}

// withHome gives a script a data folder that is not there yet.
func withHome(env *testscript.Env) error {
	env.Setenv("CHARTKEY_HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("TZ", "America/New_York") // so that a time that is not in UTC shows
	env.Values[worldKey{}] = newWorld(env)
	return nil
}
