package simulator

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadClients(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clients.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`[{"client_id":"mine","client_name":"Mine","client_type":"confidential-symmetric","client_secret":"s","redirect_uris":["http://localhost:9/cb"],"scopes":"patient/*.rs openid"},
	{"client_id":"chartkey-demo","client_type":"public","redirect_uris":["http://localhost:10/cb"]}]`)
	clients, err := LoadClients(file)
	if err != nil || len(clients) != 2 {
		t.Fatal(err)
	}
	s, err := New(Options{Clients: clients})
	if err != nil {
		t.Fatal(err)
	}
	all := s.Clients()
	mine, _ := s.client("mine")
	demo, _ := s.client("chartkey-demo")
	if len(all) != len(presetClients())+1 || mine.Scopes != "patient/*.rs openid" || demo.RedirectURIs[0] != "http://localhost:10/cb" {
		t.Errorf("clients %v", all)
	}

	// The public key of RFC 6979's example for P-384; what follows it may make it private.
	const ecKey = `{"kty":"EC","crv":"P-384","kid":"1","x":"7DpOQVtOGaRWhhgCn0J_pdqai8SukuAuBqrlKGswDGTe-PDqkFWGYGSiVFFUgLwT","y":"gBXZty19VyROqO-awMYhiWcIpZNn-d-59UyoSz8cnbEoiyMcOuDU_nNE_SUzJkcg",`
	entry := func(id, typ, secret, redirect, scopes string) string {
		return fmt.Sprintf(`[{"client_id":%q,"client_type":%q,"client_secret":%q,"redirect_uris":[%q],"scopes":%q}]`, id, typ, secret, redirect, scopes)
	}
	const cb = "http://localhost:9/cb"
	for name, test := range map[string]struct{ text, want string }{
		"no JSON":              {`{`, "JSON array"},
		"one object":           {`{"client_id":"x"}`, "JSON array"},
		"a misspelt member":    {`[{"client_id":"x","redirect_uri":"y"}]`, "redirect_uri"},
		"something behind":     {entry("x", "public", "", cb, "") + "x", "follows"},
		"no ID":                {entry("", "public", "", cb, ""), "client_id"},
		"an odd ID":            {entry("x\u00e9", "public", "", cb, ""), "ASCII"},
		"no type":              {entry("x", "", "", cb, ""), "client_type"},
		"another type":         {entry("x", "secret", "", cb, ""), "secret"},
		"public with a secret": {entry("x", "public", "s", cb, ""), "no client_secret"},
		"secret missing":       {entry("x", "confidential-symmetric", "", cb, ""), "needs a client_secret"},
		"relative redirect":    {entry("x", "public", "", "/cb", ""), "absolute"},
		"redirect fragment":    {entry("x", "public", "", cb+"#x", ""), "fragment"},
		"script redirect":      {entry("x", "public", "", "javascript:alert(1)", ""), "scheme"},
		"redirect to no host":  {entry("x", "public", "", "http:/cb", ""), "host"},
		"a broken scope":       {entry("x", "public", "", cb, "patient/x.rs"), "resource type"},
		"no redirect":          {`[{"client_id":"x","client_type":"public"}]`, "redirect_uris"},
		"no keys":              {entry("x", "confidential-asymmetric", "", cb, ""), "jwks"},
		"keys and a secret":    {entry("x", "confidential-asymmetric", "s", cb, ""), "no client_secret"},
		"public with keys":     {`[{"client_id":"x","client_type":"public","jwks_uri":"https://x.example/jwks"}]`, "no keys"},
		"keys over http":       {`[{"client_id":"x","client_type":"confidential-asymmetric","jwks_uri":"http://x.example/jwks"}]`, "https"},
		"an empty key set":     {`[{"client_id":"x","client_type":"confidential-asymmetric","jwks":{"keys":[]}}]`, "no key"},
		"a private key":        {`[{"client_id":"x","client_type":"confidential-asymmetric","jwks":{"keys":[` + ecKey + `"d":"` + strings.Repeat("A", 63) + `B"}]}}]`, "private"},
		"a key without kid":    {`[{"client_id":"x","client_type":"confidential-asymmetric","jwks":{"keys":[` + strings.Replace(ecKey, `"kid":"1",`, "", 1) + `"use":"sig"}]}}]`, "kid"},
		"a small curve":        {`[{"client_id":"x","client_type":"confidential-asymmetric","jwks":{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}}]`, "P-384"},
		"an odd grant type":    {`[{"client_id":"x","client_type":"public","redirect_uris":["a:/b"],"grant_types":["implicit"]}]`, "implicit"},
		"a public service":     {`[{"client_id":"x","client_type":"public","grant_types":["client_credentials"]}]`, "backend service"},
		"a script launch URL":  {`[{"client_id":"x","client_type":"public","redirect_uris":["a:/b"],"launch_url":"javascript:1"}]`, "launch URL"},
	} {
		write(test.text)
		if _, err := LoadClients(file); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadClients(file + "x"); err == nil {
		t.Error("a file that is not there is taken")
	}
}

func TestAClientPrintsWithoutItsSecret(t *testing.T) {
	c := Client{ID: "x", Type: ConfidentialSymmetric, Secret: "hush"}
	if got := fmt.Sprintf("%v %s %+v", c, c, c); strings.Contains(got, "hush") {
		t.Error(got)
	}
}
