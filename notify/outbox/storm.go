package outbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

// stormAlone is how many failures with one cause, within Timing.Alike, have messages of their own in a channel. All
// that follow are told in a group: one message, and a thread that lists them.
const stormAlone = 5

// A storm is what all workers know of the failures with one cause in one channel. Workers of the release before do not
// read it: what they tell has a message of its own.
type storm struct {
	Alone []lone    `json:"lone,omitempty"`  // that have messages of their own, at most stormAlone
	Began time.Time `json:"began,omitzero"`  // when the last group began; zero: there was none
	Last  time.Time `json:"last,omitzero"`   // when one joined it last, but for some seconds
	Reply int       `json:"reply,omitempty"` // of those in the group's thread the ones before it are full
	message.Alike
}

// A lone is a failure that has a message of its own.
type lone struct {
	Watch string    `json:"watch"` // the hash of its id
	At    time.Time `json:"at"`    // when that was decided
}

// A place is how a failure is told.
type place struct {
	group bool // in the storm's group
	first bool // alone, and no failure with its cause was told shortly before
}

// takes decides how the watch is told, and returns the storm with it. A group goes on for Timing.Storm. Where
// failures still come then, the next one begins at once.
func (g storm) takes(watch string, now time.Time, t Timing) (storm, place) {
	g.Alone = slices.DeleteFunc(slices.Clone(g.Alone), func(l lone) bool { return !within(l.At, now, t.Alike) })
	i := slices.IndexFunc(g.Alone, func(l lone) bool { return l.Watch == watch })
	goesOn := within(g.Began, now, t.Storm)
	switch {
	case i >= 0:
		return g, place{first: i == 0}
	case !goesOn && !within(g.Last, now, t.Alike) && len(g.Alone) < stormAlone:
		g.Alone = append(g.Alone, lone{watch, now})
		return g, place{first: len(g.Alone) == 1}
	case !goesOn:
		g.Began, g.Reply, g.Alike = now, 0, message.Alike{Alone: len(g.Alone)}
	}
	if !within(g.Last, now, t.Alike/10) {
		g.Last = now
	}
	return g, place{group: true}
}

// within reports whether now is less than so long after then. Far in the future is no moment: a clock was wrong.
func within(then, now time.Time, d time.Duration) bool {
	return now.Sub(then) < d && then.Sub(now) <= clockWrong
}

// A member is how a failure is told that is in a group. It is never altered: postings share it.
type member struct {
	Key   string `json:"key"`   // of the note of the group's message
	Reply int    `json:"reply"` // which reply in its thread lists the watch
	message.Alike
}

// page returns the key of the note of the group's reply, in the thread of the message of this generation, and list that
// of what it lists.
func (m member) page(generation int) string {
	return fmt.Sprintf("%s.page-%d-%d", m.Key, m.Reply, generation)
}
func (m member) list() string { return fmt.Sprintf("%s.list-%d", m.Key, m.Reply) }

// A page is what all workers know of the watches that one reply of a group lists.
type page struct {
	Watches []string      `json:"watches"` // hashes of their ids
	Rows    []message.Row `json:"rows"`
	Before  int           `json:"before,omitempty"` // how many the pages before it list
	Closed  bool          `json:"closed,omitempty"` // it takes no more, though it is not full
}

// full reports whether the page takes no more watches.
func (p page) full() bool { return p.Closed || len(p.Watches) >= message.AlikeRows }

// readPage returns what the reply lists in which the group lists the watch. One that a worker noted which filled each page
// does not say what those before it list.
func (s *Outbox) readPage(ctx context.Context, g member) (listed page, revision watcher.Revision, err error) {
	revision, err = s.readNote(ctx, g.list(), &listed)
	if g.Reply > 0 && listed.Before == 0 && len(listed.Watches) > 0 {
		listed.Before = g.Reply * message.AlikeRows
	}
	return listed, revision, err
}

