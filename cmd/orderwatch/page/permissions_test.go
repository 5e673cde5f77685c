package page_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/page"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

// shipped are the files of deploy that say who may do what, and how the page calls JetStream's API there.
var shipped = map[string]string{"nats-permissions.conf": "", "nats-accounts.conf": "js.orderwatch.API"}

// guardedServer starts a server with the rules of a file.
func guardedServer(t *testing.T, name string) *server.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(guarded.Shipped(t, "../../../deploy/"+name)), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return eventstest.Server(t, *options)
}

// login lets the configuration log in as the user.
func login(c *config.Config, user string) {
	c.NATS.User, c.NATS.Password = user, config.NewSecret("planted-"+user)
}

// TestPermissions holds that the page shows all, and its users may act, with the logins that ship, and that nothing is denied.
func TestPermissions(t *testing.T) {
	t.Parallel()
	for name, prefix := range shipped {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, err := teams.Parse("teams.yaml", []byte(teamsFile))
			if err != nil {
				t.Fatal(err)
			}
			w := beginOn(t, guardedServer(t, name), func(c *config.Config) {
				login(c, "setup")
				c.Watch.Teams = shared
			})
			gpu, train := watcher.Order{ProjectID: "gpu-project", Name: "order.never-1"}, watcher.Order{ProjectID: "train-project", Name: "order.never-2"}
			w.watch(gpu, "request-1")
			w.watch(train, "request-2")
			base := w.page(func(c *config.Config) {
				login(c, "page")
				c.NATS.JSAPIPrefix = prefix
				c.Page.Auth, c.Page.UsersFile = config.AuthBasic, usersFile(t, "ada:gpu", "op")
				c.Page.Actions, c.Page.ActionsUser, c.Page.ActionsSecret = true, "page-actions", config.NewSecret("planted-page-actions")
			})
			get(t, base+"/", as("op"), gpu.Name, train.Name)
			listen(t, base, "/live?of=%2F", as("ada")).until(gpu.Name)
			get(t, base+"/health", as("op"), "ORDER_EVENTS", "orderwatch is well")
			get(t, base+"/history", as("op"), "No watch ended")
			get(t, base+"/orders/gpu-project/order.never-1", as("ada"), gpu.Name, "/cancel")
			for _, action := range []string{"poll", "cancel"} {
				if a := ask(t, http.MethodPost, base+"/orders/train-project/order.never-2/"+action, as("ada")); a.StatusCode != http.StatusForbidden && a.StatusCode != http.StatusNotFound {
					t.Errorf("%s of another team's order: %d\n%s", action, a.StatusCode, a.text)
				}
			}
			for _, did := range [][2]string{{"ada", "poll"}, {"op", "cancel"}} { // a team cancels what it asked for
				if a := ask(t, http.MethodPost, base+"/orders/gpu-project/order.never-1/"+did[1], as(did[0])); a.StatusCode != http.StatusSeeOther {
					t.Errorf("%s: %d\n%s", did, a.StatusCode, a.text)
				}
			}
			get(t, base+"/?show=ended", as("op"), "cancelled")
			get(t, base+"/history", as("op"), "1 watch ended")
			if a := ask(t, http.MethodPost, base+"/orders/gpu-project/order.never-1/renotify", as("op")); a.StatusCode != http.StatusSeeOther {
				t.Errorf("renotify: %d\n%s", a.StatusCode, a.text)
			}
			get(t, base+"/", as("op"), train.Name) // what was denied would have been logged by now
			if log := w.log.String(); strings.Contains(strings.ToLower(log), "permissions violation") || strings.Contains(log, "level=ERROR") {
				t.Errorf("the log says\n%s", log)
			}
		})
	}
}

// TestLogSaysWhy holds that the log of a page says that it is open to all, and which permissions its login lacks.
func TestLogSaysWhy(t *testing.T) {
	t.Parallel()
	w := beginOn(t, guardedServer(t, "nats-permissions.conf"), func(c *config.Config) { login(c, "setup") })
	const open, denied = "all who reach the page see all orders", "NATS denies a permission; use the user page of nats-permissions.conf, or of nats-accounts.conf with ORDERWATCH_NATS_JS_API_PREFIX=js.orderwatch.API"
	w.page(nil)
	w.page(func(c *config.Config) { c.Page.Auth = config.AuthNone })
	if log := w.log.String(); strings.Contains(log, open) || strings.Contains(log, denied) {
		t.Fatalf("the log says\n%s", log)
	}
	c := w.config
	login(&c, "consumer")
	c.Page.Addr, c.Page.Auth = ":8090", config.AuthNone
	listener, err := net.Listen("tcp", "127.0.0.1:0") // and nobody else reaches the test's
	if err != nil {
		t.Fatal(err)
	}
	w.background("page", func(ctx context.Context, log *slog.Logger) error {
		return page.Serve(ctx, log, c, serve.DefaultTiming(), listener, func(string) {})
	})
	eventstest.Eventually(t, func() error {
		log := w.log.String()
		for _, says := range []string{open, denied, "STREAM.INFO.KV_ORDER_WATCHES", "orderwatch.status"} {
			if !strings.Contains(log, says) {
				return fmt.Errorf("no %q in\n%s", says, log)
			}
		}
		return nil
	})
}

