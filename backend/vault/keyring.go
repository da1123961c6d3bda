package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	keyring "github.com/zalando/go-keyring"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

const (
	// keyringService is the name under which the entries are found in the
	// person's keyring application.
	keyringService = "chartkey"

	// defaultKeyringTimeout bounds one call that may not prompt. The command line
	// promises to say within a second that the vault cannot be unlocked.
	defaultKeyringTimeout = 700 * time.Millisecond

	// defaultPromptTimeout is how long a person has to answer the keyring's question.
	defaultPromptTimeout = time.Minute

	// maxUnderway bounds the calls that the keyring never answered: go-keyring
	// takes no context, so a stuck call can be left but not stopped.
	maxUnderway = 4
)

// State says whether the keyring can be used now without asking anybody.
type State string

const (
	// KeyringAvailable: entries can be read and written without a question.
	KeyringAvailable State = "available"
	// KeyringNone: there is no keyring here, or none that is set up.
	KeyringNone State = "none"
	// KeyringLocked: there is one, but a person has to unlock it.
	KeyringLocked State = "locked"
	// KeyringSlow: it did not answer in time.
	KeyringSlow State = "slow"
)

// KeyringOptions is how long to wait and whether a person may be asked.
type KeyringOptions struct {
	// Timeout bounds one call; zero is 700 ms.
	Timeout time.Duration
	// Prompt lets the keyring ask the person to unlock it, which opens a window
	// of the desktop. Set it only for what the person has just asked for.
	Prompt bool
	// PromptTimeout bounds a call that may ask; zero is one minute.
	PromptTimeout time.Duration
}

// Keyring is the operating system's store of secrets: the Secret Service on
// Linux, the Keychain on macOS, the Credential Manager on Windows. Every call
// ends by its deadline whatever the keyring does. It may be used by several
// goroutines at once.
type Keyring struct {
	options  KeyringOptions
	underway chan struct{}
}

// NewKeyring gives the keyring of the session that the process runs in.
func NewKeyring(o KeyringOptions) *Keyring {
	if o.Timeout <= 0 {
		o.Timeout = defaultKeyringTimeout
	}
	if o.PromptTimeout <= 0 {
		o.PromptTimeout = defaultPromptTimeout
	}
	return &Keyring{options: o, underway: make(chan struct{}, maxUnderway)}
}

// Prompting gives the same keyring, allowed to ask the person.
func (k *Keyring) Prompting() *Keyring {
	o := k.options
	o.Prompt = true
	return &Keyring{options: o, underway: k.underway}
}

// State looks at the keyring without asking anybody for anything.
func (k *Keyring) State(ctx context.Context) State {
	state, _ := k.Check(ctx)
	return state
}

// Check is State with the reason: the error is nil when the keyring is
// available, else a fault whose advice fits what was found.
func (k *Keyring) Check(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, k.options.Timeout)
	defer cancel()
	// A look ends with ctx by itself, so it takes no place among the calls that
	// may be stuck: a prompt nobody answers does not hide the state.
	f, err := within(ctx, make(chan struct{}, 1), func() (finding, error) { return probe(ctx), nil })
	if err != nil {
		return KeyringSlow, explain(ctx, err)
	}
	if f.state == KeyringSlow {
		return KeyringSlow, explain(ctx, ctx.Err())
	}
	return f.state, f.err()
}

// finding is what a look at the keyring found.
type finding struct {
	state           State
	message, advice string // for KeyringNone
}

func none(message string) finding {
	return finding{state: KeyringNone, message: message,
		advice: "Protect the vault with a passphrase, or set up a keyring (for example GNOME Keyring or KWallet) and sign in to the desktop again."}
}

func (f finding) err() error {
	switch f.state {
	case KeyringAvailable:
		return nil
	case KeyringLocked:
		return errKeyringLocked()
	case KeyringSlow:
		return errKeyringTimeout()
	default:
		return errKeyringUnavailable(f.message, f.advice)
	}
}

// Get reads the entry of account.
func (k *Keyring) Get(ctx context.Context, account string) (secret.Value, error) {
	return call(ctx, k, func(context.Context) (secret.Value, error) {
		v, err := keyring.Get(keyringService, account)
		return secret.New(v), err
	})
}

