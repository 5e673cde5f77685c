// Package demo shows the product at work with nothing set up: a worker between stand-ins for ModelArts and Slack,
// and a program that asks for orders and follows what becomes of them, as any program can. Nine requests have fates of
// their own. A crowd of others ends first, from which the worker learns how long orders take.
//
// Read demo.go first, then fates.go (what is asked for, and what must come of it) and board.go (what is shown).
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/page"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// limit is how long the requests may take.
const limit = 30 * time.Second

// Run runs the product of this version and its surroundings, and shows what becomes of the scripted requests.
// With keep it goes on after that until ctx is done. The error says what came out otherwise than scripted.
func Run(ctx context.Context, log *slog.Logger, out io.Writer, version string, keep bool) error {
	s, err := newStage(log, out)
	if err != nil {
		return err
	}
	defer s.close()
	s.settings.Version = version
	return s.play(ctx, log, keep, func(ctx context.Context) {
		if keep {
			printKeep(out, s.settings.NATS.URL, s.settings.Links.Public)
			<-ctx.Done()
		}
	})
}

// A stage is what surrounds the product: NATS, stand-ins for ModelArts and Slack, and what is shown of all.
type stage struct {
	fates    []fate
	clouds   map[string]*emulator.Emulator // by region
	slack    *slackemulator.Server
	board    *scoreboard
	settings config.Config // of the worker and the page
	timing   serve.Timing
	closing  []func()
}

func newStage(log *slog.Logger, out io.Writer) (*stage, error) {
	s := &stage{fates: scriptedFates(), timing: timing()}
	s.clouds = cloudsOf(s.fates)
	screen := show.NewScreen(out, 21)
	screen.Columns = output.TextColumns(out)
	s.board = newScoreboard(screen, s.fates)
	s.slack = slackOf(s.board)
	if err := s.open(log); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open lets NATS and the stand-ins listen.
func (s *stage) open(log *slog.Logger) error {
	dir, err := os.MkdirTemp("", "orderwatch-demo-")
	if err != nil {
		return fmt.Errorf("the demo's NATS needs a temporary folder: %w\nSet TMPDIR to a folder that can be written", err)
	}
	s.closing = append(s.closing, func() { os.RemoveAll(dir) })
	natsServer, err := serve.StartNATS(log, config.Config{NATS: config.NATS{EmbeddedDir: dir, EmbeddedAddr: "127.0.0.1:0"}})
	if err != nil {
		return err
	}
	s.closing = append(s.closing, natsServer.WaitForShutdown, natsServer.Shutdown)
	mux := http.NewServeMux()
	for name, cloud := range s.clouds {
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, cloud))
	}
	addrs := make([]string, 2)
	for i, handler := range []http.Handler{mux, s.slack} {
		listening, addr, err := serve.ListenHTTP("127.0.0.1:0", handler)
		if err != nil {
			return err
		}
		s.closing = append(s.closing, func() { listening.Close() })
		addrs[i] = addr.String()
	}
	s.settings = configured(addrs[0], addrs[1])
	s.settings.NATS.URL = natsServer.ClientURL()
	return nil
}

// close ends all, what began last first.
func (s *stage) close() {
	for _, end := range slices.Backward(s.closing) {
		end()
	}
}

