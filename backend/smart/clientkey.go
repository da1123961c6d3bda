package smart

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"

	"github.com/go-jose/go-jose/v4"
)

// KeyAlgorithm is the signature that a client key makes (RFC 7518 section 3.1).
type KeyAlgorithm string

// The two that SMART has every asymmetric client support. Epic takes a public
// key that is uploaded as RSA only; an EC key needs a JWKS URL there.
const (
	RS384 KeyAlgorithm = "RS384"
	ES384 KeyAlgorithm = "ES384"
)

const (
	// rsaBits is the size of new RSA keys: that of the example in Epic's documentation.
	rsaBits = 3072
	// minRSABits is the least of RFC 7518 section 3.3 and of Epic; a key beyond
	// maxRSABits takes seconds for each signature.
	minRSABits = 2048
	maxRSABits = 8192
	// maxKeyText bounds a key file. The largest JWK Set with one usable key is far smaller.
	maxKeyText = 64 << 10
	// maxKeyID bounds a kid, which travels in each assertion.
	maxKeyID = 200
	// certificateLife is how long a certificate says that it is good for. EHRs
	// take the key out of it and look no further; it must not run out under one that does.
	certificateLife = 10 * 365 * 24 * time.Hour
	// maxCommonName is X.520's ub-common-name.
	maxCommonName = 64
)

// ClientKey is the key pair with which a confidential-asymmetric client shows
// who it is (SMART App Launch 2.2, "Client Authentication: Asymmetric"). It is
// printed, logged and marshalled without its private half. The zero value is no key.
type ClientKey struct {
	// A function, because reflection cannot look into one: fmt would print the
	// private numbers of a key in an unexported field.
	pair func() keyPair
}

type keyPair struct {
	id      string
	alg     KeyAlgorithm
	private crypto.Signer
}

// GenerateClientKey makes a new key: RSA with 3072 bits for RS384, or EC on
// P-384 for ES384. Its kid is its thumbprint (RFC 7638), after a letter where it
// would begin with a hyphen.
func GenerateClientKey(alg KeyAlgorithm) (ClientKey, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case RS384:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		return ClientKey{}, keyFault("client-key-algorithm", fmt.Sprintf("Chartkey makes no keys for %q.", network.Clean(string(alg), 20)), "Choose RS384 or ES384.")
	}
	if err != nil {
		return ClientKey{}, keyFault("client-key-failed", "This computer could not make a key.", "Try again.").Because(err)
	}
	return newClientKey(private, "")
}

// ImportClientKey reads an existing private key: PEM (PKCS#8, PKCS#1, SEC1), a
// JWK, or a JWK Set that holds one private key, such as Private gives. An
// imported JWK keeps its kid; every other key has its thumbprint for one.
//
// A key that would not do is refused with a fault that names what was given:
// encrypted, public, several, too weak, on another curve, of another kind or
// for another purpose. No fault holds any of the text.
func ImportClientKey(text secret.Value) (ClientKey, error) {
	b := bytes.TrimSpace(bytes.TrimPrefix(text.Bytes(), []byte("\ufeff")))
	switch {
	case len(b) == 0:
		return ClientKey{}, keyFault("client-key-missing", "No key was given.", "Give a private key: PEM or JWK.")
	case len(b) > maxKeyText:
		return ClientKey{}, keyFault("client-key-not-a-key", "This is far too long for a key.", "Give a file that holds one private key: PEM or JWK.")
	case b[0] == '{':
		return importJWK(b)
	case bytes.Contains(b, []byte("-----BEGIN ")):
		return importPEM(b)
	case bytes.HasPrefix(b, []byte("ssh-")) || bytes.HasPrefix(b, []byte("ecdsa-sha2-")):
		return ClientKey{}, publicGiven("an OpenSSH public key")
	case b[0] == 0x30: // ASN.1: DER or PKCS#12
		return ClientKey{}, keyFault("client-key-not-a-key", "This is a binary file and no PEM or JWK.",
			"Convert it: openssl pkey -inform DER -in FILE -out KEY.pem or, for a .pfx or .p12 file, openssl pkcs12 -in FILE -nodes -nocerts -out KEY.pem. Delete the copy afterwards: Chartkey seals the key itself.")
	}
	return ClientKey{}, keyFault("client-key-not-a-key", "This is no private key in PEM or JWK form.", "Give a file that begins with -----BEGIN PRIVATE KEY----- or with {\"kty\".")
}

