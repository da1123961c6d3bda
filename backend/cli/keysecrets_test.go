package cli_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartkey/backend/simulator"

	"github.com/go-jose/go-jose/v4"
)

// TestPrivateKeysStaySealed follows an imported private key, and every
// assertion and token that comes of it, through the commands, and looks for
// them in all that was printed and in the bytes of every file of the data folder.
func TestPrivateKeysStaySealed(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	redirect := fmt.Sprintf("http://localhost:%d/callback", port)
	server, tap := tappedEHR(t, "unused", redirect)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, line := range strings.Split(string(text), "\n")[2:] { // what comes before is in every key
		if len(line) == 64 {
			tap.keep("line of the key's PEM", line)
		}
	}
	for what, number := range map[string]*big.Int{"private exponent": key.D, "prime": key.Primes[0], "other prime": key.Primes[1], "exponent of a prime": key.Precomputed.Dp} {
		tap.keep(what, string(number.Bytes()))
		tap.keep(what+" in digits", number.String())
	}
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d := &desk{t: t, home: filepath.Join(folder, "home")}
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder, "CHARTKEY_HOME=" + d.home,
		"CHARTKEY_PASSPHRASE_FILE=" + write("passphrase", passphrase+"\n"),
	}
	d.run(0, "registration", "add", "--name", "Keyed", "--fhir-base-url", server.FHIRBaseURL(), "--client-id", "keyed", "--client-type", "confidential-asymmetric",
		"--redirect-uri", redirect, "--no-test", "--json")
	var imported struct {
		Kid string `json:"kid"`
	}
	if err := json.Unmarshal(d.run(0, "registration", "key", "import", "Keyed", "--file", write("key.pem", string(text)), "--json"), &imported); err != nil {
		t.Fatal(err)
	}
	d.run(0, "registration", "key", "use", "Keyed", imported.Kid)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(d.run(0, "registration", "key", "export", "Keyed", "--json"), &set); err != nil {
		t.Fatal(err)
	}
	if err := server.Register(simulator.Client{ID: "keyed", Type: simulator.ConfidentialAsymmetric, RedirectURIs: []string{redirect}, JWKS: &set}); err != nil {
		t.Fatal(err)
	}
	signIn := func(args ...string) {
		t.Helper()
		authorize, end := d.begin(append(args, "--no-browser", "--json")...)
		if _, err := simulator.SignIn(t.Context(), authorize, simulator.Choice{Username: "amara", Password: "patient-pass1"}); err != nil {
			t.Fatal(err)
		}
		end(0)
	}
	signIn("Keyed")
	d.look("after the sign-in", tap)

	// A backend service by the same key, and a workstation that registers itself.
	d.run(0, "registration", "add", "--name", "Nightly", "--kind", "backend", "--fhir-base-url", server.FHIRBaseURL(), "--client-id", "service", "--no-test", "--json")
	if err := json.Unmarshal(d.run(0, "registration", "key", "import", "Nightly", "--file", write("key.pem", string(text)), "--json"), &imported); err != nil {
		t.Fatal(err)
	}
	d.run(0, "registration", "key", "use", "Nightly", imported.Kid)
	if err := server.Register(simulator.Client{ID: "service", Type: simulator.ConfidentialAsymmetric, GrantTypes: []string{"client_credentials"}, JWKS: &set}); err != nil {
		t.Fatal(err)
	}
	if err := server.Register(simulator.Client{ID: "own", Type: simulator.Public, RedirectURIs: []string{redirect}}); err != nil {
		t.Fatal(err)
	}
	d.run(0, "registration", "add", "--name", "Own", "--fhir-base-url", server.FHIRBaseURL(), "--client-id", "own", "--redirect-uri", redirect,
		"--scopes", "openid fhirUser launch/patient patient/Patient.rs system/DynamicClient.register", "--no-test", "--json")
	signIn("Own")
	d.look("after the workstation has registered itself", tap)

	_, endWaiting := d.begin("Keyed", "--no-browser", "--json") // so that the journal is there to be searched
	for _, args := range [][]string{
		{"registration", "key", "list", "Keyed", "--json"}, {"registration", "key", "list", "Keyed"}, {"registration", "key", "new", "Keyed", "--json"},
		{"registration", "key", "export", "Keyed"}, {"registration", "key", "export", "Keyed", "--format", "jwk"}, {"registration", "key", "export", "Keyed", "--format", "pem"},
		{"registration", "key", "export", "Keyed", "--format", "certificate", "--json"}, {"registration", "kit", "Keyed"}, {"registration", "kit", "Keyed", "--json"},
		{"registration", "show", "Keyed", "--json"}, {"test", "Keyed", "--json"}, {"refresh", "Keyed", "--json"}, {"status", "Keyed"},
		{"test", "Nightly", "--json"}, {"refresh", "Nightly"}, {"fhir", "get", "Nightly", "Patient/amara-nwosu"}, {"refresh", "Own", "--json"}, {"test", "Own"}, {"status", "Own", "--json"},
		{"trace", "--json"}, {"trace", "Own"}, {"trace", "Nightly"}, {"audit", "list", "--json"}, {"audit", "export"},
	} {
		d.run(0, args...)
	}
	if _, err := os.Stat(filepath.Join(d.home, "chartkey.db-wal")); err != nil {
		t.Error("the journal is not there to be searched: ", err)
	}
	d.look("while the database is in use", tap)
	d.run(2, "registration", "key", "import", "Keyed", "--file", write("key.pem", string(text)), "--json")
	d.run(2, "registration", "key", "import", "Keyed", "--file", write("cut.pem", string(text)[:600]), "--json")
	d.run(0, "disconnect", "Keyed", "--json")
	endWaiting(130)
	d.look("at the end", tap)

	heard := map[string]int{}
	for _, what := range tap.all() {
		heard[what]++
	}
	for what, least := range map[string]int{"client_assertion": 6, "assertion": 2, "access_token": 8, "line of the key's PEM": 10, "private exponent": 1} {
		if heard[what] < least {
			t.Errorf("the tap heard %d of %s, want at least %d", heard[what], what, least)
		}
	}
}