// play runs the worker, and the page if it is wanted, and shows what becomes of the requests. Where all came out as scripted it
// calls afterwards, and goes on until that returns.
func (s *stage) play(ctx context.Context, log *slog.Logger, withPage bool, afterwards func(context.Context)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pages sync.WaitGroup
	defer pages.Wait()
	defer cancel()
	address, err := s.beginPage(ctx, log, &pages, withPage)
	if err != nil {
		return err
	}
	s.board.show.Line("%s\n", address)
	worker := make(chan error, 1)
	go func() {
		worker <- serve.Run(ctx, log, s.settings, s.timing)
		cancel()
	}()
	err = watch(ctx, s.settings, s.board, s.fates, func() { afterwards(ctx) })
	interrupted := ctx.Err() != nil
	cancel()
	if workerErr := <-worker; workerErr != nil {
		return workerErr
	}
	if interrupted && !withPage && errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

// beginPage serves the page until ctx is done, if it is wanted, and says where it is.
func (s *stage) beginPage(ctx context.Context, log *slog.Logger, running *sync.WaitGroup, wanted bool) (says string, err error) {
	if !wanted {
		return "A page shows all of this in a browser, live: orderwatch demo --keep", nil
	}
	settings := &s.settings
	settings.Page.Actions = true // nobody but this machine reaches it
	listener, err := net.Listen("tcp", settings.Page.Addr)
	if err != nil { // another page is there
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	settings.Page.Addr = listener.Addr().String()
	settings.Links.Public = "http://" + settings.Page.Addr
	served, failed := make(chan string, 1), make(chan error, 1)
	running.Go(func() {
		failed <- page.Serve(ctx, log, *settings, s.timing, listener, func(url string) { served <- url })
	})
	select {
	case url := <-served:
		return "The page shows all of this, live: " + url, nil
	case err := <-failed:
		return "", err
	}
}

// watch publishes the requests as any program does, and hands the events to the board until all is done, or the
// limit is over. Where all came out as scripted it calls afterwards, and hands out events until that returns.
func watch(ctx context.Context, settings config.Config, board *scoreboard, fates []fate, afterwards func()) error {
	nc, err := nats.Connect(settings.NATS.URL)
	if err != nil {
		return err
	}
	defer nc.Close()
	asking, err := client.New(nc, serve.Names(settings))
	if err != nil {
		return err
	}
	if err := awaitWorker(ctx, asking); err != nil {
		return err
	}
	follow, stop := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	following.Go(func() { board.failed(asking.Follow(follow, client.Filter{}, nil, nil, board.event)) })
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := publish(limited, nc, asking, board, fates); err != nil {
		return err
	}
	select {
	case <-board.done:
	case <-limited.Done():
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := board.summary(); err != nil {
		return err
	}
	afterwards()
	return nil
}

// awaitWorker waits until the worker answers.
func awaitWorker(ctx context.Context, client *client.Client) error {
	for {
		if _, err := client.List(ctx, wire.ListQuery{Limit: 1}); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// publish publishes the requests of each fate. One that is no request the client would refuse, so NATS takes it.
func publish(ctx context.Context, nc *nats.Conn, client *client.Client, board *scoreboard, fates []fate) error {
	for _, f := range fates {
		for _, r := range f.requests {
			if _, err := client.Publish(ctx, r); err != nil {
				return fmt.Errorf("publish a request: %w", err)
			}
			board.requested(f, r.RequestID)
		}
		if f.invalid != "" {
			if err := nc.Publish(client.Subject("watch"), []byte(f.invalid)); err != nil {
				return fmt.Errorf("publish a request: %w", err)
			}
			board.requested(f, f.invalidID)
		}
	}
	return nil
}

// configured is the configuration of the demo's worker: the defaults, with time compressed.
func configured(cloud, slack string) config.Config {
	c := config.Default()
	c.ModelArts.Regions = []string{region, busyRegion}
	c.ModelArts.Endpoint = "http://" + cloud + "/{region}"
	c.ModelArts.Token = config.NewSecret("demo-token")
	c.ModelArts.NotFoundGrace = 4 * time.Second
	c.Poll.Initial, c.Poll.Max, c.Poll.SweepEvery = 2*time.Second, 2*time.Second, time.Second
	c.Watch.Settle = time.Second
	c.Slack.Token = config.NewSecret(slackToken)
	c.Slack.Channel, c.Slack.ChannelsAllowed = channel, []string{crowdChannel}
	c.Slack.MentionOnFailure = "here"
	c.Slack.Progress = true
	c.Slack.APIURL = "http://" + slack + "/api/"
	c.HTTP.Addr = "127.0.0.1:0"
	return c
}

// timing is that of production, but for people who wait some seconds and not minutes.
func timing() serve.Timing {
	t := serve.DefaultTiming()
	t.Slack.Quiet, t.Slack.Change = 5500*time.Millisecond, 1500*time.Millisecond
	t.Slack.Post, t.Slack.Edit = 300*time.Millisecond, time.Second
	return t
}

// What the demo's stand-ins know.
const (
	project    = "6f5da086876d4cd084d36f8bd3346036"
	region     = "cn-north-4"
	busyRegion = "cn-east-3"
	slackToken = "xoxb-demo"
	channel    = "C0ONCALL"

	crowdChannel = "C0CROWD" // of which nothing is shown
)

// cloudsOf returns the ModelArts of both regions; the account of the second is throttled at first.
func cloudsOf(fates []fate) map[string]*emulator.Emulator {
	throttled := emulator.Fault{
		Until: 5 * time.Second, Status: http.StatusTooManyRequests, Code: "APIG.0308",
		Message: "The throttling threshold has been reached: policy user over ratelimit,limit:10,time:1 minute",
		Header:  map[string]string{"Retry-After": "3"},
	}
	clouds := make(map[string]*emulator.Emulator)
	for name, faults := range map[string][]emulator.Fault{region: nil, busyRegion: {throttled}} {
		cloud := emulator.New(emulator.Options{AutoOrders: true})
		cloud.SetFaults(faults...)
		for _, f := range fates {
			if f.script != nil {
				cloud.Add(project, f.order, *f.script)
			}
		}
		clouds[name] = cloud
	}
	return clouds
}

// slackOf returns a Slack that shows each message on the board.
func slackOf(board *scoreboard) *slackemulator.Server {
	slack := slackemulator.New(slackemulator.Options{OnPost: board.posted, OnEdit: board.edited})
	slack.AddToken(slackToken, "chat:write", "channels:read", "channels:history", "files:write")
	slack.AddChannel(channel, slackemulator.Open)
	slack.AddChannel(crowdChannel, slackemulator.Open)
	return slack
}

func printKeep(out io.Writer, url, page string) {
	fmt.Fprintf(out, `
The demo goes on: NATS is on %[1]s, the page on %[4]s/. In another terminal:

  export ORDERWATCH_NATS_URL=%[1]s
  export ORDERWATCH_MODELARTS_PROJECT_ID=%[2]s
  %[3]s watch --wait order.partial-1
  %[3]s get order.gpu-60-x7k2p
  %[3]s list --watch

The order's name says its fate: order.succeed-1, order.partial-1, order.fail-1, order.never-1,
order.empty-1, order.missing-1; the number is up to you. Any program can ask, too:

  nats --server %[1]s pub -J orders.watch '{"project_id":"%[2]s","order_name":"order.partial-1"}'

(without the nats tool: go run github.com/nats-io/natscli/nats@v0.5.1 --server …)

Ctrl-C ends the demo.
`, url, project, command(), page)
}

// command returns how this program is called: by its path where it is not among those that a shell finds, as under go run.
func command() string {
	if _, err := exec.LookPath("orderwatch"); err == nil {
		return "orderwatch"
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "orderwatch"
}
