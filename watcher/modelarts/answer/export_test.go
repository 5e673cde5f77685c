package answer

import "github.com/orderwatch/orderwatch/watcher"

// Decode returns the order that the body of a 200 holds, or why it holds none.
func Decode(body []byte) (watcher.Answer, error) {
	p, err := decode(body)
	if err != nil {
		return watcher.Answer{}, err
	}
	return p.Answer(nil), nil
}
