package away

import (
	"howett.net/plist"
)

// presence is what macOS says of one user's sessions.
type presence int

const (
	presenceUnknown presence = iota // no desktop session, or no answer
	presenceHere
	presenceLocked
	presenceSwitched
)

// consolePresence reads a property list of the I/O registry's root, as ioreg
// prints it, and says how the sessions of the user with that number are. Apple
// documents the keys nowhere; CGSSessionScreenIsLocked is left out while the
// screen is not locked. Malformed input is presenceUnknown with the error.
func consolePresence(list []byte, uid int) (presence, error) {
	var root struct {
		Sessions []struct {
			UserID    int  `plist:"kCGSSessionUserIDKey"`
			OnConsole bool `plist:"kCGSSessionOnConsoleKey"`
			Locked    bool `plist:"CGSSessionScreenIsLocked"`
		} `plist:"IOConsoleUsers"`
	}
	if _, err := plist.Unmarshal(list, &root); err != nil {
		return presenceUnknown, err
	}
	found := presenceUnknown
	for _, s := range root.Sessions {
		switch {
		case s.UserID != uid:
		case s.Locked:
			return presenceLocked, nil
		case s.OnConsole:
			found = presenceHere
		case found == presenceUnknown:
			found = presenceSwitched
		}
	}
	return found, nil
}
