package ask

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
)

// check asks a worker whether the requests are right, before any is stored. The error is an [exit.Error] that says what is
// wrong, or that ctx has ended. Where nobody answers, unchecked says why: then they are stored without it, and a worker that
// finds one wrong rejects it later.
func check(ctx context.Context, o Options) (unchecked, err error) {
	for _, r := range o.Requests {
		err := o.Client.Check(ctx, r)
		answer, answered := errors.AsType[*wire.ServiceError](err)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, exit.Error{Code: exit.Interrupted, Text: "interrupted; nothing was asked for"}
		case !answered:
			return err, nil // nor do the others get an answer
		case answer.Code == http.StatusBadRequest, answer.Code == http.StatusForbidden, answer.Code == http.StatusTooManyRequests:
			return nil, exit.Error{Code: exit.Misuse, Text: fmt.Sprintf("%s: nothing is stored: %s", r.Order, output.Clean(answer.Reason))}
		default: // it is not known at the moment
			unchecked = err
		}
	}
	return unchecked, nil
}

// noWorker is told where nobody is there who could take a request.
const noWorker = "no worker is there at the moment: a request is stored, and taken when one is there (orderwatch serve)"

// isAway reports whether an error says that no worker is there.
func isAway(err error) bool { return errors.Is(err, client.ErrNoWorker) }
