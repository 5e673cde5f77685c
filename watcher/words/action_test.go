package words_test

import (
	"slices"
	"testing"

	"github.com/orderwatch/orderwatch/watcher/words"
)

func TestAction(t *testing.T) {
	for _, tt := range []struct {
		action           string
		noun, verb, done string
		kind             words.Kind
		succeeded        [2]string // one, several
		failed           [2]string
		open             [2]string
	}{
		{"createPool", "pool", "create", "created", words.Creates,
			[2]string{"is there and costs money", "are there and cost money"},
			[2]string{"was not created", "were not created"},
			[2]string{"may still be created and cost money", "may still be created and cost money"}},
		{"createNode", "node", "create", "created", words.Creates,
			[2]string{"is there and costs money", "are there and cost money"},
			[2]string{"was not created", "were not created"},
			[2]string{"may still be created and cost money", "may still be created and cost money"}},
		{"deletePool", "pool", "delete", "deleted", words.Deletes,
			[2]string{"is deleted", "are deleted"},
			[2]string{"still exists and costs money", "still exist and cost money"},
			[2]string{"may still exist and cost money", "may still exist and cost money"}},
		{"deleteNode", "node", "delete", "deleted", words.Deletes,
			[2]string{"is deleted", "are deleted"},
			[2]string{"still exists and costs money", "still exist and cost money"},
			[2]string{"may still exist and cost money", "may still exist and cost money"}},
		{"renew", "item", "renew", "renewed", words.Changes,
			[2]string{"is renewed", "are renewed"},
			[2]string{"expires as before unless it is renewed", "expire as before unless they are renewed"},
			[2]string{"may expire as before", "may expire as before"}},
		{"toPeriodic", "item", "make periodic", "made periodic", words.Changes,
			[2]string{"is paid for a term, and expires with it unless it is renewed", "are paid for a term, and expire with it unless they are renewed"},
			[2]string{"is still paid by use, and has no term that expires", "are still paid by use, and have no term that expires"},
			[2]string{"may still be paid by use", "may still be paid by use"}},
		{"CreateNode", "item", "repeat", "done", words.Unknown,
			[2]string{"succeeded", "succeeded"}, [2]string{"failed", "failed"},
			[2]string{"may still be worked on and cost money", "may still be worked on and cost money"}},
		{"", "item", "repeat", "done", words.Unknown,
			[2]string{"succeeded", "succeeded"}, [2]string{"failed", "failed"},
			[2]string{"may still be worked on and cost money", "may still be worked on and cost money"}},
	} {
		d := words.Action(tt.action)
		if d.Noun != tt.noun || d.Verb != tt.verb || d.Done != tt.done || d.Kind != tt.kind {
			t.Errorf("%q: %+v; want %s, %s, %s, %d", tt.action, d, tt.noun, tt.verb, tt.done, tt.kind)
		}
		if unseen := d.Unseen(); unseen != map[bool]string{true: "not created yet", false: "not listed yet"}[tt.kind == words.Creates] {
			t.Errorf("%q: %s", tt.action, unseen)
		}
		for what, phrase := range map[string]struct {
			of   func(int) string
			want [2]string
		}{"succeeded": {d.IfSucceeded, tt.succeeded}, "failed": {d.IfFailed, tt.failed}, "open": {d.IfOpen, tt.open}} {
			if got := [2]string{phrase.of(1), phrase.of(2)}; got != phrase.want {
				t.Errorf("%q, %s: %q; want %q", tt.action, what, got, phrase.want)
			}
		}
	}
}

// TestActions holds that several actions share what they have in common, whatever their order.
func TestActions(t *testing.T) {
	for _, tt := range []struct {
		name       string
		actions    []string
		noun, done string
		kind       words.Kind
		failed     string
	}{
		{"none", nil, "item", "done", words.Unknown, "failed"},
		{"one", []string{"deleteNode"}, "node", "deleted", words.Deletes, "still exist and cost money"},
		{"the same twice", []string{"createNode", "createNode"}, "node", "created", words.Creates, "were not created"},
		{"a pool with its nodes", []string{"createPool", "createNode"}, "item", "created", words.Creates, "were not created"},
		{"nodes come and go", []string{"createNode", "deleteNode"}, "node", "done", words.Unknown, "failed"},
		{"a pool goes, nodes come", []string{"deletePool", "createNode", "createNode"}, "item", "done", words.Unknown, "failed"},
		{"two changes", []string{"renew", "toPeriodic"}, "item", "done", words.Unknown, "failed"},
		{"with one that is not known", []string{"deleteNode", "rebootNode", "deleteNode"}, "item", "done", words.Unknown, "failed"},
		{"with one without a word", []string{"deleteNode", ""}, "item", "done", words.Unknown, "failed"},
	} {
		for range 2 {
			d := words.Actions(tt.actions...)
			if d.Noun != tt.noun || d.Done != tt.done || d.Kind != tt.kind || d.IfFailed(2) != tt.failed {
				t.Errorf("%s: %+v", tt.name, d)
			}
			slices.Reverse(tt.actions)
		}
	}
}

func TestOutcome(t *testing.T) {
	for outcome, want := range map[string]struct{ word, deletion string }{
		"succeeded":        {"DONE", "DONE"},
		"partially_failed": {"PARTLY FAILED", "NOT DELETED"},
		"failed":           {"FAILED", "NOT DELETED"},
		"timed_out":        {"NOT DONE", "NOT DONE"},
		"not_found":        {"NOT FOUND", "NOT FOUND"},
		"refused":          {"REFUSED", "REFUSED"},
		"cancelled":        {"CANCELLED", "CANCELLED"},
		"of_tomorrow":      {"ENDED", "ENDED"},
		"":                 {"ENDED", "ENDED"},
	} {
		if got := words.Outcome(outcome, false); got != want.word {
			t.Errorf("%q: %q; want %q", outcome, got, want.word)
		}
		if got := words.Outcome(outcome, true); got != want.deletion {
			t.Errorf("%q of a deletion: %q; want %q", outcome, got, want.deletion)
		}
	}
}
