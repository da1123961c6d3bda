//go:build linux && system

package network_test

import (
	"crypto/x509/pkix"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The files that people are sent are openssl's or Windows'.
func TestPKCS12OfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("install openssl")
	}
	ca := newAuthority(t, pkix.Name{CommonName: "Hospital root"})
	cert, key := pair(t, ca.issue(t, "ward-7"))
	folder := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"pkcs12", "-export", "-in", write("cert.pem", cert), "-inkey", write("key.pem", key), "-certfile", write("ca.pem", ca.pem()), "-name", "Ward 7", "-out", filepath.Join(folder, "out.p12"), "-passout", "stdin"}
	for name, more := range map[string][]string{"its own": nil, "AES": {"-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC", "-macalg", "SHA512"}, "3DES": {"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "SHA1"}} {
		cmd := exec.CommandContext(t.Context(), openssl, append(args, more...)...)
		cmd.Stdin = strings.NewReader("pässphrase 7\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", name, err, out)
		}
		made, err := os.ReadFile(filepath.Join(folder, "out.p12"))
		if err != nil {
			t.Fatal(err)
		}
		if c := parseClient(t, made, "pässphrase 7"); len(c.Chain) != 2 {
			t.Errorf("%s: a chain of %d", name, len(c.Chain))
		}
	}
}
