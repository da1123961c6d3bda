package scope

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Difference is how a granted set differs in meaning from the set that was
// asked for. Each entry is a sentence for people.
type Difference struct {
	// Less is what was asked for and not granted, or granted with another prefix.
	Less []string `json:"less"`
	// More is what was granted beyond what was asked for.
	More []string `json:"more"`
	// Alike is what was answered otherwise and changes nothing, such as the other grammar.
	Alike []string `json:"alike"`
}

// Note gives what a person should know, in one line: "" where the granted set
// means what was asked for.
func (d Difference) Note() string { return strings.Join(slices.Concat(d.Less, d.More), " ") }

// Compare tells how granted differs from asked, by meaning: .read equals .rs,
// a wildcard covers each type, a category is part of its type, and the order
// does not matter. A server is free to grant less, more, in the other grammar
// or with another prefix (RFC 6749 section 3.3; SMART App Launch 2.2).
func Compare(asked, granted Set) Difference {
	c := comparison{asked: asked.bare(), granted: granted.bare(), moved: map[[2]string][]string{}}
	c.mixed = len(c.asked.contexts()) > 1
	c.accesses()
	c.launch()
	c.identity()
	c.duration()
	c.others()
	c.extra()
	c.grammar()
	return Difference{Less: orEmpty(c.less), More: orEmpty(c.more), Alike: orEmpty(c.alike)}
}

// orEmpty keeps a list in JSON a list.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (set Set) bare() Set {
	out := make(Set, len(set))
	for i, s := range set {
		out[i] = s.bare()
	}
	return out
}

// contexts gives the contexts of the resource scopes, each once.
func (set Set) contexts() []string {
	var out []string
	for _, s := range set {
		if s.Kind == Resource && !slices.Contains(out, s.Context) {
			out = append(out, s.Context)
		}
	}
	return out
}

type comparison struct {
	asked, granted    Set
	mixed             bool // whether asked has several contexts, so that each has to be named
	less, more, alike []string
	// moved are the things that were granted in another context, by the two of them.
	moved map[[2]string][]string
}

// access is what the scopes of a set say of one part of a type, together.
type access struct {
	context, typ string
	query        url.Values
	permission   Permission
}

// accesses joins the resource scopes of a set that speak of the same thing.
func (set Set) accesses() []access {
	var out []access
	at := map[string]int{}
	for _, s := range set {
		if s.Kind != Resource {
			continue
		}
		key := s.Context + "/" + s.Type + "?" + s.Query.Encode()
		i, seen := at[key]
		if !seen {
			i = len(out)
			at[key] = i
			out = append(out, access{context: s.Context, typ: s.Type, query: s.Query})
		}
		out[i].permission |= s.Permission
	}
	return out
}

func (c *comparison) name(a access) string {
	if c.mixed {
		return what(a.typ, a.query) + " (" + a.context + "/)"
	}
	return what(a.typ, a.query)
}

// byPermission gathers things by what may be done with them, in order.
type byPermission struct {
	order  []Permission
	things map[Permission][]string
}

func (b *byPermission) add(p Permission, thing string) {
	if p == 0 {
		return
	}
	if b.things == nil {
		b.things = map[Permission][]string{}
	}
	if b.things[p] == nil {
		b.order = append(b.order, p)
	}
	if !slices.Contains(b.things[p], thing) {
		b.things[p] = append(b.things[p], thing)
	}
}

func (b *byPermission) String() string {
	var out []string
	for _, p := range b.order {
		out = append(out, p.words(gerunds)+" "+and(b.things[p]))
	}
	return strings.Join(out, "; ")
}

