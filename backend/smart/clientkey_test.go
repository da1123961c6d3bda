package smart_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"

	"github.com/go-jose/go-jose/v4"
)

func fixture(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// imported reads a key that must be good.
func imported(t testing.TB, path string) smart.ClientKey {
	t.Helper()
	k, err := smart.ImportClientKey(secret.New(fixture(t, path)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return k
}

// The keys of most tests: making an RSA key takes a while.
func rsaKey(t testing.TB) smart.ClientKey { return imported(t, "keys/rsa-pkcs8.pem") }
func ecKey(t testing.TB) smart.ClientKey  { return imported(t, "keys/ec-pkcs8.pem") }

func publicOf(t testing.TB, k smart.ClientKey) jose.JSONWebKey {
	t.Helper()
	b, err := k.PublicJWK()
	if err != nil {
		t.Fatal(err)
	}
	var out jose.JSONWebKey
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNewKeysAreStrongAndTheirOwn(t *testing.T) {
	for alg, kind := range map[smart.KeyAlgorithm]string{smart.RS384: "RSA, 3072 bits", smart.ES384: "EC, P-384"} {
		a, err := smart.GenerateClientKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		b, err := smart.GenerateClientKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		if a.Algorithm() != alg || a.Kind() != kind || strings.TrimPrefix(a.ID(), "k-") != strings.TrimPrefix(a.Thumbprint(), "-") || len(a.Thumbprint()) != 43 || a.ID() == b.ID() || a.IsZero() {
			t.Errorf("%s: %s, %s, kid %s and %s", alg, a.Algorithm(), a.Kind(), a.ID(), b.ID())
		}
		sealed, err := a.Private()
		if err != nil {
			t.Fatal(err)
		}
		again, err := smart.ImportClientKey(sealed)
		if err != nil || again.ID() != a.ID() || again.Thumbprint() != a.Thumbprint() || again.Algorithm() != alg {
			t.Errorf("%s does not come back from where it is sealed: %v %v", alg, again, err)
		}
	}
	if _, err := smart.GenerateClientKey("RS256"); fault.Code(err) != "client-key-algorithm" {
		t.Error(err)
	}
}

func TestNoKidLooksLikeAFlag(t *testing.T) {
	for range 2000 { // one in 64 has a thumbprint that does
		k, err := smart.GenerateClientKey(smart.ES384)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(k.Thumbprint(), "-") {
			if k.ID() != "k"+k.Thumbprint() {
				t.Errorf("kid %s", k.ID())
			}
			return
		}
	}
	t.Fatal("no thumbprint begins with a hyphen")
}

func TestKeysThatPeopleHave(t *testing.T) {
	pkcs1 := imported(t, "keys/rsa-pkcs1.pem")
	if k := rsaKey(t); k.Thumbprint() != pkcs1.Thumbprint() || k.Kind() != "RSA, 2048 bits" || k.Algorithm() != smart.RS384 {
		t.Errorf("PKCS#8 and PKCS#1 differ: %v %v", k, pkcs1)
	}
	sec1 := imported(t, "keys/ec-sec1-with-parameters.pem")
	if k := ecKey(t); k.Thumbprint() != sec1.Thumbprint() || k.Kind() != "EC, P-384" || k.Algorithm() != smart.ES384 {
		t.Errorf("PKCS#8 and SEC1 differ: %v %v", k, sec1)
	}
	for name, text := range map[string]string{
		"a certificate and its key in one file": fixture(t, "keys/rsa-certificate.pem") + fixture(t, "keys/rsa-pkcs1.pem"),
		"words around it":                       "Bag Attributes\n    friendlyName: app\n" + fixture(t, "keys/rsa-pkcs8.pem") + "\n\n",
		"a byte order mark":                     "\ufeff" + fixture(t, "keys/rsa-pkcs8.pem"),
		"the line ends of Windows":              strings.ReplaceAll(fixture(t, "keys/rsa-pkcs8.pem"), "\n", "\r\n"),
	} {
		if k, err := smart.ImportClientKey(secret.New(text)); err != nil || k.Thumbprint() != pkcs1.Thumbprint() {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An imported JWK keeps its kid, alone as in its set.
	if k := imported(t, "vectors/smart-ES384.private.json"); k.ID() != "cd520211e5661dbba2256f67f6d53f97" || k.Algorithm() != smart.ES384 {
		t.Errorf("%v", k)
	}
	if k := imported(t, "vectors/rfc7515-a2-rsa.json"); k.ID() != k.Thumbprint() || k.Algorithm() != smart.RS384 {
		t.Errorf("a JWK without kid: %v", k)
	}
}

func TestKeysThatWillNotDo(t *testing.T) {
	pemOf := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pemOf("PRIVATE KEY", der, err)
	}
	jwk := func(edit func(map[string]any)) string {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(fixture(t, "vectors/rfc7515-a2-rsa.json")), &m); err != nil {
			t.Fatal(err)
		}
		edit(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	weak := weakRSA(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	ec := fixture(t, "keys/ec-pkcs8.pem")
	block, _ := pem.Decode([]byte(ec))
	var halves struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(fixture(t, "vectors/smart-ES384.private.json")), &halves); err != nil {
		t.Fatal(err)
	}
	var stranger map[string]any
	if public, err := ecKey(t).PublicJWK(); err != nil || json.Unmarshal(public, &stranger) != nil {
		t.Fatal(err)
	}
	mixed := halves.Keys[1]
	mixed["x"], mixed["y"] = stranger["x"], stranger["y"]
	mismatch, jsonErr := json.Marshal(mixed)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}

	for name, c := range map[string]struct{ text, code, names string }{
		"nothing":                    {" \n", "client-key-missing", "No key"},
		"a story":                    {"once upon a time", "client-key-not-a-key", "PEM or JWK"},
		"endless":                    {strings.Repeat("x", 64<<10+1), "client-key-not-a-key", "too long"},
		"DER":                        {string(block.Bytes), "client-key-not-a-key", "binary"},
		"encrypted PKCS#8":           {fixture(t, "keys/rsa-encrypted-pkcs8.pem"), "client-key-encrypted", "passphrase"},
		"encrypted PKCS#1":           {fixture(t, "keys/rsa-encrypted-pkcs1.pem"), "client-key-encrypted", "passphrase"},
		"OpenSSH":                    {fixture(t, "keys/openssh.pem"), "client-key-kind", "OpenSSH"},
		"OpenSSH public":             {fixture(t, "keys/openssh-public.txt"), "client-key-public", "OpenSSH public key"},
		"public PEM":                 {fixture(t, "keys/rsa-public.pem"), "client-key-public", "a public key"},
		"certificate":                {fixture(t, "keys/rsa-certificate.pem"), "client-key-public", "a certificate"},
		"public JWK":                 {jwk(func(m map[string]any) { delete(m, "d") }), "client-key-public", "the public half of an RSA key"},
		"public JWK Set":             {`{"keys":[` + jwk(func(m map[string]any) { delete(m, "d") }) + `]}`, "client-key-public", "RSA"},
		"two PEM keys":               {ec + fixture(t, "keys/rsa-pkcs8.pem"), "client-key-several", "several"},
		"two private JWKs":           {`{"keys":[` + jwk(func(m map[string]any) { m["kid"] = "one" }) + "," + jwk(func(m map[string]any) { m["kid"] = "two" }) + `]}`, "client-key-several", `"one", "two"`},
		"empty JWK Set":              {`{"keys":[]}`, "client-key-damaged", "empty"},
		"RSA of 1024 bits":           {pkcs8(weak), "client-key-weak", "1024 bits"},
		"RSA of 1024 bits, PKCS#1":   {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(weak), nil), "client-key-weak", "1024 bits"},
		"P-256":                      {pkcs8(p256), "client-key-curve", "P-256"},
		"P-256, SEC1":                {pemOf("EC PRIVATE KEY", sec1, err), "client-key-curve", "P-256"},
		"P-256, RFC 7515 A.3":        {fixture(t, "vectors/rfc7515-a3-p256.json"), "client-key-curve", "P-256"},
		"P-521, RFC 7515 A.4":        {fixture(t, "vectors/rfc7515-a4-p521.json"), "client-key-curve", "P-521"},
		"secp256k1":                  {fixture(t, "keys/ec-secp256k1.pem"), "client-key-curve", "does not know"},
		"RSA-PSS":                    {fixture(t, "keys/rsa-pss.pem"), "client-key-kind", "unusual"},
		"Ed25519":                    {fixture(t, "keys/ed25519.pem"), "client-key-kind", "Ed25519"},
		"X25519":                     {fixture(t, "keys/x25519.pem"), "client-key-kind", "X25519"},
		"Ed25519 JWK":                {`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "client-key-kind", "Ed25519"},
		"a shared secret":            {`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`, "client-key-kind", "shared secret"},
		"a kind of its own":          {`{"kty":"XYZ","d":"x"}`, "client-key-kind", "XYZ"},
		"another PEM":                {pemOf("PGP PRIVATE KEY BLOCK", []byte("x"), nil), "client-key-kind", "PGP PRIVATE KEY BLOCK"},
		"DSA":                        {pemOf("DSA PRIVATE KEY", []byte("x"), nil), "client-key-kind", "DSA"},
		"for encryption":             {jwk(func(m map[string]any) { m["use"] = "enc" }), "client-key-use", "another purpose"},
		"for unwrapping":             {jwk(func(m map[string]any) { m["key_ops"] = []string{"unwrapKey"} }), "client-key-use", "another purpose"},
		"for RS256, RFC 7517 A.2":    {fixture(t, "vectors/rfc7517-a2-rsa.json"), "client-key-algorithm", "RS256"},
		"a kid with a line break":    {jwk(func(m map[string]any) { m["kid"] = "a\nb" }), "client-key-id", "kid"},
		"an endless kid":             {jwk(func(m map[string]any) { m["kid"] = strings.Repeat("k", 201) }), "client-key-id", "kid"},
		"no primes":                  {jwk(func(m map[string]any) { delete(m, "p"); delete(m, "q") }), "client-key-damaged", "p and q"},
		"another exponent":           {jwk(func(m map[string]any) { m["e"] = "Aw" }), "client-key-damaged", "do not belong together"},
		"no modulus":                 {jwk(func(m map[string]any) { delete(m, "n") }), "client-key-damaged", "incomplete"},
		"halves of two keys":         {string(mismatch), "client-key-damaged", "do not belong together"},
		"no kty":                     {jwk(func(m map[string]any) { delete(m, "kty") }), "client-key-damaged", "JWK"},
		"broken JSON":                {fixture(t, "vectors/rfc7515-a2-rsa.json")[:200], "client-key-damaged", "JWK"},
		"a list in a JWK Set's keys": {`{"keys":[[]]}`, "client-key-damaged", "JWK"},
		"PEM cut off":                {ec[:len(ec)-40], "client-key-damaged", "cut off"},
		"PEM with other bytes":       {pemOf("PRIVATE KEY", []byte("not a key at all"), nil), "client-key-damaged", "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := smart.ImportClientKey(secret.New(c.text))
			f := fault.From(err)
			if err == nil || !k.IsZero() {
				t.Fatalf("accepted as %v", k)
			}
			if f.Code != c.code || !strings.Contains(f.Message, c.names) || f.Advice == "" || f.Unwrap() != nil {
				t.Errorf("%+v, want %s that names %q", f, c.code, c.names)
			}
			if shows := leak(fmt.Sprintf("%+v", *f), c.text); shows != "" {
				t.Errorf("the text of the key shows: %s", shows)
			}
		})
	}
}

// leak finds a stretch of a key's text in what is shown.
func leak(shown, key string) string {
	for _, line := range strings.FieldsFunc(key, func(r rune) bool { return r == '\n' || r == '"' || r == '\r' }) {
		if len(line) >= 30 && !strings.Contains(line, " ") && strings.Contains(shown, line[:24]) {
			return line[:24]
		}
	}
	return ""
}

// weakRSA makes a key that crypto/rsa no longer makes.
func weakRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	e := big.NewInt(65537)
	for {
		p, err := rand.Prime(rand.Reader, 512)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 512)
		if err != nil {
			t.Fatal(err)
		}
		n, one := new(big.Int).Mul(p, q), big.NewInt(1)
		d := new(big.Int).ModInverse(e, new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)))
		if d != nil && n.BitLen() == 1024 {
			return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
		}
	}
}

func TestPublicHalves(t *testing.T) {
	for _, k := range []smart.ClientKey{rsaKey(t), ecKey(t)} {
		b, err := k.PublicJWK()
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(b, &members); err != nil {
			t.Fatal(err)
		}
		numbers := []string{"n", "e"}
		if k.Algorithm() == smart.ES384 {
			numbers = []string{"crv", "x", "y"}
		}
		want := append([]string{"kty", "kid", "use", "alg", "key_ops"}, numbers...)
		for name := range members {
			if !slices.Contains(want, name) {
				t.Errorf("%s has %s", k, name)
			}
		}
		if len(members) != len(want) || members["kid"] != k.ID() || members["use"] != "sig" || members["alg"] != string(k.Algorithm()) || fmt.Sprint(members["key_ops"]) != "[verify]" {
			t.Errorf("%s", b)
		}
		public := publicOf(t, k)
		if !public.IsPublic() || !public.Valid() {
			t.Errorf("%s is no public key", b)
		}

		text, err := k.PublicPEM()
		if err != nil {
			t.Fatal(err)
		}
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
			t.Fatalf("%s", text)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil || !parsed.(interface{ Equal(crypto.PublicKey) bool }).Equal(public.Key) {
			t.Errorf("%s gives another key as PEM: %v", k, err)
		}
	}
	if text, err := rsaKey(t).PublicPEM(); err != nil || text != fixture(t, "keys/rsa-public.pem") {
		t.Errorf("OpenSSL gives another public key: %v\n%s", err, text)
	}
}

func TestKeySetsOverlap(t *testing.T) {
	a, b := rsaKey(t), ecKey(t)
	raw, err := smart.PublicKeySet(a, b, a)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 2 || len(set.Key(a.ID())) != 1 || len(set.Key(b.ID())) != 1 || !set.Keys[0].IsPublic() || !set.Keys[1].IsPublic() {
		t.Errorf("%s %v", raw, err)
	}
	named := func(path string) smart.ClientKey {
		var m map[string]any
		if err := json.Unmarshal([]byte(fixture(t, path)), &m); err != nil {
			t.Fatal(err)
		}
		m["kid"], m["alg"] = "same", "RS384"
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		k, err := smart.ImportClientKey(secret.New(text))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if _, err := smart.PublicKeySet(named("vectors/rfc7515-a2-rsa.json"), named("vectors/rfc7517-a2-rsa.json")); fault.Code(err) != "client-key-id" {
		t.Errorf("two keys with one kid: %v", err)
	}
	if _, err := smart.PublicKeySet(); fault.Code(err) != "client-key-missing" {
		t.Error(err)
	}
}

func TestCertificate(t *testing.T) {
	from := time.Date(2026, 3, 1, 12, 0, 0, 999, time.FixedZone("", 3600))
	for _, k := range []smart.ClientKey{rsaKey(t), ecKey(t)} {
		got, err := k.Certificate("Chart reader\n", from)
		if err != nil {
			t.Fatal(err)
		}
		block, rest := pem.Decode([]byte(got.PEM))
		if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
			t.Fatal(got.PEM)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		sum := crypto.SHA1.New()
		sum.Write(block.Bytes)
		if cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil || cert.Subject.CommonName != "Chart reader" || cert.IsCA ||
			!cert.NotBefore.Equal(from.Truncate(time.Second)) || cert.NotAfter.Sub(cert.NotBefore) < 9*365*24*time.Hour || cert.SerialNumber.Sign() <= 0 ||
			!cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(publicOf(t, k).Key) || !strings.EqualFold(got.SHA1, hex.EncodeToString(sum.Sum(nil))) || len(got.SHA1) != 40 {
			t.Errorf("%+v %s", cert, got.SHA1)
		}
	}
	// The fingerprint is worth comparing only where the same comes out each time.
	a, _ := rsaKey(t).Certificate("app", from)
	b, _ := rsaKey(t).Certificate("app", from)
	if a != b {
		t.Error("the same key, name and time give another certificate")
	}
	if c, err := rsaKey(t).Certificate(strings.Repeat("long ", 50), from); err != nil || c.PEM == a.PEM {
		t.Error(err)
	}
}

func TestNoKeyIsAFaultEverywhere(t *testing.T) {
	var k smart.ClientKey
	_, private := k.Private()
	_, jwk := k.PublicJWK()
	_, text := k.PublicPEM()
	_, cert := k.Certificate("x", time.Now())
	_, set := smart.PublicKeySet(k)
	for _, err := range []error{private, jwk, text, cert, set} {
		if fault.Code(err) != "client-key-missing" {
			t.Error(err)
		}
	}
	if !k.IsZero() || k.ID() != "" || k.Algorithm() != "" || k.Kind() != "" || k.Thumbprint() != "" || k.String() != "‹no client key›" {
		t.Errorf("%v", k)
	}
}

// TestAKeyNeverShows prints a key in every way, alone and inside what holds it.
func TestAKeyNeverShows(t *testing.T) {
	k := rsaKey(t)
	block, _ := pem.Decode([]byte(fixture(t, "keys/rsa-pkcs1.pem")))
	private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct{ k smart.ClientKey }
	type shown struct{ K smart.ClientKey }
	var out bytes.Buffer
	for _, v := range []any{k, &k, hidden{k}, &hidden{k}, shown{k}, []smart.ClientKey{k}, map[string]smart.ClientKey{"k": k}, smart.ClientAuth{Type: smart.ConfidentialAsymmetric, Key: k}, &smart.ClientAuth{Key: k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, n := range []*big.Int{private.D, private.Primes[0], private.Primes[1], private.Precomputed.Dp, private.Precomputed.Qinv} {
		for _, form := range []string{n.String(), n.Text(16), base64.RawURLEncoding.EncodeToString(n.Bytes()), base64.StdEncoding.EncodeToString(n.Bytes())} {
			if strings.Contains(out.String(), form[:20]) {
				t.Errorf("%s… shows", form[:20])
			}
		}
	}
	if !strings.Contains(out.String(), "‹client key "+k.ID()+"›") {
		t.Error("the kid, which is public, does not show")
	}
}

func FuzzImportClientKey(f *testing.F) {
	for _, path := range []string{
		"keys/rsa-pkcs8.pem", "keys/rsa-pkcs1.pem", "keys/ec-pkcs8.pem", "keys/ec-sec1-with-parameters.pem", "keys/rsa-encrypted-pkcs1.pem", "keys/rsa-encrypted-pkcs8.pem", "keys/openssh.pem",
		"keys/rsa-public.pem", "keys/rsa-certificate.pem", "keys/ed25519.pem", "keys/ec-secp256k1.pem", "vectors/rfc7515-a2-rsa.json", "vectors/rfc7515-a3-p256.json", "vectors/smart-RS384.private.json", "vectors/smart-ES384.private.json",
	} {
		f.Add([]byte(fixture(f, path)))
	}
	f.Add([]byte(`{"keys":[{"kty":"EC","d":1}]}`))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := smart.ImportClientKey(secret.New(text))
		if err != nil {
			got := fault.From(err)
			if got.Code == "internal" || !strings.HasPrefix(got.Code, "client-key-") || got.Advice == "" || !k.IsZero() {
				t.Errorf("%+v", got)
			}
			if shows := leak(fmt.Sprintf("%+v %v", *got, got.Unwrap()), string(text)); shows != "" {
				t.Errorf("the text shows: %s", shows)
			}
			return
		}
		// Whatever was accepted is written down and read back as the same key.
		sealed, err := k.Private()
		if err != nil {
			t.Fatal(err)
		}
		again, err := smart.ImportClientKey(sealed)
		if err != nil || again.ID() != k.ID() || again.Thumbprint() != k.Thumbprint() || (k.Algorithm() != smart.RS384 && k.Algorithm() != smart.ES384) {
			t.Errorf("%v came back as %v: %v", k, again, err)
		}
		if _, err := smart.PublicKeySet(k); err != nil {
			t.Error(err)
		}
	})
}
