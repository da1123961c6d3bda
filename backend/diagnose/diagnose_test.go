package diagnose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func readLoosely(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

type failer interface {
	Errorf(format string, args ...any)
}

// sound sees to it that a diagnosis is one that can be shown: something is
// always said, whole, in order, and without what must not be told.
func sound(t failer, d Diagnosis, secrets ...string) {
	if n := len(d.Causes); n < 1 || n > MaxCauses {
		t.Errorf("%d causes", n)
		return
	}
	if !slices.Contains(Stages(), d.Stage) {
		t.Errorf("the stage is %q", d.Stage)
	}
	seen := map[string]bool{}
	for i, c := range d.Causes {
		if c.ID == "" || seen[c.ID] || len(c.Evidence) == 0 || c.Against == nil || len(c.Sources) == 0 || c.Likelihood == "" || !slices.Contains(Actions(), c.Fix.Action) {
			t.Errorf("not whole: %+v", c)
		}
		seen[c.ID] = true
		for _, text := range append(slices.Concat(c.Evidence, c.Against), c.Title, c.Fix.Text, c.Distinguish) {
			if len(text) < 10 || strings.ContainsAny(text, "\n\r\t\x00") || blank.MatchString(text) {
				t.Errorf("%s says %q", c.ID, text)
			}
		}
		if blank.MatchString(c.Fix.Param) {
			t.Errorf("%s has the parameter %q", c.ID, c.Fix.Param)
		}
		if i > 0 && c.Score > d.Causes[i-1].Score {
			t.Errorf("%s is out of order", c.ID)
		}
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, s := range secrets {
		if bytes.Contains(text, []byte(s)) {
			t.Errorf("%q is told in %s", s, text)
		}
	}
}

// pools are values that mean something to some rule, by the member's name.
func pools() map[string][]string {
	p := map[string][]string{
		"Stage": {"nowhere"}, "EHR": {"epic", "other"}, "Environment": {"sandbox", "production"}, "ClientType": {"public", symmetric, asymmetric}, "Audience": {"patient", "provider"},
		"ContentType": {"text/html", "application/json", "application/fhir+json"}, "OthersAnswer": {"yes", "no"}, "AuthMethod": {"client_secret_basic", "none"},
		"Severity": {"fatal", "error", "warning"}, "Resource": {"Patient", "Observation", "patient"}, "Launch": {"issuer-unknown", "used-before"},
		"Scopes":  {"openid", "launch", "launch/patient", "offline_access", "patient/*.rs", "user/Patient.read", "system/Patient.rs", "patient/Patient.xyz", "patient/Observation.rs?category=laboratory"},
		"Refused": {"path", "method", "state-unknown", "certificate-refused"}, "Edited": {"client_id", "client_secret", "redirect_uris", "scopes", "fhir_base_url"},
		"Capabilities": {"launch-standalone", "permission-v1", "permission-v2", "sso-openid-connect"}, "AuthMethods": {"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"GrantTypes": {"authorization_code", "refresh_token"}, "ChallengeMethods": {"S256", "plain"}, "ScopesSupported": {"openid", "patient/Patient.rs"},
		"FHIRBaseURL":  {"https://ehr.example/api/FHIR/R4", "https://ehr.example/api/fhir/DSTU2/", "http://127.0.0.1:1/fhir", "::bad", "https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/"},
		"RedirectURIs": {"http://localhost:18320/callback", "https://app.example/cb", "relative/path"}, "RedirectURI": {"http://localhost:18321/callback", "/epic/callback", "http://localhost:18320/Callback"},
		"Aud": {"https://ehr.example/api/FHIR/R4/"}, "ClientID": {"3f2c1b0a-1111-4222-8333-444455556666", "app"}, "TokenType": {"Bearer", ""}, "Proxy": {"proxy.example:8080"}, "ErrorNumber": {"4"},
	}
	for _, s := range Stages() {
		p["Stage"] = append(p["Stage"], string(s))
	}
	for e := range oauthErrors {
		p["Error"] = append(p["Error"], e)
	}
	for c := range epicCodes() {
		p["EpicCode"] = append(p["EpicCode"], c)
	}
	for _, r := range table() {
		for _, ph := range r.phrases {
			for _, member := range []string{"Description", "Body", "Text"} {
				p[member] = append(p[member], strings.ReplaceAll(ph.text, "…", " x "))
			}
		}
	}
	slices.Sort(p["Error"])
	slices.Sort(p["EpicCode"])
	return p
}

// free are the members whose text comes from elsewhere: whatever stands in
// them is searched, and never told.
var free = []string{"Message", "Body", "ContentType", "WWWAuthenticate", "Server", "Error", "Description", "URI", "Severity", "Text", "EpicCode", "Issuer", "AuthorizationEndpoint", "TokenEndpoint", "JWKSURI", "JWKSURL", "RevocationEndpoint", "FHIRVersion", "TokenType", "Scope"}

// randomFacts draws facts, and puts a secret into every text that is free.
func randomFacts(t *rapid.T, codes []string, canary string) Facts {
	var f Facts
	pool := pools()
	pool["Code"] = codes
	var fill func(v reflect.Value, name string)
	fill = func(v reflect.Value, name string) {
		if v.Kind() != reflect.Struct && rapid.IntRange(0, 2).Draw(t, "blank "+name) == 0 {
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i), v.Type().Field(i).Name)
			}
		case reflect.Bool:
			v.SetBool(rapid.Bool().Draw(t, name))
		case reflect.Int:
			v.SetInt(int64(rapid.SampledFrom([]int{0, 1, 2, 200, 302, 400, 401, 403, 404, 407, 410, 429, 500, 502, 503, -1, 99999}).Draw(t, name)))
		case reflect.Int64:
			v.SetInt(rapid.SampledFrom([]int64{0, 1, int64(time.Second), int64(time.Minute), int64(time.Hour), int64(1000 * time.Hour), -int64(time.Hour), 1<<63 - 1, -1 << 63}).Draw(t, name))
		case reflect.String:
			text := rapid.String().Draw(t, name)
			if p := pool[name]; len(p) > 0 && rapid.IntRange(0, 3).Draw(t, "known "+name) > 0 {
				text = rapid.SampledFrom(p).Draw(t, name)
			}
			switch {
			case slices.Contains(free, name):
				text += " " + canary
			case strings.HasPrefix(text, "http"):
				// An address may be told, but not what is secret in one.
				text = strings.Replace(text, "://", "://user:"+canary+"@", 1) + "?code=" + canary + "#" + canary
			}
			v.SetString(text)
		case reflect.Slice:
			n := rapid.IntRange(0, 4).Draw(t, "number of "+name)
			list := reflect.MakeSlice(v.Type(), n, n)
			for i := range n {
				fill(list.Index(i), name)
			}
			v.Set(list)
		case reflect.Map:
			f.Probes = map[ProbeID]string{}
			for _, p := range Probes() {
				f.Probes[p.ID] = rapid.SampledFrom(p.Results).Draw(t, string(p.ID)).Result
			}
		default:
			panic(fmt.Sprintf("nothing draws a %s (%s)", v.Kind(), name))
		}
	}
	fill(reflect.ValueOf(&f).Elem(), "")
	return f
}

