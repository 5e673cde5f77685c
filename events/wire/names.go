package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// Names are what streams and subjects are called.
type Names struct {
	Subjects string // the prefix of subjects: orders
	Service  string // the service, and the first token of its subjects: orderwatch
	Streams  string // the prefix of streams: ORDER
	Domain   string // the JetStream domain; empty for the server's own
	// APIPrefix is what the JetStream API is called here, where the account imports it from another; empty where it
	// has its usual name. It takes the place of the domain.
	APIPrefix string
}

// Subjects. The order's tokens come last, since its name may contain dots.

func (n Names) Watch() string                { return n.Subjects + ".watch" }
func (n Names) Rejected() string             { return n.Subjects + ".rejected" }
func (n Names) Due(key string) string        { return n.Subjects + ".due." + key }
func (n Names) Waiting(key string) string    { return n.Subjects + ".waiting." + key }
func (n Names) Progress(key string) string   { return n.Subjects + ".progress." + key }
func (n Names) Undelivered(to string) string { return n.Subjects + ".undelivered." + to }

// Listed returns the subject on which workers tell each other which orders of a place, which is a region, a dot and a
// project, ModelArts lists as running. No stream has it.
func (n Names) Listed(place string) string { return n.Subjects + ".listed." + place }

func (n Names) Completed(outcome watcher.Outcome, key string) string {
	return n.Subjects + ".completed." + string(outcome) + "." + key
}

// Requests returns the subjects of requests: the operator's, and those of the teams.
func (n Names) Requests() []string { return []string{n.Watch(), n.Watch() + ".*"} }

// TeamOf returns the team from which a message came on the subject: a request, or a question to the service. It is the
// token after those that the operator's own subjects have, so it is empty for the operator. The token is what the team's
// account imports, and what NATS lets its users publish on: the server vouches for it, and not the sender.
func (n Names) TeamOf(subject string) string {
	if team, ok := strings.CutPrefix(subject, n.Watch()+"."); ok {
		return team
	}
	endpoint, ok := strings.CutPrefix(subject, n.Service+".")
	if !ok {
		return ""
	}
	_, team, _ := strings.Cut(endpoint, ".")
	return team
}

// ProjectOf returns the project that an event on the subject is about: one of an order, or of an account that a project waits
// for. It is empty for an event of no project: about a message that was no request, about one that people did not get, or about the
// whole installation.
func (n Names) ProjectOf(subject string) string {
	tokens, ok := strings.CutPrefix(subject, n.Subjects+".")
	list := strings.SplitN(tokens, ".", 4)
	at := map[string]int{"completed": 2, "progress": 1, "attention": 2}[list[0]]
	kind := ""
	if len(list) > 1 {
		kind = list[1]
	}
	if !ok || at == 0 || len(list) <= at || list[0] == "attention" && (kind == string(watcher.Rejected) || kind == string(watcher.Lost)) {
		return ""
	}
	return list[at]
}

// Attention returns the subject of an attention event: about an account or the whole installation, given the project,
// or about one order, given its key.
func (n Names) Attention(kind watcher.AttentionKind, about string) string {
	return n.Subjects + ".attention." + string(kind) + "." + about
}

// ConcernsOrder reports whether the subject is that of an attention event about one order.
func (n Names) ConcernsOrder(subject string) bool {
	tokens, ok := strings.CutPrefix(subject, n.Subjects+".attention.")
	return ok && strings.Count(tokens, ".") >= 2
}

// Renotify returns the subject of a wish to tell people again. It has a token more than those of
// attention, which look for the last event of a project.
func (n Names) Renotify(key string) string { return n.Subjects + ".attention.renotify." + key }

// RejectedBy returns the subject of the rejections of which people are told, of one sender.
func (n Names) RejectedBy(sender string) string {
	sum := sha256.Sum256([]byte(sender))
	return n.Attention(watcher.Rejected, "by_"+hex.EncodeToString(sum[:8]))
}

// TellsRejection reports whether the subject is one of those.
func (n Names) TellsRejection(subject string) bool {
	return strings.HasPrefix(subject, n.Attention(watcher.Rejected, ""))
}

// Record returns the subject of a record in the bucket.
func (n Names) Record(key string) string { return "$KV." + n.Streams + "_WATCHES." + key }

// Account returns the subject of a key of the bucket that workers share.
func (n Names) Account(key string) string { return "$KV." + n.Streams + "_ACCOUNTS." + key }

// Note returns the subject of a key of the bucket that notifiers use.
func (n Names) Note(key string) string { return "$KV." + n.Streams + "_SLACK." + key }

// History returns the subject of a key of the bucket of how long orders take.
func (n Names) History(key string) string { return "$KV." + n.Streams + "_HISTORY." + key }

// Write returns the subject to which a key of a bucket is published, given the key's. In another
// domain than the server's own it is routed as the API is.
func (n Names) Write(subject string) string {
	if n.Domain == "" {
		return subject
	}
	return n.API(subject)
}

// API returns a subject of the JetStream API.
func (n Names) API(call string) string {
	switch {
	case n.APIPrefix != "":
		return n.APIPrefix + "." + call
	case n.Domain != "":
		return "$JS." + n.Domain + ".API." + call
	}
	return "$JS.API." + call
}

// Streams and the bucket's stream.

func (n Names) RequestStream() string { return n.Streams + "_REQUESTS" }
func (n Names) WakeupStream() string  { return n.Streams + "_WAKEUPS" }
func (n Names) EventStream() string   { return n.Streams + "_EVENTS" }
func (n Names) AccountStream() string { return "KV_" + n.Streams + "_ACCOUNTS" }
func (n Names) RecordStream() string  { return "KV_" + n.Streams + "_WATCHES" }
func (n Names) NoteStream() string    { return "KV_" + n.Streams + "_SLACK" }
func (n Names) HistoryStream() string { return "KV_" + n.Streams + "_HISTORY" }

// Consumers: of requests, of wake-ups that are due, of the events that people are told of, and of those that tell how long
// orders take.
const (
	IntakeConsumer  = "intake"
	PollerConsumer  = "poller"
	SlackConsumer   = "slack"
	HistoryConsumer = "history"

	// CheckOnly is the header by which a request to watch an order is checked by the service, and not carried out; its
	// value is true. A worker of an earlier release carries it out: published under the same id, it is the same request.
	CheckOnly = "Orderwatch-Check-Only"
)

// OrderOf returns the order whose tokens follow prefix in the subject.
func OrderOf(subject, prefix string) (watcher.Order, bool) {
	tokens, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return watcher.Order{}, false
	}
	project, name, ok := strings.Cut(tokens, ".")
	order := watcher.Order{ProjectID: project, Name: name}
	return order, ok && order.Validate() == nil
}

// Reads returns the subjects on which a stream's messages are asked for.
func (n Names) Reads(stream string) []string {
	return []string{n.API("DIRECT.GET." + stream), n.API("DIRECT.GET." + stream + ".>"), n.API("STREAM.MSG.GET." + stream)}
}
