package exit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	list := &cobra.Command{Use: "list"}
	interrupted := exit.Error{Code: exit.Interrupted, Text: "interrupted"}
	for _, tt := range []struct {
		err  error
		code exit.Code
		says string
	}{
		{nil, exit.Done, ""},
		{errors.New("no NATS"), exit.Trouble, "orderwatch: no NATS\n"},
		{exit.Usage(list, "--limit: %q is no number", "x"), exit.Misuse, "orderwatch: --limit: \"x\" is no number\nSee list --help.\n"},
		{exit.NoArguments(list, []string{"now"}), exit.Misuse, "orderwatch: unknown command \"now\" for \"list\"\nSee list --help.\n"},
		{interrupted, exit.Interrupted, "orderwatch: interrupted\n"},
		{exit.Error{Code: exit.Failed}, exit.Failed, ""},
		{fmt.Errorf("list: %w", interrupted), exit.Interrupted, "orderwatch: interrupted\n"},
		{errors.Join(errors.New("one"), exit.Usage(list, "two")), exit.Misuse, "orderwatch: one\ntwo\nSee list --help.\n"},
		{errors.Join(exit.Usage(list, "two"), interrupted), exit.Interrupted, "orderwatch: interrupted\n"},
	} {
		var said strings.Builder
		if code := exit.Status(tt.err, &said); code != tt.code || said.String() != tt.says {
			t.Errorf("%v: code %d, %q; want %d, %q", tt.err, code, said.String(), tt.code, tt.says)
		}
	}
}
