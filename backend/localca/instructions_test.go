package localca_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/localca"
)

func touch(t testing.TB, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "cert9.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhereBrowsersKeepCertificates(t *testing.T) {
	for _, c := range []struct {
		name string
		has  []string
		env  map[string]string // of the home folder
		want []string
	}{
		{"nothing", nil, nil, []string{"chromium .pki/nssdb"}},
		{"Chromium of before 146", []string{".pki/nssdb"}, nil, []string{"chromium .pki/nssdb"}},
		{"of since then", []string{".local/share/pki/nssdb"}, nil, []string{"chromium .local/share/pki/nssdb"}},
		{"both", []string{".pki/nssdb", ".local/share/pki/nssdb"}, nil, []string{"chromium .pki/nssdb", "chromium .local/share/pki/nssdb"}},
		{"elsewhere", []string{"data/pki/nssdb"}, map[string]string{"XDG_DATA_HOME": "data"}, []string{"chromium data/pki/nssdb"}},
		{"a snap", []string{"snap/chromium/current/.pki/nssdb", "snap/firefox/common/.mozilla/firefox/a.default"}, nil, []string{"chromium snap/chromium/current/.pki/nssdb", "firefox snap/firefox/common/.mozilla/firefox/a.default"}},
		{"Firefox", []string{".mozilla/firefox/a.default", ".mozilla/firefox/b.work"}, nil, []string{"chromium .pki/nssdb", "firefox .mozilla/firefox/a.default", "firefox .mozilla/firefox/b.work"}},
		{"a new Firefox", []string{".config/mozilla/firefox/a.default"}, nil, []string{"chromium .pki/nssdb", "firefox .config/mozilla/firefox/a.default"}},
		{"a Flatpak", []string{".var/app/org.mozilla.firefox/.mozilla/firefox/a.default"}, nil, []string{"chromium .pki/nssdb", "firefox .var/app/org.mozilla.firefox/.mozilla/firefox/a.default"}},
	} {
		home := t.TempDir()
		for _, folder := range c.has {
			touch(t, filepath.Join(home, folder))
		}
		if err := os.MkdirAll(filepath.Join(home, ".mozilla/firefox/Crash Reports"), 0o700); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range localca.Stores(home, func(name string) string {
			if v := c.env[name]; v != "" {
				return filepath.Join(home, v)
			}
			return ""
		}) {
			folder, err := filepath.Rel(home, s.Folder)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s.Kind+" "+filepath.ToSlash(folder))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestTheStepsOfEachPlatform(t *testing.T) {
	a := newAuthority(t)
	c := parsed(t, a)
	stores := []localca.Store{{Kind: localca.KindChromium, Folder: "/home/o'brien/.pki/nssdb"}, {Kind: localca.KindFirefox, Folder: "/home/x/.mozilla/firefox/a.default"}}
	name := "'" + c.Subject.CommonName + "'"
	for platform, want := range map[string][]string{
		"linux": {
			`mkdir -p -m 700 '/home/o'\''brien/.pki/nssdb'`,
			`certutil -d 'sql:/home/o'\''brien/.pki/nssdb' -N --empty-password`,
			`certutil -d 'sql:/home/o'\''brien/.pki/nssdb' -A -t 'C,,' -n ` + name + ` -i '/tmp/a b.pem'`,
			`certutil -d 'sql:/home/o'\''brien/.pki/nssdb' -D -n ` + name,
			`certutil -d sql:/home/x/.mozilla/firefox/a.default -A -t 'C,,' -n ` + name + ` -i '/tmp/a b.pem'`,
			`certutil -d sql:/home/x/.mozilla/firefox/a.default -D -n ` + name,
			`sudo cp '/tmp/a b.pem' /usr/local/share/ca-certificates/chartkey-localhost.crt`,
			`sudo update-ca-certificates`,
			`sudo rm /usr/local/share/ca-certificates/chartkey-localhost.crt`,
			`sudo update-ca-certificates --fresh`,
			`sudo trust anchor '/tmp/a b.pem'`,
			`sudo trust anchor --remove '/tmp/a b.pem'`,
		},
		"windows": {`certutil -user -addstore Root "/tmp/a b.pem"`, `certutil -user -delstore Root ` + c.SerialNumber.Text(16)},
		"darwin": {
			`security add-trusted-cert -r trustRoot -p ssl -k "$HOME/Library/Keychains/login.keychain-db" '/tmp/a b.pem'`,
			`security delete-certificate -t -Z ` + hash(t, a) + ` "$HOME/Library/Keychains/login.keychain-db"`,
		},
		"plan9": nil,
	} {
		list, err := a.Instructions(platform, "/tmp/a b.pem", stores)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range list {
			got = append(append(got, i.Trust...), i.Remove...)
			if i.For == "" || i.Note == "" || len(i.Trust) == 0 || len(i.Remove) == 0 || i.Administrator != strings.HasPrefix(i.Trust[0], "sudo ") {
				t.Errorf("%+v", i)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s", platform, strings.Join(got, "\n"))
		}
	}
}

func hash(t testing.TB, a localca.Authority) string {
	t.Helper()
	info, err := a.Info()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(info.Fingerprint, ":", "")
}
