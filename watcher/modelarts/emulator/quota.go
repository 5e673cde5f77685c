package emulator

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Quota is how many calls of ShowOrder are let through. What comes above it is answered
// 429 APIGW.0308. The zero value lets everything through.
//
// It is counted over the span of time that ends now, so no span holds more. Of the cloud it is not
// known whether it counts like that or by the clock's minutes.
type Quota struct {
	// Calls are let through in each span. 0: all are.
	Calls int `json:"calls"`
	// Per is the span: whole seconds, at most an hour; 0: one second.
	Per time.Duration `json:"per,omitzero"`
	// Together makes all logins and regions share the quota. Otherwise each login has its own in
	// each region. A login is an access key or a token, so one of each project of an IAM user.
	Together bool `json:"together,omitzero"`
	// CountRefused makes refused calls count too: who keeps on asking too often is refused for ever.
	CountRefused bool `json:"count_refused,omitzero"`
	// RetryAfter adds the header with the seconds until a call is let through again.
	RetryAfter bool `json:"retry_after,omitzero"`
}

func (q Quota) check() error {
	switch {
	case q.Calls < 0:
		return errors.New("calls: must not be under 0")
	case q.Per < 0, q.Per%time.Second != 0, q.Per > time.Hour:
		return errors.New("per: must be whole seconds and at most an hour, such as 1s or 1m")
	}
	return nil
}

func (q Quota) span() time.Duration { return max(q.Per, time.Second) }

func (q Quota) text() string {
	n, unit := int(q.span()/time.Second), "second"
	if q.span()%time.Minute == 0 {
		n, unit = int(q.span()/time.Minute), "minute"
	}
	return fmt.Sprintf("The throttling threshold has been reached: policy user over ratelimit,limit:%d,time:%d %s", q.Calls, n, unit)
}

// A counter counts calls against a quota, by who makes them.
type counter struct {
	Quota
	counted map[string][]time.Time // oldest first, at most Quota.Calls
}

// take counts a call. It returns how long who makes it has to wait, 0 where it is let through.
func (c *counter) take(who string, now time.Time) time.Duration {
	if c.Calls <= 0 {
		return 0
	}
	if c.Together {
		who = ""
	}
	times := c.counted[who]
	for len(times) > 0 && now.Sub(times[0]) >= c.span() {
		times = times[1:]
	}
	refused := len(times) >= c.Calls
	if !refused || c.CountRefused {
		times = append(times, now)
		times = times[max(0, len(times)-c.Calls):]
	}
	c.counted[who] = times
	if !refused {
		return 0
	}
	return times[0].Add(c.span()).Sub(now)
}

func (q Quota) refusal(wait time.Duration) *Fault {
	f := &Fault{Status: http.StatusTooManyRequests, Code: "APIGW.0308", Message: q.text()}
	if q.RetryAfter {
		f.Header = map[string]string{"Retry-After": strconv.Itoa(int(math.Ceil(wait.Seconds())))}
	}
	return f
}

// caller returns who makes a call: the access key that signed it, or the token.
func caller(r *http.Request) string {
	_, key, signed := strings.Cut(r.Header.Get("Authorization"), "Access=")
	if !signed {
		return r.Header.Get("X-Auth-Token")
	}
	key, _, _ = strings.Cut(key, ",")
	return key
}

// SetQuota replaces the quota; what was counted so far is forgotten. It returns an error that says
// what is wrong with it.
func (e *Emulator) SetQuota(q Quota) error {
	if err := q.check(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.quota = counter{q, make(map[string][]time.Time)}
	return nil
}