// attempts are subjects on which neither of the page's users may publish.
func attempts() (subjects []string) {
	streams := []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "ORDER_EVENTS", "KV_ORDER_WATCHES", "KV_ORDER_ACCOUNTS", "KV_ORDER_SLACK", "KV_ORDER_HISTORY"}
	for _, s := range streams {
		for _, call := range []string{"CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN", "PEER.REMOVE"} {
			subjects = append(subjects, "$JS.API.STREAM."+call+"."+s)
		}
		for _, call := range []string{"CREATE.%s", "CREATE.%s.mine", "CREATE.%s.mine.>", "DURABLE.CREATE.%s.mine", "LIST.%s", "NAMES.%s", "DELETE.%s.mine", "MSG.NEXT.%s.mine", "PAUSE.%s.mine", "UNPIN.%s.mine", "RESET.%s.mine", "LEADER.STEPDOWN.%s.mine"} {
			subjects = append(subjects, "$JS.API.CONSUMER."+fmt.Sprintf(call, s))
		}
		subjects = append(subjects, "$JS.ACK."+s+".mine.1.1.1.1.1", "$JS.ACK._.x."+s+".mine.1.1.1.1.1.x", "$JS.FC."+s+".mine.1")
	}
	for _, c := range []string{"ORDER_REQUESTS.intake", "ORDER_WAKEUPS.poller", "ORDER_EVENTS.slack", "ORDER_EVENTS.history"} {
		for _, call := range []string{"CREATE", "DURABLE.CREATE", "MSG.NEXT", "DELETE", "PAUSE", "UNPIN", "RESET"} {
			subjects = append(subjects, "$JS.API.CONSUMER."+call+"."+c)
		}
	}
	for _, b := range []string{"WATCHES.p.order.x", "WATCHES.patrol", "WATCHES.broken", "ACCOUNTS.hold.a", "ACCOUNTS.worker.x", "ACCOUNTS.sweep.r.p", "SLACK.settled", "HISTORY.x"} {
		subjects = append(subjects, "$KV.ORDER_"+b, "$JS.API.$KV.ORDER_"+b)
	}
	return append(subjects, "orders.watch", "orders.watch.gpu", "orders.waiting.p.order.x", "orders.due.p.order.x", "orders.completed.succeeded.p.order.x",
		"orders.progress.p.order.x", "orders.rejected", "orders.attention.held.p", "orders.undelivered.C0", "orders.listed.r.p",
		"orderwatch.watch", "orderwatch.watch.gpu", "orderwatch.get", "orderwatch.list", "orderwatch.history", "orderwatch.events", "orderwatch.why", "orderwatch.status.gpu", "orderwatch.cancel.gpu.x",
		"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.ORDER_REQUESTS", "$JS.API.DIRECT.GET.ORDER_WAKEUPS", "$JS.API.ACCOUNT.PURGE.A", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO.x", "$SYS.ACCOUNT.A.CONNECT", "$SRV.PING", "$SRV.INFO.orderwatch", "_INBOX.x", "_INBOX_orderwatch.x", "_INBOX_person.x", "_INBOX_page.x", "_INBOX_page-actions.x", "_R_.x", "anything")
}

