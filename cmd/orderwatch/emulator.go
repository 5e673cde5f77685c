package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/demo"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

func emulatorCommand() *cobra.Command {
	var logins emulatorLogins
	command := newCommand("emulator", exit.NoArguments)
	flags := command.Flags()
	addr := flags.String("addr", "127.0.0.1:9090", "host:port to listen on")
	control := flags.String("control", "", "host:port to be switched on, such as 127.0.0.1:9091 (default: none)")
	flags.StringArrayVar(&logins.tokens, "token", nil, "a known token")
	flags.StringArrayVar(&logins.keys, "access-key", nil, "a known access key and its secret, ACCESS:SECRET")
	flags.StringArrayVar(&logins.users, "user", nil, "a user known to IAM, DOMAIN/USER:PASSWORD")
	flags.BoolVar(&logins.agency, "agency", false, "let the metadata service hand out keys")
	command.RunE = func(c *cobra.Command, _ []string) error {
		options, err := logins.options()
		if err != nil {
			return exit.Usage(c, "%w", err)
		}
		return runEmulator(c.Context(), c.OutOrStdout(), options, *addr, *control)
	}
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

func demoCommand() *cobra.Command {
	command := newCommand("demo", exit.NoArguments)
	keep := command.Flags().Bool("keep", false, "go on afterwards, and print how to publish a request")
	verbose := command.Flags().Bool("verbose", false, "show the worker's log on stderr")
	command.RunE = func(c *cobra.Command, _ []string) error {
		log := slog.New(slog.DiscardHandler)
		if *verbose {
			log = serve.NewLogger(config.Log{Level: slog.LevelInfo, Format: "text"}, c.ErrOrStderr())
		}
		return demo.Run(c.Context(), log, c.OutOrStdout(), programVersion(), *keep)
	}
	return command
}
