package answer

import (
	"fmt"
	"net/http"
	"time"

	"github.com/orderwatch/orderwatch/watcher/foreign"
)

const (
	maxBody      = 8 << 20  // of an order or a list, in bytes after decompression
	maxErrorBody = 64 << 10 // of an error
)

// Limit returns how many bytes of the body of an answer with the status [Read] is to be given at most:
// one more than it takes of an order or a list, so that it sees that this is longer.
func Limit(status int) int64 {
	if status == http.StatusOK {
		return maxBody + 1
	}
	return maxErrorBody
}

// Read returns the order that the API's answer holds, or an *[Error] that says what it means that the
// answer holds none. It looks at the answer's status and headers, and at the body that was read of it, but
// does not read on, and keeps nothing of the body. Of an order the body alone counts: answers with status 200 whose bodies
// are equal hold the same. Secrets that a server echoes are hidden in the error; they are still in the order.
// now is what the date of a Retry-After is compared with.
func Read(resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets) (*Packed, error) {
	p, e := read(resp, body, now, hidden, decode)
	if e != nil {
		return nil, e
	}
	return &p, nil
}

// read returns what is decoded of the body, or what it means that there is nothing of the kind.
func read[T any](resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets, decode func([]byte) (T, error)) (got T, e *Error) {
	if resp.StatusCode != http.StatusOK {
		return got, refusal(resp, body, nil, now, hidden)
	}
	if len(body) > maxBody {
		return got, badAnswer(resp, fmt.Sprintf("%s answered more than %d MiB", resp.Request.URL.Host, maxBody>>20), hidden)
	}
	got, err := decode(body)
	if err != nil {
		return got, refusal(resp, body, err, now, hidden)
	}
	return got, nil
}
