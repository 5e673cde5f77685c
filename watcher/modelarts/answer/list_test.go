package answer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// A row is read in every spelling of its fields and times, and as far as it can be.
func TestDecodeList(t *testing.T) {
	created, began, ended := time.UnixMilli(1744285793000).UTC(), time.UnixMilli(1744285794000).UTC(), time.UnixMilli(1744286479000).UTC()
	for _, tt := range []struct {
		name, row string
		want      sweep.Row
	}{
		{"documented", `{"creationTimestamp":1744285793000,"beginTimestamp":1744285794000,"endTimestamp":1744286479000,"orderName":"order.a","orderId":"CS1","resourceName":"r","phase":"successed","more":{"x":[1]}}`,
			sweep.Row{Name: "order.a", Phase: "successed", Created: created, Began: began, Ended: ended}},
		{"lower case", `{"creationtimestamp":1744285793000,"begintimestamp":1744285794000,"endtimestamp":1744286479000,"ordername":"order.a","phase":"failed"}`,
			sweep.Row{Name: "order.a", Phase: "failed", Created: created, Began: began, Ended: ended}},
		{"texts", `{"creationTimestamp":"1744285793000","beginTimestamp":"1744285794000","endTimestamp":"1744286479000","orderName":"order.a","phase":"completed"}`,
			sweep.Row{Name: "order.a", Phase: "completed", Created: created, Began: began, Ended: ended}},
		{"seconds", `{"creationTimestamp":1744285793,"orderName":"order.a","phase":"running"}`, sweep.Row{Name: "order.a", Phase: "running", Created: created}},
		{"zero", `{"creationTimestamp":1744285793000,"beginTimestamp":0,"endTimestamp":"0","orderName":"order.a","phase":"pending"}`,
			sweep.Row{Name: "order.a", Phase: "pending", Created: created}},
		{"null", `{"creationTimestamp":null,"beginTimestamp":null,"endTimestamp":null,"orderName":"order.a","phase":null}`, sweep.Row{Name: "order.a"}},
		{"absent", `{"orderName":"order.a"}`, sweep.Row{Name: "order.a"}},
		{"nonsense", `{"creationTimestamp":"yesterday","beginTimestamp":-1,"endTimestamp":{"at":1},"orderName":" order.a\t","phase":" Running "}`,
			sweep.Row{Name: "order.a", Phase: "Running"}},
		{"a phase that is none", `{"orderName":"order.a","phase":{"is": 1}}`, sweep.Row{Name: "order.a", Phase: `{"is":1}`}},
		{"several spellings", `{"ordername":"order.b","orderName":"order.a","ORDERNAME":"order.c","phase":"running"}`, sweep.Row{Name: "order.a", Phase: "running"}},
		{"a long phase", `{"orderName":"order.a","phase":"` + strings.Repeat("é", 1000) + `"}`, sweep.Row{Name: "order.a", Phase: strings.Repeat("é", 128)}},
	} {
		page, err := answer.DecodeList([]byte(`{"count":7,"items":[` + tt.row + `]}`))
		if err != nil || page.Count != 7 || len(page.Rows) != 1 || page.Rows[0] != tt.want {
			t.Errorf("%s: got %+v, %v; want %+v", tt.name, page, err, tt.want)
		}
	}
}

// A list is known as one, and a page with rows that are of no use is not shorter than it was.
func TestDecodeListCounts(t *testing.T) {
	for body, want := range map[string]string{
		`{"count":0,"items":[]}`:                              "0 []",
		`{"count":0,"items":null}`:                            "0 []",
		`{"count":0}`:                                         "0 []",
		`{"items":[]}`:                                        "0 []",
		`{"Count":"2","ITEMS":[{"orderName":"a"}]}`:           "2 [a]",
		`{"items":[{"orderName":"a"},{"orderName":"b"}]}`:     "2 [a b]",
		`{"count":1,"items":[{"orderName":"a"},null,{}]}`:     "3 [a]",
		`{"count":700,"items":[]}`:                            "700 []",
		`{"count":-1,"items":[{"orderName":"a"}]}`:            "1 [a]",
		`{"items":[{"orderName":"a.*"},{"orderName":".."}]}`:  "2 []",
		`{"items":[{"orderName":""},{"orderName":"a b"}]}`:    "2 []",
		`{"items":[{"orderName":["a"]},{"orderName":12}]}`:    "2 [12]",
		`{"message":"OK","items":[{"orderName":"a"}]}`:        "1 [a]",
		"\ufeff" + `{"items":[{"orderName":"a"}],"total":{}}`: "1 [a]",
		`{"items":[{"orderName":"` + long(128) + `"}]}`:       "1 [" + long(128) + "]",
		`{"items":[{"orderName":"` + long(129) + `"}]}`:       "1 []",
		``:                                "it is no JSON object: it came without a body",
		`<html>`:                          "it is no JSON object: it came as a web page, perhaps of a proxy",
		`[]`:                              "it is no JSON object: []",
		`{}`:                              "it is no list of orders: it has neither count nor items",
		`{"orders":[]}`:                   "it is no list of orders: it has neither count nor items",
		`{"error_code":"A.1","items":[]}`: "it is an error, no list of orders",
		`{"count":3}`:                     "it has a count of orders, but no orders",
		`{"count":3,"items":null}`:        "it has a count of orders, but no orders",
		`{"count":"many","items":[]}`:     "its count, many, is no number of items",
		`{"items":{}}`:                    "its items are no list",
		`{"items":["order.a"]}`:           "its item 1, order.a, is no object",
		`{"items":[],"items":[]}`:         "it has two lists of items",
		`{"items":[{"orderName":"a"}`:     "unexpected end of JSON input",
		`{"items":[` + strings.Repeat("null,", 20_000) + `null]}`: "it has more than 20000 items",
	} {
		page, err := answer.DecodeList([]byte(body))
		names := []string{}
		for _, r := range page.Rows {
			names = append(names, r.Name)
		}
		got := fmt.Sprint(page.Count, names)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.80s: got %s, want %s", body, got, want)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func FuzzDecodeList(f *testing.F) {
	f.Add([]byte(`{"count":2,"items":[{"orderName":"a","phase":"running","creationTimestamp":1744285793000,"endTimestamp":"0"},null]}`))
	f.Add([]byte(`{"items":[{"ordername":"a\u0000","phase":["x"]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := answer.DecodeList(body)
		if err != nil && (page.Count != 0 || page.Rows != nil) || page.Count < len(page.Rows) {
			t.Errorf("got %+v, %v", page, err)
		}
		bad := func(r sweep.Row) bool {
			return watcher.Order{ProjectID: "p", Name: r.Name}.Validate() != nil || len(r.Phase) > 256 || !utf8.ValidString(r.Phase)
		}
		if slices.ContainsFunc(page.Rows, bad) {
			t.Errorf("got %+v", page.Rows)
		}
	})
}

// BenchmarkDecodeList reads a page of 500 rows.
func BenchmarkDecodeList(b *testing.B) {
	var rows []string
	for n := range 500 {
		rows = append(rows, fmt.Sprintf(`{"orderName":"order.pool-%d","orderId":"CS2304191748WNW2R","resourceName":"pool-%d","workspaceId":"0","phase":"running","creationTimestamp":1744285793000,"beginTimestamp":1744285794000,"endTimestamp":0}`, n, n))
	}
	body := []byte(`{"count":500,"items":[` + strings.Join(rows, ",") + `]}`)
	for b.Loop() {
		if page, err := answer.DecodeList(body); err != nil || len(page.Rows) != 500 {
			b.Fatal(err)
		}
	}
}
