package modelarts

import "github.com/orderwatch/orderwatch/watcher"

// Means returns what the account is to be held for, and whether more of the same would lock it.
func (e *APIError) Means() (kind watcher.HoldKind, locks bool) { return e.hold, e.locks }
