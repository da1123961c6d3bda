package vault_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/vault"
)

// cheapest is for tests that derive many keys.
var cheapest = vault.Cost{Time: 1, MemoryKiB: 8, Threads: 1}

var (
	passcode = secret.New("274-911")
	place    = vault.Binding{Table: "t", Column: "c", Row: "r"}
)

func lockedKey(t testing.TB, v *vault.Vault, owner string, passcode secret.Value) (*vault.DataKey, vault.WrappedKey) {
	t.Helper()
	key, stored, err := v.NewLockedKey(owner, passcode, cheapest)
	if err != nil {
		t.Fatal(err)
	}
	return key, stored
}

func seal(t testing.TB, key *vault.DataKey, text string) []byte {
	t.Helper()
	sealed, err := key.Seal(place, secret.New(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func opens(t testing.TB, key *vault.DataKey, sealed []byte, text string) {
	t.Helper()
	if s, err := key.Open(place, sealed); err != nil || s.Reveal() != text {
		t.Fatalf("it does not open: %v", err)
	}
}

// stored is k after it was in a store, sharing nothing with k.
func stored(t testing.TB, k vault.WrappedKey) vault.WrappedKey {
	t.Helper()
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	var again vault.WrappedKey
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

// restart gives the vault as another process opens it, with no key in memory.
func restart(t testing.TB, h vault.Header) *vault.Vault {
	t.Helper()
	v, err := vault.UnlockWithPassphrase(h, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func TestALockedKeyTakesItsPasscodeAndItsVault(t *testing.T) {
	v, h := create(t)
	other, _ := create(t)
	key, k := lockedKey(t, v, "alice", passcode)
	sealed := seal(t, key, "s")
	if key.Owner() != "alice" {
		t.Errorf("owner %q", key.Owner())
	}
	again := restart(t, h)
	for _, c := range []struct {
		name     string
		v        *vault.Vault
		owner    string
		passcode string
		code     string
	}{
		{"its own", again, "alice", "274-911", ""},
		{"another passcode", again, "alice", "274-912", "passcode-wrong"},
		{"the master key's passphrase", again, "alice", "correct horse battery", "passcode-wrong"},
		{"a short one", again, "alice", "2", "passcode-wrong"},
		{"one nobody can choose", again, "alice", "274-911\n", "passcode-wrong"},
		{"a huge one", again, "alice", strings.Repeat("2", 1<<20), "passcode-wrong"},
		{"none", again, "alice", "", "passcode-needed"},
		{"another owner", again, "bob", "274-911", "vault-damaged"},
		{"another owner without a passcode", again, "bob", "", "vault-damaged"},
		{"another vault", other, "alice", "274-911", "vault-damaged"},
		{"no owner", again, "", "274-911", "vault-owner"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.v.UnlockKey(c.owner, stored(t, k), secret.New(c.passcode))
			if fault.Code(err) != c.code || (got != nil) != (c.code == "") {
				t.Fatalf("%v", err)
			}
			if c.code == "" {
				opens(t, got, sealed, "s")
			}
			// What a change of the passcode asks for is the same.
			if _, err := c.v.ChangePasscode(c.owner, stored(t, k), secret.New(c.passcode), secret.New("another one"), cheapest); fault.Code(err) != c.code {
				t.Errorf("changing it: %v", err)
			}
		})
	}
}

func TestAKeyInMemoryAnswersNoPasscodeCheck(t *testing.T) {
	v, _ := create(t)
	first, k := lockedKey(t, v, "alice", passcode)
	if _, err := v.UnlockKey("alice", k, passcode); err != nil {
		t.Fatal(err)
	}
	wrong := secret.New("274-912")
	for name, c := range map[string]struct {
		f    func() error
		code string
	}{
		"a wrong passcode":            {func() error { _, err := v.UnlockKey("alice", k, wrong); return err }, "passcode-wrong"},
		"no passcode":                 {func() error { _, err := v.UnlockKey("alice", k, secret.Value{}); return err }, "passcode-needed"},
		"the KDF dropped":             {func() error { _, err := v.UnlockKey("alice", vault.WrappedKey{Wrapped: k.Wrapped}, wrong); return err }, "vault-damaged"},
		"as a key without a passcode": {func() error { _, err := v.DataKey("alice", k.Wrapped); return err }, "vault-damaged"},
		"another owner":               {func() error { _, err := v.UnlockKey("bob", k, passcode); return err }, "vault-damaged"},
		"a change":                    {func() error { _, err := v.ChangePasscode("alice", k, wrong, wrong, cheapest); return err }, "passcode-wrong"},
		"a change without a KDF": {func() error {
			_, err := v.ChangePasscode("alice", vault.WrappedKey{Wrapped: k.Wrapped}, wrong, wrong, cheapest)
			return err
		}, "vault-damaged"},
	} {
		if err := c.f(); fault.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A wrong guess does not lock out who is in.
	seal(t, first, "s")
}

func TestAChangedPasscodeKeepsWhatIsSealed(t *testing.T) {
	v, h := create(t)
	key, wrapped := newKey(t, v, "alice")
	sealed := seal(t, key, "s")
	k := vault.WrappedKey{Wrapped: wrapped}
	// Without a passcode UnlockKey is DataKey.
	plain, err := v.UnlockKey("alice", stored(t, k), secret.New("ignored"))
	if err != nil {
		t.Fatal(err)
	}
	opens(t, plain, sealed, "s")

	var last secret.Value
	for _, next := range []string{"first one", "caf\u00e9 274", "caf\u00e9 274", "third one"} {
		was := k
		if k, err = v.ChangePasscode("alice", k, last, secret.New(next), cheapest); err != nil {
			t.Fatal(err)
		}
		again := restart(t, h)
		unlocked, err := again.UnlockKey("alice", stored(t, k), secret.New(next))
		if err != nil {
			t.Fatal(err)
		}
		opens(t, unlocked, sealed, "s")
		opens(t, key, sealed, "s")
		if bytes.Equal(was.Wrapped, k.Wrapped) || was.KDF != nil && bytes.Equal(was.KDF.Salt, k.KDF.Salt) {
			t.Error("the stored form or its salt stays the same")
		}
		if last.Equal(secret.New(next)) {
			continue
		}
		for _, old := range []secret.Value{last, secret.New("ignored")} {
			if _, err := again.UnlockKey("alice", k, old); err == nil {
				t.Error("another passcode opens")
			}
		}
		if _, err := again.UnlockKey("alice", vault.WrappedKey{Wrapped: was.Wrapped, KDF: k.KDF}, secret.New(next)); fault.Code(err) != "vault-damaged" {
			t.Errorf("the former wrapped form under the new parameters: %v", err)
		}
		last = secret.New(next)
	}
	// Another keyboard composes the same.
	if k, err = v.ChangePasscode("alice", k, last, secret.New("caf\u00e9 274"), cheapest); err != nil {
		t.Fatal(err)
	}
	if _, err := v.UnlockKey("alice", k, secret.New("cafe\u0301\u00a0274")); err != nil {
		t.Error(err)
	}
}

func TestAChangedRowIsDamageWhateverThePasscode(t *testing.T) {
	v, h := create(t)
	dear := vault.Cost{Time: 2, MemoryKiB: 64, Threads: 2}
	key, k, err := v.NewLockedKey("alice", passcode, dear)
	if err != nil {
		t.Fatal(err)
	}
	_, another := lockedKey(t, v, "alice", passcode)
	_, plain := newKey(t, v, "alice")
	sealed := seal(t, key, "s")
	again := restart(t, h)
	for name, change := range map[string]func(*vault.WrappedKey){
		"a lower cost":               func(k *vault.WrappedKey) { k.KDF.Time = 1 },
		"a higher cost":              func(k *vault.WrappedKey) { k.KDF.Time = 3 },
		"less memory":                func(k *vault.WrappedKey) { k.KDF.MemoryKiB = 16 },
		"memory that rounds to it":   func(k *vault.WrappedKey) { k.KDF.MemoryKiB = 65 },
		"other threads":              func(k *vault.WrappedKey) { k.KDF.Threads = 1 },
		"another salt":               func(k *vault.WrappedKey) { k.KDF.Salt = another.KDF.Salt },
		"a short salt":               func(k *vault.WrappedKey) { k.KDF.Salt = k.KDF.Salt[:8] },
		"another function":           func(k *vault.WrappedKey) { k.KDF.Name = "argon2i" },
		"no KDF":                     func(k *vault.WrappedKey) { k.KDF = nil },
		"an empty KDF":               func(k *vault.WrappedKey) { k.KDF = &vault.KDF{} },
		"another KDF":                func(k *vault.WrappedKey) { k.KDF = another.KDF },
		"100 GB":                     func(k *vault.WrappedKey) { k.KDF.MemoryKiB = 100 << 20 },
		"for years":                  func(k *vault.WrappedKey) { k.KDF.Time = 1 << 31 },
		"no threads":                 func(k *vault.WrappedKey) { k.KDF.Threads = 0 },
		"another wrapped key":        func(k *vault.WrappedKey) { k.Wrapped = another.Wrapped },
		"one without a passcode":     func(k *vault.WrappedKey) { k.Wrapped = plain },
		"nothing":                    func(k *vault.WrappedKey) { k.Wrapped = nil },
		"a huge key":                 func(k *vault.WrappedKey) { k.Wrapped = make([]byte, 1<<20) },
		"a byte more":                func(k *vault.WrappedKey) { k.Wrapped = append(k.Wrapped, 0) },
		"a byte less":                func(k *vault.WrappedKey) { k.Wrapped = k.Wrapped[1:] },
		"all of it, without its KDF": func(k *vault.WrappedKey) { *k = vault.WrappedKey{Wrapped: another.Wrapped} },
	} {
		t.Run(name, func(t *testing.T) {
			changed := stored(t, k)
			change(&changed)
			for where, v := range map[string]*vault.Vault{"in memory": v, "not in memory": again} {
				for _, p := range []secret.Value{passcode, secret.New("274-912"), {}} {
					if got, err := v.UnlockKey("alice", changed, p); got != nil || fault.Code(err) != "vault-damaged" {
						t.Errorf("%s: %v", where, err)
					}
					if _, err := v.ChangePasscode("alice", changed, p, passcode, cheapest); fault.Code(err) != "vault-damaged" {
						t.Errorf("%s: changing it: %v", where, err)
					}
				}
			}
		})
	}
	got, err := again.UnlockKey("alice", k, passcode)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, got, sealed, "s")
}

func TestEveryChangedBitIsDamage(t *testing.T) {
	v, h := create(t)
	again := restart(t, h)
	_, locked := lockedKey(t, v, "alice", passcode)
	_, wrapped := newKey(t, v, "alice")
	for name, k := range map[string]vault.WrappedKey{"with a passcode": locked, "without": {Wrapped: wrapped}} {
		flips := func(what string, of func(*vault.WrappedKey) []byte) {
			for i := range 8 * len(of(&k)) {
				changed := stored(t, k)
				of(&changed)[i/8] ^= 1 << (i % 8)
				for _, v := range []*vault.Vault{v, again} {
					if got, err := v.UnlockKey("alice", changed, passcode); got != nil || fault.Code(err) != "vault-damaged" {
						t.Errorf("%s: bit %d of the %s: %v", name, i, what, err)
					}
				}
			}
		}
		flips("wrapped key", func(k *vault.WrappedKey) []byte { return k.Wrapped })
		if k.KDF != nil {
			flips("salt", func(k *vault.WrappedKey) []byte { return k.KDF.Salt })
		}
	}
}

func TestAForgottenKeyIsLockedAndTheVaultOpen(t *testing.T) {
	v, _ := create(t)
	alice, k := lockedKey(t, v, "alice", passcode)
	bob, _ := lockedKey(t, v, "bob", passcode)
	workstation, _ := newKey(t, v, "workstation")
	sealed := seal(t, alice, "s")
	// The same key by other ways: unlocked again, and after a change of the passcode.
	twice, err := v.UnlockKey("alice", k, passcode)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := v.ChangePasscode("alice", k, passcode, secret.New("another one"), cheapest)
	if err != nil {
		t.Fatal(err)
	}
	third, err := v.UnlockKey("alice", changed, secret.New("another one"))
	if err != nil {
		t.Fatal(err)
	}

	v.Forget(alice)
	locked := func() {
		t.Helper()
		for name, key := range map[string]*vault.DataKey{"first": alice, "second": twice, "third": third} {
			if _, err := key.Open(place, sealed); fault.Code(err) != "vault-locked" {
				t.Errorf("%s: opening: %v", name, err)
			}
			if _, err := key.Seal(place, secret.New("s")); fault.Code(err) != "vault-locked" {
				t.Errorf("%s: sealing: %v", name, err)
			}
		}
	}
	locked()
	seal(t, bob, "s")
	seal(t, workstation, "s")
	if _, err := v.UnlockKey("alice", changed, passcode); fault.Code(err) != "passcode-wrong" {
		t.Errorf("%v", err)
	}

	// Unlocking again wakes no former DataKey, and forgetting one of those again takes nothing away.
	fresh, err := v.UnlockKey("alice", changed, secret.New("another one"))
	if err != nil {
		t.Fatal(err)
	}
	locked()
	v.Forget(twice)
	opens(t, fresh, sealed, "s")

	// What is not a key of this vault changes nothing.
	other, _ := create(t)
	other.Forget(fresh)
	v.Forget(nil)
	v.Forget(&vault.DataKey{})
	(*vault.Vault)(nil).Forget(fresh)
	opens(t, fresh, sealed, "s")
}

func TestALockedVaultSaysSoForAPasscodeToo(t *testing.T) {
	v, _ := create(t)
	key, k := lockedKey(t, v, "alice", passcode)
	v.Close()
	var none *vault.Vault
	for name, f := range map[string]func(*vault.Vault) error{
		"new":    func(v *vault.Vault) error { _, _, err := v.NewLockedKey("alice", passcode, cheapest); return err },
		"unlock": func(v *vault.Vault) error { _, err := v.UnlockKey("alice", k, passcode); return err },
		"empty":  func(v *vault.Vault) error { _, err := v.UnlockKey("alice", k, secret.Value{}); return err },
		"no KDF": func(v *vault.Vault) error {
			_, err := v.UnlockKey("alice", vault.WrappedKey{Wrapped: k.Wrapped}, passcode)
			return err
		},
		"change": func(v *vault.Vault) error {
			_, err := v.ChangePasscode("alice", k, passcode, passcode, cheapest)
			return err
		},
		"seal": func(*vault.Vault) error { _, err := key.Seal(place, secret.New("s")); return err },
	} {
		if err := f(v); fault.Code(err) != "vault-locked" {
			t.Errorf("%s: %v", name, err)
		}
		if err := f(none); fault.Code(err) != "vault-locked" {
			t.Errorf("%s without a vault: %v", name, err)
		}
	}
	v.Forget(key)
}

func TestWhichPasscodesGuardAProfile(t *testing.T) {
	v, _ := create(t)
	_, wrapped := newKey(t, v, "alice")
	for _, c := range []struct{ name, passcode, code string }{
		{"six digits", "274911", ""},
		{"six characters", "ünïcöd", ""},
		{"none", "", "passcode-needed"},
		{"five characters", "ünïcö", "passcode-too-short"},
		{"six that are five", "cafe\u0301s", "passcode-too-short"},
		{"a control character", "274911\x00", "passcode-unusable"},
		{"not UTF-8", "274911\xff", "passcode-unusable"},
		{"far too long", strings.Repeat("2", 1025), "passcode-unusable"},
		{"as long as can be", strings.Repeat("2", 1024), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := secret.New(c.passcode)
			if err := vault.CheckNewPasscode(p); fault.Code(err) != c.code || err != nil && fault.From(err).Advice == "" {
				t.Errorf("%v", err)
			}
			_, k, err := v.NewLockedKey("alice", p, cheapest)
			if fault.Code(err) != c.code {
				t.Errorf("a new key: %v", err)
			}
			changed, err := v.ChangePasscode("alice", vault.WrappedKey{Wrapped: wrapped}, secret.Value{}, p, cheapest)
			if fault.Code(err) != c.code {
				t.Errorf("a change: %v", err)
			}
			if c.code != "" {
				return
			}
			for _, k := range []vault.WrappedKey{k, changed} {
				if _, err := v.UnlockKey("alice", k, p); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestTheCostOfAPasscode(t *testing.T) {
	v, _ := create(t)
	_, k, err := v.NewLockedKey("alice", passcode, vault.Cost{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (vault.Cost{Time: 3, MemoryKiB: 64 << 10, Threads: 4}); k.KDF.Cost != want {
		t.Errorf("%+v", k.KDF.Cost)
	}
	beyond := vault.Cost{Time: 1, MemoryKiB: 1 << 30, Threads: 1}
	if _, _, err := v.NewLockedKey("alice", passcode, beyond); fault.Code(err) != "passphrase-cost" {
		t.Errorf("%v", err)
	}
	if _, err := v.ChangePasscode("alice", k, passcode, passcode, beyond); fault.Code(err) != "passphrase-cost" {
		t.Errorf("%v", err)
	}
	if _, _, err := v.NewLockedKey("", passcode, cheapest); fault.Code(err) != "vault-owner" {
		t.Errorf("%v", err)
	}
}

func TestForgettingAndClosingWhileOthersWork(t *testing.T) {
	v, _ := create(t)
	_, k := lockedKey(t, v, "alice", passcode)
	bob, _ := lockedKey(t, v, "bob", passcode)
	var wg, bobs sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				key, err := v.UnlockKey("alice", k, passcode)
				if err == nil {
					_, err = key.Seal(place, secret.New("s"))
				}
				if err != nil && fault.Code(err) != "vault-locked" {
					t.Errorf("%v", err)
				}
				v.Forget(key)
			}
		})
	}
	bobs.Go(func() {
		for range 200 {
			if _, err := bob.Seal(place, secret.New("s")); err != nil {
				t.Errorf("somebody else's key went: %v", err)
			}
		}
	})
	bobs.Wait()
	v.Close()
	wg.Wait()
}

// known is what the property test expects of one stored key.
type known struct {
	owner    string
	passcode secret.Value // empty where the key has none
	stored   vault.WrappedKey
	sealed   []byte // by the key, ever since it was made
	handles  []*vault.DataKey
}

// TestAKeyOpensWithItsOwnPasscodeAndOwnerOnly does what people do, in any order,
// on two vaults that hold the same rows: one long open and one just started.
func TestAKeyOpensWithItsOwnPasscodeAndOwnerOnly(t *testing.T) {
	first, h := create(t)
	rapid.Check(t, func(t *rapid.T) {
		v := first
		var keys []*known
		passcodes := rapid.SampledFrom([]string{"274-911", "274-912", "Anna 1968", "ünïcödé"})
		owners := rapid.SampledFrom([]string{"alice", "bob", "carol"})
		text := secret.New("s")

		some := func(t *rapid.T) *known {
			if len(keys) == 0 {
				t.Skip("no key yet")
			}
			return keys[rapid.IntRange(0, len(keys)-1).Draw(t, "key")]
		}
		made := func(t *rapid.T, k *known, key *vault.DataKey, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if k.sealed, err = key.Seal(place, text); err != nil {
				t.Fatal(err)
			}
			k.handles = append(k.handles, key)
			keys = append(keys, k)
		}
		code := func(k *known, p secret.Value) string {
			switch {
			case k.passcode.IsEmpty() || p.Equal(k.passcode):
				return ""
			case p.IsEmpty():
				return "passcode-needed"
			default:
				return "passcode-wrong"
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"new": func(t *rapid.T) {
				k := &known{owner: owners.Draw(t, "owner"), passcode: secret.New(passcodes.Draw(t, "passcode"))}
				var key *vault.DataKey
				var err error
				key, k.stored, err = v.NewLockedKey(k.owner, k.passcode, cheapest)
				made(t, k, key, err)
			},
			"new without a passcode": func(t *rapid.T) {
				k := &known{owner: owners.Draw(t, "owner")}
				key, wrapped, err := v.NewDataKey(k.owner)
				k.stored.Wrapped = wrapped
				made(t, k, key, err)
			},
			"unlock": func(t *rapid.T) {
				k := some(t)
				p := secret.New(rapid.OneOf(passcodes, rapid.Just(""), rapid.Just(k.passcode.Reveal())).Draw(t, "passcode"))
				key, err := v.UnlockKey(k.owner, k.stored, p)
				if want := code(k, p); fault.Code(err) != want || (key != nil) != (want == "") {
					t.Fatalf("%q: %v", want, err)
				}
				if key != nil {
					k.handles = append(k.handles, key)
				}
			},
			"change": func(t *rapid.T) {
				k := some(t)
				old := secret.New(rapid.OneOf(passcodes, rapid.Just(""), rapid.Just(k.passcode.Reveal())).Draw(t, "old"))
				next := secret.New(passcodes.Draw(t, "next"))
				changed, err := v.ChangePasscode(k.owner, k.stored, old, next, cheapest)
				if want := code(k, old); fault.Code(err) != want {
					t.Fatalf("%q: %v", want, err)
				}
				if err == nil {
					k.stored, k.passcode = changed, next
				}
			},
			"forget": func(t *rapid.T) {
				k := some(t)
				if len(k.handles) == 0 {
					t.Skip("not in memory")
				}
				v.Forget(k.handles[rapid.IntRange(0, len(k.handles)-1).Draw(t, "handle")])
				for _, other := range keys {
					if other.owner != k.owner {
						continue
					}
					for _, key := range other.handles {
						if _, err := key.Open(place, other.sealed); fault.Code(err) != "vault-locked" {
							t.Fatalf("a forgotten key: %v", err)
						}
					}
					other.handles = nil
				}
			},
			"restart": func(t *rapid.T) {
				if v != first {
					v.Close()
				}
				for _, k := range keys {
					for _, key := range k.handles {
						if _, err := key.Open(place, k.sealed); v != first && fault.Code(err) != "vault-locked" {
							t.Fatalf("a key of a closed vault: %v", err)
						}
					}
					k.handles = nil
				}
				var err error
				if v, err = vault.UnlockWithPassphrase(h, passphrase); err != nil {
					t.Fatal(err)
				}
			},
			"tamper": func(t *rapid.T) {
				k := some(t)
				changed, owner, p := tampered(t, k, owners.Draw(t, "another owner"))
				key, err := v.UnlockKey(owner, changed, p)
				if key != nil || fault.Code(err) != "vault-damaged" {
					t.Fatalf("a changed row: %v", err)
				}
			},
			"": func(t *rapid.T) {
				for _, k := range keys {
					for _, key := range k.handles {
						if s, err := key.Open(place, k.sealed); err != nil || !s.Equal(text) || key.Owner() != k.owner {
							t.Fatalf("a key in memory: %v", err)
						}
					}
				}
			},
		})
		if v != first {
			v.Close()
		}
	})
}

// tampered changes one thing of k's row: a bit of the wrapped key, a field of the
// KDF, whether there is one, or the owner.
func tampered(t *rapid.T, k *known, another string) (vault.WrappedKey, string, secret.Value) {
	changed := vault.WrappedKey{Wrapped: bytes.Clone(k.stored.Wrapped)}
	flip := func(b []byte) {
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	}
	p := secret.New(rapid.SampledFrom([]string{"", "274-911", k.passcode.Reveal()}).Draw(t, "passcode"))
	if k.stored.KDF == nil {
		switch rapid.IntRange(0, 2).Draw(t, "what") {
		case 0:
			flip(changed.Wrapped)
		case 1:
			changed.KDF = &vault.KDF{Name: "argon2id", Salt: make([]byte, 16), Cost: cheapest}
		case 2:
			if another == k.owner {
				another += "2"
			}
			return changed, another, p
		}
		return changed, k.owner, p
	}
	kdf := *k.stored.KDF
	kdf.Salt = bytes.Clone(kdf.Salt)
	changed.KDF = &kdf
	switch rapid.IntRange(0, 7).Draw(t, "what") {
	case 0:
		flip(changed.Wrapped)
	case 1:
		flip(kdf.Salt)
	case 2:
		kdf.Name = rapid.StringN(0, 10, -1).Filter(func(s string) bool { return s != kdf.Name }).Draw(t, "name")
	case 3:
		kdf.Time = rapid.Uint32().Filter(func(n uint32) bool { return n != kdf.Time }).Draw(t, "time")
	case 4:
		kdf.MemoryKiB = rapid.Uint32().Filter(func(n uint32) bool { return n != kdf.MemoryKiB }).Draw(t, "memory")
	case 5:
		kdf.Threads = rapid.Uint8().Filter(func(n uint8) bool { return n != kdf.Threads }).Draw(t, "threads")
	case 6:
		changed.KDF = nil
	case 7:
		if another == k.owner {
			another += "2"
		}
		return changed, another, p
	}
	return changed, k.owner, p
}

func FuzzUnlockKey(f *testing.F) {
	v, h := create(f)
	_, k := lockedKey(f, v, "alice", passcode)
	fresh := restart(f, h)
	row := func(k vault.WrappedKey) []byte {
		b, err := json.Marshal(k)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(row(k), passcode.Reveal())
	f.Add(row(vault.WrappedKey{Wrapped: k.Wrapped}), passcode.Reveal())
	f.Add([]byte(`{"wrapped":"eA==","kdf":{"name":"argon2id","salt":"MDEyMzQ1Njc4OWFiY2RlZg==","time":16,"memory_kib":524288,"threads":16}}`), "")
	f.Add([]byte(`{"kdf":null}`), "274-911")
	f.Fuzz(func(t *testing.T, b []byte, p string) {
		var got vault.WrappedKey
		if json.Unmarshal(b, &got) != nil {
			return
		}
		own := bytes.Equal(row(got), row(k))
		for _, v := range []*vault.Vault{v, fresh} {
			key, err := v.UnlockKey("alice", got, secret.New(p))
			switch c := fault.Code(err); {
			case err == nil && own && key != nil:
			case c == "vault-damaged" && !own:
			case own && (c == "passcode-wrong" || c == "passcode-needed") && p != passcode.Reveal():
			default:
				t.Fatalf("own %v: %v", own, err)
			}
		}
	})
}

func BenchmarkUnlockKey(b *testing.B) {
	v, _ := create(b)
	_, k, err := v.NewLockedKey("alice", passcode, vault.Cost{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.UnlockKey("alice", k, passcode); err != nil {
			b.Fatal(err)
		}
	}
}
