package vault

import (
	"crypto/rand"
	"strconv"
	"unicode/utf8"

	tinksubtle "github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

const (
	// minPassphrase and maxPassphrase are in characters and bytes: NIST SP 800-63B
	// section 5.1.1.2 asks for at least 8; the upper bound only keeps nonsense out.
	minPassphrase = 8
	maxPassphrase = 1024

	// saltSize is RFC 9106 section 3.1's recommendation.
	saltSize = 16

	// The most that a stored header may ask for.
	maxTime      = 16
	maxMemoryKiB = 512 << 10
	maxThreads   = 16
)

// Cost is what deriving a key from a passphrase takes (Argon2id). The zero Cost
// is RFC 9106 section 4's second recommended option: 3 passes over 64 MiB by 4 threads.
type Cost struct {
	Time      uint32 `json:"time"`
	MemoryKiB uint32 `json:"memory_kib"`
	Threads   uint8  `json:"threads"`
}

func recommendedCost() Cost { return Cost{Time: 3, MemoryKiB: 64 << 10, Threads: 4} }

func (c Cost) valid() bool {
	return c.Time >= 1 && c.Time <= maxTime &&
		c.Threads >= 1 && c.Threads <= maxThreads &&
		c.MemoryKiB >= 8*uint32(c.Threads) && c.MemoryKiB <= maxMemoryKiB // 8 a thread: RFC 9106 section 3.1
}

// KDF is how a passphrase becomes the key that wraps a vault's master key, or a
// passcode the key that wraps a profile's data key. It is stored as JSON.
type KDF struct {
	// Name is "argon2id".
	Name string `json:"name"`
	Salt []byte `json:"salt"`
	Cost
}

const argon2id = "argon2id"

func newKDF(cost Cost) (KDF, error) {
	if cost == (Cost{}) {
		cost = recommendedCost()
	}
	if !cost.valid() {
		return KDF{}, fault.New("passphrase-cost", "The cost asked for is outside what a vault accepts.", "Leave it out to use the recommended one.")
	}
	k := KDF{Name: argon2id, Salt: make([]byte, saltSize), Cost: cost}
	_, _ = rand.Read(k.Salt) // never fails
	return k, nil
}

func (k KDF) valid() bool {
	return k.Name == argon2id && len(k.Salt) == saltSize && k.Cost.valid()
}

// CheckNewPassphrase tells whether a passphrase may protect a vault: at least 8
// characters, nothing that some keyboards cannot type again.
func CheckNewPassphrase(passphrase secret.Value) error {
	if passphrase.IsEmpty() {
		return errPassphraseNeeded()
	}
	n, err := characters(passphrase)
	if err != nil {
		return fault.New("passphrase-unusable", "The passphrase has characters that cannot be used.",
			"Use letters, digits, punctuation and spaces.")
	}
	if n < minPassphrase {
		return fault.Newf("passphrase-too-short", "Choose a longer one; four or five unrelated words are easy to remember.",
			"The passphrase is shorter than %d characters.", minPassphrase)
	}
	return nil
}

// characters counts those of a passphrase as it is used.
func characters(passphrase secret.Value) (int, error) {
	b, err := normalize(passphrase)
	if err != nil {
		return 0, err
	}
	defer clear(b)
	return utf8.RuneCount(b), nil
}

// normalize brings a passphrase into the form of RFC 8265's OpaqueString, so
// that "é" opens the vault whichever way a keyboard composes it.
func normalize(passphrase secret.Value) ([]byte, error) {
	if len(passphrase.Bytes()) > maxPassphrase {
		return nil, strconv.ErrRange
	}
	if !utf8.Valid(passphrase.Bytes()) { // precis would make one character of all that is not
		return nil, strconv.ErrSyntax
	}
	return precis.OpaqueString.Bytes(passphrase.Bytes())
}

// binding is what a key that k guards belongs to. It covers every parameter of
// k: a changed one is noticed whatever it does to the key.
func (k KDF) binding(purpose string, parts ...string) []byte {
	return bind(purpose, append(parts, k.Name, string(k.Salt),
		strconv.FormatUint(uint64(k.Time), 10), strconv.FormatUint(uint64(k.MemoryKiB), 10), strconv.FormatUint(uint64(k.Threads), 10))...)
}

// withKey runs f with AES-256-GCM under the key of passphrase, and clears that
// key once f is done. It fails where f does and where normalize does.
func (k KDF) withKey(passphrase secret.Value, f func(tink.AEAD) error) error {
	p, err := normalize(passphrase)
	if err != nil {
		return err
	}
	defer clear(p)
	key := argon2.IDKey(p, k.Salt, k.Time, k.MemoryKiB, k.Threads, masterKeySize)
	defer clear(key)
	aead, err := tinksubtle.NewAESGCM(key)
	if err != nil {
		return err
	}
	return f(aead)
}

func (k KDF) wrap(passphrase secret.Value, plain, binding []byte) (wrapped []byte, err error) {
	err = k.withKey(passphrase, func(key tink.AEAD) (err error) {
		wrapped, err = key.Encrypt(plain, binding)
		return err
	})
	return wrapped, err
}

// unwrap gives what wrap wrapped. It fails where the passphrase or anything else is another one.
func (k KDF) unwrap(passphrase secret.Value, wrapped, binding []byte) (plain []byte, err error) {
	err = k.withKey(passphrase, func(key tink.AEAD) (err error) {
		plain, err = key.Decrypt(wrapped, binding)
		return err
	})
	return plain, err
}
