package workstation

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// listening is one row of Linux's table of sockets that listen for TCP.
type listening struct {
	port       uint16
	uid, inode string
}

// parseListening reads /proc/net/tcp or tcp6 (proc_net_tcp in the kernel's
// documentation). What it does not understand it passes over.
func parseListening(table []byte) []listening {
	const listens = "0A" // TCP_LISTEN
	var out []listening
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != listens {
			continue
		}
		_, hex, found := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		if !found || err != nil {
			continue
		}
		out = append(out, listening{uint16(port), f[7], f[9]})
	}
	return out
}

// holder is the program that listens at a port.
type holder struct {
	pid  int
	name string
	ours bool // another Chartkey, or this one
	uid  string
}

func (h holder) String() string {
	switch {
	case h.pid != 0:
		return fmt.Sprintf("%s (process %d)", h.name, h.pid)
	case h.uid != "":
		name := "the user with the number " + h.uid
		if u, err := user.LookupId(h.uid); err == nil {
			name = u.Username
		}
		return "a program of " + name
	}
	return "a program that cannot be named here"
}

// holderOf finds out who listens at a port. Only Linux tells without rights or
// tools of its own, and only of the person's own programs which they are.
func holderOf(port int) holder {
	if runtime.GOOS != "linux" {
		return holder{}
	}
	var found holder
	sockets := []string{}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(procRoot, "net", table))
		if err != nil {
			continue
		}
		for _, l := range parseListening(text) {
			if int(l.port) == port {
				found.uid = l.uid
				sockets = append(sockets, "socket:["+l.inode+"]")
			}
		}
	}
	if len(sockets) == 0 {
		return found
	}
	links, err := filepath.Glob(filepath.Join(procRoot, "[0-9]*", "fd", "*"))
	if err != nil {
		return found
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !slices.Contains(sockets, to) {
			continue // closed meanwhile, or another's
		}
		process := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		found.pid = pid
		if name, err := os.ReadFile(filepath.Join(process, "comm")); err == nil {
			found.name = strings.TrimSpace(string(name))
		}
		own, err := os.Executable()
		its, itsErr := os.Readlink(filepath.Join(process, "exe"))
		found.ours = err == nil && itsErr == nil && filepath.Base(strings.TrimSuffix(its, " (deleted)")) == filepath.Base(own)
		return found
	}
	return found
}

// procRoot is where Linux tells of its processes.
const procRoot = "/proc"

// findHolder is how a person finds out who holds a port.
func findHolder(port int) string {
	switch runtime.GOOS {
	case "windows":
		return fmt.Sprintf("netstat -ano | findstr :%d shows which process it is.", port)
	case "darwin":
		return fmt.Sprintf("sudo lsof -nP -iTCP:%d shows which program it is.", port)
	}
	return fmt.Sprintf("sudo ss -ltnp sport = :%d shows which program it is.", port)
}
