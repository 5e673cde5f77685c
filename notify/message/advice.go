package message

import (
	"cmp"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
)

// unknownOrder reports whether the watch ended since ModelArts did not know the order.
func unknownOrder(c watcher.Completion) bool {
	return c.Outcome == watcher.OrderNotFound || c.Outcome == watcher.TimedOut && c.Error != nil && c.Error.UnknownOrder()
}

// warning says, in mrkdwn, what must not be overlooked: a watch that ended without its order. Of an order that
// is gone it says until when that was seen, and since when it is not.
func warning(c watcher.Completion) string {
	switch {
	case unknownOrder(c) && isGone(c):
		reason := cmp.Or(word(c.Reason, maxReason), "the order is gone")
		first, size := utf8.DecodeRuneInString(reason)
		return escape(string(unicode.ToUpper(first)) + reason[size:])
	case c.Outcome == watcher.TimedOut:
		return "*The order itself may still be running*: only the watching has stopped."
	case c.Outcome == watcher.Cancelled:
		return "The order itself may still be running: only the watching was cancelled."
	}
	return ""
}

// advice says, in mrkdwn, what is likely and what to do next. It holds no foreign text.
func advice(c watcher.Completion, causes []cause) string {
	switch {
	case unknownOrder(c) && isGone(c):
		return "*What to do:* the order existed, and is gone. Look in the ModelArts console what became of its resources: they may still be there and cost money."
	case unknownOrder(c):
		return "*Likely causes*\n" +
			"• the name is not the order's `orderName` (order.pool-…), but for example a billing order id (CS…)\n" +
			"• the order belongs to another project or region\n" +
			"• the request came long before the order was made\n" +
			"*What to do:* take the name from the answer that created the order (label `os.modelarts/order.name`, or `orderName`), check project and region, and publish the request again, with another `request_id`."
	}
	switch c.Outcome {
	case watcher.PartiallyFailed, watcher.AllFailed:
		text := "*What to do:* the order has ended and will not be tried again. " + remedy(causes)
		if c.Outcome == watcher.PartiallyFailed {
			text += " What succeeded is there and costs money: use it or release it."
		}
		return text
	case watcher.TimedOut:
		if c.Error != nil {
			return "*What to do:* mend what kept orderwatch from asking ModelArts (its login, a permission, the network), look at the order in the ModelArts console, and publish the request again, with another `request_id`."
		}
		if c.Counts.Missing > 0 {
			return "*What to do:* look in the ModelArts console what became of what is no longer listed. A new watch would know nothing of it."
		}
		return "*What to do:* look at the order in the ModelArts console. To go on watching it, publish the request again, with another `request_id` and a longer `timeout`."
	case watcher.OrderRefused:
		return "*Likely causes*\n" +
			"• the project is not one of this region, or the name is malformed\n" +
			"• the account that asks may not read orders of this project\n" +
			"*What to do:* correct project and name, or give the account read access to ModelArts in this project, and publish the request again, with another `request_id`."
	case watcher.Cancelled:
		return "To watch it again, publish the request again, with another `request_id`."
	}
	return ""
}

// remedy depends on whether the cloud said why.
func remedy(causes []cause) string {
	for _, c := range causes {
		if line(c.message, maxWord) != "" {
			return "Remove the cause, then order anew what failed."
		}
	}
	return "ModelArts did not say why: look at the failed items in its console, then order them anew."
}
