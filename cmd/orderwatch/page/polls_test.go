package page_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestPollsThatRecordsDoNotTellOf shows a watch that is polled every five minutes, and whose latest polls left its record unwritten:
// it is not stuck, and is shown with these polls; where the page's login may not read wake-ups, nothing is said of what is not known.
func TestPollsThatRecordsDoNotTellOf(t *testing.T) {
	t.Parallel()
	for name, may := range map[string]bool{"read": true, "denied": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := guarded.Shipped(t, "../../../deploy/nats-permissions.conf")
			if !may {
				at := strings.Index(rules, "user: page\n")
				rules = rules[:at] + strings.Replace(rules[at:], `"$JS.API.STREAM.MSG.GET.ORDER_WAKEUPS"`, "", 1)
			}
			path := filepath.Join(t.TempDir(), "nats.conf")
			if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
				t.Fatal(err)
			}
			options, err := server.ProcessConfigFile(path)
			if err != nil {
				t.Fatal(err)
			}
			w := alone(t, eventstest.Server(t, *options))
			now := time.Now().UTC()
			polled := watcher.Watch{
				Schema: watcher.SchemaVersion, Order: never, ID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", State: watcher.Watching, Region: "cn-north-4", AcceptedAt: now.Add(-time.Hour),
				Deadline: now.Add(time.Hour), Wakeup: 4, Polls: 3, Seen: 3, LastPollAt: now.Add(-9 * time.Minute), NextPollAt: now.Add(-6 * time.Minute),
				Requests: []watcher.Request{{ID: "request-1", ReceivedAt: now.Add(-time.Hour)}},
			}
			kept := eventstest.Provided(t, connectAs(t, w.nats, "setup").Conn, eventstest.StoreConfig())
			revision, err := kept.Write(t.Context(), polled, 0)
			if err != nil {
				t.Fatal(err)
			}
			next := now.Add(4 * time.Minute)
			k := watcher.Wakeup{Order: never, WatchID: polled.ID, Number: polled.Wakeup, At: next, Revision: revision, Polls: 5, PolledAt: now.Add(-time.Minute)}
			if err := kept.Schedule(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			base := w.page(func(c *config.Config) { login(c, "page") })
			due := next.Local().Format("15:04:05")
			list := get(t, base+"/", nil, never.Name, "not begun")
			order := get(t, base+"/orders/"+never.ProjectID+"/"+never.Name, nil, "Is anything stuck?", `<strong class="state ok">no</strong>`, "ModelArts was asked")
			for _, a := range []answer{list, order} {
				if a.StatusCode != http.StatusOK || strings.Contains(a.text, due) != may || strings.Contains(a.text, ">soon<") || strings.Contains(a.text, "again soon") || strings.Contains(a.text, ">overdue<") {
					t.Errorf("%d; it is polled again %s\n%s", a.StatusCode, due, a.text)
				}
			}
			if strings.Contains(order.text, "are workers running") || strings.Contains(order.text, "or later; when it is asked again is not known here") == may || strings.Contains(order.text, "&#34;polls&#34;: 5") != may {
				t.Errorf("the order's page says\n%s", order.text)
			}
		})
	}
}

// TestOverdue shows a watch that nobody polls: it is stuck, and overdue.
func TestOverdue(t *testing.T) {
	t.Parallel()
	w := alone(t, eventstest.Server(t))
	nc, _ := eventstest.Connect(t, w.nats)
	now := time.Now().UTC()
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	revision, err := kept.Write(t.Context(), watcher.Watch{
		Schema: watcher.SchemaVersion, Order: never, ID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", State: watcher.Watching, Region: "cn-north-4", AcceptedAt: now.Add(-time.Hour),
		Deadline: now.Add(time.Hour), Wakeup: 4, Polls: 3, Seen: 3, LastPollAt: now.Add(-9 * time.Minute), NextPollAt: now.Add(-6 * time.Minute),
		Requests: []watcher.Request{{ID: "request-1", ReceivedAt: now.Add(-time.Hour)}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := now.Add(-3 * time.Minute)
	k := watcher.Wakeup{Order: never, WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", Number: 4, At: at, Revision: revision, Polls: 5, PolledAt: now.Add(-6 * time.Minute)}
	if err := kept.Schedule(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	base := w.page(nil)
	get(t, base+"/orders/"+never.ProjectID+"/"+never.Name, nil, "a poll was due "+at.Local().Format("15:04:05")+" and was not made: are workers running?")
}
