package link

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Replies decide which reply subjects a service answers to: inboxes alone. NATS lets the worker publish on the
// reply subject of any request, so that a requester who named a record, a stream's subject or a call of the JetStream
// API would write there with the worker's permissions. It is safe for concurrent use.
type Replies struct {
	Log     *slog.Logger
	Inboxes []string           // prefixes of requesters' inboxes, besides the usual ones
	Refused prometheus.Counter // counts what is not answered

	mu     sync.Mutex
	said   time.Time // when a refusal was logged last
	unsaid int       // refusals since then
}

// repliesEvery is how often a refusal is logged at most: a requester can make thousands.
const repliesEvery = time.Minute

// MayAnswer reports whether a request on the subject is carried out and answered there. One without a reply subject
// is carried out: the library answers nobody then.
func (r *Replies) MayAnswer(subject, reply string) bool {
	if reply == "" || isInbox(reply, r.Inboxes) {
		return true
	}
	r.Refused.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.said) < repliesEvery {
		r.unsaid++
		return false
	}
	r.Log.Warn("request not carried out: its reply subject is no inbox; where it is one, name its prefix in ORDERWATCH_INBOX_PREFIXES",
		"subject", subject, "reply", reply[:min(len(reply), maxReplyShown)], "unsaid", r.unsaid)
	r.said, r.unsaid = time.Now(), 0
	return false
}

// maxReplyShown bounds what the log shows of a reply subject, in bytes.
const maxReplyShown = 200

// isInbox reports whether the subject is below _INBOX, a user's own prefix _INBOX_…, one of those that are named, or
// _R_, by which a server stands for an inbox of another account.
func isInbox(subject string, named []string) bool {
	if routed, ok := strings.CutPrefix(subject, "_GR_."); ok { // from another cluster: the server cuts off two tokens more, and delivers to the rest
		tokens := strings.SplitN(routed, ".", 3)
		return len(tokens) == 3 && isInbox(tokens[2], named)
	}
	first, rest, _ := strings.Cut(subject, ".")
	if rest == "" {
		return false
	}
	for _, prefix := range named {
		if strings.HasPrefix(subject, prefix+".") {
			return true
		}
	}
	return first == "_INBOX" || first == "_R_" || strings.HasPrefix(first, "_INBOX_")
}