// groups reports whether the watch is told in a group, by its own note or, where that says nothing, by the storm's.
func (s *Outbox) groups(ctx context.Context, d *delivery) (bool, *watcher.RetryError) {
	if d.posting.Group != nil || d.posting.Alone {
		return d.posting.Group != nil, nil
	}
	if d.kind != "watch" || d.silent || d.channel == routes.Webhook || !message.Fails(d.ended.Outcome) || !d.posting.untouched() && !d.posting.goesOn() {
		return false, nil
	}
	about, words := s.alike(d)
	for range paceTries {
		var g storm
		revision, err := s.readNote(ctx, noteKey("storm", about, d.channel), &g)
		if err != nil {
			return false, soon("count failures with the same cause", err)
		}
		after, how := g.takes(hash(d.ended.WatchID), s.config.Now(), s.config.Timing)
		if how.group && !after.Began.Equal(g.Began) {
			words.Alone = len(after.Alone)
			after.Alike = words
		}
		if !slices.Equal(after.Alone, g.Alone) || !after.Began.Equal(g.Began) || !after.Last.Equal(g.Last) {
			_, err = s.writeNote(ctx, noteKey("storm", about, d.channel), after, revision)
		}
		if errors.Is(err, watcher.ErrConflict) {
			continue
		}
		if err != nil {
			return false, soon("count failures with the same cause", err)
		}
		if d.memory.first = how.first; how.first {
			d.urgency = urgent
		}
		if !how.group {
			return false, nil
		}
		in := member{noteKey("alike", fmt.Sprintf("%s-%d", about, after.Began.UnixMilli()), d.channel), after.Reply, after.Alike}
		return true, s.note(ctx, d, d.posting.joining(in))
	}
	return false, soon("count failures with the same cause", watcher.ErrConflict)
}

// alike returns what stands for the failures that are counted together, those with one cause of which the same people
// are told, and the words of their group.
func (s *Outbox) alike(d *delivery) (about string, words message.Alike) {
	cause, words, _ := message.AlikeTo(*d.ended, s.secrets)
	return hash(cause + "\n" + d.options.Mention), words
}

// tellAlike tells of the watch in its group: the message in the channel says how many there are, and a reply in its
// thread lists the watch. The watch's own note said first in which group it is, so that it is in one alone. Where Slack
// refuses the group's message or its thread, the watch has a message of its own.
func (s *Outbox) tellAlike(ctx context.Context, d *delivery) *watcher.RetryError {
	s.stepAside(d)
	if d.memory.listed {
		return s.endListed(ctx, d)
	}
	listed, at, retry := s.list(ctx, d)
	if retry != nil {
		return retry
	}
	g := *d.posting.Group
	var root posting
	if _, err := s.readNote(ctx, g.Key, &root); err != nil {
		return soon("tell in a group", err)
	}
	place := listed.Before + at
	n := max(listed.Before+len(listed.Rows), rank(root.Tells)) // another worker knows of more
	group := want{
		digest: g.Key, who: g.Key, channel: d.channel, others: d.others, told: d.told, about: d.about, log: d.log, whole: d.whole, urgency: crowd, options: d.options, leads: true,
		state: numbered("alike", n), least: numbered("alike", place), missed: g.Message(0, d.options).Text,
		render: func(o message.Options) message.Message { return g.Message(n, o) },
	}
	if group.corrects = root.Lacks != "" && !root.Done; root.TS == "" || group.corrects {
		if _, retry = s.tell(ctx, group, d.stop); retry != nil {
			return retry
		}
	}
	code, root, retry := s.tellPages(ctx, d, group)
	if retry == nil && code == "" {
		code, root, retry = s.countGroup(ctx, d, group, root)
	}
	switch {
	case retry != nil:
		return retry
	case code != "":
		return s.tellAlone(ctx, d, group, root, at, code)
	}
	if place == 1 && root.Ping != "" { // its first watch waits for the group's ping
		group.settles = true
		if _, retry = s.tell(ctx, group, d.stop); retry != nil {
			return retry
		}
	}
	return s.endListed(ctx, d)
}

// countGroup lets the group's message say how many there are. Only the watch that was listed last waits for that: Slack allows few
// edits, and those who are on call have the others already. Another message may take the place of one that cannot be edited:
// then its thread is told, too.
func (s *Outbox) countGroup(ctx context.Context, d *delivery, w want, root posting) (code string, after posting, retry *watcher.RetryError) {
	if root.tells(w, math.MaxInt) {
		return "", root, nil
	}
	last, err := s.listedLast(ctx, d)
	if err != nil {
		return "", root, soon("tell in a group", err)
	}
	if !last {
		return "", root, nil
	}
	if _, retry = s.tell(ctx, w, d.stop); retry != nil {
		return "", root, retry
	}
	return s.tellPages(ctx, d, w)
}

// listedLast reports whether no watch was listed after this one: if another was, its delivery waits for what is to be told of
// the group.
func (s *Outbox) listedLast(ctx context.Context, d *delivery) (bool, error) {
	g := *d.posting.Group
	own, _, err := s.readPage(ctx, g)
	if err != nil || !own.full() {
		return slices.Index(own.Watches, hash(d.ended.WatchID)) == len(own.Watches)-1, err
	}
	g.Reply++
	next, _, err := s.readPage(ctx, g)
	return len(next.Watches) == 0, err
}

