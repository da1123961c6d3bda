package cli_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestHelp walks every command that the help names, and asks each for its own.
func TestHelp(t *testing.T) {
	var seen []string
	var walk func(path []string)
	walk = func(path []string) {
		out, err := exec.Command("chartkey", append(path, "--help")...).Output()
		text := string(out)
		name := strings.Join(append([]string{"chartkey"}, path...), " ")
		seen = append(seen, name)
		if err != nil {
			t.Fatalf("%s --help: %v", name, err)
		}
		_, example, found := strings.Cut(text, "\nExamples:\n")
		example, _, _ = strings.Cut(example, "\n\n")
		if !found || !strings.Contains(example, "chartkey") {
			t.Errorf("the help of %s has no example:\n%s", name, text)
		}
		if viaHelp, err := exec.Command("chartkey", append([]string{"help"}, path...)...).Output(); err != nil || string(viaHelp) != text {
			t.Errorf("chartkey help %s says something else than --help: %v", strings.Join(path, " "), err)
		}
		_, list, found := strings.Cut(text, "\nAvailable Commands:\n")
		if !found {
			return
		}
		list, _, _ = strings.Cut(list, "\n\n")
		for _, m := range regexp.MustCompile(`(?m)^  (\S+)`).FindAllStringSubmatch(list, -1) {
			walk(append(path[:len(path):len(path)], m[1]))
		}
	}
	walk(nil)
	for _, want := range []string{
		"version", "demo", "window", "registration add", "registration list", "registration show", "registration edit", "registration remove", "registration kit", "registration scopes", "registration survey",
		"registration key list", "registration key new", "registration key import", "registration key use", "registration key remove", "registration key export", "registration register",
		"connect", "status", "test", "refresh", "disconnect", "fhir get", "simulator", "doctor",
		"vault status", "vault unlock", "vault use-passphrase", "vault use-keyring", "completion bash",
	} {
		if !strings.Contains("\n"+strings.Join(seen, "\n")+"\n", "\nchartkey "+want+"\n") {
			t.Errorf("the help does not lead to chartkey %s", want)
		}
	}
}
