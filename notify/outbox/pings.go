package outbox

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
)

// Pings are what all workers know of the messages of one channel that wake somebody. At most one in Timing.Ping does.
// The others stand without a mention, and are owed one: when the time is over one line wakes people, and names them.
// The delivery of a message that is owed a ping is not done before the line stands. Workers of the release before do
// not read it, and wake people with each message.
type pings struct {
	Last   time.Time `json:"last,omitzero"`    // when somebody was woken last
	By     string    `json:"by,omitempty"`     // the key of the message that did; empty where it was a line
	Lines  int       `json:"lines,omitempty"`  // how many lines stand, or were refused
	Owed   []missed  `json:"owed,omitempty"`   // what the next line names
	Closed bool      `json:"closed,omitempty"` // that line is on its way, and names nothing more
	Next   []missed  `json:"next,omitempty"`   // what the line after it names
}

// A missed is a message that woke nobody.
type missed struct {
	Key     string    `json:"key"`               // of its note
	Text    string    `json:"text"`              // what the line says of it, escaped
	Mention string    `json:"mention"`           // whom it would have woken
	Urgency urgency   `json:"urgency,omitempty"` // its place in the line
	Then    time.Time `json:"then"`              // when what it tells of happened
}

// gives decides whether the message may wake somebody now.
func (p pings) gives(key string, now time.Time, t Timing) (after pings, wakes bool) {
	if p.By == key { // the call failed, or it is not known what became of it
		return p, true
	}
	if within(p.Last, now, t.Ping) || (len(p.Owed) > 0 || p.Closed) && within(p.Last, now, 2*t.Ping) { // after that nobody gives the line
		return p, false
	}
	p.Last, p.By = now, key
	return p, true
}

// An owing is what comes next for a message that is owed a ping.
type owing int

const (
	given  owing = iota // its line stands, or was refused
	name                // it is named in the next line, which is to be noted
	later               // the time of its line has not come
	giving              // its line is to be posted, and is closed
)

// settles decides what comes next for a message that stands and is owed a ping. It is named where its own note says in
// which line.
func (p pings) settles(m missed, named bool, now time.Time, t Timing) (after pings, next owing, left time.Duration) {
	is := func(other missed) bool { return other.Key == m.Key }
	inNext := slices.ContainsFunc(p.Next, is)
	switch in := slices.ContainsFunc(p.Owed, is); {
	case !in && !inNext && named:
		return p, given, 0
	case !in && !inNext && p.Closed:
		p.Next = append(slices.Clip(p.Next), m)
		return p, name, 0
	case !in && !inNext:
		p.Owed = append(slices.Clip(p.Owed), m)
		return p, name, 0
	case !named:
		return p, name, 0
	case inNext && within(p.Last, now, t.Ping):
		return p, later, time.Second
	case inNext: // who was to give the line before its own may be gone: another configuration has other channels
		return p, giving, 0
	case !p.Closed && within(p.Last, now, t.Ping):
		return p, later, min(p.Last.Add(t.Ping).Sub(now), t.Ping)
	case !p.Closed:
		p.Closed, p.Last, p.By = true, now, ""
	}
	return p, giving, 0
}

// given returns the pings where the line on its way stands, or was refused.
func (p pings) given() pings {
	p.Lines, p.Owed, p.Next, p.Closed = p.Lines+1, p.Next, nil, false
	return p
}

// says returns what the line says, the most urgent first, and whom it wakes.
func (p pings) says() (texts []string, mention string) {
	var whom []string
	for _, m := range slices.SortedStableFunc(slices.Values(p.Owed), func(a, b missed) int {
		return cmp.Or(cmp.Compare(a.Urgency, b.Urgency), a.Then.Compare(b.Then))
	}) {
		texts = append(texts, m.Text)
		if !slices.Contains(whom, m.Mention) {
			whom = append(whom, m.Mention)
		}
	}
	slices.Sort(whom)
	return texts, strings.Join(whom, " ")
}

// line returns the key of the note of the line that names the message in the channel.
func (p pings) line(m missed, channel string) string {
	n := p.Lines + 1
	if slices.ContainsFunc(p.Next, func(other missed) bool { return other.Key == m.Key }) {
		n++
	}
	return noteKey("ping", strconv.Itoa(n), channel)
}

// pingOwed is the ping of a message that stands and woke nobody while no line names it. Then it is the key of the line's
// note, which ends in the line's channel.
const pingOwed = "owed"

