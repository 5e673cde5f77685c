package wiretest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Good is a message on orders.watch that is taken.
type Good struct {
	Name   string
	Body   string
	Header nats.Header

	Order    watcher.Order   // as the completion names it
	Region   string          // cn-north-4 where empty
	Request  watcher.Request // as the completion names it; without an ID the one made of the sequence
	Timeout  time.Duration   // of the watch; an hour where 0
	Expected int             // items
	Late     time.Duration   // after which it is; 0 where it does not say
}

// GoodRequests are good messages of every kind.
var GoodRequests = []Good{
	{
		Name:  "the least",
		Body:  `{"project_id":"` + eventstest.Project + `","order_name":"order.least"}`,
		Order: of("order.least"),
	},
	{
		Name: "every field",
		Body: Ask("order.every", `"region":"cn-east-3","request_id":"build-771","requested_by":"gpu-pools","link":"https://ci.example/771",
			"labels":{"env":"prod","team":""},"expected_items":1,"timeout":"90m","late_after":"31m","slack_channel":"C0ONCALL","progress":true`),
		Order: of("order.every"), Region: "cn-east-3", Timeout: 90 * time.Minute, Expected: 1, Late: 31 * time.Minute,
		Request: watcher.Request{ID: "build-771", RequestedBy: "gpu-pools", Link: "https://ci.example/771", Labels: map[string]string{"env": "prod", "team": ""}, SlackChannel: "C0ONCALL", Progress: true},
	},
	{
		Name:  "the default project",
		Body:  `{"order_name":"order.default"}`,
		Order: watcher.Order{ProjectID: DefaultProject, Name: "order.default"},
	},
	{
		Name:  "64 KiB",
		Body:  Padded(Named(`"order.64k"`), 64<<10),
		Order: of("order.64k"),
	},
	{
		Name:  "spaces and escapes",
		Body:  "\r\n\t{ \"project_id\" : \"" + eventstest.Project + "\" ,\n\"\\u006frder_name\"\t: \"order\\u002espaces\" }\n",
		Order: of("order.spaces"),
	},
	{
		Name:  "the longest names",
		Body:  `{"project_id":"` + strings.Repeat("P", 64) + `","order_name":"` + strings.Repeat("a=._-Z9b", 16) + `","request_id":"` + strings.Repeat("王", 128) + `"}`,
		Order: watcher.Order{ProjectID: strings.Repeat("P", 64), Name: strings.Repeat("a=._-Z9b", 16)}, Request: watcher.Request{ID: strings.Repeat("王", 128)},
	},
	{
		Name: "the shortest names", Body: `{"project_id":"-","order_name":"="}`,
		Order: watcher.Order{ProjectID: "-", Name: "="},
	},
	{
		Name:    "the longest texts",
		Body:    Ask("order.texts", `"requested_by":"`+strings.Repeat("ß", 200)+`","link":"`+longLink+`","labels":`+labelsJSON(LongLabels)),
		Order:   of("order.texts"),
		Request: watcher.Request{RequestedBy: strings.Repeat("ß", 200), Link: longLink, Labels: LongLabels},
	},
	{
		Name:    "texts of the world",
		Body:    Ask("order.world", `"requested_by":"王小明 & Zoë <ci> \ud83d\ude80","labels":{"équipe":"日本語","\"quoted\"":"a\\b"}`),
		Order:   of("order.world"),
		Request: watcher.Request{RequestedBy: "王小明 & Zoë <ci> 🚀", Labels: map[string]string{"équipe": "日本語", `"quoted"`: `a\b`}},
	},
	{
		Name:  "10,000 items",
		Body:  Ask("order.items", `"expected_items":10000`),
		Order: of("order.items"), Expected: 10000,
	},
	{Name: "the longest timeout", Body: Ask("order.long", `"timeout":"48h"`), Order: of("order.long"), Timeout: 48 * time.Hour},
	{Name: "the shortest timeout", Body: Ask("order.short", `"timeout":"1000ms"`), Order: of("order.short"), Timeout: time.Second},
	{Name: "the default channel", Body: Ask("order.channel", `"slack_channel":""`), Order: of("order.channel")},
	{Name: "an empty request_id", Body: Ask("order.noid", `"request_id":""`), Order: of("order.noid")},
	{Name: "no labels", Body: Ask("order.nolabels", `"labels":{}`), Order: of("order.nolabels")},

	// What a producer may set besides, and what becomes of it.
	{
		Name: "Nats-Msg-Id", Body: Named(`"order.msgid"`), Header: Header("Nats-Msg-Id", "pipeline-9"),
		Order: of("order.msgid"), Request: watcher.Request{ID: "pipeline-9"},
	},
	{
		Name: "Nats-Msg-Id of 128 characters", Body: Named(`"order.longmsgid"`), Header: Header("Nats-Msg-Id", strings.Repeat("é", 128)),
		Order: of("order.longmsgid"), Request: watcher.Request{ID: strings.Repeat("é", 128)},
	},
	{
		Name: "request_id beside Nats-Msg-Id", Body: Ask("order.both", `"request_id":"build-9"`), Header: Header("Nats-Msg-Id", "pipeline-10"),
		Order: of("order.both"), Request: watcher.Request{ID: "build-9"},
	},
	{
		Name: "expectations that hold", Body: Named(`"order.expect"`),
		Header: nats.Header{"Nats-Expected-Stream": {"ORDER_REQUESTS"}}, Order: of("order.expect"),
	},
	{
		Name: "headers without a meaning here", Body: Named(`"order.headers"`), Order: of("order.headers"),
		Header: nats.Header{
			"Status": {"409"}, "Description": {"Consumer Deleted"}, "KV-Operation": {"PURGE"}, "Nats-Marker-Reason": {"Purge"},
			"Nats-Sequence": {"1"}, "Nats-Schedule-Target": {"orders.due.a.b"}, "Nats-Schedule-TTL": {"1s"}, "Nats-Required-Api-Level": {"99"},
		},
	},
}

// LongLabels are as many labels as a request may have, as long as they may be.
var LongLabels = func() map[string]string {
	labels := make(map[string]string)
	for i := range 32 {
		labels[strings.Repeat("é", 62)+fmt.Sprintf("%02d", i)] = strings.Repeat("好", 256)
	}
	return labels
}()

func labelsJSON(labels map[string]string) string {
	encoded, err := json.Marshal(labels)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

// DefaultProject is that of requests that name none.
const DefaultProject = "default-project"

var longLink = "https://ci.example/" + strings.Repeat("a", 2000-len("https://ci.example/"))