// keyFault is a fault about a key: its own text never goes with it.
func keyFault(code, message, advice string) *fault.Error { return fault.New(code, message, advice) }

func publicGiven(what string) *fault.Error {
	return keyFault("client-key-public", "This is "+what+", without the private key that signs.",
		"Give the private key that belongs to it. If it is lost, make a new key and register its public half at the EHR.")
}

func kindGiven(what string) *fault.Error {
	return keyFault("client-key-kind", "This is "+what+", which SMART has no use for.", "Give an RSA key of 2048 bits or more, or an EC key on the curve P-384, as PEM or JWK; or let Chartkey make one.")
}

func damaged(what string) *fault.Error {
	return keyFault("client-key-damaged", what, "Export the key again from where it was made, whole and unchanged.")
}

func several(what string) *fault.Error {
	return keyFault("client-key-several", "There are several private keys here"+what+".", "Give a file with the one key to use.")
}

// importPEM finds the one private key among the blocks. Certificates and curve
// parameters, which openssl writes beside keys, are passed over.
func importPEM(b []byte) (ClientKey, error) {
	var key any
	beside := ""
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		private, f := parseBlock(block)
		clear(block.Bytes)
		switch {
		case f != nil && f.Code == "client-key-public":
			beside = pemNames[block.Type]
		case f != nil:
			return ClientKey{}, f
		case private == nil:
		case key != nil:
			return ClientKey{}, several("")
		default:
			key = private
		}
	}
	switch {
	case key != nil:
		return newClientKey(key, "")
	case beside != "":
		return ClientKey{}, publicGiven(beside)
	}
	return ClientKey{}, damaged("The PEM text is cut off or changed.")
}

// pemNames are the blocks that hold no private key.
var pemNames = map[string]string{
	"PUBLIC KEY":              "a public key",
	"RSA PUBLIC KEY":          "an RSA public key",
	"CERTIFICATE":             "a certificate",
	"TRUSTED CERTIFICATE":     "a certificate",
	"X509 CERTIFICATE":        "a certificate",
	"CERTIFICATE REQUEST":     "a certificate request",
	"NEW CERTIFICATE REQUEST": "a certificate request",
	"SSH2 PUBLIC KEY":         "an OpenSSH public key",
}

// parseBlock gives the private key of a PEM block, or nil where the block is
// one that stands beside keys.
func parseBlock(block *pem.Block) (any, *fault.Error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, keyFault("client-key-encrypted", "The private key is encrypted with a passphrase.",
			"Make an open copy (openssl pkey -in KEY.pem -out COPY.pem), import it, and delete the copy: Chartkey seals the key itself.")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "EC PARAMETERS":
		return nil, nil
	case "OPENSSH PRIVATE KEY":
		return nil, keyFault("client-key-kind", "This is a private key in the form of OpenSSH.", "Convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY. Delete the copy afterwards. A key of its own for this app is better.")
	case "DSA PRIVATE KEY":
		return nil, kindGiven("a DSA key")
	default:
		if name, ok := pemNames[block.Type]; ok {
			return nil, publicGiven(name)
		}
		return nil, kindGiven(fmt.Sprintf("a PEM block of the type %q", network.Clean(block.Type, 40)))
	}
	switch {
	case err == nil:
		return key, nil
	case strings.Contains(err.Error(), "unknown elliptic curve"):
		return nil, wrongCurve("a curve that Chartkey does not know")
	case strings.Contains(err.Error(), "unknown algorithm"):
		return nil, kindGiven("a private key of an unusual kind")
	}
	// The library's words tell nothing that helps, and they stay with it: no text of a key is kept.
	return nil, damaged("The private key in the PEM text cannot be read.")
}

func wrongCurve(curve string) *fault.Error {
	return keyFault("client-key-curve", "The EC key is on "+curve+", and ES384 needs P-384.", "Make an EC key on P-384, or let Chartkey make one.")
}

// jwkLabel is what tells one JWK from another (RFC 7517 section 4).
type jwkLabel struct {
	Kty    string          `json:"kty"`
	Crv    string          `json:"crv"`
	Use    string          `json:"use"`
	Alg    string          `json:"alg"`
	Kid    string          `json:"kid"`
	KeyOps []string        `json:"key_ops"`
	D      json.RawMessage `json:"d"`
	P      json.RawMessage `json:"p"`
}

