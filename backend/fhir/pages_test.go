package fhir_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/network"
)

// paged answers page n of a search with one entry and a link to next(n), or none where that is "".
func paged(next func(n int, r *http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &n)
		link := ""
		if to := next(n, r); to != "" {
			b, _ := json.Marshal(to)
			link = `,{"relation":"next","url":` + string(b) + `}`
		}
		sends(200, fmt.Sprintf(`{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"x"}%s],"entry":[{"resource":{"resourceType":"Observation","id":"o%d"}},{"search":{}}]}`, link, n))(w, r)
	}
}

func collect(c *fhir.Client, max int) ([]string, error) {
	var ids []string
	err := c.Pages(context.Background(), "Observation?patient=1", max, func(entry json.RawMessage) error {
		var e struct{ ID string }
		if err := json.Unmarshal(entry, &e); err != nil {
			return err
		}
		ids = append(ids, e.ID)
		return nil
	})
	return ids, err
}

func TestPagesFollowsLinksAtHome(t *testing.T) {
	for name, form := range map[string]string{"absolute": "http://HOST/fhir/Observation?page=%d", "relative": "Observation?page=%d", "query": "?page=%d", "rooted": "/fhir?page=%d"} {
		t.Run(name, func(t *testing.T) {
			c, _ := client(t, paged(func(n int, r *http.Request) string {
				if r.Header.Get("Authorization") != "Bearer at-canary" {
					t.Error("no token")
				}
				if n == 2 {
					return ""
				}
				return fmt.Sprintf(strings.Replace(form, "HOST", r.Host, 1), n+1)
			}))
			if ids, err := collect(c, 0); err != nil || strings.Join(ids, " ") != "o0 o1 o2" {
				t.Errorf("%v, %v", ids, err)
			}
		})
	}
}

func TestPagesStops(t *testing.T) {
	asked := atomic.Int32{}
	endless := func(n int, _ *http.Request) string {
		asked.Add(1)
		return fmt.Sprintf("?page=%d", n+1)
	}
	c, _ := client(t, paged(endless))
	if ids, err := collect(c, 2); err != nil || len(ids) != 2 || asked.Load() != 2 {
		t.Errorf("%v, %v after %d requests", ids, err, asked.Load())
	}
	if ids, err := collect(c, 0); fault.Code(err) != "fhir-paging-endless" || len(ids) != 1000 {
		t.Errorf("%d entries, %v", len(ids), err)
	}
	c, _ = client(t, paged(func(n int, _ *http.Request) string { return fmt.Sprintf("Observation?page=%d", (n+1)%3) }))
	if ids, err := collect(c, 0); fault.Code(err) != "fhir-paging-loop" || len(ids) != 4 {
		t.Errorf("%v, %v", ids, err)
	}
	enough := errors.New("enough")
	if err := c.Pages(context.Background(), "Observation", 0, func(json.RawMessage) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	c, _ = client(t, sends(200, patient))
	if _, err := collect(c, 0); fault.Code(err) != "fhir-not-a-bundle" {
		t.Error(err)
	}
}

func TestPagesNeverLeaveTheServer(t *testing.T) {
	reached := atomic.Int32{}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	for _, link := range []string{
		other.URL + "/fhir?page=1", "//" + strings.TrimPrefix(other.URL, "http://") + "/x", "https://HOST/fhir?page=1", "http://u@HOST/fhir", "http://HOST.evil.example/",
		`\\evil.example\x`, "javascript:alert(1)", "http:evil", "http://HOST/fhir?a b", "ftp://HOST/fhir", "http://HOST@evil.example/",
	} {
		c, _ := client(t, paged(func(n int, r *http.Request) string { return strings.Replace(link, "HOST", r.Host, 1) }))
		if ids, err := collect(c, 0); fault.Code(err) != "fhir-next-elsewhere" || len(ids) != 1 {
			t.Errorf("%s: %v, %v", link, ids, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("another server was reached")
	}
}

func FuzzNextLink(f *testing.F) {
	for _, s := range []string{"https://ehr.example/fhir?page=2", "?page=2", "//evil.example/", "https://ehr.example:443/x", "https://ehr.example@evil.example/", "http://ehr.example/", "/..//x", "\\\\x", "https:x", "https://EHR.example/%2e%2e/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, link string) {
		b, err := json.Marshal(link)
		if err != nil {
			return
		}
		asked := 0
		c := &fhir.Client{BaseURL: "https://ehr.example/fhir", Token: token("at"), HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) *httptest.ResponseRecorder {
			asked++
			home := &url.URL{Scheme: "https", Host: "ehr.example"}
			if !network.SameOrigin(r.URL, home) || !strings.EqualFold(r.URL.Hostname(), "ehr.example") || (r.Host != "" && !strings.EqualFold(strings.TrimSuffix(strings.TrimSuffix(r.Host, "443"), ":"), "ehr.example")) {
				t.Errorf("%q led to %s (host %s)", link, r.URL, r.Host)
			}
			w := httptest.NewRecorder()
			_, _ = w.WriteString(`{"resourceType":"Bundle","link":[{"relation":"next","url":` + string(b) + `}]}`)
			return w
		})}}
		if err := c.Pages(context.Background(), "Observation", 0, nil); err == nil && link != "" {
			t.Errorf("%q ended the search", link)
		}
		if asked > 3 {
			t.Errorf("%q was asked for %d times", link, asked)
		}
	})
}

type roundTripper func(*http.Request) *httptest.ResponseRecorder

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := f(r).Result()
	resp.Request = r
	return resp, nil
}
