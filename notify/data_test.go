package notify_test

import "github.com/orderwatch/orderwatch/watcher/watchertest"

// What tests are made of.
var (
	order, hostile                        = watchertest.Completion, watchertest.Hostile
	attention, hostileAttention           = watchertest.Attention, watchertest.HostileAttention
	concern, hostileConcern, concernKinds = watchertest.OrderAttention, watchertest.HostileOrderAttention, watchertest.OrderAttentionKinds
)

const fakeKey, secretKey = watchertest.OthersKey, watchertest.Secret
