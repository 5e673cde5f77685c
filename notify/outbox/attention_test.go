package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// notes are watcher.Notes in memory.
type notes struct {
	mu    sync.Mutex
	known map[string]note
	last  watcher.Revision
	fail  func(key string, text []byte) error // before a write; nil for nothing
}

type note struct {
	text     []byte
	revision watcher.Revision
}

func (n *notes) Note(_ context.Context, key string) ([]byte, watcher.Revision, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[key].text, n.known[key].revision, nil
}

func (n *notes) Under(_ context.Context, prefix string) (map[string][]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := make(map[string][]byte)
	for key, note := range n.known {
		if strings.HasPrefix(key, prefix+".") {
			found[key] = note.text
		}
	}
	return found, nil
}

func (n *notes) SetNote(_ context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		if err := n.fail(key, text); err != nil {
			return 0, err
		}
	}
	if n.known[key].revision != revision {
		return 0, watcher.ErrConflict
	}
	if n.known == nil {
		n.known = make(map[string]note)
	}
	n.last++
	n.known[key] = note{text, n.last}
	return n.last, nil
}

// attend delivers the attention until it is done, and returns the delays.
func (b *bench) attend(a watcher.Attention) []time.Duration {
	b.Helper()
	return b.settleBy(func() error { return b.notifier.Attend(b.Context(), a) })
}

// another returns a notifier of another worker, with the same notes.
func (b *bench) another() *bench {
	b.Helper()
	other := *b
	var err error
	other.notifier, err = start(slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})), b.config)
	if err != nil {
		b.Fatal(err)
	}
	return &other
}

func (b *bench) wantShown(m emulator.Message, texts ...string) {
	b.Helper()
	shown := emulator.Render(m)
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			b.Errorf("%q is missing:\n%s", text, shown)
		}
	}
}

func projectsOf(a watcher.Attention, n int) []watcher.Attention {
	var all []watcher.Attention
	for i := range n {
		a.ProjectID = fmt.Sprint("p", i)
		all = append(all, a)
	}
	return all
}

func TestAttendPostsOneNoticeAndEditsIt(t *testing.T) {
	b := newBench(t)
	other := b.another()
	for i, a := range projectsOf(attention(watcher.Unreachable, watcher.HeldUnreachable), 3) {
		[]*bench{b, other}[i%2].wantDelays([]*bench{b, other}[i%2].attend(a))
	}
	first := b.want("C0ONCALL", 1)[0]
	b.wantShown(first, "cannot be reached*: 1,200 orders wait", "@here *No order has failed", "connection refused")
	for i, a := range projectsOf(attention(watcher.Reachable, watcher.HeldUnreachable), 3) {
		[]*bench{other, b}[i%2].wantDelays([]*bench{other, b}[i%2].attend(a))
	}
	last := b.want("C0ONCALL", 1)[0]
	if last.TS != first.TS || !last.Edited || len(emulator.Mentions(last)) != 0 {
		t.Errorf("it was not edited: %+v", last)
	}
	b.wantShown(last, "can be reached again* after 17 m 3 s: 1,200 orders waited", "Nothing needs to be done", "(edited)")
	b.attend(attention(watcher.Unreachable, watcher.HeldUnreachable)) // redelivered late
	if m := b.want("C0ONCALL", 1); m[0].Text != last.Text || b.slack.Calls() != 2 {
		t.Errorf("%d calls, the message is %s", b.slack.Calls(), emulator.Render(m[0]))
	}
}

func TestAttendByManyWorkersAtOnce(t *testing.T) {
	b := newBench(t)
	for _, kind := range []watcher.AttentionKind{watcher.Unreachable, watcher.Reachable} {
		var all sync.WaitGroup
		for range 8 {
			worker := b.another()
			for _, a := range projectsOf(attention(kind, watcher.HeldLogin), 2) {
				all.Go(func() {
					for worker.notifier.Attend(t.Context(), a) != nil { // it comes again until it is told
						time.Sleep(time.Millisecond)
					}
				})
			}
		}
		all.Wait()
	}
	if m := b.want("C0ONCALL", 1); !m[0].Edited || b.slack.Calls() != 2 {
		t.Errorf("%d calls; got %+v", b.slack.Calls(), m[0])
	}
}

