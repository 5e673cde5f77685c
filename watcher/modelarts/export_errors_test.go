package modelarts

import "github.com/orderwatch/orderwatch/watcher"

// Held returns what the account is to be held for, whether more of the same would lock it, and whether
// a new token may help.
func (e *APIError) Held() (kind watcher.HoldKind, locks, tokenDead bool) {
	return e.hold, e.locks, e.tokenDead()
}
