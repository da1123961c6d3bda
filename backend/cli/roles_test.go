package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a command needs of whoever calls it.
const (
	anybody   = "anybody"        // also while it is locked
	signedIn  = "signed in"      // a profile that has given its passcode
	admin     = "admin"          // one whose role is admin
	passcode  = "its passcode"   // that of the profile that it is about, whatever the role
	noProfile = "no data folder" // it does nothing with one, or with one of its own
)

// roleOf tells for each command what it needs, and how it is called to see it.
// A flag that makes a command another one has a line of its own.
var roleOf = []struct {
	command string
	needs   string
	args    []string
}{
	{"accept", signedIn, []string{"no-such-connection"}},
	{"audit export", admin, nil},
	{"audit list", admin, nil},
	{"audit reseal", admin, []string{"--yes"}},
	{"audit verify", admin, nil},
	{"callback", anybody, []string{"chartkey://callback?state=x&code=y"}},
	{"completion bash", noProfile, nil},
	{"completion fish", noProfile, nil},
	{"completion powershell", noProfile, nil},
	{"completion zsh", noProfile, nil},
	{"connect", signedIn, []string{"Sandbox", "--no-browser", "--timeout", "1s"}},
	{"demo", noProfile, nil},
	{"diagnose", signedIn, []string{"Sandbox"}},
	{"disconnect", signedIn, []string{"Sandbox"}},
	{"doctor", anybody, []string{"--offline"}},
	{"fhir get", signedIn, []string{"Sandbox", "Patient/1"}},
	{"help", noProfile, nil},
	{"https disable", admin, nil},
	{"https enable", admin, nil},
	{"https show", anybody, nil},
	{"https trust", admin, nil},
	{"https untrust", admin, nil},
	{"issuer approve", admin, []string{"https://x.example/fhir", "--registration", "Sandbox"}},
	{"issuer list", anybody, nil},
	{"issuer refuse", admin, []string{"https://x.example/fhir"}},
	{"issuer withdraw", admin, []string{"https://x.example/fhir"}},
	{"launch", anybody, []string{"--simulator", "http://localhost:1", "--registration", "Sandbox"}},
	{"listen", signedIn, nil},
	{"network authorities", admin, []string{"--remove"}},
	{"network client-certificate", admin, []string{"--remove"}},
	{"network proxy", admin, []string{"direct"}},
	{"network route", signedIn, []string{"http://localhost:1/fhir"}},
	{"network show", anybody, nil},
	{"policy", anybody, nil},
	{"policy", admin, []string{"--idle-minutes", "7"}},
	{"refresh", signedIn, []string{"Sandbox"}},
	{"registration add", admin, []string{"--name", "Other", "--fhir-base-url", "http://localhost:1/fhir", "--client-id", "x", "--no-test"}},
	{"registration edit", admin, []string{"Sandbox", "--name", "Other", "--no-test"}},
	{"registration key export", anybody, []string{"Keys"}},
	{"registration key import", admin, []string{"Keys", "--file", "key"}},
	{"registration key list", anybody, []string{"Keys"}},
	{"registration key new", admin, []string{"Keys"}},
	{"registration key remove", admin, []string{"Keys", "kid"}},
	{"registration key use", admin, []string{"Keys", "kid"}},
	{"registration kit", anybody, []string{"Sandbox"}},
	{"registration list", anybody, nil},
	{"registration register", admin, []string{"--name", "Other", "--fhir-base-url", "http://localhost:1/fhir"}},
	{"registration remove", admin, []string{"Sandbox", "--yes"}},
	{"registration scopes", anybody, []string{"Sandbox"}},
	{"registration show", anybody, []string{"Sandbox"}},
	{"registration survey", signedIn, []string{"Sandbox"}},
	{"simulator", noProfile, nil},
	{"status", anybody, nil},
	{"test", signedIn, []string{"Sandbox", "--layer", "configuration"}},
	{"trace", signedIn, nil},
	{"user add", admin, []string{"new", "--passcode-file", "new"}},
	{"user list", anybody, nil},
	{"user passcode", passcode, []string{"dr okafor", "--passcode-file", "new"}},
	{"user remove", admin, []string{"nurse bell", "--yes"}},
	{"user reset", admin, []string{"nurse bell", "--yes"}},
	{"vault lock", anybody, nil},
	{"vault status", anybody, nil},
	{"vault unlock", passcode, nil},
	{"vault use-keyring", admin, nil},
	{"vault use-passphrase", admin, nil},
	{"version", noProfile, nil},
	{"window", noProfile, nil},
}