// mayWake lets the call at hand wake somebody, or takes the mention out of its message, which is owed a ping then. An
// edit wakes nobody: it keeps the mention of a message that did.
func (s *Outbox) mayWake(ctx context.Context, d *delivery) *watcher.RetryError {
	m, _ := d.want.part(d.part())
	switch {
	case m.Mention == "", d.line:
		return nil
	case d.leads && d.memory.anew != "": // it takes the place of a group's message, which woke people or is owed a ping
		d.mute()
		return nil
	case d.posting.Ping != "" && (d.edits() || d.posting.Call != nil): // perhaps it stands without: Slack may take this one for the same
		d.mute()
		return nil
	case d.edits():
		return nil
	}
	var p pings
	revision, err := s.readNote(ctx, pingsOf(d.channel), &p)
	if err != nil {
		return unwoken(err)
	}
	after, wakes := p.gives(d.pinged(), s.config.Now(), s.config.Timing)
	if !after.Last.Equal(p.Last) {
		if _, err := s.writeNote(ctx, pingsOf(d.channel), after, revision); err != nil {
			return unwoken(err)
		}
	}
	if d.posting.Ping = ""; !wakes {
		d.posting.Ping = pingOwed
		d.mute()
	}
	return nil
}

// pinged returns by what the message is known among those that wake somebody: of one that wakes people for several
// states each counts.
func (d *delivery) pinged() string {
	if d.aloud {
		return d.key + "." + d.state
	}
	return d.key
}

// owes reports whether what the delivery tells of wakes people, now or by a line.
func (d *delivery) owes() bool {
	if d.ended != nil && !message.Fails(d.ended.Outcome) {
		return false
	}
	return d.digest == "" && !d.quiet && (d.attention == nil || d.aloud) || d.settles
}

// pingsOf returns the key of the note of the channel's pings.
func pingsOf(channel string) string { return "pings." + channel }

// mute takes the mention out of the part at hand.
func (d *delivery) mute() {
	o := d.options
	o.Mention = ""
	muted := d.inForm(d.render(o), o)
	if part := d.part(); part > 0 {
		replies := slices.Clone(d.message.Replies)
		replies[part-1] = muted.Replies[part-1]
		d.message.Replies = replies
		return
	}
	muted.Replies, muted.File = d.message.Replies, d.message.File
	d.message = muted
}

// settle waits until people were woken for the message, which stands, by a line that this worker or another one posts.
// Where the channel finally refuses the line, the message is owed a ping in the channel that gets what is refused there.
func (s *Outbox) settle(ctx context.Context, d *delivery) *watcher.RetryError {
	s.stepAside(d)
	m := missed{d.pinged(), cmp.Or(d.missed, d.render(d.options).Text), d.options.Mention, d.urgency, d.told}
	channel, been := d.channel, []string{d.channel}
	if key := d.posting.Ping; key != pingOwed {
		channel = key[strings.LastIndexByte(key, '.')+1:]
	}
	for {
		next, retry := s.settleIn(ctx, d, m, channel)
		if retry != nil {
			return retry
		}
		if next == given {
			var line posting
			if _, err := s.readNote(ctx, d.posting.Ping, &line); err != nil {
				return unwoken(err)
			}
			if been = append(been, channel); line.Moved == "" || slices.Contains(been, line.Moved) {
				return nil
			}
			channel = line.Moved
		}
	}
}

// settleIn makes the next step toward a line in the channel, and returns which one it was.
func (s *Outbox) settleIn(ctx context.Context, d *delivery, m missed, channel string) (owing, *watcher.RetryError) {
	if channel != d.channel {
		m.Text = d.channel + ": " + m.Text
	}
	var p pings
	revision, err := s.readNote(ctx, pingsOf(channel), &p)
	if err != nil {
		return 0, unwoken(err)
	}
	named := strings.HasSuffix(d.posting.Ping, "."+channel)
	after, next, left := p.settles(m, named, s.config.Now(), s.config.Timing)
	if len(after.Owed) != len(p.Owed) || len(after.Next) != len(p.Next) || after.Closed != p.Closed {
		if revision, err = s.writeNote(ctx, pingsOf(channel), after, revision); err != nil {
			return 0, unwoken(err)
		}
	}
	switch next {
	case name:
		p := d.posting
		p.Ping = after.line(m, channel)
		return next, s.note(ctx, d, p)
	case later:
		return next, retryIn(left, "its ping is owed: a channel gets one a minute")
	case giving:
		if retry := s.give(ctx, d, after, channel); retry != nil {
			return next, retry
		}
		if _, err := s.writeNote(ctx, pingsOf(channel), after.given(), revision); err != nil {
			return next, unwoken(err)
		}
	}
	return next, nil
}

// give posts the channel's line. Where the channel finally refuses it, the line's note says which channel is next.
func (s *Outbox) give(ctx context.Context, d *delivery, p pings, channel string) *watcher.RetryError {
	id := strconv.Itoa(p.Lines + 1)
	_, retry := s.tell(ctx, want{
		kind: "ping", id: id, who: "ping " + id, channel: channel, others: d.others, told: d.told, about: d.about, whole: d.whole, log: d.log, line: true, state: completed,
		render: func(message.Options) message.Message { return message.Missed(p.says()) },
	}, d.stop)
	return retry
}

func unwoken(err error) *watcher.RetryError { return soon("see who is to be woken", err) }
