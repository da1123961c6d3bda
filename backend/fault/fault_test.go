package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"chartkey/backend/fault"
)

func TestTheCauseIsReachableButNeverPrinted(t *testing.T) {
	e := fault.New("token-refused", "The server refused the sign-in.", "Sign in again.").Because(io.ErrUnexpectedEOF)
	wrapped := fmt.Errorf("while connecting: %w", e)

	if !errors.Is(wrapped, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if fault.Code(wrapped) != "token-refused" {
		t.Errorf("code = %q", fault.Code(wrapped))
	}
	if e.Error() != "The server refused the sign-in." {
		t.Errorf("the text is %q", e.Error())
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"code":"token-refused","message":"The server refused the sign-in.","advice":"Sign in again.","retryable":false}`; string(b) != want {
		t.Errorf("json = %s", b)
	}
}

func TestAFaultSurvivesStorage(t *testing.T) {
	in := fault.New("network", "The server cannot be reached.", "Check the network.").CanRetry()
	b, _ := json.Marshal(in)
	var out fault.Error
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if out != *in {
		t.Errorf("out = %+v", out)
	}
}

func TestFromNeverLosesAnError(t *testing.T) {
	if fault.From(nil) != nil {
		t.Error("nil became a fault")
	}
	e := fault.From(io.EOF)
	if e.Code != "internal" || e.Advice == "" || !errors.Is(e, io.EOF) {
		t.Errorf("%+v", e)
	}
	own := fault.New("x", "m", "a")
	if fault.From(fmt.Errorf("w: %w", own)) != own {
		t.Error("a fault was wrapped again")
	}
	if !errors.Is(own.Because(io.EOF), fault.New("x", "", "")) {
		t.Error("faults do not match by code")
	}
}
