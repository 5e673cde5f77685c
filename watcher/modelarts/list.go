package modelarts

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// List asks once for a page of the orders of a project, within the timeout, and does not try again. Its errors are
// as Show's. Whether the account may be asked is the caller's to know.
//
// A list only gives hints. So what it is answered says nothing of the account or of the watches, but that it is
// throttled or its login is refused: then the account is held as after any call.
func (c *Client) List(ctx context.Context, region, projectID string, q sweep.Query) (sweep.Page, error) {
	r, err := c.regionOf(region, watcher.Order{ProjectID: projectID, Name: "any"})
	if err != nil {
		return sweep.Page{}, err
	}
	u, err := r.endpoint.Orders(projectID)
	if err != nil {
		return sweep.Page{}, answer.NewError(watcher.Refused, err.Error())
	}
	u.RawQuery = parameters(q).Encode()
	asked := call{order: watcher.Order{ProjectID: projectID}, began: c.config.Now()}
	var page sweep.Page
	err = c.ask(ctx, c.config.Timeout, region, r.endpoint.Host, projectID, u, func(resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets) (err error) {
		page, err = answer.ReadList(resp, body, now, hidden)
		return err
	})
	if err != nil && ctx.Err() == nil {
		e := asAPIError(err)
		if slices.Contains([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound}, e.Status) {
			e.Class = watcher.Refused // the list, whatever a gateway says of it
		}
		asked.ended = c.config.Now()
		r.account.heardOfList(ctx, asked, e)
	}
	return page, err
}

// parameters returns the query as ListOrders wants it.
func parameters(q sweep.Query) url.Values {
	v := make(url.Values)
	set := func(name, value string, asked bool) {
		if asked {
			v.Set(name, value)
		}
	}
	set("phase", q.Phase, q.Phase != "")
	set("since", strconv.FormatInt(q.Since.UnixMilli(), 10), !q.Since.IsZero())
	set("until", strconv.FormatInt(q.Until.UnixMilli(), 10), !q.Until.IsZero())
	set("offset", strconv.Itoa(q.Offset), q.Offset != 0)
	set("limit", strconv.Itoa(q.Limit), q.Limit != 0)
	return v
}

// heardOfList takes note of a list that ended with the error. To the error it adds for what the account is held
// because of it, if it is.
func (a *account) heardOfList(ctx context.Context, c call, e *answer.Error) {
	h := &a.holds
	switch {
	case e.Hold == watcher.HeldLogin:
		h.blame(ctx, h.cause(e.Hold, c, e))
		a.mu.Lock()
		a.proven = false
		a.mu.Unlock()
	case e.Hold == watcher.HeldThrottled, e.Hold != "" && e.Unauthorized():
		h.hold(ctx, h.cause(e.Hold, c, e))
	default:
		return
	}
	e.Held = e.Hold
}
