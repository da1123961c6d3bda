package simulator

import (
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// FuzzKeySet: what is taken for a client's key set holds public keys with a name each, and nothing private is ever written back.
func FuzzKeySet(f *testing.F) {
	pair := newKeyPair(f, jose.ES384, "1")
	f.Add([]byte(keySetOf(f, pair.public)))
	f.Add([]byte(keySetOf(f, jose.JSONWebKey{Key: pair.private, KeyID: "1"})))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"1","n":"AA","e":"AQAB"},{"kty":"oct","k":"AA","kid":"2"}]}`))
	f.Add([]byte(`{"keys":[null,{}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var set jose.JSONWebKeySet
		if json.Unmarshal(raw, &set) != nil || checkKeySet(set) != nil {
			return
		}
		for _, k := range set.Keys {
			if !k.IsPublic() || k.KeyID == "" {
				t.Fatalf("taken: %s", raw)
			}
		}
		written, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		var again jose.JSONWebKeySet
		if err := json.Unmarshal(written, &again); err != nil || len(again.Keys) != len(set.Keys) {
			t.Fatalf("written as %s: %v", written, err)
		}
	})
}
