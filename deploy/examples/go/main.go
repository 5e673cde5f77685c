// Command go asks orderwatch to watch orders and consumes how their watches ended, with nothing but
// the NATS client and the CloudEvents event type:
//
//	go run . ask -id build-771 -mode binary my-project/order.pool-5ed5-w4l2n
//	go run . consume -results /var/lib/pools
//
// NATS_URL names the server, NATS_CREDS a credentials file where it wants a login, NATS_INBOX_PREFIX
// where this login may read answers, NATS_JS_API_PREFIX what JetStream's API is called where its account imports it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const usage = "usage: ask -id ID [-mode structured|binary] PROJECT/ORDER | consume -results FOLDER [-durable NAME]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	switch args[0] {
	case "ask":
		id := flags.String("id", "", "id of the request: a try that is repeated has the same")
		mode := flags.String("mode", "structured", "how the CloudEvent is sent: structured or binary")
		flags.Parse(args[1:]) // it exits on an error
		if *id == "" || flags.NArg() != 1 {
			return errors.New(usage)
		}
		return withJetStream(func(js jetstream.JetStream) error { return ask(ctx, js, *mode, *id, flags.Arg(0)) })
	case "consume":
		durable := flags.String("durable", "pools", "name of the consumer, which keeps the place")
		results := flags.String("results", "", "folder with a file for each watch that ended")
		flags.Parse(args[1:])
		if *results == "" || flags.NArg() != 0 {
			return errors.New(usage)
		}
		return withJetStream(func(js jetstream.JetStream) error {
			return consume(ctx, js, *durable, func(e ended) error { return keep(*results, e) })
		})
	}
	return errors.New(usage)
}

// withJetStream connects, lets f work, and sends what is on its way before it disconnects.
func withJetStream(f func(jetstream.JetStream) error) error {
	server := os.Getenv("NATS_URL")
	if server == "" {
		return errors.New("NATS_URL is not set: the address of NATS, such as nats://127.0.0.1:4222")
	}
	options := []nats.Option{
		nats.Name("orderwatch example"),
		nats.MaxReconnects(-1), // the default gives up after 60 tries
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Print(err) // a denied permission shows here alone
		}),
	}
	if file := os.Getenv("NATS_CREDS"); file != "" {
		options = append(options, nats.UserCredentials(file))
	}
	if prefix := os.Getenv("NATS_INBOX_PREFIX"); prefix != "" {
		options = append(options, nats.CustomInboxPrefix(prefix))
	}
	nc, err := nats.Connect(server, options...)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if prefix := os.Getenv("NATS_JS_API_PREFIX"); prefix != "" { // of a team's account: js.orderwatch.API
		js, err = jetstream.NewWithAPIPrefix(nc, prefix)
	}
	if err != nil {
		return err
	}
	return errors.Join(f(js), nc.FlushTimeout(flushTime))
}
