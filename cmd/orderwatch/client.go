package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/user"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/ask"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/natscontext"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/wire"
)

// A session is a connection to NATS for one command of a person or a pipeline.
type session struct {
	*client.Client
	config config.Config
	names  wire.Names
	nc     *nats.Conn
}

// connectTime is how long a command waits for NATS.
const connectTime = 5 * time.Second

// openSession connects as --context, the environment, or the selected context of the nats tool says.
// The caller closes the session.
func openSession(c *cobra.Command) (*session, error) {
	config, err := config.Load()
	if err != nil {
		return nil, err
	}
	return connect(c, config)
}

// connect is openSession for a command that has read the environment already.
func connect(c *cobra.Command, config config.Config) (*session, error) {
	login, err := clientLogin(c, config)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(login.URL, append([]nats.Option{
		nats.Name("orderwatch " + c.Name()), nats.Timeout(connectTime), nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond), nats.PingInterval(10 * time.Second), nats.IgnoreAuthErrorAbort(),
	}, login.Options...)...)
	if err != nil {
		if unanswered(err) {
			return nil, noNATS{notConnected(login, err)}
		}
		return nil, notConnected(login, err)
	}
	names := serve.Names(config)
	names.Domain, names.APIPrefix = login.Domain, login.Prefix
	client, err := client.New(nc, names)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &session{client, config, names, nc}, nil
}

// A noNATS says that no server answered: one may be started by and by.
type noNATS struct{ error }

func (e noNATS) Unwrap() error { return e.error }

// unanswered reports whether no server answered, so that nothing is known of the login.
func unanswered(err error) bool {
	var dial *net.OpError
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.As(err, &dial) && dial.Op == "dial"
}

// awaitSession is openSession that says and waits, for so long, where no server answers: NATS may be installed at the same time.
func awaitSession(c *cobra.Command, patience time.Duration) (*session, error) {
	deadline := time.Now().Add(patience)
	for said := false; ; said = true {
		s, err := openSession(c)
		var none noNATS
		if !errors.As(err, &none) || time.Now().After(deadline) {
			return s, err
		}
		if !said {
			if _, err := fmt.Fprintf(c.ErrOrStderr(), "%v\nwaiting for it, for up to %v\n", err, patience); err != nil {
				return nil, err
			}
		}
		select {
		case <-c.Context().Done():
			return nil, err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (s *session) close() { s.nc.Close() }

// options returns what package ask needs to ask in the session.
func (s *session) options(c *cobra.Command, format output.Format) ask.Options {
	return ask.Options{Client: s.Client, Conn: s.nc, Format: format, Out: c.OutOrStdout(), Errors: c.ErrOrStderr()}
}

// notConnected says why there is no connection, and what to do.
func notConnected(login natscontext.Access, err error) error {
	where := fmt.Sprintf("NATS at %s, which %s names", withoutLogin(login.URL), login.From)
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("the login is refused by %s: check user, password, token or credentials there", where)
	case link.Advice(err) != "":
		return fmt.Errorf("cannot connect to %s: %w\n%s", where, err, link.Advice(err))
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("no answer from %s: check the address, and that nats-server runs", where)
	}
	return fmt.Errorf("cannot connect to %s: %w", where, err)
}

// withoutLogin returns the servers' addresses without users, passwords and tokens.
func withoutLogin(servers string) string {
	list := strings.Split(servers, ",")
	for i, server := range list {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil:
			list[i] = "(not an address)"
		case u.User != nil:
			u.User = nil
			list[i] = u.String()
		}
	}
	return strings.Join(list, ",")
}

// contextFlag adds the flag --context to the commands.
func contextFlag(commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.Flags().String("context", "", "connect as this context of the nats tool says (default ORDERWATCH_NATS_URL, else the selected context)")
		complete(c, "context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return natscontext.Find().Names(), cobra.ShellCompDirectiveNoFileComp
		})
	}
	return commands
}

// clientLogin returns where NATS is and how to log in.
func clientLogin(c *cobra.Command, config config.Config) (natscontext.Access, error) {
	contexts := natscontext.Find()
	if flag := c.Flags().Lookup("context"); flag != nil && flag.Changed {
		return contexts.Access(flag.Value.String())
	}
	if config.NATS.URL != "" {
		options, err := serve.Login(config)
		options = append(options, nats.CustomInboxPrefix(config.NATS.InboxPrefix()))
		return natscontext.Access{URL: config.NATS.URL, From: "ORDERWATCH_NATS_URL", Domain: config.NATS.JSDomain, Prefix: config.NATS.JSAPIPrefix, Options: options}, err
	}
	if variable := config.NATSVariable(); variable != "" {
		return natscontext.Access{}, fmt.Errorf("ORDERWATCH_NATS_URL is not set, but %s is: set it, or name a context of the nats tool with --context", variable)
	}
	selected := contexts.Selected()
	if selected == "" {
		return natscontext.Access{}, errors.New("where is NATS? Set ORDERWATCH_NATS_URL, or name a context of the nats tool with --context" + contexts.Known())
	}
	return contexts.Access(selected)
}

// userName returns the login name of the user who runs the command, empty where it is not known.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// who returns the value of --by, or else the login name; what says whose name that is.
func who(c *cobra.Command, by, what string) (string, error) {
	if by = cmp.Or(by, userName()); by == "" {
		return "", exit.Usage(c, "this machine does not say who you are: say %s with --by NAME", what)
	}
	return by, nil
}