func (l jwkLabel) name() string {
	switch {
	case l.Kty == "RSA":
		return "an RSA key"
	case l.Kty == "EC":
		return "an EC key"
	case l.Kty == "OKP" && l.Crv != "":
		return "a key of the kind " + network.Clean(l.Crv, 20)
	case l.Kty == "oct":
		return "a shared secret (oct)"
	}
	return fmt.Sprintf("a key of the kind %q", network.Clean(l.Kty, 20))
}

// importJWK reads one JWK, or the one private key of a JWK Set. SMART's own
// example sets hold the public half of a key beside the private one.
func importJWK(b []byte) (ClientKey, error) {
	unreadable := damaged("The JSON cannot be read as a JWK or a JWK Set.")
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(b, &set) != nil {
		return ClientKey{}, unreadable
	}
	candidates := set.Keys
	if candidates == nil {
		candidates = []json.RawMessage{b}
	}
	var text []byte
	var label jwkLabel
	var ids []string
	public := ""
	for _, c := range candidates {
		var l jwkLabel
		if json.Unmarshal(c, &l) != nil || l.Kty == "" {
			return ClientKey{}, unreadable
		}
		if l.Kty != "oct" && len(l.D) == 0 {
			public = l.name()
			continue
		}
		text, label = c, l
		ids = append(ids, fmt.Sprintf("%q", network.Clean(l.Kid, 40)))
	}
	switch {
	case len(ids) > 1:
		return ClientKey{}, several(" (" + network.Clean(strings.Join(ids, ", "), 200) + ")")
	case text == nil && public != "":
		return ClientKey{}, publicGiven("the public half of " + public)
	case text == nil:
		return ClientKey{}, damaged("The JWK Set is empty.")
	}
	if f := label.check(); f != nil {
		return ClientKey{}, f
	}
	var key jose.JSONWebKey
	if json.Unmarshal(text, &key) != nil {
		return ClientKey{}, damaged("The numbers of the key are incomplete or do not belong together.")
	}
	return newClientKey(key.Key, label.Kid)
}

// check refuses a private JWK that is no signing key for SMART.
func (l jwkLabel) check() *fault.Error {
	signs := map[string]KeyAlgorithm{"RSA": RS384, "EC": ES384}[l.Kty]
	switch {
	case signs == "":
		return kindGiven(l.name())
	case l.Kty == "EC" && l.Crv != "P-384":
		return wrongCurve("the curve " + network.Clean(l.Crv, 20))
	case l.Use != "" && l.Use != "sig", l.KeyOps != nil && !slices.Contains(l.KeyOps, "sign"):
		return keyFault("client-key-use", "This key is marked for another purpose than signing (use, key_ops).", "Give the key that is for signatures. One key must not serve two purposes.")
	case l.Alg != "" && l.Alg != string(signs):
		return keyFault("client-key-algorithm", fmt.Sprintf("This key is marked for %s, and as %s it would have to sign with %s.", network.Clean(l.Alg, 20), l.name(), signs),
			"Let Chartkey make a key for SMART. If this one may serve, take alg out of it and register its public half anew.")
	case l.Kty == "RSA" && len(l.P) == 0:
		return damaged("The RSA key lacks its prime factors (p and q).")
	}
	for _, r := range l.Kid {
		if r < 0x20 || r > 0x7e || len(l.Kid) > maxKeyID {
			return keyFault("client-key-id", "The kid of the key is too long or has characters that cannot travel.", fmt.Sprintf("Give it a kid of at most %d printable ASCII characters, at the EHR too.", maxKeyID))
		}
	}
	return nil
}

