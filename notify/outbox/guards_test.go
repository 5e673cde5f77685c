package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// A guard is a part of the outbox that keeps the promise. change takes it out of a worker's configuration: it puts
// something in place of what the outbox asks or is told. takeOut takes it out of the worker.
type guard struct {
	name    string
	change  func(*config)
	takeOut func(*outbox.Outbox)
}

// foundBy are the seeds that found the guards missing when this was written; the search begins there. Where the
// seed finds nothing any more, all others are tried.
var foundBy = map[string]int{
	"it is noted that a condition is over":                             22,
	"it is noted which conditions a message shows":                     39,
	"it is noted that a message stands which woke nobody":              17,
	"it is noted which state first tells of a condition":               22,
	"an edit without a result is made once more":                       24,
	"what a channel finally refuses is given up":                       17,
	"what cannot be edited is replaced":                                117,
	"what is too rich for Slack follows in a simpler form":             336,
	"what has metadata that Slack refuses follows without":             851,
	"a message outlives a refused token":                               310,
	"a message outlives a channel that refuses the bot for a while":    164,
	"a message outlives an error that may pass":                        27,
	"a code that is not known is tried once as text alone":             552,
	"a message whose thread is refused is not posted elsewhere":        55,
	"a message whose thread is refused says so":                        55,
	"a message that may not say so is left":                            420,
	"a refused reply that was to wake people is posted as a message":   354,
	"a part stands where Slack says so and nobody can look":            340,
	"a thread gets another root where nobody knows which the first is": 669,
	"a note is written over the revision that was read":                185,
	"a conflict of a note is no success":                               261,
	"no answer to a note is no success":                                55,
	"a note that cannot be read is not an empty one":                   62,
	"a call is announced":                                              4,
	"the result of a call is noted":                                    700,
	"what is not found is looked for once more":                        2981,
	"a call that another worker announced is left alone":               4392,
	"a call without a result is looked for":                            1,
	"what wakes people is counted":                                     17,
	"a line that a channel refuses comes in another one":               264,
	"it is noted what a group's thread certainly lists":                3790,
	"failures alike are counted":                                       304,
	"a ping that is owed is noted before the call":                     13,
	"what stands is found":                                             22,
	"a group's watches are listed in its thread":                       5,
	"a watch of which a message says how it goes on is in a group":     228,
	"it is noted which group tells of a watch":                         40,
	"what a group lists is posted nowhere else":                        257,
	"a watch is in one group's list":                                   40,
}

// guarded is how many seeds find at the most that a guard is missing.
const guarded = 5000

// TestEachGuardIsNeeded takes each guard out of the outbox, and the model finds what that breaks.
func TestEachGuardIsNeeded(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	for _, out := range allGuards() {
		t.Run(out.name, func(t *testing.T) {
			t.Parallel()
			for i := range guarded {
				seed := (foundBy[out.name] + i) % guarded
				o := newModel(t, uint64(seed), out)
				o.live()
				o.check()
				if len(o.wrong) == 0 {
					continue
				}
				with := newModel(t, uint64(seed))
				with.live()
				with.check()
				if len(with.wrong) > 0 {
					t.Fatalf("seed %d: %s is wrong with it, too", seed, with.wrong[0])
				}
				t.Logf("seed %d: %.200s", seed, o.wrong[0])
				return
			}
			t.Error("nothing is wrong without it")
		})
	}
}

func allGuards() (all []guard) {
	for _, g := range outbox.Guards {
		all = append(all, guard{name: g.Name, takeOut: g.TakeOut})
	}
	return append(all, guards...)
}