// rulesCodes are the codes that the cases have.
func caseCodes(t testing.TB) []string {
	var cases []causeCase
	readLoosely(t, "testdata/cause-cases.json", &cases)
	var out []string
	for _, c := range cases {
		out = append(out, c.Facts.Fault.Code)
	}
	return out
}

func TestWhateverTheFactsAreThereIsAdviceAndNoSecret(t *testing.T) {
	codes := caseCodes(t)
	const canary = "Zk9CanaryQ7f3aa81bd20"
	rapid.Check(t, func(t *rapid.T) {
		f := randomFacts(t, codes, canary)
		d := Diagnose(f)
		sound(t, d, canary)
		if again := Diagnose(f); !reflect.DeepEqual(d, again) {
			t.Errorf("the same facts gave another diagnosis:\n%+v\n%+v", d, again)
		}
	})
}

func FuzzDiagnose(f *testing.F) {
	var list []json.RawMessage
	readLoosely(f, "testdata/cause-cases.json", &list)
	for _, c := range list {
		var one struct{ Facts json.RawMessage }
		if err := json.Unmarshal(c, &one); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(one.Facts))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var facts Facts
		if json.Unmarshal(text, &facts) != nil {
			return
		}
		sound(t, Diagnose(facts))
	})
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_client","client_secret":"p+ss:w%rd/x"}`), "p+ss:w%rd/x")
	f.Add([]byte("secret=%70%2Bss"), "p+ss")
	f.Fuzz(func(t *testing.T, body []byte, secret string) {
		if len(secret) < 4 || strings.Contains(secret, mark) || strings.Contains(mark, secret) {
			return
		}
		got := Excerpt(append(body, []byte(" "+secret)...), secret)
		if len(got) > maxSearched || strings.Contains(got, secret) {
			t.Errorf("%q is left of %q without %q", got, body, secret)
		}
	})
}
