package simulator

import "chartkey/backend/scope"

// access is what an access token lets its bearer do.
type access struct {
	clientID string
	account  Account
	patient  string
	scopes   scope.Set
}

// permit tells whether a record may be used; within tells whether it lies in a
// record that the bearer may open at all, whatever part of it.
type permit struct {
	within, allows func(*record) bool
}

// permitted gives what a token allows of one type with one permission, or
// false where no scope speaks of it. The scopes add up: each opens what it
// opens, whatever the others leave out.
func (a access) permitted(kind string, p scope.Permission) (permit, bool) {
	type rule struct {
		context string
		match   []func(map[string]any) bool
	}
	var rules []rule
	for _, s := range a.scopes {
		if s.Kind != scope.Resource || (s.Type != "*" && s.Type != kind) || s.Permission&p != p {
			continue
		}
		r, usable := rule{context: s.Context}, true
		for name, values := range s.Query {
			for _, v := range values {
				// What was granted was checked when it was offered; were it not, it would open nothing.
				m, err := searchParameters(kind)[name].matcher("", v)
				if err != nil {
					usable = false
					continue
				}
				r.match = append(r.match, m)
			}
		}
		if usable {
			rules = append(rules, r)
		}
	}
	reach := func(context string, rec *record) bool {
		switch {
		case rec.patient == "":
			return true
		case context == "system":
			return true
		case context == "patient":
			return rec.patient == a.patient
		default:
			return a.account.mayOpen(rec.patient)
		}
	}
	out := permit{
		within: func(rec *record) bool {
			for _, r := range rules {
				if reach(r.context, rec) {
					return true
				}
			}
			return false
		},
		allows: func(rec *record) bool {
		next:
			for _, r := range rules {
				if !reach(r.context, rec) {
					continue
				}
				for _, m := range r.match {
					if !m(rec.value) {
						continue next
					}
				}
				return true
			}
			return false
		},
	}
	return out, len(rules) > 0
}

// only gives the one patient whose data the token can reach, or "".
func (a access) only() string {
	for _, s := range a.scopes {
		if s.Kind == scope.Resource && s.Context != "patient" {
			return ""
		}
	}
	return a.patient
}
