package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// control posts JSON as a program does.
func (r running) control(path, body string, edit func(*http.Request)) (*http.Response, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.Origin()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if edit != nil {
		edit(req)
	}
	return r.do(req)
}

func TestControlLaunch(t *testing.T) {
	r := start(t, Options{})
	resp, body := r.control("/control/launch", `{"user":"dr.okafor","patient":"amara-nwosu","intent":"x","need_patient_banner":true,"client_id":"chartkey-provider","fhir_context":[{"reference":"Task/1"}]}`, nil)
	u, err := url.Parse(word(body["launch_url"]))
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(u.String(), presetLaunchURL+"?") || u.Query().Get("iss") != r.FHIRBaseURL() || u.Query().Get("launch") == "" {
		t.Fatalf("%d %v", resp.StatusCode, body)
	}
	for name, test := range map[string]struct {
		body   string
		edit   func(*http.Request)
		status int
	}{
		"no JSON":                   {`{`, nil, 400},
		"an unknown member":         {`{"patientt":"x"}`, nil, 400},
		"two objects":               {`{}{}`, nil, 400},
		"an unknown patient":        {`{"patient":"nobody"}`, nil, 422},
		"a form":                    {`user=dr.okafor`, func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415},
		"text, as a page may send":  {`{}`, func(q *http.Request) { q.Header.Set("Content-Type", "text/plain") }, 415},
		"a page of another site":    {`{}`, func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") }, 403},
		"the same, by fetch header": {`{}`, func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"a name that is not ours":   {`{}`, func(q *http.Request) { q.Host = "evil.example:80" }, 421},
		"an endless body":           {`{"intent":"` + strings.Repeat("x", maxBody) + `"}`, nil, 400},
	} {
		if resp, body := r.control("/control/launch", test.body, test.edit); resp.StatusCode != test.status || body["launch_url"] != nil {
			t.Errorf("%s: %d %v", name, resp.StatusCode, body)
		}
	}
	if resp, _ := r.control("/control/launch", `{}`, func(q *http.Request) { q.Header.Set("Origin", r.Origin()) }); resp.StatusCode != 200 {
		t.Errorf("our own page: %d", resp.StatusCode)
	}
}

func TestPortal(t *testing.T) {
	r := start(t, Options{})
	b := newBrowser(t, r)
	resp, page := r.visit(b, http.MethodGet, r.PortalURL()+"?user=dr.lindqvist&patient=daniel-whitlock&encounter=amara-nwosu-visit-1&intent=%3Cscript%3E", nil)
	for _, want := range []string{`value="dr.lindqvist" selected`, `value="daniel-whitlock" selected`, `value="daniel-whitlock-visit-1"`, `&lt;script&gt;`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, `value="amara-nwosu-visit-1"`) {
		t.Error("another patient's visit is offered")
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "script-src") {
		t.Errorf("policy %q", policy)
	}
	// Each control has a label.
	for _, m := range regexp.MustCompile(`<(?:select|textarea|input) id="([a-z_]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `<label for="`+m[1]+`"`) {
			t.Errorf("%s has no label", m[1])
		}
	}
	if regexp.MustCompile(`(?i)<script|\son[a-z]+=|style="`).MatchString(page) {
		t.Error("the page has inline script or style, which its policy blocks")
	}
	_, page = r.visit(b, http.MethodGet, r.PortalURL()+"?user=sofia", nil)
	if !strings.Contains(page, `value="luca-marchetti"`) || strings.Contains(page, `value="amara-nwosu"`) {
		t.Error("a mother is not offered her own records alone")
	}

	form := url.Values{
		"user": {"dr.okafor"}, "patient": {"daniel-whitlock"}, "encounter": {"daniel-whitlock-visit-1"}, "client_id": {"chartkey-provider"}, "launch_url": {"http://127.0.0.1:9/start"},
		"intent": {"order"}, "need_patient_banner": {"false"}, "style": {"none"}, "smart_style_url": {"https://ehr.example/style.json"}, "tenant": {"north"},
		"fhir_context": {"ImagingStudy/7\r\nhttps://questionnaires.example/phq-9|1 questionnaire-open\r\n"}, "skip_consent": {"on"},
	}
	resp, _ = r.visit(b, http.MethodPost, r.Origin()+"/launch", form)
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther || to.Host != "127.0.0.1:9" || to.Path != "/start" {
		t.Fatalf("%d to %v", resp.StatusCode, to)
	}
	body := r.connect(map[string]string{"client_id": "chartkey-provider", "launch": to.Query().Get("launch"), "scope": ehrScopes}, Choice{})
	want := map[string]any{
		"patient": "daniel-whitlock", "encounter": "daniel-whitlock-visit-1", "intent": "order", "need_patient_banner": false, "smart_style_url": "https://ehr.example/style.json", "tenant": "north",
		"fhirContext": []any{map[string]any{"reference": "ImagingStudy/7"}, map[string]any{"canonical": "https://questionnaires.example/phq-9|1", "role": "questionnaire-open"}},
	}
	for name := range want {
		if !reflect.DeepEqual(body[name], want[name]) {
			t.Errorf("%s is %v", name, body[name])
		}
	}

	form.Set("patient", "amara-nwosu")
	resp, page = r.visit(b, http.MethodPost, r.Origin()+"/launch", form)
	if resp.StatusCode != 422 || !strings.Contains(page, `role="alert"`) || !strings.Contains(page, `value="order"`) {
		t.Errorf("another's visit: %d", resp.StatusCode)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Origin()+"/launch", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://evil.example")
	if resp, _ := r.do(req); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %d", resp.StatusCode)
	}
}

func TestParseFHIRContext(t *testing.T) {
	for text, want := range map[string][]FHIRContextItem{
		"":                              nil,
		" \n\n":                         nil,
		"Task/1":                        {{Reference: "Task/1"}},
		"Task/1 https://x/role\nTask/2": {{Reference: "Task/1", Role: "https://x/role"}, {Reference: "Task/2"}},
		"https://ehr.example/r4/Task/1": {{Reference: "https://ehr.example/r4/Task/1"}},
		"urn:x:y launch":                {{Canonical: "urn:x:y", Role: "launch"}},
		`[{"reference":"Task/1"}]`:      {{Reference: "Task/1"}},
	} {
		if got, err := parseFHIRContext(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a b c", "[", "[{}] x", `[{"ref":"x"}]`} {
		if got, err := parseFHIRContext(text); err == nil {
			t.Errorf("%q: taken as %v", text, got)
		}
	}
}

// FuzzControlLaunch: whatever the JSON, the answer is a launch at an http
// address or a refusal in JSON.
func FuzzControlLaunch(f *testing.F) {
	s := fuzzServer(f)
	for _, seed := range []string{
		`{}`, `{"user":"amara","patient":"amara-nwosu"}`, `{"launch_url":"javascript:alert(1)"}`, `{"encounter":"amara-nwosu-visit-1","style":"dark"}`,
		`{"fhir_context":[{"identifier":{"value":"1"}},{"canonical":"https://x/y|1","role":"z"}],"need_patient_banner":null}`, `[]`, `{"launch_url":"http://a b/"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := ask(s, http.MethodPost, "/control/launch", string(raw), map[string]string{"Content-Type": "application/json"})
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code != 200 {
			if answer["error"] == nil || answer["launch_url"] != nil {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return
		}
		u, err := url.Parse(word(answer["launch_url"]))
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Query().Get("launch") == "" || bytes.ContainsAny([]byte(u.String()), "\r\n") {
			t.Fatalf("launched at %q", answer["launch_url"])
		}
	})
}

// FuzzFHIRContext: what the portal takes is nothing that cannot be said in JSON.
func FuzzFHIRContext(f *testing.F) {
	f.Add("Task/1 role\nhttps://x/y")
	f.Add(`[{"reference":"Task/1"}]`)
	f.Add("[")
	f.Fuzz(func(t *testing.T, text string) {
		items, err := parseFHIRContext(text)
		if err != nil {
			return
		}
		for _, item := range items {
			if item.check() == nil {
				if _, err := json.Marshal(item); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
