package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

func emulatorCommand() *cobra.Command {
	var addr, control string
	var logins emulatorLogins
	command := &cobra.Command{
		Use:   "emulator",
		Short: "Run a stand-in for the ModelArts order API (no production server)",
		Long: `Run a stand-in for the ModelArts order API, in memory. It is no production
server: it takes any token, unless logins are named, and forgets everything when
it ends.

An order's name says its fate, which begins at the first poll:
  order.succeed-…  a pool, then three nodes after 5 s; all succeed after 20 s
  order.partial-…  the same; one node fails
  order.fail-…     the same; everything fails
  order.never-…    the same; one node never ends
  order.slow-…     a pool, then three nodes after 435 s; all succeed after 686 s
  order.late-…     404 for 10 s, then as succeed
  order.empty-…    no item ever
  order.missing-…  404 for ever; so is every other name

Point a worker at it with ORDERWATCH_MODELARTS_ENDPOINT=http://127.0.0.1:9090,
or http://127.0.0.1:9090/{region} to keep regions apart. At the same address it
is IAM and a machine's metadata service, for ORDERWATCH_MODELARTS_IAM_ENDPOINT
and ORDERWATCH_MODELARTS_METADATA_ENDPOINT. The logins that it knows are named
by --token, --access-key, --user and --agency: invent them.

With --control 127.0.0.1:9091 it can be switched while it runs. Whoever reaches
that port may do everything. All times are texts such as 5s or never.

  What is set: how many calls came, faults, quota, outage
    curl 127.0.0.1:9091
  Throttle all orders for 30 s, saying for how long
    curl -X PUT 127.0.0.1:9091/faults -d '[{"until":"30s","status":429,
      "code":"APIGW.0308","header":{"Retry-After":"30"}}]'
  Refuse the login, in the shape of IAM's errors
    curl -X PUT 127.0.0.1:9091/faults -d '[{"status":401,"shape":"nested-int",
      "message":"The token must be updated."}]'
  Answer late; answer half and cut the connection
    curl -X PUT 127.0.0.1:9091/faults -d '[{"delay":"5s"}]'
    curl -X PUT 127.0.0.1:9091/faults -d '[{"cut":true,"cut_after":40}]'
  No more faults
    curl -X DELETE 127.0.0.1:9091/faults
  The same for IAM and the metadata service; make the tokens of IAM dead
    curl -X PUT 127.0.0.1:9091/login-faults -d '[{"to_poll":2,"status":503}]'
    curl -X DELETE 127.0.0.1:9091/login-faults
    curl -X DELETE 127.0.0.1:9091/tokens
  Script an order of project p
    curl -X PUT 127.0.0.1:9091/orders/p/order.x -d '{"count":"all","items":[
      {"action":"createPool","resource_name":"pool-1","end_after":"20s"},
      {"resource_name":"node-1","appear_after":"5s","end_after":"20s",
       "status":"failed","message":"flavor sold out"}]}'
  Let 20 calls a second through for each login and region; answer others 429
    curl -X PUT 127.0.0.1:9091/quota -d '{"calls":20,"per":"1s"}'
  200 a minute over all logins, with Retry-After, and refused calls count too
    curl -X PUT 127.0.0.1:9091/quota -d '{"calls":200,"per":"1m",
      "together":true,"retry_after":true,"count_refused":true}'
    curl -X DELETE 127.0.0.1:9091/quota
  Be gone: refused (connections are), black-hole (no answer), unavailable (503)
    curl -X PUT 127.0.0.1:9091/outage -d '{"kind":"refused"}'
    curl -X DELETE 127.0.0.1:9091/outage
  The last calls, 100,000 at most
    curl '127.0.0.1:9091/calls?since=2026-01-02T15:04:05Z'

A fault has: region, project (whose calls it is meant for), from_poll, to_poll
(which), after, until (when); status, code, message, shape (nested, nested-int,
plain, camel, html, empty), body, header; delay, drip (before each 16 bytes),
pad (bytes of white space), cut, cut_after, hang. An order has: items, count (a
number, seen, all, missing), not_found_for, from_first_poll, spelling (camel),
timestamps (string, missing), faults. An item has: resource_name, action,
appear_after, end_after, status, running (its status before that), message.`,
		Example: `  orderwatch emulator
  orderwatch emulator --control 127.0.0.1:9091 --access-key AK1:SK1`,
		Args: exit.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			options, err := logins.options()
			if err != nil {
				return exit.Usage(c, "%w", err)
			}
			return runEmulator(c.Context(), c.OutOrStdout(), options, addr, control)
		},
	}
	command.Flags().StringVar(&addr, "addr", "127.0.0.1:9090", "host:port to listen on")
	command.Flags().StringVar(&control, "control", "", "host:port to be switched on, such as 127.0.0.1:9091 (default: none)")
	command.Flags().StringArrayVar(&logins.tokens, "token", nil, "a known token")
	command.Flags().StringArrayVar(&logins.keys, "access-key", nil, "a known access key and its secret, ACCESS:SECRET")
	command.Flags().StringArrayVar(&logins.users, "user", nil, "a user known to IAM, DOMAIN/USER:PASSWORD")
	command.Flags().BoolVar(&logins.agency, "agency", false, "let the metadata service hand out keys")
	return command
}

// emulatorLogins are the logins that are named on the command line.
type emulatorLogins struct {
	tokens, keys, users []string
	agency              bool
}

// options returns what an emulator is to know. Errors do not show what was given: people may have
// given a login of theirs.
func (l emulatorLogins) options() (emulator.Options, error) {
	o := emulator.Options{AutoOrders: true, CallsKept: 100_000, Tokens: l.tokens}
	for _, k := range l.keys {
		access, secret, ok := strings.Cut(k, ":")
		if !ok || access == "" || secret == "" {
			return o, errors.New("--access-key: must be ACCESS:SECRET")
		}
		o.Keys = append(o.Keys, emulator.Key{Access: access, Secret: secret})
	}
	for _, u := range l.users {
		name, password, ok := strings.Cut(u, ":")
		domain, user, slash := strings.Cut(name, "/")
		if !ok || !slash || domain == "" || user == "" || password == "" {
			return o, errors.New("--user: must be DOMAIN/USER:PASSWORD")
		}
		o.Users = append(o.Users, emulator.User{Domain: domain, Name: user, Password: password})
	}
	if l.agency {
		o.Agency = emulator.WithToken
	}
	return o, nil
}

// runEmulator runs the emulator, and its control port if it has an address.
func runEmulator(ctx context.Context, out io.Writer, o emulator.Options, addr, control string) error {
	e := emulator.New(o)
	at, err := e.Listen(addr)
	if err != nil {
		return fmt.Errorf("start the emulator: %w", err)
	}
	defer e.Close()
	fmt.Fprintf(out, "ModelArts emulator (no production server) on http://%s\n", at)
	if control != "" {
		s, at, err := serve.ListenHTTP(control, emulator.Control(e))
		if err != nil {
			return fmt.Errorf("start the emulator's control port: %w", err)
		}
		defer s.Close()
		fmt.Fprintf(out, "Its control port (anybody who reaches it may do everything) on http://%s\n", at)
	}
	<-ctx.Done()
	return nil
}