// Set stores value as the entry of account and reads it back before it reports
// success. An entry with another value is left alone and is the fault
// keyring-entry-mismatch: it may be the only key to somebody's data.
func (k *Keyring) Set(ctx context.Context, account string, value secret.Value) error {
	// A copy, because a call that is left behind at the deadline may still read it.
	v := value.Reveal()
	_, err := call(ctx, k, func(ctx context.Context) (struct{}, error) {
		before, err := keyring.Get(keyringService, account)
		switch {
		case err == nil && !secret.New(before).Equal(secret.New(v)):
			return struct{}{}, errKeyringEntryMismatch()
		case err == nil:
			return struct{}{}, nil
		case !errors.Is(err, keyring.ErrNotFound):
			return struct{}{}, err
		}
		if ctx.Err() != nil { // left behind: nobody would learn of the entry
			return struct{}{}, ctx.Err()
		}
		if err := keyring.Set(keyringService, account, v); err != nil {
			return struct{}{}, err
		}
		after, err := keyring.Get(keyringService, account)
		if errors.Is(err, keyring.ErrNotFound) || err == nil && !secret.New(after).Equal(secret.New(v)) {
			return struct{}{}, errKeyringUnavailable("The keyring did not keep what was stored in it.",
				"Protect the vault with a passphrase, or repair the keyring.")
		}
		return struct{}{}, err
	})
	return err
}

// Delete removes the entry of account. That there is none is not an error.
func (k *Keyring) Delete(ctx context.Context, account string) error {
	_, err := call(ctx, k, func(context.Context) (struct{}, error) {
		err := keyring.Delete(keyringService, account)
		if errors.Is(err, keyring.ErrNotFound) {
			err = nil
		}
		return struct{}{}, err
	})
	return err
}

// call runs f, which uses go-keyring, if the keyring can answer without a
// person, or if a person may be asked.
func call[T any](ctx context.Context, k *Keyring, f func(context.Context) (T, error)) (T, error) {
	var zero T
	// One deadline for the look and the call, so that the whole keeps its promise.
	quick, cancel := context.WithTimeout(ctx, k.options.Timeout)
	defer cancel()
	state, err := k.Check(quick)
	if err != nil {
		if state != KeyringLocked || !k.options.Prompt {
			return zero, err
		}
		var stop context.CancelFunc
		quick, stop = context.WithTimeout(ctx, k.options.PromptTimeout)
		defer stop()
	}
	v, err := within(quick, k.underway, func() (T, error) { return f(quick) })
	if err != nil {
		return zero, explain(quick, err)
	}
	return v, nil
}

// errPanicked is a go-keyring call that panicked, as it does when the bus goes
// away while a prompt is open.
var errPanicked = errors.New("the keyring call broke off")

// within runs f until ctx is done. go-keyring's calls take no context and may
// wait for a person, or for ever, so f runs in a goroutine that is left behind
// at the deadline; underway bounds how many there can be.
func within[T any](ctx context.Context, underway chan struct{}, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var zero T
	if ctx.Err() != nil {
		return zero, ctx.Err()
	}
	select {
	case underway <- struct{}{}:
	case <-ctx.Done():
		return zero, ctx.Err()
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-underway }()
		defer func() {
			if p := recover(); p != nil {
				done <- result{err: fmt.Errorf("%w: %v", errPanicked, p)}
			}
		}()
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

// explain turns what within gave into a fault.
func explain(ctx context.Context, err error) error {
	var already *fault.Error
	switch {
	case errors.As(err, &already):
		return already
	case errors.Is(ctx.Err(), context.Canceled):
		return errCancelled(ctx.Err())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errKeyringTimeout()
	case errors.Is(err, keyring.ErrNotFound):
		return errKeyringEntryMissing()
	case strings.Contains(err.Error(), "failed to unlock"): // go-keyring has no value for a dismissed prompt
		return errKeyringLocked().Because(err)
	}
	return errKeyringUnavailable("The keyring of this computer refused the request.",
		"Open the keyring's own application and check that it works, or protect the vault with a passphrase.").Because(err)
}