// accesses compares the resource scopes, and tells what is missing.
func (c *comparison) accesses() {
	var refused byPermission
	type fewer struct{ asked, got Permission }
	var reduced []fewer
	names := map[fewer][]string{}
	for _, a := range c.asked.accesses() {
		missing := c.granted.missing(a.context, a.typ, a.permission, a.query)
		if missing == 0 {
			continue
		}
		got := a.permission &^ missing
		parts, inPart := c.parts(a, a.context, missing)
		missing &^= inPart
		to, there := c.elsewhere(a, missing)
		if there != 0 {
			key := [2]string{a.context, to}
			if !slices.Contains(c.moved[key], what(a.typ, a.query)) {
				c.moved[key] = append(c.moved[key], what(a.typ, a.query))
			}
			missing &^= there
			if covered := there &^ c.granted.missing(to, a.typ, there, a.query); covered != there {
				parts, inPart = c.parts(a, to, there)
			}
		}
		switch {
		case inPart != 0:
			c.less = append(c.less, c.narrowed(a, got, parts))
		case missing == 0:
		case got == 0 && there == 0:
			refused.add(a.permission, c.name(a))
		default:
			key := fewer{a.permission, got | there}
			if names[key] == nil {
				reduced = append(reduced, key)
			}
			names[key] = append(names[key], c.name(a))
		}
	}
	for _, key := range reduced {
		c.less = append(c.less, fmt.Sprintf("You asked to %s %s; only %s %s granted.", key.asked.words(verbs), and(names[key]), key.got.words(gerunds), was(key.got)))
	}
	if len(refused.order) > 0 {
		c.less = append(c.less, "Not granted: "+refused.String()+".")
	}
	for _, from := range []string{"patient", "user", "system"} {
		for _, to := range []string{"patient", "user", "system"} {
			if things := c.moved[[2]string{from, to}]; len(things) > 0 {
				c.less = append(c.less, movedSentence(from, to, things))
			}
		}
	}
}

func was(p Permission) string {
	if p&(p-1) == 0 {
		return "was"
	}
	return "were"
}

// parts gives what was granted of a part of a only: of some types in place of
// all, or of a category in place of a type.
func (c *comparison) parts(a access, context string, missing Permission) ([]access, Permission) {
	var out []access
	var bits Permission
	for _, g := range c.granted.accesses() {
		sameType := a.typ == "*" || g.typ == "*" || a.typ == g.typ
		within := a.query == nil || g.query == nil || within(g.query, a.query)
		if g.context != context || !sameType || !within || g.permission&missing == 0 {
			continue
		}
		g.permission &= a.permission
		out = append(out, g)
		bits |= g.permission & missing
	}
	return out, bits
}

// elsewhere finds another context in which bits of a were granted, wholly or in part.
func (c *comparison) elsewhere(a access, missing Permission) (context string, bits Permission) {
	for _, other := range c.granted.contexts() {
		if other == a.context || missing == 0 || slices.Contains(c.asked.contexts(), other) {
			continue
		}
		bits = missing &^ c.granted.missing(other, a.typ, missing, a.query)
		if bits == 0 {
			_, bits = c.parts(a, other, missing)
		}
		if bits != 0 {
			return other, bits
		}
	}
	return "", 0
}

func (c *comparison) narrowed(a access, got Permission, parts []access) string {
	asked := fmt.Sprintf("You asked to %s %s; ", a.permission.words(verbs), c.name(a))
	var only byPermission
	only.add(got, what(a.typ, a.query))
	var things []string
	whole := true
	for _, p := range parts {
		thing := what(p.typ, p.query)
		if p.typ == "*" && p.query != nil {
			thing = nouns(a.typ) + strings.TrimPrefix(thing, nouns("*"))
		}
		only.add(p.permission, thing)
		things = append(things, thing)
		whole = whole && p.permission == a.permission
	}
	if whole && got == 0 {
		return asked + "it was granted for " + and(things) + " only."
	}
	return asked + "only this was granted: " + only.String() + "."
}

func movedSentence(from, to string, things []string) string {
	said := fmt.Sprintf("You asked with %s/ and it was granted with %s/ for %s: ", from, to, and(things))
	switch {
	case to == "patient":
		return said + "the access is to one patient's record only."
	case from == "patient" && to == "user":
		return said + "the access reaches as far as the person who signed in may see, which is the same where that person is the patient."
	case to == "system":
		return said + "the access is the app's own, whoever signed in."
	}
	return said + "the access reaches as far as the person who signed in may see."
}

func (c *comparison) launch() {
	for _, s := range c.asked {
		// A server that says launch alone, or names one context for it, tells context all the same.
		if s.Kind != Launch || c.granted.Covers(s) || c.granted.Has("launch") || (s.Type == "" && slices.ContainsFunc(c.granted, isLaunch)) {
			continue
		}
		switch s.Type {
		case "":
			c.less = append(c.less, "launch was not granted, so the EHR may not tell which patient and encounter are open.")
		default:
			c.less = append(c.less, fmt.Sprintf("%s was not granted, so the EHR may not tell a chosen %s.", visible(s.Text), s.Type))
		}
	}
}

func isLaunch(s Scope) bool { return s.Kind == Launch }

