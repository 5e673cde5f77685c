package answer

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const maxRetryAfter = 15 * time.Minute

// retryAfter reads the header: a number of seconds, a length of time such as 25s or 1m30s, or a date.
// It is rounded up to whole seconds, but for a date. What is none of them counts as not said.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if d, ok := lengthOf(header); ok {
		return min((min(d, maxRetryAfter) + time.Second - 1).Truncate(time.Second), maxRetryAfter)
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}

// lengths are what is read as a length of time: seconds, or numbers with units.
var lengths = regexp.MustCompile(strings.ReplaceAll(`^\+?(?:N|(?:N ?(?:ms|[hms]) ?)+)$`, "N", `(?:\d+\.?\d*|\.\d+)`))

// units are the words that some write for a unit.
var units = strings.NewReplacer("seconds", "s", "second", "s", "secs", "s", "sec", "s",
	"minutes", "m", "minute", "m", "mins", "m", "min", "m", "hours", "h", "hour", "h")

// lengthOf reads a length of time. One that is absurdly long is maxRetryAfter.
func lengthOf(text string) (time.Duration, bool) {
	text = units.Replace(strings.ToLower(text))
	if !lengths.MatchString(text) {
		return 0, false
	}
	text = strings.ReplaceAll(text, " ", "")
	if strings.Trim(text, "+.0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil { // the pattern leaves but this
		return maxRetryAfter, true
	}
	return d, true
}

// window is how the gateway names its limit: "… over ratelimit,limit:200,time:1 minute".
var window = regexp.MustCompile(`time: ?(\d{1,4}) ?(second|minute|hour|day)`)

// namedWindow returns the span of time that a limit counts over, at most one minute, 0 where the
// text names none. After a whole window the count is new.
func namedWindow(text string) time.Duration {
	m := window.FindStringSubmatch(strings.ToLower(text))
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // the pattern has digits only
	unit := time.Minute
	if m[2] == "second" {
		unit = time.Second
	}
	return min(time.Duration(n)*unit, time.Minute)
}
