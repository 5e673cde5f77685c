// Package watcher is the domain of orderwatch: what a watch is, when its next poll is due, and
// what one request or one wake-up leads to.
//
// A watch is a record ([Watch]); a wake-up ([Wakeup]) is only a hint that names the record's
// next step. What to do is decided by pure functions of the record, what happened, and a time:
// [Policy.Admit] for a request, [Policy.Before] and [Policy.Fold] for a wake-up. [Intake] and
// [Poller] carry the decisions out over the small interfaces of this package, so that every
// step can be repeated after a crash:
//
//	watching ──poll: not ended──► watching (next wake-up)
//	watching ──ended, deadline, wish──► ending (its completion is fixed in the record)
//	ending ──completion published──► ended
//
// One rule holds everywhere: an error or an absence is never proof. A delivery is acknowledged
// only on what was positively read or stored ([Verdict]); otherwise it is put back.
//
// Read watch.go (the record) and items.go (which items are open, which have ended) first, then policy.go and
// schedule.go (when the next poll is), match.go and fold.go (what an answer changes), report.go (the event, and how it
// is cut to fit), and last intake.go and poller.go, which carry it out. hold.go says how long an account is not asked,
// attention.go what people are told of. ANSWERS.md has the rules in words.
package watcher
