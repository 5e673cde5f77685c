package answer

import (
	"fmt"
	"net/http"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

const (
	maxBody      = 8 << 20  // of an order, in bytes after decompression
	maxErrorBody = 64 << 10 // of an error
)

// Limit returns how many bytes of the body of an answer with the status [Read] is to be given at most:
// one more than it takes of an order, so that it sees that the order is longer.
func Limit(status int) int64 {
	if status == http.StatusOK {
		return maxBody + 1
	}
	return maxErrorBody
}

// Read returns the order that the API's answer holds, or an *[Error] that says what it means that the
// answer holds none. It looks at the answer's status and headers, and at the body that was read of it, but
// does not read on. Secrets that a server echoes are hidden in what it returns. now is what the date of a
// Retry-After is compared with.
func Read(resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets) (watcher.Answer, error) {
	if resp.StatusCode != http.StatusOK {
		return watcher.Answer{}, refusal(resp, body, nil, now, hidden)
	}
	if len(body) > maxBody {
		message := fmt.Sprintf("%s answered more than %d MiB", resp.Request.URL.Host, maxBody>>20)
		return watcher.Answer{}, badAnswer(resp, message, hidden)
	}
	answer, err := Decode(body)
	if err != nil {
		return watcher.Answer{}, refusal(resp, body, err, now, hidden)
	}
	for i := range answer.Items {
		it := &answer.Items[i]
		for _, text := range []*string{&it.ResourceName, &it.Action, (*string)(&it.Status), &it.Message} {
			*text = hidden.Hide(*text)
		}
	}
	return answer, nil
}
