package simulator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOpenLaunch(t *testing.T) {
	r := start(t, Options{})
	answer := func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, r.authorizeURL(r.request(map[string]string{"client_id": "chartkey-provider", "aud": q.URL.Query().Get("iss"), "launch": q.URL.Query().Get("launch"), "scope": ehrScopes})), http.StatusFound)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/launch":
			http.Redirect(w, q, "/onwards?"+q.URL.RawQuery, http.StatusFound)
		case "/onwards":
			answer(w, q)
		case "/circle":
			http.Redirect(w, q, "/circle", http.StatusFound)
		default:
			_, _ = w.Write([]byte(`<p role="alert">The issuer is not known.</p>`))
		}
	}))
	defer app.Close()
	open := func(path string) (string, error) {
		to, err := r.Launch(LaunchRequest{Patient: "amara-nwosu", LaunchURL: app.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		return OpenLaunch(t.Context(), to, Choice{Hold: true})
	}
	final, err := open("/launch")
	if err != nil || !strings.HasPrefix(final, testRedirect+"?code=") {
		t.Errorf("%q, %v", final, err)
	}
	for path, want := range map[string]string{"/circle": "circles", "/pending": "The issuer is not known"} {
		if _, err := open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, elsewhere := range []string{"https://app.example/launch?launch=x", "x"} {
		if _, err := OpenLaunch(t.Context(), elsewhere, Choice{}); err == nil || strings.Contains(err.Error(), "launch=x") {
			t.Errorf("%s: %v", elsewhere, err)
		}
	}
}
