package smart_test

import (
	"net/url"
	"strings"
	"testing"

	"chartkey/backend/smart"
)

func TestCheckBaseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/": "",
		"https://interconnect.brgeneral.org/oauth/api/FHIR/R4":       "",
		"https://ehr.example/":                                             "",
		"http://localhost:18340/fhir":                                      "",
		"http://127.0.0.1:18340/fhir":                                      "",
		"http://[::1]:18340/fhir":                                          "",
		"":                                                                 "base-url-missing",
		"fhir.epic.com/api/FHIR/R4":                                        "base-url-no-scheme",
		"localhost:8080/fhir":                                              "base-url-no-scheme",
		"https:ehr.example/fhir":                                           "base-url-no-scheme",
		"https://":                                                         "base-url-not-a-url",
		"https:///fhir":                                                    "base-url-not-a-url",
		"https://ehr.example:port/fhir":                                    "base-url-not-a-url",
		`https://ehr.example\fhir`:                                         "base-url-not-a-url",
		"https://[fe80::1%25eth0]/fhir":                                    "base-url-not-a-url",
		"https://%D0%B5hr.example/fhir":                                    "base-url-not-a-url",
		"https://ehr.example/%zz":                                          "base-url-not-a-url",
		"http://ehr.example/fhir":                                          "base-url-not-https",
		"http://localhost.ehr.example/fhir":                                "base-url-not-https",
		"ftp://ehr.example/fhir":                                           "base-url-scheme",
		"https://user:pw@ehr.example/fhir":                                 "base-url-user-info",
		"https://ehr.example/fhir#top":                                     "base-url-fragment",
		"https://ehr.example/fhir#":                                        "base-url-fragment",
		"https://ehr.example/fhir?x=1":                                     "base-url-query",
		"https://ehr.example/fhir?":                                        "base-url-query",
		"https://ehr.example/fhir/../x":                                    "base-url-dot-segments",
		"https://ehr.example/fhir/%2e%2E/x":                                "base-url-dot-segments",
		"https://ehr.example/fhir/metadata":                                "base-url-metadata",
		"https://ehr.example/fhir/metadata/":                               "base-url-metadata",
		"https://ehr.example/fhir/.well-known/smart-configuration":         "base-url-well-known",
		"https://ehr.example/fhir/.well-known":                             "base-url-well-known",
		"https://ehr.example/api/FHIR/DSTU2/":                              "base-url-version",
		"https://ehr.example/api/FHIR/STU3":                                "base-url-version",
		"https://fhir.epic.com/interconnect-fhir-oauth/oauth2/authorize":   "base-url-oauth",
		"https://fhir.epic.com/interconnect-fhir-oauth/oauth2/token":       "base-url-oauth",
		"https://fhir.epic.com/interconnect-fhir-oauth/oauth2":             "base-url-oauth",
		" https://ehr.example/fhir":                                        "base-url-white-space",
		"https://ehr.example/fhir\n":                                       "base-url-white-space",
		"https://ehr.example/fh ir":                                        "base-url-white-space",
		"https://ehr.example/\u00a0fhir":                                   "base-url-white-space",
		"https://ehr.example/\u200bfhir":                                   "base-url-invisible-character",
		"https://ehr.example/\u202efhir":                                   "base-url-invisible-character",
		"https://ehr.example/\x00fhir":                                     "base-url-invisible-character",
		"https://ehr.ex\u0430mple/fhir":                                    "base-url-not-ascii",
		"https://ehr.example/fhir,https://other.example/fhir https://more": "base-url-white-space",
	} {
		t.Run(raw, func(t *testing.T) {
			problems := smart.CheckBaseURL(raw)
			if want == "" {
				if len(problems) != 0 {
					t.Errorf("problems: %+v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Code != want {
				t.Fatalf("problems %+v, want %s", problems, want)
			}
			if p := problems[0]; p.Message == "" || p.Advice == "" || p.Fault().Code != want {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestCheckBaseURLTellsAllAtOnce(t *testing.T) {
	if problems := smart.CheckBaseURL("http://u@ehr.example/fhir/../metadata?x#y"); len(problems) != 6 {
		t.Errorf("%d problems: %+v", len(problems), problems)
	}
}

func TestNormalizeBaseURL(t *testing.T) {
	same := func(a, b string) bool {
		x, err1 := smart.NormalizeBaseURL(a)
		y, err2 := smart.NormalizeBaseURL(b)
		return err1 == nil && err2 == nil && x == y
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"HTTPS://EHR.example:443/fhir", "https://ehr.example/fhir/", true},
		{"http://LOCALHOST:80/fhir", "http://localhost/fhir", true},
		{"https://ehr.example", "https://ehr.example/", true},
		{"https://ehr.example:/x", "https://ehr.example/x", true},
		{"https://ehr.example/FHIR", "https://ehr.example/fhir", false},
		{"https://ehr.example.evil/fhir", "https://ehr.example/fhir", false},
		{"https://ehr.example:8443/fhir", "https://ehr.example/fhir", false},
		{"http://ehr.example:443/fhir", "https://ehr.example/fhir", false},
		{"https://ehr.example/a%2Fb", "https://ehr.example/a/b", false},
		{"https://ehr.example/fhir//", "https://ehr.example/fhir", false},
	} {
		if same(c.a, c.b) != c.same {
			t.Errorf("%s and %s: same is %v", c.a, c.b, !c.same)
		}
	}
	for _, raw := range []string{
		"https://ehr.example/fhir/../x", "https://ehr.example/./fhir", "https://ehr.example/%2e%2e/x", "https://u@ehr.example/fhir", "https://ehr.example/fhir?x",
		"https://ehr.example/fhir#", "ehr.example/fhir", "file:///etc", "", "https://ehr.example/ fhir", "https:ehr.example", "https://\u0435hr.example/",
	} {
		if n, err := smart.NormalizeBaseURL(raw); err == nil {
			t.Errorf("%q became %q", raw, n)
		}
	}
}

func FuzzBaseURL(f *testing.F) {
	for _, s := range []string{"https://ehr.example/fhir", "HTTP://LocalHost:80/x/", "https://a/%2e%2e/", "https://u:p@h/?q#f", "https://[::1%25lo]/", "//x", "https://x:443:443/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		normal, err := smart.NormalizeBaseURL(raw)
		if err == nil {
			again, err := smart.NormalizeBaseURL(normal)
			if err != nil || strings.TrimSuffix(normal, "/") != again {
				t.Errorf("%q: %q is not stable: %q, %v", raw, normal, again, err)
			}
		}
		if len(smart.CheckBaseURL(raw)) != 0 {
			return
		}
		if err != nil {
			t.Errorf("%q can be saved and not compared: %v", raw, err)
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Path, "/../") {
			t.Errorf("%q was accepted", raw)
		}
		if !strings.EqualFold(u.Scheme, "https") && !smart.IsLoopbackHost(u.Hostname()) {
			t.Errorf("%q was accepted without https", raw)
		}
	})
}
