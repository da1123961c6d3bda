package away

import (
	"context"
	"os"
)

func (w *watch) sources() []func(context.Context) {
	return []func(context.Context){func(ctx context.Context) {
		w.keep(ctx, "console", func(ctx context.Context) error {
			return w.console(ctx, "/usr/sbin/ioreg", os.Getuid(), look)
		})
	}}
}