// newClientKey checks a private key. An empty id stands for the thumbprint.
func newClientKey(private any, id string) (ClientKey, error) {
	pair := keyPair{id: id}
	switch key := private.(type) {
	case *rsa.PrivateKey:
		switch bits := key.N.BitLen(); {
		case bits < minRSABits:
			return ClientKey{}, keyFault("client-key-weak", fmt.Sprintf("The RSA key has %d bits, and %d are the least.", bits, minRSABits), "Make a longer key, or let Chartkey make one.")
		case bits > maxRSABits:
			return ClientKey{}, keyFault("client-key-kind", fmt.Sprintf("The RSA key has %d bits, and Chartkey signs with %d at most.", bits, maxRSABits), "Use a key of 3072 or 4096 bits.")
		case len(key.Primes) != 2:
			return ClientKey{}, kindGiven("an RSA key of more than two primes")
		}
		key.Precompute()
		pair.alg, pair.private = RS384, key
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P384() {
			return ClientKey{}, wrongCurve("the curve " + key.Curve.Params().Name)
		}
		pair.alg, pair.private = ES384, key
	case ed25519.PrivateKey:
		return ClientKey{}, kindGiven("an Ed25519 key")
	case *ecdh.PrivateKey:
		return ClientKey{}, kindGiven("an X25519 key")
	default:
		return ClientKey{}, kindGiven("a private key of an unusual kind")
	}
	k := ClientKey{pair: func() keyPair { return pair }}
	if pair.id == "" {
		pair.id = k.Thumbprint()
		if strings.HasPrefix(pair.id, "-") { // a command line would take it for a flag
			pair.id = "k" + pair.id
		}
	}
	// A private half that does not fit the public one would sign what nobody can verify.
	if !k.fits() {
		return ClientKey{}, damaged("The private and the public half of the key do not belong together.")
	}
	return k, nil
}

// fits tells whether the public half verifies what the private half signs.
func (k ClientKey) fits() bool {
	jws, err := k.sign([]byte("fits"), nil)
	if err != nil {
		return false
	}
	parsed, err := jose.ParseSignedCompact(jws.Reveal(), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.Algorithm())})
	if err != nil {
		return false
	}
	_, err = parsed.Verify(k.pair().private.Public())
	return err == nil
}

// sign makes a compact JWS of payload with alg, kid and the header given.
func (k ClientKey) sign(payload []byte, header map[jose.HeaderKey]any) (secret.Value, error) {
	pair := k.pair()
	options := &jose.SignerOptions{}
	options.WithHeader("kid", pair.id)
	for name, value := range header {
		options.WithHeader(name, value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(pair.alg), Key: pair.private}, options)
	if err != nil {
		return secret.Value{}, err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return secret.Value{}, err
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		return secret.Value{}, err
	}
	return secret.Own([]byte(text)), nil
}

// IsZero tells whether there is no key.
func (k ClientKey) IsZero() bool { return k.pair == nil }

// ID gives the kid, by which the EHR finds the public half.
func (k ClientKey) ID() string {
	if k.IsZero() {
		return ""
	}
	return k.pair().id
}

// Algorithm gives the signature that the key makes.
func (k ClientKey) Algorithm() KeyAlgorithm {
	if k.IsZero() {
		return ""
	}
	return k.pair().alg
}

// Kind tells people what the key is: "RSA, 3072 bits" or "EC, P-384".
func (k ClientKey) Kind() string {
	if k.IsZero() {
		return ""
	}
	if key, ok := k.pair().private.(*rsa.PrivateKey); ok {
		return fmt.Sprintf("RSA, %d bits", key.N.BitLen())
	}
	return "EC, P-384"
}

// Thumbprint gives the SHA-256 thumbprint of the key (RFC 7638), which tells
// whether two are the same, whatever their kid.
func (k ClientKey) Thumbprint() string {
	if k.IsZero() {
		return ""
	}
	return thumbprint(jose.JSONWebKey{Key: k.pair().private.Public()})
}

