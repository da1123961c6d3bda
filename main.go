// Chartkey connects a workstation to Epic and to any SMART on FHIR R4 server.
// Without arguments it opens its window; with a command it runs headless.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"chartkey/backend/cli"
)

// version and commit are set by the build (-ldflags -X).
var (
	version = "dev"
	commit  = ""
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.System(), build(), openWindow))
}

// build tells which Chartkey this is.
func build() cli.Build {
	b := cli.Build{Version: version, Commit: commit, Tags: []string{}, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "-tags" && s.Value != "":
			b.Tags = strings.Split(s.Value, ",")
		case s.Key == "vcs.revision" && b.Commit == "":
			b.Commit = s.Value
		}
	}
	return b
}