// endListed ends the watch that its group's thread lists. The message that said how the watch goes on, where there is one,
// becomes the summary, and wakes nobody.
func (s *Outbox) endListed(ctx context.Context, d *delivery) *watcher.RetryError {
	d.memory.listed = true
	if d.posting.TS == "" && d.posting.Call == nil {
		return s.note(ctx, d, d.posting.over(d.state))
	}
	d.options.Mention, d.urgency = "", calm
	return s.deliver(ctx, d, d.render(d.options))
}

// tellPages tells what the replies in the group's thread list, up to the watch's. It returns why Slack finally refuses one
// of them, or the message itself, empty where it does not, and the group's posting.
func (s *Outbox) tellPages(ctx context.Context, d *delivery, w want) (code string, root posting, retry *watcher.RetryError) {
	g := *d.posting.Group
	if _, err := s.readNote(ctx, g.Key, &root); err != nil {
		return "", root, soon("tell in a group", err)
	}
	if root.TS == "" && root.Code == "" { // another worker is about to replace the message
		return "", root, retryIn(time.Second, "the group's message is being replaced")
	}
	if root.Generation > 0 { // the message is another one, with another thread
		g.Reply = 0
	}
	for code = cmp.Or(root.Code, root.Lacks); g.Reply <= d.posting.Group.Reply && code == ""; g.Reply++ {
		page, retry := s.tellPage(ctx, d, w, g, root)
		if retry != nil {
			return "", root, retry
		}
		code = page.Code
	}
	return code, root, nil
}

// tellAlone tells of the watch by itself, unless the thread listed it, at that place of its page, before Slack refused
// that. The group's message says that it has no thread.
func (s *Outbox) tellAlone(ctx context.Context, d *delivery, w want, root posting, at int, code string) *watcher.RetryError {
	listing, retry := s.listing(ctx, d, w, root)
	if retry != nil {
		return retry
	}
	if rank(listing.Shows) >= at {
		return s.endListed(ctx, d)
	}
	if root.Code == "" && root.Lacks == "" {
		if retry := s.lackThread(ctx, w, root, code, d.stop); retry != nil {
			return retry
		}
	}
	p := d.posting
	p.Group, p.Alone = nil, true
	if retry := s.note(ctx, d, p); retry != nil {
		return retry
	}
	return retryIn(time.Second, "the group of failures is refused")
}

// listing returns what is noted of the reply in the group's thread that is to list the watch. What became of a call for it is
// seen first: perhaps it stands.
func (s *Outbox) listing(ctx context.Context, d *delivery, w want, root posting) (listing posting, retry *watcher.RetryError) {
	key := d.posting.Group.page(root.Generation)
	_, err := s.readNote(ctx, key, &listing)
	if err == nil && listing.Call != nil && listing.Code == "" {
		page, retry := s.page(ctx, d, w, *d.posting.Group, root)
		if retry == nil {
			page.state, page.least = listing.Tells, listing.Tells
			_, retry = s.tell(ctx, page, d.stop)
		}
		if retry != nil {
			return listing, retry
		}
		listing = posting{}
		_, err = s.readNote(ctx, key, &listing)
	}
	if err != nil {
		return listing, soon("tell in a group", err)
	}
	return listing, nil
}

// lackThread lets the group's message say that it has no thread. Where the message itself is perhaps gone, or somebody is about
// to change it, that is seen first: another message that takes its place has a thread.
func (s *Outbox) lackThread(ctx context.Context, w want, before posting, code string, stop time.Time) *watcher.RetryError {
	w.corrects = true
	var root posting
	revision, err := s.readNote(ctx, w.digest, &root)
	gone := code == "thread_not_found" || code == "cannot_reply_to_message"
	if err == nil && root.Lacks == "" && (gone || root.Call != nil) {
		if _, retry := s.tell(ctx, w, stop); retry != nil {
			return retry
		}
		revision, err = s.readNote(ctx, w.digest, &root)
	}
	switch {
	case err != nil:
		return soon("tell in a group", err)
	case root.Generation != before.Generation:
		return retryIn(time.Second, "the group has another message")
	case root.Call == nil && root.Lacks == "" && root.Code == "":
		if _, err = s.writeNote(ctx, w.digest, root.lacking(root.Tells, code), revision); err != nil {
			return soon("tell in a group", err)
		}
	}
	_, retry := s.tell(ctx, w, stop)
	return retry
}

