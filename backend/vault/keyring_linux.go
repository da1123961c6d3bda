package vault

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// The names of the Secret Service, https://specifications.freedesktop.org/secret-service-spec/latest/.
const (
	secretService           = "org.freedesktop.secrets"
	secretPath              = dbus.ObjectPath("/org/freedesktop/secrets")
	secretInterface         = "org.freedesktop.Secret.Service"
	secretCollection        = "org.freedesktop.Secret.Collection"
	loginCollection         = secretPath + "/collection/login"
	noObject                = dbus.ObjectPath("/")
	busInterface            = "org.freedesktop.DBus"
	propertiesGet           = "org.freedesktop.DBus.Properties.Get"
	sessionBusVariable      = "DBUS_SESSION_BUS_ADDRESS"
	runtimeFolderVariable   = "XDG_RUNTIME_DIR"
	autolaunchBusAddress    = "autolaunch:"
	disabledBusAddressStart = "disabled:"
)

// probe looks at the Secret Service on a connection of its own, with calls that
// never prompt. go-keyring itself would start a bus where there is none
// (dbus-launch) and ask the person to unlock a locked collection.
func probe(ctx context.Context) finding {
	address, ok := busAddress()
	if !ok {
		return none("This session has no keyring: no desktop session bus is running.")
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return unreachable(ctx, "This session has no keyring: its session bus cannot be reached.")
	}
	defer func() { _ = conn.Close() }()

	var owned bool
	if err := conn.BusObject().CallWithContext(ctx, busInterface+".NameHasOwner", 0, secretService).Store(&owned); err != nil {
		return unreachable(ctx, "This session has no keyring: its session bus does not answer.")
	}
	if !owned {
		var activatable []string
		err := conn.BusObject().CallWithContext(ctx, busInterface+".ListActivatableNames", 0).Store(&activatable)
		if err != nil || !slices.Contains(activatable, secretService) {
			return unreachable(ctx, "This session has no keyring: no program offers one.")
		}
	}

	service := conn.Object(secretService, secretPath)
	var collections dbus.Variant
	if err := service.CallWithContext(ctx, propertiesGet, 0, secretInterface, "Collections").Store(&collections); err != nil {
		return unreachable(ctx, "This session has no keyring: the program that offers one does not work.")
	}
	// The collection that go-keyring uses: "login" where there is one, else the default.
	collection := loginCollection
	if paths, _ := collections.Value().([]dbus.ObjectPath); !slices.Contains(paths, loginCollection) {
		if err := service.CallWithContext(ctx, secretInterface+".ReadAlias", 0, "default").Store(&collection); err != nil {
			return unreachable(ctx, "This session has no keyring: the program that offers one does not work.")
		}
		if collection == noObject {
			return none("The keyring is not set up: it has no default collection.")
		}
	}
	var locked dbus.Variant
	err = conn.Object(secretService, collection).CallWithContext(ctx, propertiesGet, 0, secretCollection, "Locked").Store(&locked)
	if err != nil {
		return unreachable(ctx, "This session has no keyring: the program that offers one does not work.")
	}
	if isLocked, ok := locked.Value().(bool); !ok || isLocked {
		return finding{state: KeyringLocked}
	}
	return finding{state: KeyringAvailable}
}

// unreachable tells a keyring that is slow from one that is not there.
func unreachable(ctx context.Context, message string) finding {
	if ctx.Err() != nil {
		return finding{state: KeyringSlow}
	}
	return none(message)
}

// busAddress finds the session bus without starting one, and makes go-keyring
// find the same. Where the variable is not set, the bus is the socket "bus" in
// the runtime folder, which is /run/user/<uid> unless the session says otherwise.
func busAddress() (string, bool) {
	if a := os.Getenv(sessionBusVariable); a != "" {
		usable := !strings.HasPrefix(a, autolaunchBusAddress) && !strings.HasPrefix(a, disabledBusAddressStart)
		return a, usable
	}
	folder := os.Getenv(runtimeFolderVariable)
	if folder == "" {
		folder = filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	}
	socket := filepath.Join(folder, "bus")
	if info, err := os.Stat(socket); err != nil || info.Mode()&os.ModeSocket == 0 {
		return "", false
	}
	address := "unix:path=" + dbus.EscapeBusAddressValue(socket)
	// godbus, below go-keyring, would look in /run/user/<uid> only and then start
	// a bus of its own. It sets the variable in the same way for what it finds.
	if err := os.Setenv(sessionBusVariable, address); err != nil {
		return "", false
	}
	return address, true
}
