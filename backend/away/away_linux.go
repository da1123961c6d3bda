package away

import "context"

func (w *watch) sources() []func(context.Context) {
	return []func(context.Context){
		func(ctx context.Context) { w.keep(ctx, "logind", w.logind) },
		func(ctx context.Context) { w.keep(ctx, "screen saver", w.screenSaver) },
	}
}
