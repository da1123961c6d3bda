package network

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// systemSource names the settings for people.
const systemSource = "the desktop's settings"

// The desktop portal, https://flatpak.github.io/xdg-desktop-portal/docs/doc-org.freedesktop.portal.ProxyResolver.html.
const (
	portalName   = "org.freedesktop.portal.Desktop"
	portalPath   = dbus.ObjectPath("/org/freedesktop/portal/desktop")
	portalLookup = "org.freedesktop.portal.ProxyResolver.Lookup"
)

func systemAsker() func(context.Context, *url.URL) ([]string, error) { return askPortal }

// askPortal asks the desktop portal, which knows the settings of whichever
// desktop this is, and runs configuration scripts.
func askPortal(ctx context.Context, origin *url.URL) ([]string, error) {
	address, ok := sessionBus()
	if !ok {
		return nil, errNoSystemProxy
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	var list []string
	err = conn.Object(portalName, portalPath).CallWithContext(ctx, portalLookup, 0, origin.String()).Store(&list)
	var refused dbus.Error
	if errors.As(err, &refused) && (refused.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || refused.Name == "org.freedesktop.DBus.Error.UnknownMethod") {
		return nil, errNoSystemProxy
	}
	return list, err
}

// sessionBus finds the session's bus, and starts none where there is none.
func sessionBus() (address string, ok bool) {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" {
		return a, !strings.HasPrefix(a, "autolaunch:") && !strings.HasPrefix(a, "disabled:")
	}
	folder := os.Getenv("XDG_RUNTIME_DIR")
	if folder == "" {
		folder = filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	}
	socket := filepath.Join(folder, "bus")
	if info, err := os.Stat(socket); err != nil || info.Mode()&os.ModeSocket == 0 {
		return "", false
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(socket), true
}
