package serve

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

const ask = "EMBEDDED_NATS_REQUESTER"

// Logins of the server inside the process.
var (
	workerUser  = []string{"NATS_USER", "worker", "NATS_PASSWORD", "planted-worker"}
	workerToken = []string{"NATS_TOKEN", "planted-worker-token"}
	askUser     = []string{ask + "_USER", "people", ask + "_PASSWORD", "planted-people"}
	askToken    = []string{ask + "_TOKEN", "planted-people-token"}
)

// TestEmbedded configures the server inside the process in each way, starts it, and connects as everybody would who
// reaches it: it is refused, or listens on loopback alone, or lets in only those with a login.
func TestEmbedded(t *testing.T) {
	const open, protected = "open", "protected"
	const reach, noWorker = "EMBEDDED_NATS_ADDR: everybody who reaches it could do everything: set ORDERWATCH_NATS_USER", "is set, but the worker's own login is not: set ORDERWATCH_NATS_USER"
	tests := []struct {
		host, want string // how it goes, or a line of the error
		logins     [][]string
	}{
		{"127.0.0.1", open, nil},
		{"127.3.2.1", open, nil},
		{"localhost", open, nil},
		{"[::1]", open, nil},
		{"0.0.0.0", reach, nil},
		{"", reach, nil},
		{"[::]", reach, nil},
		{"192.0.2.1", reach, nil},
		{"[2001:db8::1]", reach, nil},
		{"127.1", reach, nil},
		{"nats.example", reach, nil},
		{"localhost.example", reach, nil},
		{"127.0.0.1", ask + "_USER: " + noWorker, [][]string{askUser}},
		{"0.0.0.0", ask + "_TOKEN: " + noWorker, [][]string{askToken}},
		{"127.0.0.1", protected, [][]string{workerUser, askUser}},
		{"[::1]", protected, [][]string{workerToken, askToken}},
		{"0.0.0.0", protected, [][]string{workerUser, askUser}},
		{"", protected, [][]string{workerToken, askToken}},
		{"[::]", protected, [][]string{workerUser, askToken}},
		{"nats.example", protected, [][]string{workerToken, askUser}},
		{"0.0.0.0", protected, [][]string{workerUser}},
		{"[::]", protected, [][]string{workerToken}},
	}
	for _, test := range tests {
		logins := slices.Concat(test.logins...)
		t.Run(test.host+" "+strings.Join(logins, " "), func(t *testing.T) {
			vars := append([]string{"NATS_URL", "", "EMBEDDED_NATS_DIR", t.TempDir(), "EMBEDDED_NATS_ADDR", test.host + ":0"}, logins...)
			cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), vars...))
			c, err := config.LoadServe()
			if test.want != open && test.want != protected {
				wantProblem(t, err, "ORDERWATCH_"+test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.want == protected && test.host != "[::1]" {
				c.NATS.EmbeddedAddr = "127.0.0.1:0" // a test listens nowhere else
			}
			url := startEmbedded(t, c)
			if host, _, _ := net.SplitHostPort(strings.TrimPrefix(url, "nats://")); !net.ParseIP(host).IsLoopback() && host != "localhost" {
				t.Fatalf("listens on %s", url)
			}
			if test.want == open {
				connectAs(t, url)
				return
			}
			for _, stranger := range []nats.Option{nats.Name("nobody"), nats.UserInfo("worker", ""), nats.UserInfo("", ""), nats.UserInfo("worker", "planted-people"), nats.UserInfo("people", "planted-worker"), nats.Token("planted")} {
				if nc, err := nats.Connect(url, stranger); !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("a stranger: %v", err)
					nc.Close()
				}
			}
			own, err := Login(c)
			if err != nil {
				t.Fatal(err)
			}
			requester := map[bool]nats.Option{true: nats.UserInfo("people", "planted-people"), false: nats.Token("planted-people-token")}[c.Requesters.User != ""]
			if len(test.logins) == 1 {
				if _, err := nats.Connect(url, requester); !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("a requester without a login: %v", err)
				}
				return
			}
			twoKinds(t, connectAs(t, url, own...), connectAs(t, url, requester, nats.CustomInboxPrefix(config.NATS{User: c.Requesters.User}.InboxPrefix())))
		})
	}
}

func startEmbedded(t *testing.T, c config.Config) (url string) {
	t.Helper()
	if strings.HasPrefix(c.NATS.EmbeddedAddr, "[") {
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			t.Skip("no IPv6 here:", err)
		}
		l.Close()
	}
	s, err := StartNATS(slog.New(slog.DiscardHandler), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.WaitForShutdown)
	t.Cleanup(s.Shutdown)
	return s.ClientURL()
}

