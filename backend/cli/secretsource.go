package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/workstation"

	"golang.org/x/term"
)

// maxSecretFile bounds a file or stream that holds a secret.
const maxSecretFile = 8 << 10

// readSecret reads a secret from a stream: one line, its end taken away. A
// stream that never ends, such as a terminal, is left when ctx ends. code is
// that of the fault where there is no secret in it.
func readSecret(ctx context.Context, in io.Reader, what, code string) (secret.Value, error) {
	b, err := readUpTo(ctx, in, maxSecretFile, what, code)
	if err != nil {
		return secret.Value{}, err
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 || len(b) > maxSecretFile {
		return secret.Value{}, fault.Newf(code, "Give the secret alone, on one line.", "The %s is empty or larger than 8 KiB.", what)
	}
	return secret.Own(b), nil
}

// readUpTo reads a stream to its end, or one byte more than limit.
func readUpTo(ctx context.Context, in io.Reader, limit int64, what, code string) ([]byte, error) {
	b, err := waitFor(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, limit+1)) })
	if ctx.Err() != nil {
		return nil, cancelled()
	}
	if err != nil {
		return nil, fault.Newf(code, "Check the file or pipe.", "The %s could not be read.", what).Because(err)
	}
	return b, nil
}

// waitFor gives what do gives, or nothing where ctx ends first: a read that
// cannot be interrupted is left to die with the process.
func waitFor[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ch := make(chan answer, 1)
	go func() {
		value, err := do()
		ch <- answer{value, err}
	}()
	select {
	case a := <-ch:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func cancelled() *fault.Error {
	return fault.New("cancelled", "The command was cancelled.", "Run it again when you are ready.")
}

// readSecretFile is readSecret of a file.
func readSecretFile(ctx context.Context, path, what, code string) (secret.Value, error) {
	f, err := openFile(ctx, path, what, code)
	if err != nil {
		return secret.Value{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return readSecret(ctx, f, what, code)
}

// openFile opens a file for reading.
func openFile(ctx context.Context, path, what, code string) (*os.File, error) {
	// Opening waits where the file is a pipe that nobody writes to.
	f, err := waitFor(ctx, func() (*os.File, error) { return os.Open(path) })
	if ctx.Err() != nil {
		return nil, cancelled()
	}
	if err != nil {
		return nil, fault.Newf(code, "Check the file's name and that you may read it.", "The file %s with the %s cannot be opened.", path, what).Because(err)
	}
	return f, nil
}

// passphraseFromFile reads the file that CHARTKEY_PASSPHRASE_FILE names.
func (r *run) passphraseFromFile(ctx context.Context, path string) (secret.Value, error) {
	r.warnOfMode(path, "passphrase")
	return readSecretFile(ctx, path, "passphrase", "passphrase-file")
}

func (r *run) warnOfMode(path, what string) {
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(r.Err, "note: other accounts may read the %s file %s: chmod 600 it.\n", what, path)
	}
}

// passcode is the passcode of a profile: from the file that the environment
// names, else asked of the person at the terminal.
func (r *run) passcode(ctx context.Context, profile string, isNew bool) (secret.Value, error) {
	if path := r.Getenv("CHARTKEY_PASSCODE_FILE"); path != "" {
		r.warnOfMode(path, "passcode")
		return readSecretFile(ctx, path, "passcode", "passcode-file")
	}
	if !r.Terminal {
		return secret.Value{}, workstation.PasscodeNeeded(profile)
	}
	if isNew {
		return r.newPasscode(ctx, profile)
	}
	return r.ask(ctx, "Passcode of "+profile+": ")
}

// newPasscode asks for a passcode twice.
func (r *run) newPasscode(ctx context.Context, profile string) (secret.Value, error) {
	fmt.Fprintf(r.Err, "Choose a passcode for %s, of at least 6 characters.\n", profile)
	return r.askTwice(ctx, "New passcode: ", "passcodes")
}

// askTwice asks for something new, and once more.
func (r *run) askTwice(ctx context.Context, prompt, what string) (secret.Value, error) {
	first, err := r.ask(ctx, prompt)
	if err != nil {
		return first, err
	}
	second, err := r.ask(ctx, "Once more: ")
	if err == nil && !first.Equal(second) {
		err = fault.Newf("usage", "Run the command again.", "The two %s differ.", what)
	}
	return first, err
}

// passphrase is the vault's passphrase: from the file that the environment
// names, else asked of the person at the terminal.
func (r *run) passphrase(ctx context.Context, isNew bool) (secret.Value, error) {
	if path := r.Getenv("CHARTKEY_PASSPHRASE_FILE"); path != "" {
		return r.passphraseFromFile(ctx, path)
	}
	if !r.Terminal {
		return secret.Value{}, workstation.PassphraseNeeded()
	}
	if !isNew {
		return r.ask(ctx, "Vault passphrase: ")
	}
	fmt.Fprintln(r.Err, "Choose a passphrase for the vault, of at least 8 characters. It is asked again whenever the vault is opened.")
	return r.askTwice(ctx, "New vault passphrase: ", "passphrases")
}

// filePassphrase is passphrase without the terminal, for the window.
func (r *run) filePassphrase(ctx context.Context, _ bool) (secret.Value, error) {
	if path := r.Getenv("CHARTKEY_PASSPHRASE_FILE"); path != "" {
		return r.passphraseFromFile(ctx, path)
	}
	return secret.Value{}, workstation.PassphraseNeeded()
}

func nobodyToAsk() *fault.Error {
	return fault.New("usage", "Nobody can be asked here, because there is no terminal.", "Give the secret by a file or by standard input.")
}

// ask prompts without echo.
func (r *run) ask(ctx context.Context, prompt string) (secret.Value, error) {
	v, err := r.askIfKnown(ctx, prompt)
	if err == nil && v.IsEmpty() {
		err = fault.New("usage", "Nothing was entered.", "Run the command again.")
	}
	return v, err
}

// askIfKnown is ask for what may be left empty.
func (r *run) askIfKnown(ctx context.Context, prompt string) (secret.Value, error) {
	in, ok := r.In.(*os.File)
	if !ok {
		return secret.Value{}, nobodyToAsk()
	}
	state, err := term.GetState(int(in.Fd()))
	if err != nil {
		return secret.Value{}, nobodyToAsk().Because(err)
	}
	fmt.Fprint(r.Err, prompt)
	defer fmt.Fprintln(r.Err)
	b, err := waitFor(ctx, func() ([]byte, error) { return term.ReadPassword(int(in.Fd())) })
	if ctx.Err() != nil {
		return secret.Value{}, errors.Join(cancelled(), term.Restore(int(in.Fd()), state))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return secret.Value{}, fault.New("usage", "Nothing was entered.", "Run the command again.").Because(err)
	}
	return secret.New(b), nil
}
