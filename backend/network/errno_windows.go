package network

import (
	"errors"

	"golang.org/x/sys/windows"
)

// refusedByPeer tells that nothing listens at the port. Windows has numbers of
// its own for sockets, which those of package syscall do not match.
func refusedByPeer(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// cutByPeer tells that the other side ended the connection without a word.
func cutByPeer(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAECONNABORTED)
}