func (c *comparison) identity() {
	var lost []string
	for _, s := range c.asked {
		if s.Kind == Identity && !c.granted.Covers(s) {
			lost = append(lost, s.Text)
		}
	}
	if len(lost) == 0 {
		return
	}
	verb, result := "was", "it is not known who signed in"
	if len(lost) > 1 {
		verb = "were"
	} else if lost[0] != "openid" {
		result = "it may not be known which Patient or Practitioner signed in"
	}
	c.less = append(c.less, fmt.Sprintf("%s %s not granted, so %s.", and(lost), verb, result))
}

func (c *comparison) duration() {
	offline, online := c.granted.Has("offline_access"), c.granted.Has("online_access")
	switch {
	case c.asked.Has("offline_access") && !offline && online:
		c.less = append(c.less, "online_access was granted in place of offline_access: the access can be renewed only while the person is signed in at the EHR.")
	case c.asked.Has("offline_access") && !offline:
		c.less = append(c.less, "offline_access was not granted: nothing has failed, but when the access token runs out, often after an hour, a new sign-in is needed.")
	case c.asked.Has("online_access") && !online && !offline:
		c.less = append(c.less, "online_access was not granted: nothing has failed, but when the access token runs out, often after an hour, a new sign-in is needed.")
	}
	if offline && !c.asked.Has("offline_access") {
		c.more = append(c.more, "offline_access was granted without being asked for: the access can outlast the sign-in.")
	}
}

func (c *comparison) others() {
	list := func(of, in Set) []string {
		var out []string
		for _, s := range of {
			if s.Kind == Other && !in.Has(s.Text) {
				out = append(out, visible(s.Text))
			}
		}
		return out
	}
	if lost := list(c.asked, c.granted); len(lost) > 0 {
		c.less = append(c.less, "Not granted, of the server's own scopes: "+and(lost)+".")
	}
	if found := list(c.granted, c.asked); len(found) > 0 {
		c.more = append(c.more, "Granted without being asked for, of the server's own scopes: "+and(found)+".")
	}
	var context []string
	for _, s := range c.granted {
		if (s.Kind == Launch || s.Kind == Identity) && !c.asked.Covers(s) {
			context = append(context, visible(s.Text))
		}
	}
	if len(context) > 0 {
		c.alike = append(c.alike, "Also granted, which opens no data: "+and(context)+".")
	}
}

// extra tells what was granted beyond what was asked for. What version 1
// cannot say apart is not more: .read is its nearest to .r.
func (c *comparison) extra() {
	widened := c.asked.In(V1)
	var found byPermission
	for _, s := range c.granted {
		if s.Kind != Resource {
			continue
		}
		asked := c.asked
		if s.Version == V1 {
			asked = widened
		}
		p := asked.missing(s.Context, s.Type, s.Permission, s.Query)
		for key := range c.moved {
			if key[1] == s.Context {
				p = asked.missing(key[0], s.Type, p, s.Query)
			}
		}
		thing := what(s.Type, s.Query)
		if len(slices.Concat(c.asked, c.granted).contexts()) > 1 {
			thing += " (" + s.Context + "/)"
		}
		found.add(p, thing)
	}
	if len(found.order) > 0 {
		c.more = append(c.more, "More was granted than was asked for: "+found.String()+".")
	}
}

func (c *comparison) grammar() {
	asked, granted := c.asked.versions(), c.granted.versions()
	answered := slices.ContainsFunc(c.granted, func(g Scope) bool {
		return slices.ContainsFunc(c.asked, func(a Scope) bool {
			return g.Version != a.Version && g.Permission&a.Permission != 0 && (g.Type == a.Type || g.Type == "*" || a.Type == "*")
		})
	})
	switch {
	case !answered:
	case asked == 1<<V2 && granted&(1<<V1) != 0:
		c.alike = append(c.alike, "You asked as SMART 2 writes it and the server answered as SMART 1 does: .read means .rs, and .write means .cud.")
	case asked == 1<<V1 && granted&(1<<V2) != 0:
		c.alike = append(c.alike, "You asked as SMART 1 writes it and the server answered as SMART 2 does: .rs means .read, and .cud means .write.")
	}
}

// versions gives the grammars of the resource scopes, a bit each.
func (set Set) versions() int {
	out := 0
	for _, s := range set {
		if s.Kind == Resource {
			out |= 1 << s.Version
		}
	}
	return out
}
