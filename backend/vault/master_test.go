package vault

import (
	"bytes"
	"testing"

	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

// TestTheMasterKeyAloneOpensNoProfile does what somebody can do who has the
// master key and the rows, but no passcode.
func TestTheMasterKeyAloneOpensNoProfile(t *testing.T) {
	v, err := create("")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	passcode := secret.New("274-911")
	_, k, err := v.NewLockedKey("alice", passcode, Cost{Time: 2, MemoryKiB: 64, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := v.wrap.Decrypt(k.Wrapped, k.KDF.binding(lockedKeyset, v.id, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readKeyset(inner); err == nil {
		t.Fatal("below the master key there is the bare keyset")
	}

	// A row of their own making, around what they cannot open.
	forge := func(owner string, change func(*KDF)) WrappedKey {
		kdf := *k.KDF
		change(&kdf)
		wrapped, err := v.wrap.Encrypt(inner, kdf.binding(lockedKeyset, v.id, owner))
		if err != nil {
			t.Fatal(err)
		}
		return WrappedKey{Wrapped: wrapped, KDF: &kdf}
	}
	bare, err := v.wrap.Encrypt(inner, bind("keyset", v.id, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	var envelope bytes.Buffer
	if err := keyset.NewBinaryWriter(&envelope).WriteEncrypted(&tinkpb.EncryptedKeyset{EncryptedKeyset: bare}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, owner string
		k           WrappedKey
		code        string
	}{
		{"the same", "alice", forge("alice", func(*KDF) {}), ""},
		{"cheaper to guess", "alice", forge("alice", func(k *KDF) { k.Time = 1 }), "passcode-wrong"},
		{"with less memory", "alice", forge("alice", func(k *KDF) { k.MemoryKiB = 8 }), "passcode-wrong"},
		{"with the same memory by another name", "alice", forge("alice", func(k *KDF) { k.MemoryKiB = 65 }), "passcode-wrong"},
		{"with a known salt", "alice", forge("alice", func(k *KDF) { k.Salt = make([]byte, saltSize) }), "passcode-wrong"},
		{"for somebody else", "mallory", forge("mallory", func(*KDF) {}), "passcode-wrong"},
		{"without a passcode", "alice", WrappedKey{Wrapped: envelope.Bytes()}, "vault-damaged"},
		// The bounds hold for them too: else the next unlocking takes the machine down.
		{"for 4 TB", "alice", forge("alice", func(k *KDF) { k.MemoryKiB = 1<<32 - 1 }), "vault-damaged"},
		{"for years", "alice", forge("alice", func(k *KDF) { k.Time = 1<<32 - 1 }), "vault-damaged"},
		{"for no pass", "alice", forge("alice", func(k *KDF) { k.Time = 0 }), "vault-damaged"},
		{"for no thread", "alice", forge("alice", func(k *KDF) { k.Threads = 0 }), "vault-damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := v.UnlockKey(c.owner, c.k, passcode); fault.Code(err) != c.code {
				t.Errorf("unlocking: %v", err)
			}
			if c.code == "" {
				return
			}
			if _, err := v.ChangePasscode(c.owner, c.k, passcode, passcode, Cost{Time: 1, MemoryKiB: 8, Threads: 1}); fault.Code(err) != c.code {
				t.Errorf("changing: %v", err)
			}
		})
	}
}
