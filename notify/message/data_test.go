package message_test

import "github.com/orderwatch/orderwatch/watcher/watchertest"

// What tests are made of.
var (
	order, item, failure, distinct, many, hostile, filing = watchertest.Completion, watchertest.Item, watchertest.Failure, watchertest.Distinct, watchertest.Many, watchertest.Hostile, watchertest.ManyFailures
	attention, hostileAttention, reasons, outageBegan     = watchertest.Attention, watchertest.HostileAttention, watchertest.Reasons, watchertest.OutageBegan
	concern, hostileConcern, concernKinds, unlistedSince  = watchertest.OrderAttention, watchertest.HostileOrderAttention, watchertest.OrderAttentionKinds, watchertest.UnlistedSince
	accepted, began, ended                                = watchertest.Accepted, watchertest.Began, watchertest.Ended
)

const (
	bidi, fakeKey, secretKey = watchertest.Bidi, watchertest.OthersKey, watchertest.Secret
)
