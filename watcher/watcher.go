// Package watcher is the domain of orderwatch: what a watch is, when its next poll is due, and
// what one request or one wake-up leads to.
//
// A watch is a record ([Watch]); a wake-up ([Wakeup]) is only a hint that names the record's
// next step. What to do is decided by pure functions of the record, what happened, and a time:
// [Policy.Admit] for a request, [Policy.Before] and [Policy.Fold] for a wake-up. [Intake] and
// [Poller] carry the decisions out over the small interfaces of this package, so that every
// step can be repeated after a crash:
//
//	watching ──poll: not ended──► watching (next wake-up; where nothing changed, that alone is stored)
//	watching ──ended, deadline, wish──► ending (its completion is fixed in the record)
//	ending ──completion published──► ended, or, with requests that are not answered: watching, under a new watch_id
//
// One rule holds everywhere: an error or an absence is never proof. A delivery is acknowledged
// only on what was positively read or stored ([Verdict]); otherwise it is put back.
//
// Read watch.go (the record of a watch, and when a poll leaves it unwritten), order.go and items.go (an order, and what a record keeps of its items)
// first; then the files of the decisions:
//
//	admit.go       whether a request starts a watch, joins one, waits, or is rejected as it contradicts the watch; its
//	               deadline (the longest timeout is checked in request.go of package wire)
//	terms.go       when the terms of each request are met, how long an order settles, whom a completion answers, whom a
//	               cancel is for, and which watch follows for the others
//	policy.go      what decisions depend on, and how many requests a watch answers
//	schedule/      how long it is from one poll to the next
//	match.go       which item of an answer is which item that was seen before; which are missing
//	ended.go       whether an item is open or has ended, and whether the order has
//	fold.go        what an answer or an error changes, also where a hint of the list of orders brought it on; when the next
//	               poll is, and when its interval is stretched; and when a watch ends
//	hold.go        how long an account is not asked
//	attention.go   what people are told of; when a watch is late, stalled, blind or near its deadline
//	completion.go  what is in an event, how soon an end was known, and which failed items are one failure; reason.go: its
//	               sentence
//	fit.go         how an event is cut to its size
//	record.go      how a record is cut to its size, written and read
//	snapshot.go    what is shown of a watch
//
// Last intake.go (requests, and the verdict on a delivery) and poller.go (wake-ups) carry the decisions out over
// ports.go; package room decides how many polls of large orders are made at a time. ANSWERS.md has the rules in words.
package watcher
