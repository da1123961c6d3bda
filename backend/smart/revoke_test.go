package smart_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
)

func TestRevokeEndsBothTokens(t *testing.T) {
	e := newEHR(t)
	e.revoke = says(200, "")
	auth := smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "my-app", Secret: secret.New("s")}
	if err := (&smart.Client{}).Revoke(context.Background(), e.cfg(), auth, secret.New("rt"), secret.New("at")); err != nil {
		t.Fatal(err)
	}
	if len(e.seen()) != 2 {
		t.Fatalf("%d requests", len(e.seen()))
	}
	for i, want := range [][2]string{{"rt", "refresh_token"}, {"at", "access_token"}} {
		q := e.seen()[i]
		if q.path != "/revoke" || q.form.Get("token") != want[0] || q.form.Get("token_type_hint") != want[1] || q.user != "my-app" || q.password != "s" || q.form.Has("client_id") {
			t.Errorf("%+v", q)
		}
	}
}

func TestRevoke(t *testing.T) {
	rt, at := secret.New("rt-canary"), secret.New("at-canary")
	onlyRefresh := func(w http.ResponseWriter, r *http.Request) {
		if r.PostForm.Get("token_type_hint") == "access_token" {
			says(400, `{"error":"unsupported_token_type"}`)(w, r)
		}
	}
	for _, c := range []struct {
		name            string
		answer          http.HandlerFunc
		refresh, access secret.Value
		requests        int
		code            string
	}{
		{"public names itself", says(200, ""), rt, secret.Value{}, 1, ""},
		{"nothing to revoke", says(200, ""), secret.Value{}, secret.Value{}, 0, ""},
		{"access token alone", says(204, ""), secret.Value{}, at, 1, ""},
		{"access tokens cannot be revoked", onlyRefresh, rt, at, 2, ""},
		{"and there was no other", onlyRefresh, secret.Value{}, at, 1, "token-type-not-revocable"},
		{"client refused", says(401, `{"error":"invalid_client","error_description":"rt-canary"}`), rt, at, 1, "client-refused"},
		{"down", says(503, ""), rt, at, 1, "server-unavailable"},
		{"page", says(404, "<html>"), rt, at, 1, "revocation-refused"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/token", http.StatusTemporaryRedirect)
		}, rt, at, 1, "revocation-refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEHR(t)
			e.revoke = c.answer
			err := (&smart.Client{}).Revoke(context.Background(), e.cfg(), public, c.refresh, c.access)
			if fault.Code(err) != c.code || len(e.seen()) != c.requests {
				t.Errorf("%v after %d requests", err, len(e.seen()))
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Error(err)
			}
			if c.requests > 0 && e.seen()[0].form.Get("client_id") != "my-app" {
				t.Errorf("%+v", e.seen()[0])
			}
		})
	}
	if err := (&smart.Client{}).Revoke(context.Background(), smart.Configuration{}, public, rt, at); fault.Code(err) != "revocation-unsupported" {
		t.Error(err)
	}
	if err := (&smart.Client{}).Revoke(context.Background(), smart.Configuration{RevocationEndpoint: "http://ehr.example/r"}, public, rt, at); fault.Code(err) != "revocation-unsupported" {
		t.Error(err)
	}
}

func TestRevokeTriesTheOtherEncoding(t *testing.T) {
	e := newEHR(t)
	e.revoke = func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "s+/" {
			says(401, `{"error":"invalid_client"}`)(w, r)
		}
	}
	auth := smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "my-app", Secret: secret.New("s+/")}
	if err := (&smart.Client{}).Revoke(context.Background(), e.cfg(), auth, secret.New("rt"), secret.Value{}); err != nil || len(e.seen()) != 2 {
		t.Errorf("%v after %d requests", err, len(e.seen()))
	}
}
