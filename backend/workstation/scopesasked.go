package workstation

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// effectiveScopes are the registration's own scopes as written, or the
// default for its choices in the version that the server knows.
func effectiveScopes(row store.Registration, cfg smart.Configuration) scope.Set {
	if row.Scopes != "" {
		return scope.Grammar(strings.Fields(row.Scopes))
	}
	if row.Kind == KindBackend {
		return scope.Service(cfg.ScopeVersion())
	}
	return scope.Choices{
		Audience: row.Audience, PatientNeeded: row.PatientNeeded, OfflineAccess: row.OfflineAccess && offlineLeftOut(row, cfg) == "", Version: cfg.ScopeVersion(),
	}.Default()
}

// effectiveScopesOf is effectiveScopes of an input that is complete.
func effectiveScopesOf(in RegistrationInput, cfg smart.Configuration) scope.Set {
	return effectiveScopes(store.Registration{
		Kind: in.Kind, EHR: in.EHR, ClientType: in.ClientType, Audience: in.Audience, Scopes: strings.Join(in.Scopes, " "), OfflineAccess: in.wantsOffline(), PatientNeeded: in.needsPatient(),
	}, cfg)
}

// forAudience gives the row as it is for who signs in. Where that is another
// than the registration says, its own scopes do not count: they were chosen
// for the other.
func forAudience(row store.Registration, audience string) store.Registration {
	if audience != "" && audience != row.Audience {
		row.Audience, row.Scopes = audience, ""
	}
	return row
}

// newSignIn ends what is said where offline_access is not asked for.
const newSignIn = "so offline_access is not asked for: when the access token runs out, often after an hour, a new sign-in is needed."

// offlineLeftOut says why the default set leaves offline_access out though the
// registration wants it; "" where it does not. Asking for what cannot be
// granted gains nothing, and at some servers costs the sign-in.
func offlineLeftOut(row store.Registration, cfg smart.Configuration) string {
	switch {
	case row.Scopes != "" || !row.OfflineAccess:
		return ""
	case row.EHR == "epic" && row.ClientType == string(smart.Public):
		return "Epic gives refresh tokens to confidential clients only, " + newSignIn
	case offlineDenied(cfg):
		return "The server lists its permissions, and permission-offline is not among them, " + newSignIn
	}
	return ""
}

// offlineDenied tells whether what a server says of itself speaks against
// offline_access and nothing for it. Its list of scopes alone says nothing: it
// need not be full, and Epic's names neither it nor any patient/ scope.
func offlineDenied(cfg smart.Configuration) bool {
	permissions := slices.ContainsFunc(cfg.Capabilities, func(c string) bool { return strings.HasPrefix(c, "permission-") })
	return permissions && !cfg.Has("permission-offline") && !slices.Contains(cfg.ScopesSupported, "offline_access") && !slices.Contains(cfg.GrantTypesSupported, "refresh_token")
}

// otherGrammar says where scopes are written in a grammar that the server does
// not list. Oracle's drops such scopes without a word.
func otherGrammar(set scope.Set, cfg smart.Configuration) string {
	if !cfg.Has("permission-v1") && !cfg.Has("permission-v2") {
		return ""
	}
	for _, s := range set {
		listed := fmt.Sprintf("permission-v%d", s.Version)
		if s.Kind == scope.Resource && !cfg.Has(listed) {
			return fmt.Sprintf("%s is written as SMART %d has it, and the server does not list %s. Write %s.", s.Text, s.Version, listed, scope.Set{s}.In(3-s.Version))
		}
	}
	return ""
}

// scopeNotes says what to know of the scopes that a sign-in asks for, a
// sentence each. None is a reason not to ask.
func scopeNotes(in signIn) []string {
	out := []string{}
	if why := offlineLeftOut(in.reg, in.cfg); why != "" {
		out = append(out, why)
	}
	if in.scopes.Mixed() {
		out = append(out, scope.BothContexts+" "+scope.BothContextsAdvice)
	}
	return out
}

