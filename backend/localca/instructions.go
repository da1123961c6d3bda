package localca

import (
	"fmt"
	"strings"

	"chartkey/backend/network"
)

// Instruction is how one place is made to trust an authority, and to forget it.
type Instruction struct {
	// For names the browsers and programs that look there.
	For string `json:"for"`
	// Trust and Remove are command lines, to be entered one after the other.
	Trust  []string `json:"trust"`
	Remove []string `json:"remove"`
	// Administrator tells that they need an administrator's rights.
	Administrator bool `json:"administrator"`
	// Note tells what else is to be known.
	Note string `json:"note"`
}

// Instructions gives the steps for a platform (linux, windows or darwin, as
// runtime.GOOS) to trust a, whose PEM was written to file, and to remove it
// again. stores are those of Stores, on Linux. Another platform has none.
//
// Fault: localhost-authority-unusable.
func (a Authority) Instructions(platform, file string, stores []Store) ([]Instruction, error) {
	c, err := a.parse()
	if err != nil {
		return nil, err
	}
	switch platform {
	case "linux":
		return forLinux(c.Subject.CommonName, file, stores), nil
	case "windows":
		return forWindows(fmt.Sprintf("%x", c.SerialNumber), file), nil
	case "darwin":
		return forMac(strings.ReplaceAll(network.Fingerprint(c.Raw), ":", ""), file), nil
	}
	return []Instruction{}, nil
}

func forLinux(name, file string, stores []Store) []Instruction {
	list := []Instruction{}
	for _, s := range stores {
		db := "sql:" + s.Folder
		i := Instruction{
			For:    "Firefox, profile in " + s.Folder,
			Trust:  []string{line("certutil", "-d", db, "-A", "-t", "C,,", "-n", name, "-i", file)},
			Remove: []string{line("certutil", "-d", db, "-D", "-n", name)},
			Note:   "Close Firefox first. certutil is in the package libnss3-tools (Debian, Ubuntu) or nss-tools (Fedora). Without it: Settings, Privacy & Security, View Certificates, Authorities, Import.",
		}
		if s.Kind == KindChromium {
			i.For = "Chromium, Chrome, Edge and others like them"
			i.Note = "Start the browser again afterwards. certutil is in the package libnss3-tools (Debian, Ubuntu) or nss-tools (Fedora). Without it: open chrome://certificate-manager and import it as a trusted certificate."
			if !s.exists() {
				i.Trust = append([]string{line("mkdir", "-p", "-m", "700", s.Folder), line("certutil", "-d", db, "-N", "--empty-password")}, i.Trust...)
			}
		}
		list = append(list, i)
	}
	const installed = "/usr/local/share/ca-certificates/chartkey-localhost.crt"
	return append(list,
		Instruction{
			For: "programs such as curl, on Debian and Ubuntu", Administrator: true,
			Trust:  []string{line("sudo", "cp", file, installed), line("sudo", "update-ca-certificates")},
			Remove: []string{line("sudo", "rm", installed), line("sudo", "update-ca-certificates", "--fresh")},
			Note:   "Browsers do not look here. It counts for every user of this computer.",
		},
		Instruction{
			For: "programs such as curl, on Fedora and Red Hat", Administrator: true,
			Trust:  []string{line("sudo", "trust", "anchor", file)},
			Remove: []string{line("sudo", "trust", "anchor", "--remove", file)},
			Note:   "Firefox and Chromium of these systems may look here too. It counts for every user of this computer.",
		})
}

func forWindows(serial, file string) []Instruction {
	return []Instruction{{
		For:    "Edge, Chrome, and Firefox",
		Trust:  []string{`certutil -user -addstore Root "` + file + `"`},
		Remove: []string{"certutil -user -delstore Root " + serial},
		Note:   "Windows shows the fingerprint and asks whether to go on. Firefox looks here where “Allow Firefox to automatically trust third-party root certificates you install” is on, as it is unless it was switched off.",
	}}
}

func forMac(fingerprint, file string) []Instruction {
	const keychain = `"$HOME/Library/Keychains/login.keychain-db"`
	return []Instruction{{
		For:    "Safari, Chrome, Edge, and Firefox",
		Trust:  []string{"security add-trusted-cert -r trustRoot -p ssl -k " + keychain + " " + quote(file)},
		Remove: []string{"security delete-certificate -t -Z " + fingerprint + " " + keychain},
		Note:   "macOS asks for your password. Firefox looks here where “Allow Firefox to automatically trust third-party root certificates you install” is on, as it is unless it was switched off.",
	}}
}

// line gives a command line for a POSIX shell.
func line(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// quote makes one word of s for a POSIX shell.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=+@%", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
