package workstation_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"

	"github.com/go-jose/go-jose/v4"
)

// keyBench is a workstation beside a simulated EHR that reads its public keys
// where they are published.
type keyBench struct {
	*bench
	keySetURL string
	wire      *wire
}

// wire keeps the forms that a workstation posts.
type wire struct {
	next http.RoundTripper

	mu      sync.Mutex // protects those below
	forms   []url.Values
	bearers []string // that were shown
	// instead answers a request in the server's place.
	instead func(r *http.Request, body string) (status int, answer string, yes bool)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		w.mu.Lock()
		w.bearers = append(w.bearers, token)
		w.mu.Unlock()
	}
	var body []byte
	if r.Method == http.MethodPost {
		var err error
		body, err = io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil {
			w.mu.Lock()
			w.forms = append(w.forms, form)
			w.mu.Unlock()
		}
	}
	w.mu.Lock()
	instead := w.instead
	w.mu.Unlock()
	if instead != nil {
		if status, answer, yes := instead(r, string(body)); yes {
			return &http.Response{
				StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)),
			}, nil
		}
	}
	return w.next.RoundTrip(r)
}

// last gives the latest form that has a field.
func (w *wire) last(t *testing.T, field string) url.Values {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, form := range slices.Backward(w.forms) {
		if form.Has(field) {
			return form
		}
	}
	t.Fatalf("no form has %s", field)
	return nil
}

// shown gives the bearer tokens that were shown, each once.
func (w *wire) shown() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, token := range w.bearers {
		if !slices.Contains(out, token) {
			out = append(out, token)
		}
	}
	return out
}

// count counts the forms with a grant type.
func (w *wire) count(grantType string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, form := range w.forms {
		if form.Get("grant_type") == grantType {
			n++
		}
	}
	return n
}

// signedBy gives the kid and alg of the latest client assertion.
func (w *wire) signedBy(t *testing.T) (kid, alg string) {
	t.Helper()
	return headerOf(t, w.last(t, "client_assertion").Get("client_assertion"))
}

func headerOf(t *testing.T, jwt string) (kid, alg string) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(jwt, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Header.KeyID, jws.Signatures[0].Header.Algorithm
}

