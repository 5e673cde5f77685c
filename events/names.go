package events

import (
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// Subjects. The order's tokens come last, since its name may contain dots.

func (n Names) watch() string         { return n.Subjects + ".watch" }
func (n Names) rejected() string      { return n.Subjects + ".rejected" }
func (n Names) due(key string) string { return n.Subjects + ".due." + key }

func (n Names) waiting(key string) string { return n.Subjects + ".waiting." + key }
func (n Names) attention(kind, project string) string {
	return n.Subjects + ".attention." + kind + "." + project
}

// orderAttention returns the subject of an attention event about one order. It has the order's tokens
// where that about an account has the project alone.
func (n Names) orderAttention(kind watcher.AttentionKind, key string) string {
	return n.attention(string(kind), key)
}

// concernsOrder reports whether the subject is that of an attention event about one order, of
// whatever kind.
func (n Names) concernsOrder(subject string) bool {
	tokens, ok := strings.CutPrefix(subject, n.Subjects+".attention.")
	return ok && strings.Count(tokens, ".") >= 2
}

func (n Names) undelivered(to string) string { return n.Subjects + ".undelivered." + to }

// renotify returns the subject of a wish to tell people again. It has a token more than those of
// attention, which look for the last event of a project.
func (n Names) renotify(key string) string { return n.Subjects + ".attention.renotify." + key }

func (n Names) progress(key string) string { return n.Subjects + ".progress." + key }

func (n Names) completed(outcome watcher.Outcome, key string) string {
	return n.Subjects + ".completed." + string(outcome) + "." + key
}

// record returns the subject of a record in the bucket.
func (n Names) record(key string) string { return "$KV." + n.Streams + "_WATCHES." + key }

// account returns the subject of a key of the bucket that workers share.
func (n Names) account(key string) string { return "$KV." + n.Streams + "_ACCOUNTS." + key }

// note returns the subject of a key of the bucket that notifiers use.
func (n Names) note(key string) string { return "$KV." + n.Streams + "_SLACK." + key }

// write returns the subject to which a key of a bucket is published, given the key's. In another
// domain than the server's own it is routed as the API is.
func (n Names) write(subject string) string {
	if n.Domain == "" {
		return subject
	}
	return n.api(subject)
}

// api returns a subject of the JetStream API.
func (n Names) api(call string) string {
	if n.Domain == "" {
		return "$JS.API." + call
	}
	return "$JS." + n.Domain + ".API." + call
}

// Streams and the bucket's stream.

func (n Names) requestStream() string { return n.Streams + "_REQUESTS" }
func (n Names) wakeupStream() string  { return n.Streams + "_WAKEUPS" }
func (n Names) eventStream() string   { return n.Streams + "_EVENTS" }
func (n Names) accountStream() string { return "KV_" + n.Streams + "_ACCOUNTS" }
func (n Names) recordStream() string  { return "KV_" + n.Streams + "_WATCHES" }
func (n Names) noteStream() string    { return "KV_" + n.Streams + "_SLACK" }

// orderOf returns the order whose tokens follow prefix in the subject.
func orderOf(subject, prefix string) (watcher.Order, bool) {
	tokens, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return watcher.Order{}, false
	}
	project, name, ok := strings.Cut(tokens, ".")
	order := watcher.Order{ProjectID: project, Name: name}
	return order, ok && order.Validate() == nil
}