// TestEachCommandNeedsWhatItsRoleSays calls each command as a clinician, without
// a passcode, and while the data folder is locked.
func TestEachCommandNeedsWhatItsRoleSays(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("new", "a new passcode")
	write("key", "no key")
	base := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder, "CHARTKEY_HOME=" + filepath.Join(folder, "home"), "CHARTKEY_PASSPHRASE_FILE=" + write("passphrase", passphrase)}
	by := func(name string) []string {
		return append(slices.Clone(base), "CHARTKEY_PASSCODE_FILE="+filepath.Join(folder, name))
	}
	d := &desk{t: t, home: filepath.Join(folder, "home"), env: by("owner")}
	for _, name := range []string{"owner", "okafor", "bell"} {
		write(name, "passcode of "+name)
	}
	d.run(0, "registration", "add", "--name", "Sandbox", "--fhir-base-url", "http://localhost:1/fhir", "--client-id", "x", "--no-test")
	d.run(0, "registration", "add", "--name", "Keys", "--fhir-base-url", "http://localhost:1/fhir", "--client-id", "y", "--client-type", "confidential-asymmetric", "--no-test")
	d.run(0, "user", "add", "dr okafor", "--passcode-file", filepath.Join(folder, "okafor"))
	d.run(0, "user", "add", "nurse bell", "--passcode-file", filepath.Join(folder, "bell"))

	// answer runs a command and gives the code of its fault, or "".
	answer := func(env []string, command string, args ...string) string {
		t.Helper()
		cmd := d.command(append(append(strings.Fields(command), args...), "--user", "dr okafor", "--json")...)
		cmd.Env, cmd.Dir = env, folder
		out, err := cmd.Output()
		if err == nil {
			return ""
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		var last struct {
			Error *struct {
				Code string `json:"code"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Error == nil {
			return ""
		}
		want := map[string]int{"role-needed": 1, "vault-locked": 3, "passcode-needed": 3}[last.Error.Code]
		if got := cmd.ProcessState.ExitCode(); want != 0 && got != want {
			t.Errorf("chartkey %s: %s with the exit code %d, want %d", command, last.Error.Code, got, want)
		}
		return last.Error.Code
	}
	refusals := []string{"role-needed", "vault-locked", "passcode-needed"}
	states := []struct {
		name string
		env  []string
		// codes are what a command that needs this is refused with.
		codes map[string]string
	}{
		{"by a clinician", by("okafor"), map[string]string{admin: "role-needed"}},
		{"without a passcode", base, map[string]string{admin: "role-needed", signedIn: "passcode-needed", passcode: "passcode-needed"}},
		{"locked", by("okafor"), map[string]string{admin: "role-needed", signedIn: "vault-locked"}},
	}
	for _, s := range states {
		if s.name == "locked" {
			d.run(0, "vault", "lock")
		}
		for _, c := range roleOf {
			if c.needs == noProfile || c.command == "listen" && s.name == "by a clinician" || c.command == "vault lock" || c.needs == passcode && s.name != "without a passcode" {
				continue // it would do it, or has nothing to do with it
			}
			before := people(t, d.home)
			got := answer(s.env, c.command, c.args...)
			if c.command == "vault use-passphrase" && got == "vault-locked" {
				got = s.codes[c.needs] // it looks whether it can ask for the new passphrase first
			}
			if want := s.codes[c.needs]; (want != "" && got != want) || (want == "" && slices.Contains(refusals, got)) {
				t.Errorf("chartkey %s %s, %s: %q, want %q", c.command, strings.Join(c.args, " "), s.name, got, want)
			}
			if now := people(t, d.home); now != before {
				t.Errorf("chartkey %s, %s, has changed who may do what: %s, before %s", c.command, s.name, now, before)
			}
		}
	}
}

// people is what a clinician must not change: profiles, registrations, settings, issuers and the way to servers.
func people(t *testing.T, home string) string {
	t.Helper()
	var out string
	err := database(t, home).QueryRowContext(t.Context(), `SELECT
		(SELECT group_concat(name || role) FROM profile) || (SELECT group_concat(hex(wrapped)) FROM data_key) || (SELECT group_concat(name || updated_at) FROM registration) ||
		coalesce((SELECT group_concat(issuer || decision) FROM issuer), '') || coalesce((SELECT group_concat(value) FROM setting WHERE name <> 'locked'), '') ||
		(SELECT count(*) FROM network_way) || (SELECT count(*) FROM client_key) || (SELECT header FROM vault)`).Scan(&out)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEachCommandHasItsRole(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, c := range roleOf {
		known[c.command] = true
	}
	found := map[string]bool{}
	var walk func(path []string)
	walk = func(path []string) {
		out, err := exec.Command("chartkey", append(path, "--help")...).Output()
		if err != nil {
			t.Fatalf("%v --help: %v", path, err)
		}
		_, list, group := strings.Cut(string(out), "\nAvailable Commands:\n")
		if !group {
			found[strings.Join(path, " ")] = true
			return
		}
		list, _, _ = strings.Cut(list, "\n\n")
		for _, m := range regexp.MustCompile(`(?m)^  (\S+)`).FindAllStringSubmatch(list, -1) {
			walk(append(path[:len(path):len(path)], m[1]))
		}
	}
	walk(nil)
	for c := range found {
		if !known[c] {
			t.Errorf("nothing says what chartkey %s needs of whoever calls it", c)
		}
	}
	for c := range known {
		if !found[c] {
			t.Errorf("there is no chartkey %s any more", c)
		}
	}
}
