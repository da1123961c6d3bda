package smart_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"chartkey/backend/smart"
)

func TestASecretNeverShows(t *testing.T) {
	const canary = "canary-7f3a"
	s := smart.NewSecret(canary)
	type hidden struct{ s smart.Secret } // unexported: fmt does not ask its methods
	type shown struct{ S smart.Secret }
	var out strings.Builder
	for _, v := range []any{s, &s, hidden{s}, &hidden{s}, shown{s}, []smart.Secret{s}, map[string]smart.Secret{"k": s}, smart.TokenResponse{AccessToken: s}, smart.ClientAuth{Secret: s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
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
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), strings.ToUpper(fmt.Sprintf("%x", canary))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q shows", form)
		}
	}
	if !strings.Contains(out.String(), "‹secret›") || s.Reveal() != canary || s.IsZero() {
		t.Error("the mark or the text is lost")
	}
	if z := smart.NewSecret(""); !z.IsZero() || z.Reveal() != "" || fmt.Sprint(z) != "" {
		t.Error("an empty secret is not zero")
	}
}
