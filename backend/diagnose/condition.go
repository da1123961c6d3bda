package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// condition is something that can be seen of a failure. The words say what,
// for the table in docs/diagnosis.md.
type condition struct {
	words string
	holds func(*view) bool
}

// is makes evidence of a condition.
func (c condition) is(w Weight, says string) evidence { return evidence{c, w, says} }

func quoted(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

// oneOf is for conditions about a word.
func oneOf(what string, values []string, get func(*view) string) condition {
	return condition{what + " " + quoted(values), func(v *view) bool { return slices.Contains(values, get(v)) }}
}

// fault: the failure has one of these codes.
func fault(codes ...string) condition {
	return oneOf("fault", codes, func(v *view) string { return v.Fault.Code })
}

// faultFamily: the code of the failure begins so.
func faultFamily(prefixes ...string) condition {
	return condition{"fault " + quoted(prefixes) + "…", func(v *view) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(v.Fault.Code, p) })
	}}
}

// oauth: the server answered with one of these OAuth errors.
func oauth(errors ...string) condition {
	return oneOf("error", errors, func(v *view) string { return v.OAuth.Error })
}

// bearer: WWW-Authenticate has one of these errors (RFC 6750 section 3.1).
func bearer(errors ...string) condition {
	return condition{"WWW-Authenticate error " + quoted(errors), func(v *view) bool {
		header := strings.ToLower(v.HTTP.WWWAuthenticate)
		return slices.ContainsFunc(errors, func(e string) bool {
			return strings.Contains(header, `error="`+e+`"`) || strings.Contains(header, "error="+e)
		})
	}}
}

// status: the HTTP status is one of these.
func status(codes ...int) condition {
	return condition{"HTTP " + strings.Trim(strings.ReplaceAll(fmt.Sprint(codes), " ", ", "), "[]"), func(v *view) bool { return slices.Contains(codes, v.HTTP.Status) }}
}

// epicCode: an OperationOutcome carries one of Epic's codes.
func epicCode(codes ...string) condition {
	return condition{"Epic's code " + strings.Join(codes, ", "), func(v *view) bool {
		return slices.ContainsFunc(codes, func(c string) bool { return slices.Contains(v.epicCodes, c) })
	}}
}

// issueCode: an issue that is an error has one of these codes of FHIR's value set issue-type.
func issueCode(codes ...string) condition {
	return condition{"issue " + quoted(codes), func(v *view) bool {
		return slices.ContainsFunc(v.Outcome, func(i IssueFacts) bool {
			return (i.Severity == "fatal" || i.Severity == "error") && slices.Contains(codes, i.Code)
		})
	}}
}

// ours: the failure is told in these words of this program.
func ours(words string) condition {
	return condition{"the fault's words “" + words + "”", func(v *view) bool { return strings.Contains(v.Fault.Message, words) }}
}

// says: the server's words have one of these in them.
func says(words ...string) condition {
	return condition{"the answer says “" + strings.Join(words, "” or “") + "”", func(v *view) bool {
		return slices.ContainsFunc(words, func(w string) bool { return phrase{text: w}.in(v.text) })
	}}
}

func clientType(types ...string) condition {
	return oneOf("client type", types, func(v *view) string { return v.Registration.ClientType })
}

func environment(e string) condition {
	return oneOf("environment", []string{e}, func(v *view) string { return v.Registration.Environment })
}

func audience(a string) condition {
	return oneOf("audience", []string{a}, func(v *view) string { return v.Registration.Audience })
}

func at(stages ...Stage) condition {
	var words []string
	for _, s := range stages {
		words = append(words, string(s))
	}
	return condition{"stage " + quoted(words), func(v *view) bool { return slices.Contains(stages, v.Stage) }}
}

// found: a probe had this result.
func found(p ProbeID, result string) condition {
	return condition{fmt.Sprintf("probe `%s` says `%s`", p, result), func(v *view) bool { return v.Probes[p] == result }}
}

// edited: one of these fields was edited since it last worked, or in the last day.
func edited(fields ...string) condition {
	return condition{"edited since it worked: " + quoted(fields), func(v *view) bool {
		return slices.ContainsFunc(fields, func(f string) bool { return slices.Contains(v.History.Edited, f) })
	}}
}

// refusedBack: the listener refused a request for one of these reasons while the sign-in waited.
func refusedBack(reasons ...string) condition {
	return condition{"the listener refused a request: " + quoted(reasons), func(v *view) bool {
		return slices.ContainsFunc(reasons, func(r string) bool { return slices.Contains(v.Callback.Refused, r) })
	}}
}

