package workstation

import (
	"net"
	"os"
	"runtime"
	"testing"
)

const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4790 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:4791 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000000000000000 100 0 0 10 0
   2: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
   3: 0100007F:XYZ 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4714
   4: short 0A
`

func TestParseListening(t *testing.T) {
	got := parseListening([]byte(tcpTable))
	if want := []listening{{18320, "1000", "4711"}, {22, "0", "4713"}}; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v", got)
	}
}

func FuzzParseListening(f *testing.F) {
	f.Add([]byte(tcpTable))
	f.Add([]byte(":0A 0:0 0A 0A 0 0 0 0 0 0"))
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, l := range parseListening(table) {
			if l.uid == "" || l.inode == "" {
				t.Errorf("%+v", l)
			}
		}
	})
}

func TestHolderOfAPort(t *testing.T) {
	if runtime.GOOS != "linux" {
		if h := holderOf(1); h != (holder{}) {
			t.Errorf("%+v", h)
		}
		return
	}
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(network, "localhost:0")
		if err != nil {
			continue // a computer without it
		}
		port := l.Addr().(*net.TCPAddr).Port
		if h := holderOf(port); h.pid != os.Getpid() || !h.ours || h.name == "" {
			t.Errorf("%s: %+v", network, h)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if h := holderOf(port); h.pid != 0 || h.uid != "" {
			t.Errorf("after it was closed: %+v", h)
		}
	}
}