var guards = []guard{
	{name: "a note is written over the revision that was read", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			after, err := n.SetNote(ctx, key, text, revision)
			if errors.Is(err, watcher.ErrConflict) {
				if _, revision, err = n.Note(ctx, key); err == nil {
					return n.SetNote(ctx, key, text, revision)
				}
			}
			return after, err
		}}
	})},
	{name: "a conflict of a note is no success", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			after, err := n.SetNote(ctx, key, text, revision)
			if errors.Is(err, watcher.ErrConflict) {
				return revision, nil
			}
			return after, err
		}}
	})},
	{name: "no answer to a note is no success", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			after, err := n.SetNote(ctx, key, text, revision)
			if err != nil && !errors.Is(err, watcher.ErrConflict) {
				return revision, nil
			}
			return after, err
		}}
	})},
	{name: "a note that cannot be read is not an empty one", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, get: func(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
			text, revision, err := n.Note(ctx, key)
			if err != nil {
				_, revision, _ = n.Note(ctx, key)
				return nil, revision, nil
			}
			return text, revision, nil
		}}
	})},
	{name: "a call is announced", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			if bytes.Contains(text, []byte(`"call":`)) {
				return revision, nil
			}
			return n.SetNote(ctx, key, text, revision)
		}}
	})},
	{name: "the result of a call is noted", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			if bytes.Contains(text, []byte(`"parts":1`)) && !bytes.Contains(text, []byte(`"call":`)) {
				return revision, nil
			}
			return n.SetNote(ctx, key, text, revision)
		}}
	})},
	{name: "it is noted that a condition is over", change: noting(func(n watcher.Notes) otherNotes { return lacking(n, `"until":`) })},
	{name: "it is noted which conditions a message shows", change: noting(func(n watcher.Notes) otherNotes { return lacking(n, `"conditions":`) })},
	{name: "it is noted that a message stands which woke nobody", change: noting(func(n watcher.Notes) otherNotes { return lacking(n, `"quiet":`) })},
	{name: "it is noted which state first tells of a condition", change: noting(func(n watcher.Notes) otherNotes { return lacking(n, `"state":`) })},
	{name: "failures alike are counted", change: noting(func(n watcher.Notes) otherNotes { return without(n, "storm.") })},
	{name: "what wakes people is counted", change: noting(func(n watcher.Notes) otherNotes { return without(n, "pings.") })},
	{name: "a ping that is owed is noted before the call", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			return n.SetNote(ctx, key, bytes.ReplaceAll(text, []byte(`,"ping":"owed"`), nil), revision)
		}}
	})},
	{name: "a watch is in one group's list", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, get: func(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
			text, revision, err := n.Note(ctx, key)
			if strings.Contains(key, ".list-") {
				text = bytes.ReplaceAll(text, []byte(`"watches":["`), []byte(`"watches":["-`)) // the first one is not known again
			}
			return text, revision, err
		}}
	})},
	{name: "a watch of which a message says how it goes on is in a group", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, get: func(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
			text, revision, err := n.Note(ctx, key)
			if strings.HasPrefix(key, "watch.") && bytes.Contains(text, []byte(`"told":"running.`)) {
				text = bytes.Replace(text, []byte(`{`), []byte(`{"alone":true,`), 1)
			}
			return text, revision, err
		}}
	})},
	{name: "it is noted which group tells of a watch", change: noting(func(n watcher.Notes) otherNotes { return lacking(n, `"group":`) })},
	{name: "a group's watches are listed in its thread", change: calling(func(s outbox.Workspace) otherSlack {
		return otherSlack{Workspace: s, post: func(ctx context.Context, p slack.Post) (string, error) {
			if p.Mark != nil && strings.Contains(p.Mark.Message, ".page-") {
				p.Thread = ""
			}
			return s.Post(ctx, p)
		}}
	})},
	{name: "it is noted what a group's thread certainly lists", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			return n.SetNote(ctx, key, bytes.ReplaceAll(text, []byte(`"shows":`), []byte(`"unread":`)), revision)
		}}
	})},
	{name: "a line that a channel refuses comes in another one", change: noting(func(n watcher.Notes) otherNotes {
		return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
			if strings.HasPrefix(key, "ping.") {
				text = bytes.ReplaceAll(text, []byte(`"moved":`), []byte(`"unread":`))
			}
			return n.SetNote(ctx, key, text, revision)
		}}
	})},
	{name: "what is not found is looked for once more", change: timing(func(t *outbox.Timing) { t.LookAgain = 0 })},
	{name: "what stands is found", change: calling(func(s outbox.Workspace) otherSlack {
		return otherSlack{Workspace: s, history: func(ctx context.Context, l slack.Look) ([]slack.Found, error) {
			_, err := s.History(ctx, l)
			return nil, err
		}}
	})},
}

// noting puts other notes in place of a worker's.
func noting(change func(watcher.Notes) otherNotes) func(*config) {
	return func(c *config) { c.Notes = change(c.Notes) }
}

// without lets nothing be noted under keys that begin so.
func without(n watcher.Notes, prefix string) otherNotes {
	return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
		if strings.HasPrefix(key, prefix) {
			return revision, nil
		}
		return n.SetNote(ctx, key, text, revision)
	}}
}

// lacking lets nothing be noted of a watch under this name.
func lacking(n watcher.Notes, name string) otherNotes {
	return otherNotes{Notes: n, set: func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
		if strings.HasPrefix(key, "watch.") {
			text = bytes.ReplaceAll(text, []byte(name), []byte(`"unread":`))
		}
		return n.SetNote(ctx, key, text, revision)
	}}
}

// timing changes a worker's durations.
func timing(change func(*outbox.Timing)) func(*config) {
	return func(c *config) {
		c.Timing = outbox.DefaultTiming()
		change(&c.Timing)
	}
}

// calling puts another Slack in place of a worker's.
func calling(change func(outbox.Workspace) otherSlack) func(*config) {
	return func(c *config) { c.calls = func(s outbox.Workspace) outbox.Workspace { return change(s) } }
}

type (
	// otherNotes are notes of which some functions, where they are not nil, do something else.
	otherNotes struct {
		watcher.Notes
		get func(ctx context.Context, key string) ([]byte, watcher.Revision, error)
		set func(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error)
	}
	// otherSlack is a Slack of which some functions, where they are not nil, do something else.
	otherSlack struct {
		outbox.Workspace
		history func(context.Context, slack.Look) ([]slack.Found, error)
		post    func(context.Context, slack.Post) (string, error)
	}
)

func (n otherNotes) Note(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
	if n.get == nil {
		return n.Notes.Note(ctx, key)
	}
	return n.get(ctx, key)
}

func (n otherNotes) SetNote(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
	if n.set == nil {
		return n.Notes.SetNote(ctx, key, text, revision)
	}
	return n.set(ctx, key, text, revision)
}

func (s otherSlack) Post(ctx context.Context, p slack.Post) (string, error) {
	if s.post == nil {
		return s.Workspace.Post(ctx, p)
	}
	return s.post(ctx, p)
}

func (s otherSlack) History(ctx context.Context, l slack.Look) ([]slack.Found, error) {
	if s.history == nil {
		return s.Workspace.History(ctx, l)
	}
	return s.history(ctx, l)
}