// tellPage tells what a reply in the group's thread lists, which is the watch's own or an earlier one.
func (s *Outbox) tellPage(ctx context.Context, d *delivery, w want, g member, root posting) (posting, *watcher.RetryError) {
	w, retry := s.page(ctx, d, w, g, root)
	if retry != nil {
		return posting{}, retry
	}
	return s.tell(ctx, w, d.stop)
}

// page returns the want for that reply, from the one for the group's message.
func (s *Outbox) page(ctx context.Context, d *delivery, w want, g member, root posting) (want, *watcher.RetryError) {
	listed, _, err := s.readPage(ctx, g)
	if err != nil {
		return w, soon("tell in a group", err)
	}
	at := slices.Index(listed.Watches, hash(d.ended.WatchID)) + 1
	if at == 0 {
		at = len(listed.Watches)
	}
	w.leads, w.digest, w.who, w.thread = false, g.page(root.Generation), g.page(root.Generation), root.TS
	w.state, w.least = numbered("page", len(listed.Rows)), numbered("page", at)
	w.render = func(o message.Options) message.Message { return g.Page(listed.Before+g.Alone+1, listed.Rows, o) }
	return w, nil
}

// list puts the watch on a page of its group, where it is on none. It returns the page, and the watch's place on it,
// from 1 on. A page is begun when the one before it is full, or stands while Slack allows no more edits.
func (s *Outbox) list(ctx context.Context, d *delivery) (listed page, at int, retry *watcher.RetryError) {
	watch := hash(d.ended.WatchID)
	for {
		var revision watcher.Revision
		var err error
		listed, revision, err = s.readPage(ctx, *d.posting.Group)
		at = slices.Index(listed.Watches, watch) + 1
		if scarce := at == 0 && s.editsScarce(d.posting.Group.Key); err == nil && scarce && len(listed.Watches) > 0 && !listed.full() {
			err = s.closePage(ctx, d, &listed, revision)
		}
		if err == nil && at == 0 && listed.full() {
			if retry := s.turnPage(ctx, d); retry != nil {
				return listed, 0, retry
			}
			continue
		}
		if err == nil && at == 0 {
			at, err = s.listOn(ctx, d, &listed, revision)
		}
		if err != nil {
			return listed, 0, soon("tell in a group", err)
		}
		return listed, at, nil
	}
}

// closePage lets the page take no more where its reply stands, or is on its way: another reply is posted, which takes no edit.
func (s *Outbox) closePage(ctx context.Context, d *delivery, listed *page, revision watcher.Revision) error {
	var root, reply posting
	if _, err := s.readNote(ctx, d.posting.Group.Key, &root); err != nil {
		return err
	}
	if _, err := s.readNote(ctx, d.posting.Group.page(root.Generation), &reply); err != nil || reply.TS == "" && reply.Call == nil {
		return err
	}
	listed.Closed = true
	_, err := s.writeNote(ctx, d.posting.Group.list(), *listed, revision)
	return err
}

// listOn puts the watch on the page, and returns its place.
func (s *Outbox) listOn(ctx context.Context, d *delivery, listed *page, revision watcher.Revision) (at int, err error) {
	if before := *d.posting.Group; before.Reply > 0 && len(listed.Watches) == 0 {
		before.Reply--
		earlier, _, err := s.readPage(ctx, before)
		if err != nil {
			return 0, err
		}
		listed.Before = earlier.Before + len(earlier.Rows)
	}
	_, _, row := message.AlikeTo(*d.ended, s.secrets)
	listed.Watches, listed.Rows = append(listed.Watches, hash(d.ended.WatchID)), append(listed.Rows, row)
	_, err = s.writeNote(ctx, d.posting.Group.list(), *listed, revision)
	return len(listed.Watches), err
}

// turnPage lets the watch be on the next page, and others, where that can be noted, begin there.
func (s *Outbox) turnPage(ctx context.Context, d *delivery) *watcher.RetryError {
	next := *d.posting.Group
	next.Reply++
	p := d.posting
	p.Group = &next
	if retry := s.note(ctx, d, p); retry != nil {
		return retry
	}
	about, _ := s.alike(d)
	key := noteKey("storm", about, d.channel)
	var g storm
	revision, err := s.readNote(ctx, key, &g)
	if err == nil && g.Reply < next.Reply && next.Key == noteKey("alike", fmt.Sprintf("%s-%d", about, g.Began.UnixMilli()), d.channel) {
		g.Reply = next.Reply
		_, err = s.writeNote(ctx, key, g, revision)
	}
	if err != nil {
		d.log.Debug("a page of a group is full; others find that out by themselves", "err", err)
	}
	return nil
}

// hash returns what stands for a text in notes.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