// thumbprint gives "" for a key that has none.
func thumbprint(key jose.JSONWebKey) string {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// Private gives the whole key as a private JWK with its kid, for the caller to
// seal. ImportClientKey reads it back.
func (k ClientKey) Private() (secret.Value, error) {
	if k.IsZero() {
		return secret.Value{}, noKey()
	}
	pair := k.pair()
	b, err := json.Marshal(jose.JSONWebKey{Key: pair.private, KeyID: pair.id, Algorithm: string(pair.alg), Use: "sig"})
	if err != nil {
		return secret.Value{}, keyFault("client-key-failed", "The key could not be written down.", "Try again.")
	}
	return secret.Own(b), nil
}

func noKey() *fault.Error {
	return keyFault("client-key-missing", "The registration has no key to sign with.", "Make a key or import one, and register its public half at the EHR.")
}

// PublicJWK gives the public half as a JWK (RFC 7517). Its use and its key_ops
// say the same: servers are known that look for the one or the other.
func (k ClientKey) PublicJWK() (json.RawMessage, error) {
	if k.IsZero() {
		return nil, noKey()
	}
	pair := k.pair()
	b, err := json.Marshal(jose.JSONWebKey{Key: pair.private.Public(), KeyID: pair.id, Algorithm: string(pair.alg), Use: "sig"})
	members := map[string]any{}
	if err == nil {
		err = json.Unmarshal(b, &members)
	}
	members["key_ops"] = []string{"verify"}
	if err == nil {
		b, err = json.Marshal(members)
	}
	if err != nil {
		return nil, keyFault("client-key-failed", "The public key could not be written down.", "Try again.").Because(err)
	}
	return b, nil
}

// PublicKeySet gives the public halves as a JWK Set, as it is uploaded or
// published at a JWKS URL. Several keys overlap while one replaces the other:
// publish the new beside the old, sign with the new, and take the old out when
// no assertion of it can be in force any more (5 minutes). It fails where two
// keys share a kid, and where there is none.
func PublicKeySet(keys ...ClientKey) (json.RawMessage, error) {
	if len(keys) == 0 {
		return nil, noKey()
	}
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{}
	seen := map[string]string{}
	for _, k := range keys {
		public, err := k.PublicJWK()
		if err != nil {
			return nil, err
		}
		if other, twice := seen[k.ID()]; twice {
			if other == k.Thumbprint() {
				continue
			}
			return nil, fault.Newf("client-key-id", "Give one of them another kid, at the EHR too.", "Two different keys have the kid %q.", k.ID())
		}
		seen[k.ID()] = k.Thumbprint()
		set.Keys = append(set.Keys, public)
	}
	return json.Marshal(set)
}

// PublicPEM gives the public half as PEM (SubjectPublicKeyInfo, RFC 5280).
func (k ClientKey) PublicPEM() (string, error) {
	if k.IsZero() {
		return "", noKey()
	}
	der, err := x509.MarshalPKIXPublicKey(k.pair().private.Public())
	if err != nil {
		return "", keyFault("client-key-failed", "The public key could not be written down.", "Try again.").Because(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// Certificate is a self-signed X.509 certificate of a client key.
type Certificate struct {
	// PEM is the certificate in base64, as forms take it.
	PEM string
	// SHA1 is its fingerprint in capital hex digits, by which Epic's page shows
	// which certificate it has. It guards nothing.
	SHA1 string
}

// Certificate gives the public half as a self-signed X.509 certificate. Epic's
// form asks backend apps without a JWKS URL for one, takes the key out and
// discards the rest; it takes RSA keys only. commonName is the app's name.
// from is when the certificate's time begins, to the second; the same key, name
// and time of an RSA key give the same certificate and so the same fingerprint.
func (k ClientKey) Certificate(commonName string, from time.Time) (Certificate, error) {
	if k.IsZero() {
		return Certificate{}, noKey()
	}
	private := k.pair().private
	name := network.Clean(commonName, maxCommonName-1)
	if name == "" {
		name = "Chartkey"
	}
	serial := sha256.Sum256([]byte(k.Thumbprint()))
	template := &x509.Certificate{
		SerialNumber:       new(big.Int).SetBytes(serial[:15]), // positive, and within RFC 5280's 20 octets
		Subject:            pkix.Name{CommonName: name},
		NotBefore:          from.UTC().Truncate(time.Second),
		NotAfter:           from.UTC().Truncate(time.Second).Add(certificateLife),
		KeyUsage:           x509.KeyUsageDigitalSignature,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	if k.Algorithm() == ES384 {
		template.SignatureAlgorithm = x509.ECDSAWithSHA384
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return Certificate{}, keyFault("client-key-failed", "The certificate could not be made.", "Check the date of this workstation, and try again.").Because(err)
	}
	return Certificate{PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), SHA1: Fingerprint(der)}, nil
}

// Fingerprint gives Certificate.SHA1 of a certificate in DER form.
func Fingerprint(der []byte) string {
	h := crypto.SHA1.New()
	h.Write(der)
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// String names the key by its kid, which is public.
func (k ClientKey) String() string {
	if k.IsZero() {
		return "‹no client key›"
	}
	return "‹client key " + k.ID() + "›"
}

// GoString names the key by its kid.
func (k ClientKey) GoString() string { return k.String() }

// Format writes the name for every verb, %x and %d among them.
func (k ClientKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText gives the name.
func (k ClientKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue gives the name to log/slog.
func (k ClientKey) LogValue() slog.Value { return slog.StringValue(k.String()) }
