package words

// A Kind says what an action does to its resource.
type Kind int

// The kinds. An action that ModelArts does not document is Unknown, and so are several of different kinds.
const (
	Unknown Kind = iota
	Creates
	Deletes
	Changes // of a resource that exists: its term, how it is paid
)

// A Deed is an action in words.
type Deed struct {
	Noun string // what it is done to, as [Count] takes it: node, pool; item where that is not known
	Verb string // what people do again where it failed: create, delete, renew, …; repeat
	Done string // what was done where it succeeded: created, deleted, renewed, …; done
	Kind Kind

	succeeded, failed, open phrase
}

// A phrase follows the names of resources: one form for one of them, one for several.
type phrase struct{ one, several string }

func (p phrase) of(n int) string {
	if n == 1 {
		return p.one
	}
	return p.several
}

// IfSucceeded says what n resources are now that the action has succeeded: "is there and costs money", "are deleted".
func (d Deed) IfSucceeded(n int) string { return d.succeeded.of(n) }

// IfFailed says what n resources are now that the action has failed: "was not created", "still exist and cost money".
func (d Deed) IfFailed(n int) string { return d.failed.of(n) }

// IfOpen says what n resources may be where nobody has seen that the action ended: "may still be created and cost
// money".
func (d Deed) IfOpen(n int) string { return d.open.of(n) }

// Ended returns the words for items that have ended: succeeded and failed, deleted and not deleted.
func (d Deed) Ended() (succeeded, failed string) {
	if d.Kind == Deletes || d.Kind == Changes {
		return d.Done, "not " + d.Done
	}
	return "succeeded", "failed"
}

// Unseen says of resources that ModelArts counts, and does not list yet, what is not: "not created yet".
func (d Deed) Unseen() string {
	if d.Kind == Creates {
		return "not created yet"
	}
	return "not listed yet"
}

const item = "item" // the noun of what is neither a pool nor a node, as far as is known

var (
	creation = Deed{
		Verb: "create", Done: "created", Kind: Creates,
		succeeded: phrase{"is there and costs money", "are there and cost money"},
		failed:    phrase{"was not created", "were not created"},
		open:      phrase{"may still be created and cost money", "may still be created and cost money"},
	}
	deletion = Deed{
		Verb: "delete", Done: "deleted", Kind: Deletes,
		succeeded: phrase{"is deleted", "are deleted"},
		failed:    phrase{"still exists and costs money", "still exist and cost money"},
		open:      phrase{"may still exist and cost money", "may still exist and cost money"},
	}
	renewal = Deed{
		Noun: item, Verb: "renew", Done: "renewed", Kind: Changes,
		succeeded: phrase{"is renewed", "are renewed"},
		failed:    phrase{"expires as before unless it is renewed", "expire as before unless they are renewed"},
		open:      phrase{"may expire as before", "may expire as before"},
	}
	periodic = Deed{
		Noun: item, Verb: "make periodic", Done: "made periodic", Kind: Changes,
		succeeded: phrase{"is paid for a term, and expires with it unless it is renewed", "are paid for a term, and expire with it unless they are renewed"},
		failed:    phrase{"is still paid by use, and has no term that expires", "are still paid by use, and have no term that expires"},
		open:      phrase{"may still be paid by use", "may still be paid by use"},
	}
	neutral = Deed{
		Noun: item, Verb: "repeat", Done: "done",
		succeeded: phrase{"succeeded", "succeeded"},
		failed:    phrase{"failed", "failed"},
		open:      phrase{"may still be worked on and cost money", "may still be worked on and cost money"},
	}
)

// deeds are the actions that ModelArts documents.
var deeds = map[string]Deed{
	"createPool": creation.to("pool"),
	"createNode": creation.to("node"),
	"deletePool": deletion.to("pool"),
	"deleteNode": deletion.to("node"),
	"renew":      renewal,
	"toPeriodic": periodic,
}

func (d Deed) to(noun string) Deed {
	d.Noun = noun
	return d
}

// Action returns the action of an item in words, and neutral ones for an action that ModelArts does not document.
func Action(action string) Deed {
	if d, ok := deeds[action]; ok {
		return d
	}
	return neutral
}

// Actions returns what several actions have in common, in words: for createPool and createNode items that are
// created, for deleteNode and createNode nodes to which something is done. Without actions all words are neutral.
func Actions(actions ...string) Deed {
	if len(actions) == 0 {
		return neutral
	}
	all := Action(actions[0])
	for _, action := range actions[1:] {
		d := Action(action)
		if d.Done != all.Done {
			all = neutral.to(all.Noun)
		}
		if d.Noun != all.Noun {
			all.Noun = item
		}
	}
	return all
}
