// Package store keeps in JetStream what package watcher decides: it implements the ports watcher.Records,
// watcher.Wakeups, watcher.Events, watcher.Notes and watcher.Undelivered (a [Store]), and watcher.Accounts
// ([Accounts]).
//
//	ORDER_REQUESTS  orders.watch                requests; consumer intake
//	ORDER_WATCHES   (key-value)                 one record for each order's watch; the patrol's lease
//	ORDER_WAKEUPS   orders.waiting.>, orders.due.>   scheduled wake-ups become due; consumer poller
//	ORDER_ACCOUNTS  (key-value)                 which workers there are; why accounts are held; who lists orders
//	ORDER_SLACK     (key-value)                 what was posted where
//	ORDER_HISTORY   (key-value)                 how long orders take; it may be missing
//	ORDER_EVENTS    orders.completed.>, …       events; consumers slack, and history, which may be missing
//
// It promises that an error or an absence is never taken for a proof (evidence.go), that a write which
// expects a revision is never made over another one, that no message is sent which the server would close
// the connection for (payload.go), and that [Store.Trouble] knows of each write that failed (storing.go). A
// worker has one store: whatever it writes goes through it.
//
// Read the files in this order:
//
//	config.go       which durations there are
//	store.go        how messages are read from a stream's leader and published
//	evidence.go     what the server's errors prove
//	storing.go      whether the streams store what is published
//	payload.go      how large a message may be
//	clock.go        the server's time
//	records.go      one record for each order, and that a worker keeps some (package recall); list.go: many of them, for the index
//	mark.go         what counts as written by a worker
//	wakeups.go      timers, and what is due
//	events.go       events are published once, and found again
//	follow.go       events from a place on, for those who ask the service
//	notes.go        what notifiers note, and how far the consumer slack has come
//	accounts.go     which workers there are, and which accounts are held
//	leases.go       which worker lists the orders of a project
//	assets.go       which streams and consumers there must be
//	faultpoint.go   where the tests of crashes stop a process
package store
