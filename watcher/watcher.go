// Package watcher is the domain of orderwatch: what a watch is, when the next poll is due, and
// what one request or one wake-up leads to.
package watcher