// A guest is a connection, and what the server denied it.
type guest struct {
	*nats.Conn
	denied chan string
}

func connectAs(t *testing.T, url string, login ...nats.Option) guest {
	t.Helper()
	denied := make(chan string, 100)
	nc, err := nats.Connect(url, append(login, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err.Error() }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return guest{nc, denied}
}

// twoKinds lets the worker do everything, and the requester what it is there for and nothing else.
func twoKinds(t *testing.T, worker, requester guest) {
	t.Helper()
	js, err := jetstream.New(worker.Conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []jetstream.StreamConfig{{Name: "ORDER_REQUESTS", Subjects: []string{"orders.watch"}}, {Name: "ORDER_EVENTS", Subjects: []string{"orders.completed.>"}}} {
		if _, err := js.CreateStream(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.CreateConsumer(t.Context(), "ORDER_EVENTS", jetstream.ConsumerConfig{Durable: "slack"}); err != nil {
		t.Fatal(err)
	}
	theirs, err := jetstream.New(requester.Conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Publish(t.Context(), "orders.watch", nil); err != nil {
		t.Errorf("a requester asks for a watch: %v", err)
	}
	if _, err := theirs.CreateConsumer(t.Context(), "ORDER_EVENTS", jetstream.ConsumerConfig{}); err != nil {
		t.Errorf("a requester follows events: %v", err)
	}
	for _, subject := range []string{
		"$KV.ORDER_WATCHES.p.order.a", "$KV.ORDER_ACCOUNTS.hold.a", "orders.completed.succeeded.p.order.a", "orders.due.p.order.a", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.PURGE.ORDER_EVENTS",
		"$JS.API.STREAM.DELETE.ORDER_EVENTS", "$SYS.REQ.SERVER.PING", "_INBOX.x", "$JS.API.CONSUMER.CREATE.ORDER_EVENTS.slack", "$JS.API.CONSUMER.CREATE.ORDER_EVENTS.slack.orders.>",
		"$JS.API.CONSUMER.DURABLE.CREATE.ORDER_EVENTS.slack", "$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.slack", "$JS.API.CONSUMER.DELETE.ORDER_EVENTS.slack", "$JS.API.CONSUMER.PAUSE.ORDER_EVENTS.slack",
	} {
		if err := requester.Publish(subject, nil); err != nil || requester.Flush() != nil || !wasDenied(requester, subject) {
			t.Errorf("a requester may publish on %s (%v)", subject, err)
		}
	}
	for _, subject := range []string{">", "orderwatch.>", "orders.>", "_INBOX_orderwatch.>", "$KV.>"} {
		if _, err := requester.SubscribeSync(subject); err != nil || requester.Flush() != nil || !wasDenied(requester, subject) {
			t.Errorf("a requester may subscribe to %s (%v)", subject, err)
		}
	}
	if len(worker.denied) > 0 {
		t.Errorf("the worker was denied %s", <-worker.denied)
	}
}

// wasDenied reports whether the server denied the subject; it waits for what nats.go is about to tell.
func wasDenied(g guest, subject string) bool {
	select {
	case denied := <-g.denied:
		return strings.Contains(denied, `"`+subject+`"`)
	case <-time.After(time.Minute):
		return false
	}
}

// TestRequestersAsInPermissions holds what requesters may do against the user person of deploy/nats-permissions.conf,
// who may do what the producer may, too.
func TestRequestersAsInPermissions(t *testing.T) {
	conf, err := os.ReadFile("../../../deploy/nats-permissions.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, person, _ := strings.Cut(string(conf), "user: person\n")
	person, _, _ = strings.Cut(person, "user: ")
	got := requesters(config.Requesters{User: "person"}, Names(config.Default()))
	for what, want := range map[string][]string{"allow": got.Publish.Allow, "deny": got.Publish.Deny} {
		_, list, _ := strings.Cut(person, what+": [")
		list, _, _ = strings.Cut(list, "]")
		var found []string
		for _, quoted := range regexp.MustCompile(`"[^"]+"`).FindAllString(list, -1) {
			found = append(found, strings.Trim(quoted, `"`))
		}
		slices.Sort(found)
		if want = slices.Sorted(slices.Values(want)); !slices.Equal(found, want) {
			t.Errorf("%s: the file has\n%q\nrequesters have\n%q", what, found, want)
		}
	}
}
