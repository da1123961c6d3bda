package workstation

import (
	"context"
	"path/filepath"

	"chartkey/backend/loopback"
)

// handOverFile is the socket in the data folder at which a callback of
// Chartkey's own scheme is handed over.
const handOverFile = "callback.sock"

// DeliverCallback hands a callback that the operating system opened, of
// chartkey://callback, to the Chartkey whose sign-in waits for it.
// Faults: callback-invalid, no-sign-in-waits.
func (w *Workstation) DeliverCallback(ctx context.Context, callback string) (loopback.Delivery, error) {
	return loopback.Deliver(ctx, filepath.Join(w.home, handOverFile), callback)
}