func TestAttendPostsAnewWhereItCannotEdit(t *testing.T) {
	for _, code := range []string{"message_not_found", "cant_update_message", "edit_window_closed"} {
		b := newBench(t)
		b.attend(attention(watcher.Unreachable, watcher.HeldArrears))
		b.slack.Script(emulator.Refuse(code))
		b.wantDelays(b.attend(attention(watcher.Reachable, watcher.HeldArrears)))
		m := b.want("C0ONCALL", 1) // the other was deleted
		b.wantShown(m[0], "is no longer frozen", "1,200 orders waited")
		if m[0].Edited {
			t.Errorf("%s: edited all the same", code)
		}
		b.wantDelays(b.another().attend(attention(watcher.Reachable, watcher.HeldArrears)))
		b.want("C0ONCALL", 1)
		if b.notifier.PossibleDuplicates() != 0 {
			t.Errorf("%s: counted as a duplicate", code)
		}
	}
}

// A new token is another bot's: it may not edit what the old one posted.
func TestAttendWithAnotherBot(t *testing.T) {
	b := newBench(t)
	b.attend(attention(watcher.Unreachable, watcher.HeldLogin))
	b.slack.AddToken(token+"-new", "chat:write")
	b.config.Token += "-new"
	b.another().attend(attention(watcher.Reachable, watcher.HeldLogin))
	b.wantShown(b.want("C0ONCALL", 2)[1], "takes orderwatch's login again")
	b.wantLogged("cant_update_message")
}

func TestAttendByWebhook(t *testing.T) {
	b := newBench(t, func(c *config) {
		c.Token, c.Channel, c.WebhookURL = "", "", strings.TrimSuffix(c.APIURL, "/api/")+"/services/T0/B0/x"
	})
	b.slack.AddWebhook("/services/T0/B0/x", "C0ONCALL")
	for range 2 {
		b.attend(attention(watcher.Unreachable, watcher.HeldUnreachable))
		b.another().attend(attention(watcher.Unreachable, watcher.HeldUnreachable))
	}
	b.wantShown(b.want("C0ONCALL", 1)[0], "another message follows")
	b.attend(attention(watcher.Reachable, watcher.HeldUnreachable))
	b.another().attend(attention(watcher.Reachable, watcher.HeldUnreachable))
	b.wantShown(b.want("C0ONCALL", 2)[1], "can be reached again")
}

func TestAttendGivesUpIntoTheLog(t *testing.T) {
	b := newBench(t, func(c *config) { c.Channel = "C0GONE" })
	b.clock.now = outageBegan.Add(2 * time.Minute)
	b.attend(attention(watcher.Unreachable, watcher.HeldLogin))
	b.wantLogged("level=ERROR", "code=channel_not_found", "msg=notice", "signature fail")
	b.wantDelays(b.another().attend(attention(watcher.Unreachable, watcher.HeldLogin))) // all workers know
}

// What is noted can be read by a later version: the names are fixed.
func TestWhatIsNoted(t *testing.T) {
	b := newBench(t)
	b.attend(attention(watcher.Unreachable, watcher.HeldLogin))
	text, _, _ := b.config.Notes.Note(t.Context(), "outage.5f2c91d0a7_cn-north-4_1744286400000.C0ONCALL")
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil || got["told"] != "unreachable" || got["ts"] != b.want("C0ONCALL", 1)[0].TS || got["parts"] != 1.0 || got["done"] != true || len(got) != 4 {
		t.Errorf("noted %s (%v)", text, err)
	}
}
