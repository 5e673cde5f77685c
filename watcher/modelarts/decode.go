package modelarts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

const (
	maxItems = 20_000 // in one answer; the largest orders known have hundreds
	maxName  = 256    // bytes of a resource's name, an action or a status
)

// orderBody is the body of ShowOrder's 200. encoding/json ignores the case of names, so it
// reads resourcename (the page of 2025-11) as well as resourceName (the page of 2026-01).
type orderBody struct {
	Count json.Number `json:"count"`
	Items orderItems  `json:"items"`
}

type orderItem struct {
	ResourceName    string    `json:"resourceName"`
	Action          string    `json:"action"`
	Status          string    `json:"status"`
	BeginTimestamp  timestamp `json:"beginTimestamp"`
	UpdateTimestamp timestamp `json:"updateTimestamp"`
	Message         string    `json:"message"`
}

// Decode reads the body of ShowOrder's 200. Missing fields and null are zero, null items are left
// out, a count below zero is zero. A timestamp that cannot be read is no time. Names, actions and
// statuses are cut at 256 bytes; messages are kept whole. What is no such object, has anything
// behind it, or has more than 20,000 items, is an error.
func Decode(body []byte) (watcher.Answer, error) {
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) == 0 || b[0] != '{' {
		return watcher.Answer{}, errors.New("it is no JSON object")
	}
	var o orderBody
	if err := json.Unmarshal(body, &o); err != nil {
		return watcher.Answer{}, err
	}
	count, err := o.count()
	if err != nil {
		return watcher.Answer{}, err
	}
	return watcher.Answer{Count: count, Items: o.Items}, nil
}

func (o *orderBody) count() (int, error) {
	if o.Count == "" {
		return 0, nil
	}
	f, err := o.Count.Float64()
	if err != nil || f != math.Trunc(f) || f > math.MaxInt32 {
		return 0, fmt.Errorf("its count, %.32q, is no number of items", o.Count.String())
	}
	return int(max(f, 0)), nil
}

// orderItems are read one by one, so that a long list of nothing takes no memory.
type orderItems []watcher.Item

func (l *orderItems) UnmarshalJSON(b []byte) error {
	*l = nil
	dec := json.NewDecoder(bytes.NewReader(b))
	switch t, err := dec.Token(); {
	case err != nil:
		return err
	case t == nil: // null
		return nil
	case t != json.Delim('['):
		return errors.New("its items are no list")
	}
	for n := 0; dec.More(); n++ {
		if n == maxItems {
			return fmt.Errorf("it has more than %d items", maxItems)
		}
		var i *orderItem
		if err := dec.Decode(&i); err != nil {
			return err
		}
		if i != nil {
			*l = append(*l, i.item())
		}
	}
	return nil
}

func (i *orderItem) item() watcher.Item {
	return watcher.Item{
		ResourceName: cut(i.ResourceName, maxName),
		Action:       cut(i.Action, maxName),
		Status:       watcher.Status(cut(i.Status, maxName)),
		BeganAt:      time.Time(i.BeginTimestamp),
		UpdatedAt:    time.Time(i.UpdateTimestamp),
		Message:      i.Message,
	}
}

// A timestamp is milliseconds since 1970, as a number (the published example) or as a string (the
// published table). Anything else is the zero time.
type timestamp time.Time

// year10000 is the first millisecond that JSON's times cannot tell.
const year10000 = 253402300800000

func (t *timestamp) UnmarshalJSON(b []byte) error {
	*t = timestamp{}
	ms, err := strconv.ParseFloat(string(bytes.Trim(b, `"`)), 64)
	if err == nil && ms >= 1 && ms < year10000 {
		*t = timestamp(time.UnixMilli(int64(ms)).UTC())
	}
	return nil
}