func newKeyBench(t *testing.T, settings simulator.Settings) *keyBench {
	t.Helper()
	b := &keyBench{bench: newBench(t, settings), wire: &wire{}}
	b.keySetURL = strings.Replace(freeRedirect(t), "/callback", "/jwks.json", 1)
	b.Workstation = b.open(t, b.home)
	for _, c := range []simulator.Client{
		{ID: "app-with-key", Type: simulator.ConfidentialAsymmetric, RedirectURIs: []string{b.redirect}, JWKSURI: b.keySetURL},
		{ID: "service", Type: simulator.ConfidentialAsymmetric, GrantTypes: []string{"client_credentials"}, Scopes: "system/*.rs", JWKSURI: b.keySetURL},
	} {
		if err := b.ehr.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// open opens a workstation that publishes where the EHR looks.
func (b *keyBench) open(t *testing.T, home string) *workstation.Workstation {
	t.Helper()
	client := network.NewClient()
	b.wire.next = client.Transport
	client.Transport = b.wire
	t.Cleanup(client.CloseIdleConnections)
	return openDesk(t, home, b.clock, func(o *workstation.Options) { o.KeySetURL, o.HTTP = b.keySetURL, client })
}

func (b *keyBench) keyed(t *testing.T) workstation.Registration {
	t.Helper()
	in := b.input()
	in.ClientID, in.ClientType = "app-with-key", "confidential-asymmetric"
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// publishedKids gives the kid of each key at the published address.
func (b *keyBench) publishedKids(t *testing.T) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.keySetURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		if !k.IsPublic() {
			t.Errorf("the key %s is published with its private half", k.KeyID)
		}
		kids = append(kids, k.KeyID)
	}
	slices.Sort(kids)
	return kids
}

func sorted(s ...string) []string {
	slices.Sort(s)
	return s
}

func TestKeysRotateWithOverlap(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	keys, err := b.ClientKeys(t.Context(), reg.ID)
	if err != nil || len(keys) != 1 || !keys[0].Signs || keys[0].Algorithm != "RS384" {
		t.Fatalf("a new registration has the keys %+v %v", keys, err)
	}
	old := keys[0].ID
	signs := func(want, alg string) {
		t.Helper()
		if kid, got := b.wire.signedBy(t); kid != want || got != alg {
			t.Errorf("signed by %s with %s, want %s with %s", kid, got, want, alg)
		}
	}
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil || status.State != workstation.Connected || !status.Refreshable {
		t.Fatalf("%+v %v", status, err)
	}
	signs(old, "RS384")

	next, err := b.NewClientKey(t.Context(), reg.ID, smart.ES384)
	if err != nil || next.Signs {
		t.Fatalf("%+v %v", next, err)
	}
	if kids := b.publishedKids(t); !slices.Equal(kids, sorted(old, next.ID)) {
		t.Errorf("published: %v", kids)
	}
	if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
		t.Fatal(err)
	}
	signs(old, "RS384")
	wantCode(t, b.RemoveClientKey(t.Context(), reg.ID, old), "client-key-in-use")

	b.clock.pass(2 * time.Second) // the EHR looks for a new key once a second
	if err := b.UseClientKey(t.Context(), reg.ID, next.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
		t.Fatal(err)
	}
	signs(next.ID, "ES384")
	if kids := b.publishedKids(t); !slices.Equal(kids, sorted(old, next.ID)) {
		t.Errorf("published after the switch: %v", kids)
	}
	if err := b.RemoveClientKey(t.Context(), reg.ID, old); err != nil {
		t.Fatal(err)
	}
	if kids := b.publishedKids(t); !slices.Equal(kids, []string{next.ID}) {
		t.Errorf("published after the removal: %v", kids)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	wantPassed(t, report, err)
	signs(next.ID, "ES384")
	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || !d.Revoked {
		t.Errorf("%+v %v", d, err)
	}

	wantCode(t, b.UseClientKey(t.Context(), reg.ID, old), "client-key-not-found")
	wantCode(t, b.RemoveClientKey(t.Context(), reg.ID, old), "client-key-not-found")
	if keys, err := b.ClientKeys(t.Context(), reg.ID); err != nil || len(keys) != 1 || !keys[0].Signs {
		t.Errorf("after a switch that failed: %+v %v", keys, err)
	}
	_, err = b.PublicKey(t.Context(), reg.ID, old)
	wantCode(t, err, "client-key-not-found")
}

func TestAssertionsAreFreshAndShort(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 3 {
		if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
			t.Fatal(err)
		}
		form := b.wire.last(t, "client_assertion")
		if form.Has("client_id") || form.Has("client_secret") {
			t.Errorf("sent beside the assertion: %v", form)
		}
		parts := strings.Split(form.Get("client_assertion"), ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Iss, Sub, Aud, Jti string
			Exp                int64
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if claims.Iss != "app-with-key" || claims.Sub != claims.Iss || claims.Aud != b.ehr.Origin()+"/auth/token" {
			t.Errorf("%+v", claims)
		}
		if left := time.Unix(claims.Exp, 0).Sub(b.clock.now()); left <= 0 || left > 5*time.Minute {
			t.Errorf("it ends in %s", left)
		}
		if claims.Jti == "" || len(claims.Jti) > 151 || seen[claims.Jti] {
			t.Errorf("jti %q", claims.Jti)
		}
		seen[claims.Jti] = true
	}
}

// rsaPEM gives a fresh RSA key and its forms.
func rsaPEM(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestAnImportedKeySignsAndStaysSealed(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	first, err := b.ClientKeys(t.Context(), reg.ID)
	if err != nil {
		t.Fatal(err)
	}
	private, text := rsaPEM(t)
	imported, err := b.ImportClientKey(t.Context(), reg.ID, secret.New(text))
	if err != nil || imported.Signs || imported.Kind != "RSA, 2048 bits" {
		t.Fatalf("%+v %v", imported, err)
	}
	_, err = b.ImportClientKey(t.Context(), reg.ID, secret.New(text))
	wantCode(t, err, "client-key-exists")
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: ec, KeyID: "ward 7", Algorithm: "ES384", Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	fromJWK, err := b.ImportClientKey(t.Context(), reg.ID, secret.New(jwk))
	if err != nil || fromJWK.ID != "ward 7" || fromJWK.Kind != "EC, P-384" {
		t.Fatalf("%+v %v", fromJWK, err)
	}
	for _, kid := range []string{imported.ID, fromJWK.ID} {
		if err := b.UseClientKey(t.Context(), reg.ID, kid); err != nil {
			t.Fatal(err)
		}
		b.clock.pass(2 * time.Second)
		if _, err := b.signIn(t, reg.ID, amara); err != nil {
			t.Fatal(err)
		}
		if got, _ := b.wire.signedBy(t); got != kid {
			t.Errorf("signed by %s, want %s", got, kid)
		}
	}
	if err := b.RemoveClientKey(t.Context(), reg.ID, first[0].ID); err != nil {
		t.Fatal(err)
	}

	ecPrivate, err := ec.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"the private exponent": private.D.Bytes(), "a prime": private.Primes[0].Bytes(), "the other prime": private.Primes[1].Bytes(), "an exponent of a prime": private.Precomputed.Dp.Bytes(),
		"the EC private key": ecPrivate, "the key in PKCS#8": der[26:], // what comes before is the same in every key
	}
	files := 0
	if err := filepath.WalkDir(b.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for what, raw := range secrets {
			for _, form := range [][]byte{raw, []byte(hex.EncodeToString(raw)), []byte(base64.StdEncoding.EncodeToString(raw)), []byte(base64.RawURLEncoding.EncodeToString(raw))} {
				// A part of it would be too much, and a form may begin at another byte.
				if part := form[len(form)/4 : len(form)/4+16]; bytes.Contains(content, part) {
					t.Errorf("%s holds %s", filepath.Base(path), what)
				}
			}
		}
		if strings.Contains(string(content), "PRIVATE KEY") {
			t.Errorf("%s holds a private key in PEM", filepath.Base(path))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(b.home, "chartkey.db-wal")); err != nil || files < 2 {
		t.Errorf("%d files were searched, and the journal: %v", files, err)
	}
}

func TestAnotherProgramAtTheKeysPort(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	u, err := url.Parse(b.keySetURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:"+u.Port())
	if err != nil {
		t.Fatal(err)
	}
	other := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = other.Serve(l) // ends with Close
	}()
	reg := b.keyed(t)
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if err != nil || !report.OK {
		t.Fatalf("%+v %v", report, err)
	}
	if c := checkOf(t, report, "key"); c.Result != workstation.Warning || !strings.Contains(c.Detail, b.keySetURL) || c.Advice == "" {
		t.Errorf("%+v", c)
	}
	_, err = b.signIn(t, reg.ID, amara)
	if f := wantCode(t, err, "keys-not-published"); !strings.Contains(f.Message, b.keySetURL) {
		t.Errorf("%q", f.Message)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	<-served
	// With the port free again, nothing has to be done.
	if status, err := b.signIn(t, reg.ID, amara); err != nil || status.State != workstation.Connected {
		t.Errorf("%+v %v", status, err)
	}
	report, err = b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	wantPassed(t, report, err)
	if c := checkOf(t, report, "key"); !strings.Contains(c.Detail, b.keySetURL) {
		t.Errorf("%+v", c)
	}
}

func TestTwoProcessesShareThePublishedKeys(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	second := b.open(t, b.home)
	// A key that the second makes is published by the first, which has the port.
	made, err := second.NewClientKey(t.Context(), reg.ID, smart.ES384)
	if err != nil {
		t.Fatal(err)
	}
	b.clock.pass(2 * time.Second)
	if err := second.UseClientKey(t.Context(), reg.ID, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Refresh(t.Context(), reg.ID); err != nil {
		t.Fatal(err)
	}
	if kid, _ := b.wire.signedBy(t); kid != made.ID {
		t.Errorf("signed by %s", kid)
	}
	report, err := second.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	wantPassed(t, report, err)
	// Once the first is gone, the second publishes.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	report, err = second.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	wantPassed(t, report, err)
	if kids := b.publishedKids(t); !slices.Contains(kids, made.ID) {
		t.Errorf("published: %v", kids)
	}

	// Another data folder has other keys, and its own say at the port is none.
	stranger := b.open(t, filepath.Join(t.TempDir(), "stranger"))
	in := b.input()
	in.ClientID, in.ClientType = "app-with-key", "confidential-asymmetric"
	strange, _, err := stranger.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	b.Workstation = stranger
	_, err = b.signIn(t, strange.ID, amara)
	wantCode(t, err, "keys-not-published")
}

func TestOnlyServersOfThisComputerAreOfferedKeys(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	local := b.keyed(t)
	far := b.input()
	far.Name, far.FHIRBaseURL, far.ClientType = "Far", "https://ehr.example/R4", "confidential-asymmetric"
	reg, _, err := b.SaveRegistration(t.Context(), "", far)
	if err != nil {
		t.Fatal(err)
	}
	// Two different keys by one name: the one that signs here goes before, and the set stays one.
	for _, ref := range []string{reg.ID, local.ID} {
		ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := json.Marshal(jose.JSONWebKey{Key: ec, KeyID: "one"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ImportClientKey(t.Context(), ref, secret.New(jwk)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.signIn(t, local.ID, amara); err != nil {
		t.Fatal(err)
	}
	keys, err := b.ClientKeys(t.Context(), local.ID)
	if err != nil {
		t.Fatal(err)
	}
	if kids := b.publishedKids(t); !slices.Equal(kids, sorted(keys[0].ID, "one")) {
		t.Errorf("published: %v", kids)
	}
	kit, err := b.Kit(t.Context(), reg.ID)
	if err != nil || kit.JWKSURL != "" || len(kit.PublicKeys) != 2 {
		t.Errorf("%+v %v", kit, err)
	}
	report, err := b.Test(t.Context(), local.ID, workstation.LayerAll, nil)
	wantPassed(t, report, err)
}

func TestTheKitHasThePublicKeys(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	kit, err := b.Kit(t.Context(), reg.ID)
	if err != nil || kit.JWKSURL != b.keySetURL || len(kit.PublicKeys) != 1 {
		t.Fatalf("%+v %v", kit, err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(kit.JWKS, &set); err != nil || len(set.Keys) != 1 || !set.Keys[0].IsPublic() || set.Keys[0].KeyID != kit.PublicKeys[0].ID {
		t.Errorf("%s %v", kit.JWKS, err)
	}
	public := kit.PublicKeys[0]
	block, _ := pem.Decode([]byte(public.Certificate))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil || certificate.Subject.CommonName != "Mercy" {
		t.Fatalf("%+v %v", certificate, err)
	}
	if sum := sha1.Sum(block.Bytes); !strings.EqualFold(hex.EncodeToString(sum[:]), public.SHA1) {
		t.Errorf("SHA-1 %s", public.SHA1)
	}
	spki, _ := pem.Decode([]byte(public.PEM))
	key, err := x509.ParsePKIXPublicKey(spki.Bytes)
	if err != nil || !set.Keys[0].Key.(*rsa.PublicKey).Equal(key) || !certificate.PublicKey.(*rsa.PublicKey).Equal(key) {
		t.Errorf("the forms are of different keys: %v", err)
	}
	// The fingerprint that the EHR shows stays true, whatever the registration is called.
	edit := reg.Input()
	edit.Name = "Another name"
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, edit); err != nil {
		t.Fatal(err)
	}
	again, err := b.PublicKey(t.Context(), reg.ID, "")
	if err != nil || again.SHA1 != public.SHA1 || again.Certificate != public.Certificate {
		t.Errorf("%+v %v", again, err)
	}
	// What is public needs no vault.
	locked, err := workstation.Open(t.Context(), workstation.Options{Home: b.home, Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	if kit, err := locked.Kit(t.Context(), reg.ID); err != nil || len(kit.PublicKeys) != 1 {
		t.Errorf("%+v %v", kit, err)
	}
	_, err = locked.NewClientKey(t.Context(), reg.ID, smart.RS384)
	wantCode(t, err, "passphrase-needed")

	epic := b.input()
	epic.Name, epic.EHR, epic.Environment, epic.FHIRBaseURL, epic.ClientType = "Epic", "epic", "sandbox", "", "confidential-asymmetric"
	reg, _, err = b.SaveRegistration(t.Context(), "", epic)
	if err != nil {
		t.Fatal(err)
	}
	if kit, err = b.Kit(t.Context(), reg.ID); err != nil || !strings.Contains(strings.Join(kit.Notes, "\n"), kit.PublicKeys[0].SHA1) {
		t.Errorf("the notes do not name the fingerprint: %q %v", kit.Notes, err)
	}
	if plain, err := b.Kit(t.Context(), b.register(t).ID); err != nil || plain.JWKS != nil || plain.JWKSURL != "" || len(plain.PublicKeys) != 0 {
		t.Errorf("%+v %v", plain, err)
	}
}

func TestAClientWithoutAKeyIsToldBeforeTheBrowserOpens(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	b.execSQL(t, "DELETE FROM client_key")
	_, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "client-key-missing")
	_, err = b.PublicKey(t.Context(), reg.ID, "")
	wantCode(t, err, "client-key-missing")
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if err != nil || report.OK || checkOf(t, report, "key").Result != workstation.Fail {
		t.Errorf("%+v %v", report, err)
	}
	in := b.input()
	in.Name = "Public"
	public, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.NewClientKey(t.Context(), public.ID, smart.RS384)
	wantCode(t, err, "not-asymmetric")
	_, err = b.NewClientKey(t.Context(), reg.ID, "HS256")
	wantCode(t, err, "client-key-algorithm")
	for _, text := range []string{"", "no key", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"} {
		if _, err := b.ImportClientKey(t.Context(), reg.ID, secret.New(text)); err == nil {
			t.Errorf("%q was taken for a key", text)
		}
	}
}

// A key whose row was changed, or moved to another registration, does not sign.
func TestAMovedKeyDoesNotSign(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	in := b.input()
	in.Name, in.ClientID, in.ClientType = "Other", "app-with-key", "confidential-asymmetric"
	if _, _, err := b.SaveRegistration(t.Context(), "", in); err != nil {
		t.Fatal(err)
	}
	b.execSQL(t, "UPDATE client_key SET private = (SELECT private FROM client_key WHERE registration_id <> '"+reg.ID+"') WHERE registration_id = '"+reg.ID+"'")
	_, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "vault-damaged")
}

func TestAClinicianChangesNoKey(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.keyed(t)
	if _, err := b.AddProfile(t.Context(), workstation.NewProfile{Name: "Nurse", Role: workstation.RoleClinician, Passcode: secret.New("nurse-passcode"), OwnPasscode: secret.New("owner-passcode")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Unlock(t.Context(), workstation.UnlockRequest{Profile: "Nurse", Passcode: secret.New("nurse-passcode")}); err != nil {
		t.Fatal(err)
	}
	_, err := b.NewClientKey(t.Context(), reg.ID, smart.RS384)
	wantCode(t, err, "role-needed")
	keys, err := b.ClientKeys(t.Context(), reg.ID)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%+v %v", keys, err)
	}
	wantCode(t, b.UseClientKey(t.Context(), reg.ID, keys[0].ID), "role-needed")
	// The clinician signs in with the workstation's key all the same.
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Error(err)
	}
}