// launchEnded: a launch was not gone on with, for one of these reasons.
func launchEnded(reasons ...string) condition {
	return oneOf("launch", reasons, func(v *view) string { return v.Callback.Launch })
}

// hasCapability: the server lists a SMART capability.
func hasCapability(name string) condition {
	return condition{"capability `" + name + "`", func(v *view) bool { return slices.Contains(v.Discovery.Capabilities, name) }}
}

// lacksCapability: the server lists capabilities, and this is not among them.
func lacksCapability(name string) condition {
	return condition{"no capability `" + name + "`", func(v *view) bool {
		return len(v.Discovery.Capabilities) > 0 && !slices.Contains(v.Discovery.Capabilities, name)
	}}
}

// lacksAuthMethod: the server lists how clients may authenticate, and these are not among them.
func lacksAuthMethod(names ...string) condition {
	return condition{"no authentication method " + quoted(names), func(v *view) bool {
		return len(v.Discovery.AuthMethods) > 0 && !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(v.Discovery.AuthMethods, n) })
	}}
}

// youngerThan: the registration was made here less than d ago.
func youngerThan(d time.Duration) condition {
	return condition{"registered less than " + spoken(d) + " ago", func(v *view) bool { return v.History.Age > 0 && v.History.Age < d }}
}

// took: it took at least so long.
func took(d time.Duration) condition {
	return condition{"it took " + spoken(d) + " or more", func(v *view) bool { return v.Elapsed >= d }}
}

// clockOff: the two clocks differ by d or more.
func clockOff(d time.Duration) condition {
	return condition{"clocks differ by " + spoken(d) + " or more", func(v *view) bool { return v.Clock.Known && v.Clock.Offset.Abs() >= d }}
}

// all: every one of them holds.
func all(list ...condition) condition {
	return condition{joined(list, " and "), func(v *view) bool {
		return !slices.ContainsFunc(list, func(c condition) bool { return !c.holds(v) })
	}}
}

// either: one of them holds.
func either(list ...condition) condition {
	return condition{joined(list, " or "), func(v *view) bool {
		return slices.ContainsFunc(list, func(c condition) bool { return c.holds(v) })
	}}
}

func not(c condition) condition {
	return condition{"not (" + c.words + ")", func(v *view) bool { return !c.holds(v) }}
}

func joined(list []condition, word string) string {
	var words []string
	for _, c := range list {
		words = append(words, c.words)
	}
	return strings.Join(words, word)
}

// seen makes a condition of a test that has no general form.
func seen(words string, holds func(*view) bool) condition { return condition{words, holds} }

// The conditions that several rules ask for.
var (
	isEpic       = seen("the server is Epic's", func(v *view) bool { return v.epic })
	neverWorked  = seen("no sign-in has worked yet", func(v *view) bool { return !v.History.Connected })
	workedAsIs   = seen("it worked with the same values", func(v *view) bool { return v.History.Connected && v.History.SameValues })
	workedToday  = seen("it worked with the same values in the last 24 hours", func(v *view) bool { return workedAsIs.holds(v) && v.History.SinceSuccess < 24*time.Hour })
	otherWorks   = seen("another registration at the same host works", func(v *view) bool { return v.History.OtherWorks })
	silence      = fault("sign-in-timeout")
	someSecret   = seen("a client secret is used", func(v *view) bool { return v.Registration.ClientType == symmetric })
	someKey      = seen("the client signs with a key", func(v *view) bool { return v.Registration.ClientType == asymmetric })
	publicClient = clientType("public")
	badClient    = either(fault("client-refused"), oauth("invalid_client"), all(at(Token, Refresh), status(401)))
	badGrant     = either(fault("code-refused", "grant-ended"), oauth("invalid_grant"))
	webPage      = seen("the answer is a web page", func(v *view) bool {
		return strings.Contains(strings.ToLower(v.HTTP.ContentType), "html") || strings.HasPrefix(strings.TrimSpace(v.HTTP.Body), "<")
	})
	behindProxy = seen("a proxy is in use", func(v *view) bool { return v.Network.Proxy != "" })
	ehrLaunch   = seen("the sign-in is an EHR launch", func(v *view) bool { return v.Request.EHRLaunch })
	asksService = seen("no person signs in (client_credentials)", func(v *view) bool { return v.Request.Service })
)

// The client types that have credentials.
const (
	symmetric  = "confidential-symmetric"
	asymmetric = "confidential-asymmetric"
)
