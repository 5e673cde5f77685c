package outbox_test

import "github.com/orderwatch/orderwatch/watcher/watchertest"

// What tests are made of.
var (
	order, failure, many, filing         = watchertest.Completion, watchertest.Failure, watchertest.Many, watchertest.ManyFailures
	attention, outageBegan               = watchertest.Attention, watchertest.OutageBegan
	concern, concernKinds, unlistedSince = watchertest.OrderAttention, watchertest.OrderAttentionKinds, watchertest.UnlistedSince
	began, ended                         = watchertest.Began, watchertest.Ended
)

const bidi, fakeKey, secretKey = watchertest.Bidi, watchertest.OthersKey, watchertest.Secret
