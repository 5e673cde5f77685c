package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
)

func renotifyCommand() *cobra.Command {
	var by string
	var channels []string
	command := &cobra.Command{
		Use:   "renotify WATCH_ID|PROJECT/ORDER",
		Short: "Post the summary of a watch that ended in Slack again",
		Long: `Post once more in Slack how a watch ended, marked with who wanted it: the watch
with this id, or the last one of the order. It does not matter whether the first
message stands, was deleted, or was finally refused by Slack. It is of use when
a channel has been mended whose messages orderwatch events --kind undelivered
shows, or when other people should see one.

The workers post it, as soon as Slack takes it, where the watch's requests say,
or in the channels named here: those of ORDERWATCH_SLACK_CHANNEL, of
ORDERWATCH_SLACK_CHANNELS_ALLOWED and of the routes file. Where the watch was
told it wakes whom it woke; elsewhere whom
ORDERWATCH_SLACK_MENTION_ON_FAILURE names. Each command posts it once.

Exit code 0 if it is stored and will be posted, 1 if not, 2 if wrongly asked.`,
		Example: `  orderwatch renotify my-project/order.pool-5ed5-w4l2n
  orderwatch renotify w_01JRFQ7M9C0D8E6T3V5XKB2NHA --channel C0123456789`,
		Args: oneWatch,
	}
	format := outputFlag(command)
	command.Flags().StringVar(&by, "by", "", "`name` of who wants it, shown to people (default your login name)")
	command.Flags().StringSliceVar(&channels, "channel", nil, "`ID` of a channel to post it in; may be given several times")
	command.RunE = func(c *cobra.Command, args []string) error {
		ask := wire.RenotifyRequest{By: cmp.Or(by, userName()), Channels: channels, RequestID: nuid.Next()}
		if ask.By == "" {
			return exit.Usage(c, "this machine does not say who you are: say who wants it with --by NAME")
		}
		if err := checkChannels(c, channels...); err != nil {
			return err
		}
		return renotify(c, *format, args[0], ask)
	}
	return command
}

// renotify asks the workers to post the summary again, and prints what became of it.
func renotify(c *cobra.Command, format output.Format, which string, ask wire.RenotifyRequest) error {
	s, err := openSession(c)
	if err != nil {
		return err
	}
	defer s.close()
	if isWatchID(which) {
		ask.WatchID = which
	} else if ask.Order, err = parseOrder(c, s.config, which); err != nil && strings.HasPrefix(which, "w_") {
		return exit.Usage(c, "%q is no watch's id, w_ and 26 characters, and no PROJECT/ORDER", output.Shorten(which, 60))
	} else if err != nil {
		return err
	}
	done, err := s.Renotify(c.Context(), ask)
	if err != nil {
		return notRenotified(c, which, err)
	}
	if format == output.AsJSON {
		return output.JSON(c.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: the summary of watch %s (%s, %s) is posted again when Slack takes it\n",
		output.Clean(done.Order.String()), output.Clean(done.WatchID), output.Clean(string(done.Outcome)), output.Time(done.CompletedAt))
	return err
}

// isWatchID reports whether the text is an id of a watch, and no order.
func isWatchID(text string) bool {
	const ulid = 26
	id, ok := strings.CutPrefix(text, "w_")
	return ok && len(id) == ulid && !strings.Contains(id, "/")
}

// notRenotified says why the summary is not posted again, and what to do.
func notRenotified(c *cobra.Command, which string, err error) error {
	answer, ok := errors.AsType[*wire.ServiceError](err)
	switch {
	case ok && answer.Code == http.StatusNotFound:
		return fmt.Errorf("%s: %s\norderwatch list --state ended names watches that have", which, output.Clean(answer.Reason))
	case ok && answer.Code == http.StatusBadRequest:
		return exit.Usage(c, "%s: %s", which, output.Clean(answer.Reason))
	case ok:
		return fmt.Errorf("%s: %s", which, output.Clean(answer.Reason))
	}
	return unanswered(err)
}

// oneWatch refuses anything but one argument as wrong usage.
func oneWatch(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return exit.Usage(c, "name one watch or order: %s", c.UseLine())
	}
	return nil
}
