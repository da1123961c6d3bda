// Package audit owns the activity record: what an entry says, how entries are
// chained so that a change shows, how the chain is verified and shortened, and
// the forms in which the record leaves the workstation.
//
// It has no storage and no clock: entries, rows and heads are given to it and
// given back. Its caller stores each row and the head in the transaction that
// does the deed. No entry holds a token, a secret or what a chart says, and the
// patient's reference is bytes that the caller sealed.
package audit

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"chartkey/backend/fault"
)

// Action is what was done.
type Action string

// Actions go outward where the comment says so: these are recorded twice,
// started and then done or failed. The others happen on this computer and have
// one entry.
const (
	Connect        Action = "connect"    // outward
	Refresh        Action = "refresh"    // outward
	Test           Action = "test"       // outward
	Read           Action = "read"       // outward
	Disconnect     Action = "disconnect" // outward where the server is told
	Launch         Action = "launch"     // outward
	LaunchDecision Action = "launch-decision"
	Registration   Action = "registration"
	Profile        Action = "profile"
	SignIn         Action = "sign-in"
	Lock           Action = "lock"
	Vault          Action = "vault"
	Policy         Action = "policy"
	Audit          Action = "audit"
	// Unreadable is in the place of an entry whose body was changed. It is never written.
	Unreadable Action = "unreadable"
)

// Details say which of an action's kinds it was. Others may be used: a detail
// is a word of lower-case letters, digits and hyphens.
const (
	// Of Read. The resource's type is in Entry.Resource.
	DetailResource = "resource"
	DetailSearch   = "search"

	// Of Refresh: a backend service's own token.
	DetailServiceToken = "service-token"

	// Of LaunchDecision.
	DetailIssuerApproved  = "issuer-approved"
	DetailIssuerRefused   = "issuer-refused"
	DetailIssuerWithdrawn = "issuer-withdrawn"
	DetailLaunchAccepted  = "launch-accepted"
	DetailLaunchDiscarded = "launch-discarded"

	// Of Registration, outward: the app registers itself at a server.
	DetailRegistering = "registering"
	// Of Registration: the workstation registered itself at the EHR as a copy of the app. The subject is its client ID.
	DetailInstance = "instance"

	// Of Registration and Profile.
	DetailAdded   = "added"
	DetailChanged = "changed"
	DetailRemoved = "removed"

	// Of Profile.
	DetailRole            = "role"
	DetailPasscodeChanged = "passcode-changed"
	DetailPasscodeReset   = "passcode-reset"

	// Of SignIn. A wrong passcode carries its fault as well.
	DetailUnlocked      = "unlocked"
	DetailWrongPasscode = "wrong-passcode"

	// Of Vault. DetailUnlocked is one of its kinds too.
	DetailMade       = "made"
	DetailPassphrase = "passphrase"
	DetailKeyring    = "keyring"
	DetailRotated    = "rotated"
	DetailBackup     = "backup"
	DetailRestore    = "restore"

	// Of Policy.
	DetailIdleTime  = "idle-time"
	DetailRetention = "retention"

	// Of Audit.
	DetailExported   = "exported"
	DetailCheckpoint = "checkpoint"
	DetailResealed   = "resealed"
)

// Phase tells the two entries of an action that goes outward apart. It is empty
// for what happens on this computer.
type Phase string

// The phases.
const (
	Started Phase = "started" // before the first request
	Done    Phase = "done"
	Failed  Phase = "failed"
)

// Origin is where an action was asked for.
type Origin string

// The origins.
const (
	FromWindow      Origin = "window"
	FromCommandLine Origin = "command line"
	FromLaunch      Origin = "launch"
	FromBackground  Origin = "background" // by the workstation itself: a refresh in time, a retention
)

// Entry is one line of the record. Its JSON, without what Append leaves out, is
// the body of a Row, and with it a line of the NDJSON export.
type Entry struct {
	// Seq counts the entries from 1 without a gap. Append gives it.
	Seq int64 `json:"seq,omitzero"`
	// At is when, in UTC to the millisecond.
	At time.Time `json:"at,omitzero" ts_type:"string"`
	// ProfileID, ProfileName and Role are who, as they were then. They are empty for the workstation itself.
	ProfileID   string `json:"profile_id,omitzero"`
	ProfileName string `json:"profile_name,omitzero"`
	Role        string `json:"role,omitzero"`

	Action Action `json:"action"`
	Detail string `json:"detail,omitzero"`
	Phase  Phase  `json:"phase,omitzero"`
	// Ref is the Seq of the started entry that a done or failed one ends.
	Ref int64 `json:"ref,omitzero"`

	RegistrationID   string `json:"registration_id,omitzero"`
	RegistrationName string `json:"registration_name,omitzero"`
	// Server is the FHIR base URL that the action went to, or the issuer that it is about.
	Server string `json:"server,omitzero"`
	// ClientID is the OAuth client that the action used.
	ClientID string `json:"client_id,omitzero"`
	// Resource is the FHIR type of what was read, without its id and without a search's parameters.
	Resource string `json:"resource,omitzero"`
	// Subject is what else the action is about: a profile's name, an issuer, a policy's new value.
	Subject string `json:"subject,omitzero"`
	// Fault is the code of the fault that the action ended with, or empty.
	Fault  string `json:"fault,omitzero"`
	Origin Origin `json:"origin"`

	// Patient is the reference of the patient, such as Patient/123. It is never in
	// a body: the caller seals it for Append and sets it after opening.
	Patient string `json:"patient,omitzero"`
	// Unkeyed is true where the entry was written while the record's key was not at hand.
	Unkeyed bool `json:"unkeyed,omitzero"`
}

