package away

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	busName       = "org.freedesktop.DBus"
	busPath       = dbus.ObjectPath("/org/freedesktop/DBus")
	busProperties = "org.freedesktop.DBus.Properties"

	// callTimeout bounds connecting, and each call.
	callTimeout = 5 * time.Second
)

var (
	errNoBus   = errors.New("there is no such bus here")
	errBusLost = errors.New("the bus closed the connection")
)

// systemBus is the address of the system bus.
func (w *watch) systemBus() string {
	if w.options.SystemBus != "" {
		return w.options.SystemBus
	}
	if address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
		return address
	}
	return socketAddress("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket")
}

// sessionBus is the address of the session bus, and never starts one.
func (w *watch) sessionBus() string {
	if w.options.SessionBus != "" {
		return w.options.SessionBus
	}
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		if strings.HasPrefix(address, "autolaunch:") || strings.HasPrefix(address, "disabled:") {
			return ""
		}
		return address
	}
	folder := os.Getenv("XDG_RUNTIME_DIR")
	if folder == "" {
		folder = filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	}
	return socketAddress(filepath.Join(folder, "bus"))
}

// socketAddress is the address of the first path that is a socket, else "".
func socketAddress(paths ...string) string {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return "unix:path=" + dbus.EscapeBusAddressValue(path)
		}
	}
	return ""
}

// bus is one connection to a message bus.
type bus struct {
	conn    *dbus.Conn
	stop    context.CancelFunc
	signals chan *dbus.Signal // in the order they came; closed when the connection is
	owners  map[string]string // the unique name behind each name that is followed
}

// dial connects to the bus at address. The connection ends with ctx, or by close.
func dial(ctx context.Context, address string) (*bus, error) {
	if address == "" {
		return nil, errNoBus
	}
	ctx, stop := context.WithCancel(ctx)
	late := time.AfterFunc(callTimeout, stop) // a bus that hangs
	conn, err := dbus.Connect(address, dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err == nil && !late.Stop() {
		_ = conn.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		late.Stop()
		stop()
		return nil, err
	}
	b := &bus{conn: conn, stop: stop, signals: make(chan *dbus.Signal), owners: map[string]string{}}
	conn.Signal(b.signals)
	return b, nil
}

func (b *bus) close() {
	_ = b.conn.Close()
	b.stop()
}

// subscribe asks for the signals of the owner of name, whoever it is.
func (b *bus) subscribe(ctx context.Context, name string, options ...dbus.MatchOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.conn.AddMatchSignalContext(ctx, append(options, dbus.WithMatchSender(name))...)
}

// follow learns who owns name, now and from now on.
func (b *bus) follow(ctx context.Context, name string) error {
	err := b.subscribe(ctx, busName, dbus.WithMatchObjectPath(busPath), dbus.WithMatchInterface(busName),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name))
	if err != nil {
		return err
	}
	var owner string
	err = b.call(ctx, busName, busPath, busName+".GetNameOwner", name).Store(&owner)
	if err != nil && !refused(err) { // it is refused where nobody owns the name
		return err
	}
	b.owners[name] = owner
	return nil
}

// from says whether the owner of name sent s. The match rules let broadcasts of
// others out already, but anybody may send a signal to one connection alone.
func (b *bus) from(s *dbus.Signal, name string) bool {
	return s.Sender != "" && s.Sender == b.owners[name]
}

// next waits for the next signal. What it says of the owners of names is taken in;
// moved is then the name that has another owner, or none.
func (b *bus) next(ctx context.Context) (s *dbus.Signal, moved string, err error) {
	select {
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case got, open := <-b.signals:
		if !open {
			return nil, "", errBusLost
		}
		s = got
	}
	// The bus itself is the only one whose messages carry this sender.
	if s.Sender == busName && s.Name == busName+".NameOwnerChanged" {
		name, _ := argument[string](s, 0)
		if owner, ok := argument[string](s, 2); ok {
			b.owners[name] = owner
			moved = name
		}
	}
	return s, moved, nil
}

// call calls a method, but starts no service that is not there.
func (b *bus) call(ctx context.Context, name string, path dbus.ObjectPath, method string, arguments ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.conn.Object(name, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, arguments...)
}

// refused says that err is the other side's answer, and not a failure to get one.
func refused(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer)
}

// argument is the i-th argument of s, if it has one of that type.
func argument[T any](s *dbus.Signal, i int) (T, bool) {
	if i >= len(s.Body) {
		var none T
		return none, false
	}
	v, ok := s.Body[i].(T)
	return v, ok
}
