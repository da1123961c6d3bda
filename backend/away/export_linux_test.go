package away

// SessionBusForTest gives the address of the session bus.
func SessionBusForTest(o Options) string { return (&watch{options: o}).sessionBus() }

// SystemBusForTest gives the address of the system bus.
func SystemBusForTest(o Options) string { return (&watch{options: o}).systemBus() }
