package simulator

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// steer sends a request to a control endpoint.
func (r running) steer(method, path, body string, edit func(*http.Request)) (*http.Response, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.Origin()+path, strings.NewReader(body))
	must(r.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if edit != nil {
		edit(req)
	}
	return r.do(req)
}

// on gives the names that an answer tells to be on, and how many it lists.
func on(body map[string]any, list string) (names []string, listed int) {
	rows, _ := body[list].([]any)
	for _, row := range rows {
		if o, ok := row.(map[string]any); ok && o["on"] == true {
			names = append(names, word(o["name"]))
		}
	}
	return names, len(rows)
}

func TestFaultsAreSwitchedWhileItRuns(t *testing.T) {
	r := start(t, Options{})
	resp, body := r.steer(http.MethodGet, "/control/faults", "", nil)
	if names, listed := on(body, "faults"); resp.StatusCode != http.StatusOK || len(names) != 0 || listed != len(Faults()) {
		t.Errorf("%d %v of %d", resp.StatusCode, names, listed)
	}
	resp, body = r.steer(http.MethodPut, "/control/faults", `{"on":["fhir-503","discovery-503"]}`, nil)
	if names, _ := on(body, "faults"); resp.StatusCode != http.StatusOK || !slices.Equal(names, []string{"discovery-503", "fhir-503"}) {
		t.Errorf("%d %v", resp.StatusCode, names)
	}
	if resp, _ := r.get("metadata", "", nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the fault does not act: %d", resp.StatusCode)
	}
	resp, body = r.steer(http.MethodPut, "/control/faults", `{"on":["no-scope","teapot"]}`, nil)
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(word(body["error_description"]), "teapot") || len(r.Faults()) != 2 {
		t.Errorf("an unknown fault: %d %v", resp.StatusCode, body)
	}
	if _, body = r.steer(http.MethodPut, "/control/faults", `{}`, nil); len(r.Faults()) != 0 {
		t.Errorf("all off: %v, %v", body, r.Faults())
	}
}

func TestTraitsAreSwitchedWhileItRuns(t *testing.T) {
	r := start(t, Options{})
	resp, body := r.steer(http.MethodPut, "/control/traits", `{"profile":"epic"}`, nil)
	if names, listed := on(body, "traits"); resp.StatusCode != http.StatusOK || body["profile"] != "epic" || len(names) != len(traitNames(true)) || listed != len(Traits()) {
		t.Errorf("%d %v of %d", resp.StatusCode, names, listed)
	}
	_, body = r.steer(http.MethodPut, "/control/traits", `{"on":["string-banner"]}`, nil)
	if names, _ := on(body, "traits"); body["profile"] != "" || !slices.Equal(names, []string{"string-banner"}) {
		t.Errorf("%v", body)
	}
	for _, bad := range []string{`{"profile":"other"}`, `{"on":["teapot"]}`, `{"profile":"spec","on":[]}`, `{}`} {
		if resp, body := r.steer(http.MethodPut, "/control/traits", bad, nil); resp.StatusCode != http.StatusUnprocessableEntity || body["error_description"] == nil || !slices.Equal(r.Traits(), []string{"string-banner"}) {
			t.Errorf("%s: %d %v, then %v", bad, resp.StatusCode, body, r.Traits())
		}
	}
	if _, body = r.steer(http.MethodPut, "/control/traits", `{"on":[]}`, nil); body["profile"] != "spec" || len(r.Traits()) != 0 {
		t.Errorf("all off: %v", body)
	}
	if _, body = r.steer(http.MethodGet, "/control/traits", "", nil); body["profile"] != "spec" {
		t.Errorf("%v", body)
	}
}

func TestNobodyElseControlsTheServer(t *testing.T) {
	r := start(t, Options{Faults: []string{"no-scope"}, Profile: ProfileEpic})
	for name, c := range map[string]struct {
		edit   func(*http.Request)
		body   string
		status int
	}{
		"another origin":        {func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") }, `{}`, http.StatusForbidden},
		"an opaque origin":      {func(q *http.Request) { q.Header.Set("Origin", "null") }, `{}`, http.StatusForbidden},
		"another port":          {func(q *http.Request) { q.Header.Set("Origin", "http://localhost:1") }, `{}`, http.StatusForbidden},
		"a browser's word":      {func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }, `{}`, http.StatusForbidden},
		"a form":                {func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, `on=`, http.StatusUnsupportedMediaType},
		"plain text":            {func(q *http.Request) { q.Header.Set("Content-Type", "text/plain") }, `{}`, http.StatusUnsupportedMediaType},
		"another host":          {func(q *http.Request) { q.Host = "evil.example" }, `{}`, http.StatusMisdirectedRequest},
		"no JSON":               {nil, `{`, http.StatusBadRequest},
		"two objects":           {nil, `{}{}`, http.StatusBadRequest},
		"a member nobody knows": {nil, `{"off":[]}`, http.StatusBadRequest},
		"another type":          {nil, `{"on":"no-scope"}`, http.StatusBadRequest},
	} {
		for _, path := range []string{"/control/faults", "/control/traits"} {
			resp, body := r.steer(http.MethodPut, path, c.body, c.edit)
			if resp.StatusCode != c.status || !slices.Equal(r.Faults(), []string{"no-scope"}) || r.Profile() != ProfileEpic {
				t.Errorf("%s %s: %d %v, then %v and %q", name, path, resp.StatusCode, body, r.Faults(), r.Profile())
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: another page may read %s", name, path)
			}
		}
	}
	if resp, _ := r.steer(http.MethodOptions, "/control/faults", "", func(q *http.Request) {
		q.Header.Set("Origin", "https://evil.example")
		q.Header.Set("Access-Control-Request-Method", "PUT")
	}); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a browser would let another page send it")
	}
	// The server's own page may.
	if resp, _ := r.steer(http.MethodPut, "/control/faults", `{}`, func(q *http.Request) {
		q.Header.Set("Origin", r.Origin())
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}); resp.StatusCode != http.StatusOK || len(r.Faults()) != 0 {
		t.Errorf("its own page: %d", resp.StatusCode)
	}
}