// Limits of what an entry holds, in bytes. Longer names are cut, because an
// action must not fail for the length of a name.
const (
	maxName = 200
	maxURL  = 2048
	maxWord = 64
	// maxBody is more than an entry can have, each byte escaped.
	maxBody = 32 << 10
	// maxSealed is far more than a sealed patient reference has.
	maxSealed = 4 << 10
)

var (
	word         = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	resourceType = regexp.MustCompile(`^[A-Z][A-Za-z]*$`)
)

// Started gives the entry of an action that begins at a time.
func (e Entry) Started(at time.Time) Entry {
	e.At, e.Phase, e.Ref, e.Fault = at, Started, 0, ""
	return e
}

// Ended gives the entry that ends a started one: done, or failed with the code
// of err. e is as Row.Entry gave it, so its Seq is what the new one refers to.
func (e Entry) Ended(at time.Time, err error) Entry {
	e.At, e.Phase, e.Ref, e.Seq, e.Fault = at, Done, e.Seq, 0, ""
	if err != nil {
		e.Phase, e.Fault = Failed, fault.From(err).Code
	}
	return e
}

// Outcome is "started", "done" or "failed".
func (e Entry) Outcome() string {
	switch {
	case e.Phase == Started:
		return string(Started)
	case e.Fault != "":
		return string(Failed)
	}
	return string(Done)
}

// recorded gives the entry as a body keeps it: names cut and cleaned, the time
// to the millisecond, and nothing that does not belong there. What people and
// servers named never makes an entry invalid, since then the action would fail.
func (e Entry) recorded() Entry {
	e.Seq, e.Patient, e.Unkeyed = 0, "", false
	e.At = e.At.UTC().Truncate(time.Millisecond)
	e.ProfileID, e.RegistrationID = clean(e.ProfileID, maxName), clean(e.RegistrationID, maxName)
	e.ProfileName, e.RegistrationName = clean(e.ProfileName, maxName), clean(e.RegistrationName, maxName)
	e.Role, e.ClientID, e.Subject = clean(e.Role, maxWord), clean(e.ClientID, maxName), clean(e.Subject, maxName)
	e.Server = clean(e.Server, maxURL)
	if !isResourceType(e.Resource) {
		e.Resource = "" // such as metadata
	}
	if e.Fault != "" && !isWord(e.Fault) {
		e.Fault = "internal"
	}
	return e
}

// problem says what of a recorded entry does not fit, or "".
func (e Entry) problem() string {
	switch {
	case e.At.Year() < 1970 || e.At.Year() > 9999:
		return "its time is none"
	case !isWord(string(e.Action)) || e.Action == Unreadable:
		return "its action is no word"
	case e.Detail != "" && !isWord(e.Detail):
		return "its detail is no word"
	case e.Origin != FromWindow && e.Origin != FromCommandLine && e.Origin != FromLaunch && e.Origin != FromBackground:
		return "it does not say where it came from"
	}
	ended := e.Phase == Done || e.Phase == Failed
	switch {
	case e.Phase != "" && e.Phase != Started && !ended:
		return "its phase is unknown"
	case ended != (e.Ref > 0) || e.Ref < 0:
		return "it does not fit the entry that it ends"
	case (e.Phase == Started || e.Phase == Done) && e.Fault != "", e.Phase == Failed && e.Fault == "":
		return "its phase and its fault contradict each other"
	}
	return ""
}

func isResourceType(s string) bool { return len(s) <= maxWord && resourceType.MatchString(s) }

func isWord(s string) bool { return len(s) <= maxWord && word.MatchString(s) }

// body is the canonical form of the entry: what is chained and stored.
func (e Entry) body() ([]byte, error) {
	e = e.recorded()
	if p := e.problem(); p != "" {
		return nil, fault.New("audit-entry-invalid", "The entry for the activity record does not make sense: "+p+".",
			"This is a mistake in Chartkey. Report it with the steps that led here.")
	}
	return json.Marshal(e)
}

// parse reads a body. It accepts only what body writes, byte for byte.
func parse(b []byte) (Entry, error) {
	var e Entry
	if len(b) > maxBody {
		return Entry{}, errUnreadable()
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return Entry{}, errUnreadable().Because(err)
	}
	again, err := e.body()
	if err != nil {
		return Entry{}, errUnreadable().Because(err)
	}
	if !bytes.Equal(again, b) {
		return Entry{}, errUnreadable()
	}
	return e, nil
}

// clean makes a name one line of at most limit bytes. What could break a line,
// hide or turn text around is replaced, so that no name looks like another entry.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control):
			return unicode.ReplacementChar
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
