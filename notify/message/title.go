package message

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A title is the first line: what happened to which order. Its texts are not escaped.
type title struct {
	emoji  string
	before string // stands before the order's name
	after  string
}

// line returns the title in mrkdwn, given the order's name in it.
func (t title) line(name string) string {
	return t.emoji + " " + escape(t.before) + "*" + name + "*" + escape(fit(t.after, maxTitle))
}

// titleOf returns the title of each outcome.
func titleOf(c watcher.Completion, causes []cause) title {
	n := c.Counts
	lasted := words.Span(c.CompletedAt.Sub(c.AcceptedAt))
	switch c.Outcome {
	case watcher.Succeeded:
		return title{":white_check_mark:", "", fmt.Sprintf(" succeeded: %s of %s in %s", words.Number(n.Succeeded), words.Count(n.Total, "item"), words.Span(took(c))) + missingNote(n)}
	case watcher.PartiallyFailed:
		return title{":warning:", "", fmt.Sprintf(": %s of %s failed", words.Number(n.Failed), words.Count(n.Total, "item")) + mostly(causes)}
	case watcher.AllFailed:
		all := "all " + words.Count(n.Failed, "item")
		if n.Failed == 1 {
			all = "its only item"
		}
		return title{":red_circle:", "", " failed: " + all + mostly(causes)}
	case watcher.TimedOut:
		return title{":hourglass:", "Stopped watching ", " after " + lasted + ": " + openCounts(c)}
	case watcher.OrderNotFound:
		if isGone(c) {
			return title{":mag:", "", fmt.Sprintf(" is gone: ModelArts in %s no longer knows it; %s of %s had ended when it was last seen", known(c.Region, maxWord), words.Number(n.Succeeded+n.Failed), words.Count(n.Total, "item"))}
		}
		return title{":mag:", "", fmt.Sprintf(" was not found: ModelArts in %s does not know it, asked for %s", known(c.Region, maxWord), lasted)}
	case watcher.OrderRefused:
		return title{":no_entry:", "", " cannot be watched: ModelArts refuses it" + errorNote(c.Error)}
	case watcher.Cancelled:
		return title{":black_square_for_stop:", "Stopped watching ", " after " + lasted + ": " + cancelReason(c.Reason)}
	}
	return title{":grey_question:", "", " ended: " + known(string(c.Outcome), maxWord)}
}

// Fails reports whether the outcome is one to wake somebody for.
func Fails(o watcher.Outcome) bool {
	return slices.Contains([]watcher.Outcome{
		watcher.PartiallyFailed, watcher.AllFailed, watcher.TimedOut, watcher.OrderNotFound, watcher.OrderRefused,
	}, o)
}

// mostly names the largest cause.
func mostly(causes []cause) string {
	if len(causes) == 0 {
		return ""
	}
	text := noMessage
	if m := word(causes[0].message, maxCause); m != "" {
		text = "“" + m + "”"
	}
	switch {
	case len(causes) > 1:
		return fmt.Sprintf(", %s with %s", words.Number(causes[0].count), text)
	case causes[0].similar:
		return ", messages like " + text
	}
	return ", " + text
}

// openCounts says how far the order was when it was last seen.
func openCounts(c watcher.Completion) string {
	n := c.Counts
	ended := n.Succeeded + n.Failed
	seen := ended + n.Processing
	switch {
	case seen == 0 && c.Error != nil:
		return "its state could never be read" + errorNote(c.Error)
	case seen == 0:
		return "no item ever appeared"
	}
	text := fmt.Sprintf("%s of %s ended", words.Number(ended), words.Number(n.Total))
	if n.Failed > 0 {
		text += fmt.Sprintf(" (%s failed)", words.Number(n.Failed))
	}
	if n.Processing > 0 {
		text += fmt.Sprintf(", %s still processing", words.Number(n.Processing)) + unknownNote(c.Items)
	}
	switch missing := n.Total - seen; {
	case missing > 0:
		text += fmt.Sprintf(", %s not created yet", words.Number(missing))
	case n.Processing == 0 && c.Outcome == "":
		text += ", checking whether more appear"
	case n.Processing == 0 && c.Error == nil:
		text += ", but the request expects more items"
	}
	text += missingNote(n)
	if c.Error != nil {
		text += " when it could last be read" + errorNote(c.Error)
	}
	return text
}

// errorNote returns " (CODE: message)" on one line, with words where the API gave no code.
func errorNote(e *watcher.ErrorDetail) string {
	if e == nil {
		return ""
	}
	text := word(strings.Trim(errorCode(e)+": "+e.Message, ": "), maxCause)
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// errorCode returns what happened in words, with the API's code where it gave one.
func errorCode(e *watcher.ErrorDetail) string {
	said, code := e.Words()
	return strings.Trim(said+", "+code, ", ")
}

// cancelReason returns the reason, which says who cancelled.
func cancelReason(reason string) string {
	reason = word(reason, maxReason/2)
	switch {
	case reason == "":
		return "cancelled, nobody said by whom"
	case strings.HasPrefix(reason, "cancelled"):
		return reason
	}
	return "cancelled, " + reason
}
