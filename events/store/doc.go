// Package store keeps in JetStream what package watcher decides: it implements the ports watcher.Records,
// watcher.Wakeups, watcher.Events, watcher.Notes and watcher.Undelivered (a [Store]), and watcher.Accounts
// ([Accounts]).
//
//	ORDER_REQUESTS  orders.watch                requests; consumer intake
//	ORDER_WATCHES   (key-value)                 one record for each order's watch; the patrol's lease
//	ORDER_WAKEUPS   orders.waiting.>, orders.due.>   scheduled wake-ups become due; consumer poller
//	ORDER_ACCOUNTS  (key-value)                 which workers there are; why accounts are held
//	ORDER_SLACK     (key-value)                 what was posted where
//	ORDER_EVENTS    orders.completed.>, …       events; consumer slack
//
// It promises that an error or an absence is never taken for a proof (evidence.go), that a write which
// expects a revision is never made over another one, that no message is sent which the server would close
// the connection for (payload.go), and that [Store.Trouble] knows of each write that failed (storing.go). A
// worker has one store: whatever it writes goes through it.
//
// Read config.go and store.go first, then one file for each port (records.go, wakeups.go, publish.go,
// notes.go, accounts.go), then assets.go (which streams and consumers there must be). list.go,
// completions.go and attention.go find and publish what people ask for and are told.
package store
