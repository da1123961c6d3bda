package vault_test

import (
	"strings"
	"testing"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/vault"
)

func TestWhichPassphrasesProtectAVault(t *testing.T) {
	for _, c := range []struct{ name, passphrase, code string }{
		{"words", "correct horse battery", ""},
		{"eight characters", "ünïcödé!", ""},
		{"none", "", "passphrase-needed"},
		{"seven characters", "ünïcödé", "passphrase-too-short"},
		{"a control character", "correct\x00horse battery", "passphrase-unusable"},
		{"not UTF-8", "correct\xffhorse battery", "passphrase-unusable"},
		{"far too long", strings.Repeat("x", 1025), "passphrase-unusable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, h, err := vault.CreateWithPassphrase("", secret.New(c.passphrase), cheap)
			if fault.Code(err) != c.code {
				t.Fatalf("%v", err)
			}
			if c.code != "" {
				return
			}
			v.Close()
			v, err = vault.UnlockWithPassphrase(h, secret.New(c.passphrase))
			if err != nil {
				t.Fatal(err)
			}
			v.Close()
		})
	}
}

func TestWhichPassphrasesOpenAVault(t *testing.T) {
	const composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
	_, h, err := vault.CreateWithPassphrase("", secret.New(composed), cheap)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, passphrase, code string }{
		{"the same", composed, ""},
		{"composed by another keyboard", decomposed, ""},
		{"with another kind of space", "caf\u00e9\u00a0au lait", ""},
		{"another case", "Caf\u00e9 au lait", "passphrase-wrong"},
		{"with a space at the end", composed + " ", "passphrase-wrong"},
		{"without the accent", "cafe au lait", "passphrase-wrong"},
		{"short", "x", "passphrase-wrong"},
		{"with a line end", composed + "\n", "passphrase-wrong"},
		{"huge", strings.Repeat("x", 1<<20), "passphrase-wrong"},
		{"none", "", "passphrase-needed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := vault.UnlockWithPassphrase(h, secret.New(c.passphrase))
			if fault.Code(err) != c.code {
				t.Errorf("%v", err)
			}
			v.Close()
		})
	}
}

func TestTheRecommendedCost(t *testing.T) {
	_, h, err := vault.CreateWithPassphrase("", passphrase, vault.Cost{})
	if err != nil {
		t.Fatal(err)
	}
	// RFC 9106 section 4, second recommended option.
	if want := (vault.Cost{Time: 3, MemoryKiB: 64 * 1024, Threads: 4}); h.KDF.Cost != want {
		t.Errorf("%+v", h.KDF.Cost)
	}
	if _, _, err := vault.CreateWithPassphrase("", passphrase, vault.Cost{Time: 1, MemoryKiB: 1 << 30, Threads: 1}); fault.Code(err) != "passphrase-cost" {
		t.Errorf("%v", err)
	}
}

func BenchmarkUnlockWithPassphrase(b *testing.B) {
	_, h, err := vault.CreateWithPassphrase("", passphrase, vault.Cost{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		v, err := vault.UnlockWithPassphrase(h, passphrase)
		if err != nil {
			b.Fatal(err)
		}
		v.Close()
	}
}
