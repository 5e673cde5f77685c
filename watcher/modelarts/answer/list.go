package answer

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// ReadList returns the page of a list of orders that the API's answer holds, or an *[Error] as [Read] does. Its
// advice is left out where it is about one order. Rows whose name holds a secret are left out.
func ReadList(resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets) (sweep.Page, error) {
	page, e := read(resp, body, now, hidden, DecodeList)
	if e != nil {
		if e.Hold == "" {
			e.Message, e.Advice = strings.TrimSuffix(e.Message, inBrackets(e.Advice)), ""
		}
		return sweep.Page{}, e
	}
	page.Rows = slices.DeleteFunc(page.Rows, func(r sweep.Row) bool { return hidden.Hide(r.Name) != r.Name })
	for i := range page.Rows {
		page.Rows[i].Phase = hidden.Hide(page.Rows[i].Phase)
	}
	return page, nil
}

// DecodeList reads the body of ListOrders' 200. It is a list only if it is a JSON object with items, or with a
// count of 0, that carries no error; anything else is an error that says what it is instead.
//
// It is read as leniently as an order is by [Read]. Since a list only gives hints, a phase may be any word, or
// none. Rows are left out that are null or have no name that a watch can have; the count is at least the number of
// entries, so that a page with such rows is not taken for the last one.
func DecodeList(body []byte) (sweep.Page, error) {
	count, list, err := told(body, "list of orders")
	if err != nil {
		return sweep.Page{}, err
	}
	rows, entries, err := itemsIn(&list, rowOf)
	switch {
	case err != nil:
		return sweep.Page{}, err
	case list.spelled == 0 && count.n > 0:
		return sweep.Page{}, errors.New("it has a count of orders, but no orders")
	}
	rows = slices.DeleteFunc(rows, func(r sweep.Row) bool {
		return watcher.Order{ProjectID: "any", Name: r.Name}.Validate() != nil
	})
	return sweep.Page{Count: max(count.n, entries), Rows: rows}, nil
}

func rowOf(v value) (sweep.Row, error) {
	var name, phase, created, began, ended field
	for key, said := range v.members() {
		switch {
		case name.takes(key, "orderName", said):
		case phase.takes(key, "phase", said):
		case created.takes(key, "creationTimestamp", said):
		case began.takes(key, "beginTimestamp", said):
		default:
			ended.takes(key, "endTimestamp", said)
		}
	}
	return sweep.Row{
		Name:    strings.TrimFunc(name.text(), blank),
		Phase:   foreign.Cut(strings.TrimFunc(phase.text(), blank), maxName),
		Created: moment(millis(created.value)),
		Began:   moment(millis(began.value)),
		Ended:   moment(millis(ended.value)),
	}, nil
}