// offlineRefused tells whether the browser's answer is that of a server which
// refuses the scopes, offline_access among them. Access that outlasts the
// sign-in is no condition of connecting, so it is asked once more without.
func (w *Workstation) offlineRefused(in signIn, a smart.Authorization, query url.Values) bool {
	if !a.Scopes.Has("offline_access") {
		return false
	}
	_, err := w.smart.CheckCallback(in.cfg, a, query)
	return fault.Code(err) == codeScopeRefused
}

// codeScopeRefused is the code of smart's faults for invalid_scope.
const codeScopeRefused = "scope-refused"

// withoutOffline makes the request that follows on a refused one: the same
// without offline_access.
func (w *Workstation) withoutOffline(in *signIn, a *smart.Authorization) (*loopback.Next, error) {
	less := slices.DeleteFunc(slices.Clone(in.scopes), func(s scope.Scope) bool { return s.Text == "offline_access" })
	next, err := w.smart.Authorization(in.cfg, smart.AuthorizationParams{
		ClientID: in.reg.ClientID, RedirectURI: a.RedirectURI, Scopes: less, Aud: in.reg.FHIRBaseURL, Launch: in.launch,
	})
	if err != nil {
		return nil, err
	}
	in.scopes, *a = less, next
	in.notes = append(in.notes, "The server refused the scopes with offline_access among them and took them without it: when the access token runs out, often after an hour, a new sign-in is needed.")
	return &loopback.Next{URL: next.URL, State: next.State}, nil
}

// adviseOnRefusal says with a refusal of the scopes which of them is the
// likely reason.
func adviseOnRefusal(err error, asked scope.Set, cfg smart.Configuration) error {
	f := fault.From(err)
	if err == nil || f.Code != codeScopeRefused {
		return err
	}
	why := likelyRefused(f.Message, asked, cfg)
	if why == "" {
		return err
	}
	return fault.New(f.Code, f.Message, why+" "+f.Advice).Because(err)
}

// likelyRefused names the scope that a server most likely refused, the surest
// sign first: its own words, a mixture that servers refuse, what it does not
// list, what few allow.
func likelyRefused(message string, asked scope.Set, cfg smart.Configuration) string {
	words := strings.FieldsFunc(message, func(r rune) bool { return r <= ' ' || strings.ContainsRune("\"',;()[]{}", r) })
	for _, s := range asked {
		if slices.ContainsFunc(words, func(w string) bool { return strings.TrimRight(w, ".:") == s.Text }) {
			return "The server names " + s.Text + ": take it out, or have the app registered for it."
		}
	}
	if asked.Mixed() {
		return "Most likely it does not take patient/ and user/ at once. " + scope.BothContextsAdvice
	}
	if why := otherGrammar(asked, cfg); why != "" {
		return "Most likely it is the grammar: " + why
	}
	likely := func(is func(scope.Scope) bool, why string) string {
		if i := slices.IndexFunc(asked, is); i >= 0 {
			return "Most likely it is " + asked[i].Text + ", " + why
		}
		return ""
	}
	notListed := func(s scope.Scope) bool {
		support, _ := supportOf(s, cfg)
		return support == scope.NotListed
	}
	for _, why := range []string{
		likely(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Context == "system" }, "which is for services without a person signed in."),
		likely(notListed, "which the server does not list."),
		likely(func(s scope.Scope) bool {
			return s.Kind == scope.Resource && s.Permission&^(scope.Read|scope.Search) != 0
		}, "which changes records: few apps are allowed that."),
		likely(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Type == "*" }, "a wildcard, which some servers refuse: name the types."),
		likely(func(s scope.Scope) bool { return s.Kind == scope.Resource && s.Query != nil }, "whose part after ? not every server knows."),
		likely(func(s scope.Scope) bool { return s.Text == "launch/patient" }, "which some servers take from patients only: a provider's app then searches for the patient itself."),
		likely(func(s scope.Scope) bool { return s.Kind == scope.Other }, "which is no scope of SMART."),
	} {
		if why != "" {
			return why
		}
	}
	return ""
}
