package diagnose

import (
	"slices"
	"strings"

	"chartkey/backend/scope"
)

// accessRules are about sign-ins that worked and gave something else than was
// asked for.
func accessRules() []rule {
	stages := []Stage{Token, Refresh, FHIR}
	given := func(words string, is func(*view) bool) condition {
		return seen(words, func(v *view) bool { return v.Grant.Known && is(v) })
	}
	difference := func(v *view) scope.Difference {
		return scope.Compare(v.asked, scope.Grammar(v.Grant.Scopes))
	}
	fewer := given("fewer scopes were granted than asked for, by meaning", func(v *view) bool {
		return v.Grant.ScopesTold && len(difference(v).Less) > 0
	})
	resourceMissing := given("a kind of data that was asked for was not granted", func(v *view) bool {
		granted := scope.Grammar(v.Grant.Scopes)
		return v.Grant.ScopesTold && v.someScope(func(s scope.Scope) bool { return s.Kind == scope.Resource && !granted.Covers(s) && !moved(s, granted) })
	})
	rewritten := given("the granted scopes are written otherwise and mean the same", func(v *view) bool {
		asked, granted := sorted(v.Request.Scopes), sorted(v.Grant.Scopes)
		return v.Grant.ScopesTold && !slices.Equal(asked, granted) && len(v.Request.Scopes) > 0
	})
	noPatient := given("no patient was named", func(v *view) bool { return !v.Grant.Patient })
	wantsPatient := seen("launch/patient was asked for", func(v *view) bool { return v.asked.Has("launch/patient") || v.Request.EHRLaunch })
	noIDToken := given("openid was asked for and no id_token came", func(v *view) bool { return v.asked.Has("openid") && !v.Grant.IDToken })
	noRefresh := given("no refresh token was given", func(v *view) bool { return !v.Grant.Refresh })
	wantsRefresh := seen("offline_access or online_access was asked for", func(v *view) bool { return v.asked.Has("offline_access") || v.asked.Has("online_access") })
	quiet := seen("nothing failed", (*view).quiet)
	return []rule{
		{
			id: "no-patient-chosen", title: "The server named no patient: none was chosen, or this account has none.", stages: stages,
			when: []condition{all(quiet, noPatient, wantsPatient)}, prior: often(6),
			evidence: []evidence{
				all(noPatient, wantsPatient).is(Strong, "A patient was asked for, and the answer names none."),
				all(noPatient, audience("provider")).is(Fair, "A clinician signed in, who has to choose a patient or open a chart first."),
				lacksCapability("context-standalone-patient").is(Fair, "The server does not list context-standalone-patient."),
			},
			phrases: []phrase{
				{"cannot enforce 'patient/*' claims without a launch context", "LinuxForHealth FHIR", "https://github.com/Alvearie/keycloak-extensions-for-fhir/issues/45"},
			},
			distinguish: "A patient's own account always has one; a clinician's has one only where the EHR lets it choose.",
			fix:         Fix{"Sign in again and choose a patient, or launch the app from a chart in the EHR.", ChoosePatient, ""},
			sources:     []string{smartScopes + "#scopes-for-requesting-context-data", epicOAuth},
		},
		{
			id: "patient-not-asked-for", title: "No patient was asked for, so the server named none.", stages: stages,
			when: []condition{all(quiet, noPatient, not(wantsPatient), seen("patient/ scopes are asked for", func(v *view) bool {
				return v.someScope(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Context == "patient" })
			}))}, prior: often(6),
			evidence:    []evidence{all(noPatient, not(wantsPatient)).is(Strong, "patient/ scopes were asked for without launch/patient.")},
			distinguish: "With launch/patient the server lets a patient be chosen.",
			fix:         Fix{"Add launch/patient to the scopes and sign in again.", AddScope, "launch/patient"},
			sources:     []string{smartScopes + "#scopes-for-requesting-context-data"},
		},
		{
			id: "fewer-scopes-granted", title: "The server granted less than was asked for: the app's registration, or the person, allows no more.", stages: stages,
			when: []condition{all(fewer, resourceMissing)}, prior: often(6),
			evidence: []evidence{
				all(fewer, resourceMissing).is(Strong, "By meaning, kinds of data are missing from what was granted."),
				all(fewer, isEpic).is(Slight, "Epic decides by the APIs that are chosen on the app's page, whatever scopes are asked for."),
				all(fewer, status(403)).is(Strong, "A read was refused with 403."),
			},
			distinguish: "The registration's page here shows asked and granted side by side.",
			fix:         Fix{"Select the APIs of the missing kinds of data on the app's page at the EHR, and sign in again, allowing each.", SelectAPIs, "{resource}"},
			sources:     []string{"RFC 6749 section 3.3", epicOAuth, "https://github.com/cerner/smart-on-fhir-tutorial/issues/24"},
		},
		{
			id: "scopes-written-otherwise", title: "The server granted what was asked for, written in another version or with another prefix.", stages: stages,
			when: []condition{all(quiet, rewritten, not(resourceMissing))}, prior: often(3),
			evidence:    []evidence{all(rewritten, not(resourceMissing)).is(Fair, "The words differ, and the meaning does not.")},
			distinguish: "Reads work all the same.",
			fix:         Fix{"Nothing has to be done.", TestAgain, ""},
			sources:     []string{smartScopes, epicOAuth},
		},
		{
			id: "scopes-not-told", title: "The server does not say what it granted, which means what was asked for.", stages: stages,
			when: []condition{all(quiet, given("the answer has no scope", func(v *view) bool { return !v.Grant.ScopesTold }))}, prior: often(5),
			evidence:    []evidence{given("the answer has no scope", func(v *view) bool { return !v.Grant.ScopesTold }).is(Strong, "The token answer has no scope.")},
			distinguish: "A read shows what is really allowed.",
			fix:         Fix{"Nothing has to be done. Test the connection to see whether reads work.", TestAgain, ""},
			sources:     []string{"RFC 6749 section 5.1"},
		},
		{
			id: "no-refresh-for-public-client", title: "The server gives refresh tokens to confidential clients alone, and this app is public.", stages: stages,
			when: []condition{all(quiet, noRefresh, publicClient, wantsRefresh), all(fault("not-refreshable", "no-refresh-token"), publicClient)}, prior: prior{8, 8, 4, 4},
			evidence: []evidence{
				all(noRefresh, publicClient, wantsRefresh, isEpic).is(Strong+Fair, "Epic gives a public client no refresh token, whatever it asks for."),
				all(noRefresh, publicClient, wantsRefresh, not(isEpic)).is(Fair, "offline_access was asked for, and no refresh token came."),
				all(fault("not-refreshable", "no-refresh-token"), publicClient, isEpic).is(Strong+Fair, "Epic gives a public client no refresh token."),
			},
			distinguish: "Registered as confidential, with offline access, the same app gets one.",
			fix:         Fix{"Register the app as confidential with persistent access at the EHR, and choose the same here, or sign in anew when access ends.", ChangeClientType, "confidential-symmetric"},
			sources:     []string{epicOAuth, "https://github.com/jwilleke/yourphr/issues/408"},
		},
		{
			id: "refresh-not-granted", title: "Staying connected was not allowed: by the person, or by the app's registration.", stages: stages,
			when: []condition{all(quiet, noRefresh, wantsRefresh)}, prior: often(5),
			evidence: []evidence{
				all(noRefresh, wantsRefresh, not(publicClient)).is(Fair, "offline_access was asked for, and no refresh token came."),
				all(noRefresh, lacksCapability("permission-offline")).is(Fair, "The server does not list permission-offline."),
			},
			distinguish: "The consent page asks for how long, or whether, the app may stay connected.",
			fix:         Fix{"Allow the longest time on the EHR's consent page, and set persistent access on the app's page there.", Reconnect, ""},
			sources:     []string{smartScopes + "#scopes-for-requesting-a-refresh-token", epicOAuth},
		},
		{
			id: "refresh-not-asked-for", title: "Staying connected was not asked for, so access ends with the access token.", stages: stages,
			when: []condition{all(quiet, noRefresh, not(wantsRefresh)), all(fault("not-refreshable", "no-refresh-token"), not(wantsRefresh), seen("scopes are known", func(v *view) bool { return len(v.asked) > 0 }))}, prior: often(5),
			evidence:    []evidence{not(wantsRefresh).is(Fair, "Neither offline_access nor online_access was asked for.")},
			distinguish: "With offline_access asked for, a refresh token comes, or the server says no.",
			fix:         Fix{"Add offline_access to the scopes and sign in again.", AddScope, "offline_access"},
			sources:     []string{smartScopes + "#scopes-for-requesting-a-refresh-token"},
		},
		{
			id: "user-not-told", title: "The server sends no id_token, so it is not known who signed in.", stages: stages,
			when: []condition{all(quiet, noIDToken)}, prior: often(6),
			evidence: []evidence{
				noIDToken.is(Strong, "openid was asked for, and no id_token came."),
				lacksCapability("sso-openid-connect").is(Fair, "The server does not list sso-openid-connect."),
			},
			distinguish: "Access is as good as ever; only the name is missing.",
			fix:         Fix{"Select openid and fhirUser on the app's page at the EHR, if they are there, and sign in again.", SelectAPIs, ""},
			sources:     []string{smartScopes + "#scopes-for-requesting-identity-data", "OpenID Connect Core 1.0 section 3.1.3.3"},
		},
		{
			id: "lifetime-not-told", title: "The server does not say how long access lasts.", stages: stages,
			when: []condition{all(quiet, given("the answer has no expires_in", func(v *view) bool { return !v.Grant.ExpiresTold }))}, prior: often(3),
			evidence:    []evidence{given("the answer has no expires_in", func(v *view) bool { return !v.Grant.ExpiresTold }).is(Fair, "The token answer has no expires_in.")},
			distinguish: "The first refusal with 401 shows when it is over.",
			fix:         Fix{"Nothing has to be done: Chartkey notices the end by the first 401.", TestAgain, ""},
			sources:     []string{"RFC 6749 section 5.1"},
		},
		{
			id: "token-type-not-told", title: "The server does not name the token's type; Bearer is assumed.", stages: stages,
			when: []condition{all(quiet, given("the answer has no token_type", func(v *view) bool { return v.Grant.TokenType == "" }))}, prior: often(3),
			evidence:    []evidence{given("the answer has no token_type", func(v *view) bool { return v.Grant.TokenType == "" }).is(Fair, "The token answer has no token_type.")},
			distinguish: "Reads work all the same.",
			fix:         Fix{"Nothing has to be done. Tell the health system that token_type is missing.", TestAgain, ""},
			sources:     []string{"RFC 6749 section 5.1"},
		},
	}
}

// moved tells that a scope was granted in the other context, patient/ for user/
// or back, as by servers that go by who signed in.
func moved(s scope.Scope, granted scope.Set) bool {
	other := map[string]string{"patient": "user", "user": "patient"}[s.Context]
	_, rest, _ := strings.Cut(s.Text, "/")
	twin, err := scope.Parse(other + "/" + rest)
	return other != "" && err == nil && granted.Covers(twin)
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
