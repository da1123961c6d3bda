//go:build !windows

package network

import (
	"errors"
	"syscall"
)

// refusedByPeer tells that nothing listens at the port.
func refusedByPeer(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// cutByPeer tells that the other side ended the connection without a word.
func cutByPeer(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
