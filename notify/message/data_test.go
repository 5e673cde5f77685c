package message_test

import "github.com/orderwatch/orderwatch/watcher/watchertest"

// What tests are made of.
var (
	order, item, failure, distinct, many, hostile, filing = watchertest.Completion, watchertest.Item, watchertest.Failure, watchertest.Distinct, watchertest.Many, watchertest.Hostile, watchertest.ManyFailures
	attention, hostileAttention, reasons                  = watchertest.Attention, watchertest.HostileAttention, watchertest.Reasons
	concern, hostileConcern, concernKinds, unlistedSince  = watchertest.OrderAttention, watchertest.HostileOrderAttention, watchertest.OrderAttentionKinds, watchertest.UnlistedSince
	accepted, began, ended                                = watchertest.Accepted, watchertest.Began, watchertest.Ended
)

const bidi, secretKey = watchertest.Bidi, watchertest.Secret
