package network

import (
	"context"
	"net/url"
	"sync"

	"github.com/mattn/go-ieproxy"
)

// systemSource names the settings for people.
const systemSource = "Windows' internet options"

// systemAsker gives what reads the internet options, else WinHTTP's settings,
// and lets WinHTTP run the configuration script, or look for one, where they say so.
func systemAsker() func(context.Context, *url.URL) ([]string, error) {
	var reload sync.Mutex // ReloadConf writes a variable of the library's
	return func(ctx context.Context, origin *url.URL) ([]string, error) {
		answer := make(chan []string, 1)
		go func() { // WinHTTP cannot be cancelled; its own waits bound it
			reload.Lock()
			conf := ieproxy.ReloadConf()
			reload.Unlock()
			o := internetOptions{exceptions: conf.Static.NoProxy}
			if conf.Static.Active {
				o.proxies = conf.Static.Protocols
			}
			if conf.Automatic.Active {
				o.script = conf.Automatic.FindProxyForURL
			}
			answer <- o.proxyFor(origin)
		}()
		select {
		case list := <-answer:
			return list, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