// TestMayOnlyRead tries as the page, and as what acts for its users, what deploy/SECURITY.md says that they may not: to publish, to
// subscribe, and, where they have an account of their own, to have an answer written to a stream's subject.
func TestMayOnlyRead(t *testing.T) {
	t.Parallel()
	for name, prefix := range shipped {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := guardedServer(t, name)
			admin := connectAs(t, s, "setup")
			js, err := jetstream.New(admin.Conn)
			if err != nil {
				t.Fatal(err)
			}
			eventstest.Contract("orders", "ORDER").Create(t, js)
			before := streams(t, js)
			reads := []string{"STREAM.INFO.ORDER_EVENTS", "STREAM.MSG.GET.KV_ORDER_WATCHES", "DIRECT.GET.KV_ORDER_WATCHES", "DIRECT.GET.KV_ORDER_WATCHES.$KV.ORDER_WATCHES.p.order.x", "CONSUMER.INFO.ORDER_EVENTS.slack", "STREAM.MSG.GET.ORDER_WAKEUPS"}
			for user, own := range map[string][]string{
				"page":         {"orderwatch.cancel", "orderwatch.poll", "orderwatch.renotify", "orderwatch.cancel.gpu"},
				"page-actions": {"orderwatch.status", "$JS.API.STREAM.INFO.KV_ORDER_WATCHES", "$JS.API.DIRECT.GET.KV_ORDER_WATCHES", "$JS.API.STREAM.MSG.GET.KV_ORDER_WATCHES", "$JS.API.STREAM.MSG.GET.ORDER_WAKEUPS", "js.orderwatch.API.STREAM.INFO.KV_ORDER_WATCHES"},
			} {
				c := connectAs(t, s, user)
				all := append(attempts(), own...)
				for _, subject := range all {
					c.publish(subject, "_INBOX_"+user+".answer")
				}
				c.denied(all, "Publish")
				heard := []string{">", "*", "orderwatch.>", "orderwatch.cancel", "orderwatch.status", "$SRV.>", "orders.>", "orders.completed.>", "$KV.>", "$KV.ORDER_WATCHES.>", "_INBOX.>", "_INBOX_orderwatch.>", "_INBOX_person.>", "_INBOX_setup.>", "_R_.>", "$JS.>", "$JS.API.>", "$SYS.>"}
				if user == "page" {
					heard = append(heard, "_INBOX_page-actions.>")
				} else {
					heard = append(heard, "_INBOX_page.>")
				}
				for _, subject := range heard {
					c.subscribe(subject, "")
					c.subscribe(subject, "q")
				}
				c.denied(slices.Concat(heard, heard), "Subscription")
				if user == "page" && prefix != "" { // in one account with the streams this cannot be kept from it: see SECURITY.md
					for _, call := range reads {
						for _, to := range []string{"$KV.ORDER_WATCHES.p.order.x", "$KV.ORDER_ACCOUNTS.hold.a", "orders.watch", "orders.completed.succeeded.p.order.x", "orders.waiting.p.order.x", "$JS.API.STREAM.PURGE.ORDER_EVENTS"} {
							c.publish(prefix+"."+call, to)
						}
					}
					if err := c.Flush(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := admin.Flush(); err != nil {
				t.Fatal(err)
			}
			if after := streams(t, js); after != before {
				t.Errorf("the streams were\n%s\nand are\n%s", before, after)
			}
		})
	}
}

// streams returns what all streams hold, and how they are set.
func streams(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var all []string
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		all = append(all, fmt.Sprintf("%s: last %d, %d messages, %d consumers, %+v", info.Config.Name, info.State.LastSeq, info.State.Msgs, info.State.Consumers, info.Config))
	}
	if err := list.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%d streams, %v", len(all), err)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// A guest is a connection that is denied things.
type guest struct {
	*nats.Conn
	t *testing.T

	mu  sync.Mutex
	all []string // what was denied
}

func connectAs(t *testing.T, s *server.Server, user string) *guest {
	t.Helper()
	g := &guest{t: t}
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(user, "planted-"+user), nats.CustomInboxPrefix("_INBOX_"+user), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.all = append(g.all, err.Error())
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	g.Conn = nc
	return g
}

func (g *guest) publish(subject, reply string) {
	g.t.Helper()
	if err := g.PublishRequest(subject, reply, []byte("{}")); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) subscribe(subject, queue string) {
	g.t.Helper()
	if _, err := g.QueueSubscribe(subject, queue, func(*nats.Msg) {}); err != nil {
		g.t.Fatal(err)
	}
}

// denied holds that the last attempts were denied, one and all.
func (g *guest) denied(subjects []string, verb string) {
	g.t.Helper()
	if err := g.Flush(); err != nil {
		g.t.Fatal(err)
	}
	eventstest.Eventually(g.t, func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.all) < len(subjects) {
			for _, subject := range subjects {
				if !slices.ContainsFunc(g.all, func(said string) bool { return strings.Contains(said, `"`+subject+`"`) }) {
					return fmt.Errorf("%s to %s is not denied", verb, subject)
				}
			}
			return fmt.Errorf("%d of %d are denied", len(g.all), len(subjects))
		}
		for _, said := range g.all {
			if !strings.Contains(said, verb) {
				return fmt.Errorf("denied otherwise: %s", said)
			}
		}
		return nil
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = nil
}
