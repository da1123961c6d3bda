// Package fault holds the one error value of the product.
//
// Every package returns *fault.Error for anything that a person may see. A
// fault says what happened, what to do next, and whether trying again can
// help. It owns no knowledge of any domain: the code and the words come from
// the package that found the problem.
package fault

import (
	"errors"
	"fmt"
)

// Error is a problem told to a person. Its JSON is the form in which it
// leaves the process (NDJSON, the page); the cause stays behind.
type Error struct {
	// Code is a stable kebab-case word that programs match on.
	Code string `json:"code"`
	// Message says what happened, in the user's words, as one sentence.
	Message string `json:"message"`
	// Advice says what to do next, concretely. It is empty only where nothing can be done.
	Advice string `json:"advice"`
	// Retryable is true where the same call may succeed later with nothing changed.
	Retryable bool `json:"retryable"`

	cause error
}

// New makes a fault that trying again does not mend.
func New(code, message, advice string) *Error {
	return &Error{Code: code, Message: message, Advice: advice}
}

// Newf is New with a formatted message.
func Newf(code, advice, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Advice: advice}
}

// Because returns a copy of e that wraps cause.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// CanRetry returns a copy of e that is marked as retryable.
func (e *Error) CanRetry() *Error {
	c := *e
	c.Retryable = true
	return &c
}

// Error gives the message alone. The cause is for programs (errors.Is, errors.As):
// it is left out here because a library's error text may quote what must not be shown.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is matches another fault by its code, so that errors.Is(err, fault.New("x", "", "")) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// From finds the fault in err, or makes an "internal" one of it, so that no
// error reaches a person without a code and advice.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New("internal", "Something went wrong inside Chartkey: "+err.Error()+".",
		"Try again. If it happens again, report it with the steps that led here.").Because(err)
}

// Code gives the code of the fault in err, or "" where there is none.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
