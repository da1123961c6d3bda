//go:build !linux && !windows && !darwin

package away

import "context"

// sources is empty: here the clocks are all there is.
func (w *watch) sources() []func(context.Context) { return nil }
