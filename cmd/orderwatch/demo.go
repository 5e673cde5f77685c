package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/events/link"
	slackemulator "github.com/orderwatch/orderwatch/notify/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

func demoCommand() *cobra.Command {
	var keep, verbose bool
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way of nine requests, with nothing set up",
		Long: `Run everything in this process: NATS, a stand-in for ModelArts, a stand-in for
Slack, and a worker. Publish nine requests with different fates and show what
becomes of them, within 30 s. Exit code 0 only if all came out as scripted.`,
		Example: `  orderwatch demo
  orderwatch demo --keep --verbose`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = newLogger(LogConfig{Level: slog.LevelInfo, Format: "text"}, c.ErrOrStderr())
			}
			return demo(c.Context(), log, c.OutOrStdout(), keep)
		},
	}
	command.Flags().BoolVar(&keep, "keep", false, "go on afterwards, and print how to publish a request")
	command.Flags().BoolVar(&verbose, "verbose", false, "show the worker's log on stderr")
	return command
}

// demoTime is how long the nine requests may take.
const demoTime = 30 * time.Second

// demo runs the product and its surroundings, and shows what becomes of the scripted requests.
func demo(ctx context.Context, log *slog.Logger, out io.Writer, keep bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "orderwatch-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	natsServer, err := startNATS(log, dir, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer natsServer.WaitForShutdown()
	defer natsServer.Shutdown()
	nc, err := link.Connect(log, natsServer.ClientURL())
	if err != nil {
		return err
	}
	defer nc.Close()

	fates := demoFates()
	cloud, cloudAddr, err := listenHTTP("127.0.0.1:0", demoCloud(fates))
	if err != nil {
		return err
	}
	defer cloud.Close()
	show := newScreen(out, 24)
	board := newScoreboard(show, fates, min(max(columns(out), minColumns), maxColumns))
	slack, slackAddr, err := listenHTTP("127.0.0.1:0", demoSlack(board))
	if err != nil {
		return err
	}
	defer slack.Close()

	worker := make(chan error, 1)
	go func() {
		worker <- work(ctx, log, demoConfig(cloudAddr.String(), slackAddr.String()), demoTiming(), nc)
		cancel()
	}()
	err = demoRun(ctx, nc, board, fates)
	if err == nil && keep {
		printKeep(out, natsServer.ClientURL())
		<-ctx.Done()
	}
	interrupted := ctx.Err() != nil
	cancel()
	if workerErr := <-worker; workerErr != nil {
		return workerErr
	}
	if interrupted && !keep && errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

// demoRun publishes the requests and follows the events until all is done, or demoTime is over.
func demoRun(ctx context.Context, nc *nats.Conn, board *scoreboard, fates []fate) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := awaitStream(ctx, js, "ORDER_EVENTS"); err != nil {
		return err
	}
	stop, err := follow(ctx, js, board)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, stop)

	limit, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	for _, f := range fates {
		for _, r := range f.requests {
			if err := publishRequest(ctx, js, r); err != nil {
				return err
			}
			board.requested(f, r)
		}
	}
	select {
	case <-board.done:
	case <-limit.Done():
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return board.summary()
}

// awaitStream waits until the worker has made the stream.
func awaitStream(ctx context.Context, js jetstream.JetStream, name string) error {
	for {
		_, err := js.Consumer(ctx, name, "slack")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// follow hands every event to the board, until it is stopped.
func follow(ctx context.Context, js jetstream.JetStream, board *scoreboard) (stop func(), err error) {
	consumer, err := js.OrderedConsumer(ctx, "ORDER_EVENTS", jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, fmt.Errorf("follow events: %w", err)
	}
	following, err := consumer.Consume(func(m jetstream.Msg) { board.event(m.Data()) })
	if err != nil {
		return nil, fmt.Errorf("follow events: %w", err)
	}
	return following.Stop, nil
}

func publishRequest(ctx context.Context, js jetstream.JetStream, request map[string]any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := js.Publish(ctx, "orders.watch", body); err != nil {
		return fmt.Errorf("publish a request: %w", err)
	}
	return nil
}

// demoConfig is the configuration of the demo's worker: the defaults, with time compressed.
func demoConfig(cloud, slack string) Config {
	c := defaultConfig()
	c.ModelArts.Regions = []string{demoRegion, busyRegion}
	c.ModelArts.Endpoint = "http://" + cloud + "/{region}"
	c.ModelArts.Token = NewSecret("demo-token")
	c.ModelArts.NotFoundGrace = 4 * time.Second
	c.Poll.Initial, c.Poll.Max = 500*time.Millisecond, 2*time.Second
	c.Watch.Settle = time.Second
	c.Slack.Token = NewSecret(demoSlackToken)
	c.Slack.Channel = demoChannel
	c.Slack.MentionOnFailure = "here"
	c.Slack.Progress = true
	c.Slack.APIURL = "http://" + slack + "/api/"
	c.HTTP.Addr = "127.0.0.1:0"
	return c
}

// demoTiming is that of production, but for people who wait some seconds and not minutes.
func demoTiming() timing {
	t := defaultTiming()
	t.Slack.Quiet, t.Slack.Change = 5500*time.Millisecond, 1500*time.Millisecond
	t.Slack.Post, t.Slack.Edit = 300*time.Millisecond, time.Second
	return t
}

// What the demo's stand-ins know.
const (
	demoProject    = "6f5da086876d4cd084d36f8bd3346036"
	demoRegion     = "cn-north-4"
	busyRegion     = "cn-east-3"
	demoSlackToken = "xoxb-demo"
	demoChannel    = "C0ONCALL"
)

// demoCloud returns the ModelArts of both regions; the account of the second is throttled at first.
func demoCloud(fates []fate) http.Handler {
	calm := emulator.New(emulator.Options{AutoOrders: true})
	busy := emulator.New(emulator.Options{AutoOrders: true})
	busy.SetFaults(emulator.Fault{
		Until: 5 * time.Second, Status: http.StatusTooManyRequests, Code: "APIG.0308",
		Message: "The throttling threshold has been reached: policy user over ratelimit,limit:10,time:1 minute",
		Header:  map[string]string{"Retry-After": "3"},
	})
	for _, f := range fates {
		if f.script == nil {
			continue
		}
		calm.Add(demoProject, f.order, *f.script)
		busy.Add(demoProject, f.order, *f.script)
	}
	mux := http.NewServeMux()
	mux.Handle("/"+demoRegion+"/", http.StripPrefix("/"+demoRegion, calm))
	mux.Handle("/"+busyRegion+"/", http.StripPrefix("/"+busyRegion, busy))
	return mux
}

// demoSlack returns a Slack that shows each message on the board.
func demoSlack(board *scoreboard) http.Handler {
	slack := slackemulator.New(slackemulator.Options{OnPost: board.posted, OnEdit: board.edited})
	slack.AddToken(demoSlackToken, "chat:write", "channels:read", "channels:history", "files:write")
	slack.AddChannel(demoChannel, slackemulator.Open)
	return slack
}

func printKeep(out io.Writer, url string) {
	fmt.Fprintf(out, `
The demo goes on: NATS is on %[1]s. Publish a request of your own:

  nats --server %[1]s pub -J orders.watch '{"project_id":"%[2]s","order_name":"order.partial-1"}'

(without the nats tool: go run github.com/nats-io/natscli/nats@v0.5.1 --server …)

The order's name says its fate: order.succeed-1, order.partial-1, order.fail-1, order.never-1,
order.late-1, order.empty-1, order.missing-1, or any other number. Ctrl-C ends the demo.
`, url, demoProject)
}
