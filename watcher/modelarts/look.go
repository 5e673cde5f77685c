package modelarts

import (
	"context"
	"net/http"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Look is what one call showed of the API.
type Look struct {
	Host   string // that was asked
	Answer watcher.Answer

	// Date is the API's clock, in whole seconds, and Middle the caller's, by time.Now, in the middle of the
	// call, which took Took. All are zero where the answer says nothing of the time, or there was none.
	Date, Middle time.Time
	Took         time.Duration
}

// Look asks once for the order, as [Client.Show] does, and keeps nothing of how that went: it holds
// no account. Whether the account may be asked is the caller's to know: see [Client.Wait].
func (c *Client) Look(ctx context.Context, region string, order watcher.Order) (Look, error) {
	r, err := c.regionOf(region, order)
	if err != nil {
		return Look{}, err
	}
	look := Look{Host: r.endpoint.Host}
	seen := *c
	seen.http = &http.Client{Transport: dated{c.http.Transport, &look}, CheckRedirect: c.http.CheckRedirect}
	look.Answer, err = seen.show(ctx, c.config.Timeout, region, r.endpoint, order)
	return look, err
}

type dated struct {
	next http.RoundTripper
	look *Look
}

func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		took := time.Since(began)
		d.look.Date, d.look.Middle, d.look.Took = date, began.Add(took/2), took
	}
	return resp, nil
}
