package message

import "time"

// Limits of a message. Sizes are UTF-16 units after escaping.
//
// Slack refuses over 50 blocks, a section over 3,000, a field over 2,000, over 10 fields or context
// elements (documented), and a whole message of somewhere between 11,341 and 13,200 units
// (undocumented; bolt-js#2509, bolt-js#2867). The first three are ours, half of that and less.
const (
	maxTotal  = 6000 // all text of all blocks, with blockOverhead for each
	maxBlocks = 15
	maxText   = 600 // the top-level text: push notifications cut it, chat.update refuses over 4,000 bytes
	// maxSentence leaves room for the mention, which goes before a text that is posted alone.
	maxSentence = maxText - 44
	// blockOverhead is what Slack seems to count for a block beside its text: 100 to 125, measured by others.
	blockOverhead = 125
)

// Limits of the parts. They leave a third of maxTotal to the failures in the worst case.
const (
	maxName    = 160     // an order's name
	maxMiddle  = 48      // the same in the sentence for phones
	maxEnv     = 40      // the environment
	maxCause   = 120     // a failure's text in the title
	maxTitle   = 400     // what the title says after the name
	maxLink    = 2400    // a longer URL is not linked: the contract has 2,000 characters
	maxAnyLink = 1 << 20 // of one of which it is said that it is not shown
	maxOwnLink = 500     // the same, of one that the configuration makes
	maxFoot    = 3300    // links, who asked, and where the order is
	maxCommand = 700
	maxPerson  = 60  // who asked, a request id, a name among others
	maxProject = 64  // a project's ID
	maxWord    = 40  // an action, a status, a label's key
	maxAsked   = 800 // the requests in the context
	maxLabels  = 300
	maxExcerpt = 700 // a failure's text
	maxShort   = 120 // a failure's text where many must fit
	maxReason  = 400
	// maxResource is a resource's name in a list of failed items. It is never cut: the watcher bounds it
	// to 256 bytes, each of them 5 units at the most.
	maxResource = 1300
	maxInline   = 240 // the names of a cause in the message itself
	pointerRoom = 400 // is kept free for where the rest is found
	titleRoom   = 300 // is kept free for the title of a reply
)

// A long text keeps its head and its tail, in characters: the cause is often at the end.
const (
	headLength = 300
	tailLength = 80
)

// How much is shown.
const (
	inlineGroups = 5 // causes in the message itself
	titleCauses  = 3 // causes in the brief form
	inlineNames  = 3 // names of a cause in the message itself
	maxReplies   = 3
	openItems    = 5 // items that had not ended
	askedShown   = 5 // requests
	labelsShown  = 8
	changesShown = 5    // changes of a watch that goes on
	maxAgain     = 20   // requests that are to be published again
	unknownWords = 2    // statuses that nobody documents, where items are counted
	shapeLength  = 4096 // bytes of a message that are compared with those of others
	maxAlike     = 24   // words of a message that may be like others but for an id of letters
	deedsShown   = 4    // actions in one sentence
	runbooks     = 2    // links to runbooks
)

const (
	lateAfter   = 5 * time.Minute // is when a message says that it is late
	clocksApart = 5 * time.Minute // is how far ModelArts' clock may be ahead of ours
)
