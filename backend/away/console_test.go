package away_test

import (
	"strings"
	"testing"

	"chartkey/backend/away"
)

// console is a property list as "ioreg -n Root -d 1 -a" prints it, with these sessions.
func console(sessions string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>IOConsoleLocked</key>
	<false/>
	<key>IOConsoleUsers</key>
	<array>` + sessions + `</array>
	<key>IOKitBuildVersion</key>
	<string>Darwin Kernel Version 24.3.0</string>
	<key>IOMaximumMappedIOByteCount</key>
	<integer>536870912</integer>
	<key>IORegistryEntryID</key>
	<integer>4294967552</integer>
	<key>OS Build Version</key>
	<string>24D70</string>
</dict>
</plist>
`
}

const (
	sessionHere = `
		<dict>
			<key>kCGSSessionAuditIDKey</key>
			<integer>100005</integer>
			<key>kCGSSessionGroupIDKey</key>
			<integer>20</integer>
			<key>kCGSSessionIDKey</key>
			<integer>257</integer>
			<key>kCGSSessionOnConsoleKey</key>
			<true/>
			<key>kCGSSessionSystemSafeBoot</key>
			<false/>
			<key>kCGSSessionUserIDKey</key>
			<integer>501</integer>
			<key>kCGSSessionUserNameKey</key>
			<string>amara</string>
			<key>kCGSessionLoginDoneKey</key>
			<true/>
			<key>kSCSecuritySessionID</key>
			<integer>100005</integer>
		</dict>`
	otherHere = `
		<dict>
			<key>kCGSSessionOnConsoleKey</key>
			<true/>
			<key>kCGSSessionUserIDKey</key>
			<integer>502</integer>
		</dict>`
)

var (
	sessionLocked   = strings.Replace(sessionHere, "<dict>", "<dict><key>CGSSessionScreenIsLocked</key><true/><key>CGSSessionScreenLockedTime</key><integer>1771000000</integer>", 1)
	sessionUnlocked = strings.Replace(sessionHere, "<dict>", "<dict><key>CGSSessionScreenIsLocked</key><false/>", 1)
	sessionBehind   = strings.Replace(sessionHere, "<key>kCGSSessionOnConsoleKey</key>\n\t\t\t<true/>", "<key>kCGSSessionOnConsoleKey</key><false/>", 1)
)

func TestTheConsoleOfMacOS(t *testing.T) {
	for _, c := range []struct {
		name, list, want string
	}{
		{"the person is here", console(sessionHere), "here"},
		{"locked", console(sessionLocked), "locked"},
		{"unlocked, and the key stays", console(sessionUnlocked), "here"},
		{"another user in front", console(sessionBehind + otherHere), "switched"},
		{"another user's screen locked", console(strings.Replace(sessionLocked, "501", "502", 1) + sessionHere), "here"},
		{"two sessions, one in front", console(sessionBehind + sessionHere), "here"},
		{"two sessions, one in front, the other way round", console(sessionHere + sessionBehind), "here"},
		{"no session of the person, as over SSH", console(otherHere), "unknown"},
		{"nobody signed in", console(""), "unknown"},
		{"nothing at all", "", "unknown"},
		{"no such key", strings.Replace(console(""), "IOConsoleUsers", "Other", 1), "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := away.ConsoleForTest([]byte(c.list), 501); got != c.want || err != nil {
				t.Errorf("%s, %v; want %s", got, err, c.want)
			}
		})
	}
	for _, list := range []string{"{", "<plist><dict>", strings.Replace(console(sessionHere), "<integer>501</integer>", "<string>amara</string>", 1)} {
		if got, err := away.ConsoleForTest([]byte(list), 501); got != "unknown" || err == nil {
			t.Errorf("%q: %s, %v", list, got, err)
		}
	}
}

func FuzzConsole(f *testing.F) {
	for _, s := range []string{console(sessionHere), console(sessionLocked), console(sessionBehind + otherHere), console(""), "bplist00", "{IOConsoleUsers=({kCGSSessionUserIDKey=501;});}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		got, err := away.ConsoleForTest(list, 501)
		if err != nil && got != "unknown" {
			t.Errorf("%s with %v", got, err)
		}
	})
}
