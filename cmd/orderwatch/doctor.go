package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func doctorCommand() *cobra.Command {
	var order string
	var every bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check NATS, ModelArts, Slack and the watches, and say what to do",
		Long: `Check all that a worker needs, and say what is wrong and what to do: the
environment, NATS and what the worker's user may do there, streams and
consumers, watches that are late, the other workers, the login to ModelArts,
clocks, and Slack. Run it with the worker's environment, best beside it. It
takes 30 s at most, and changes nothing: it posts nothing, and what it sends
to try permissions is refused by NATS.

ModelArts is asked once for each region, for an order that does not exist or
for the one of --order, unless workers hold the account. Each try with a wrong
key or password counts towards its lock.

With -o json each finding is an object: check (what was looked at), about
(which one), level (ok, note, warning or problem), found, wanted, do.

What could not be looked at is marked ?, and counted by itself. A login that is
no worker's sees little: orderwatch status is for people.

Exit code 0: no problem was found; 1: there is a problem, marked ✗; 2: wrong
usage.`,
		Example: `  orderwatch doctor
  orderwatch doctor --order my-project/order.pool-5ed5-w4l2n
  orderwatch doctor -o json | jq -r 'select(.level == "problem") | .found'`,
		Args: exit.NoArguments,
	}
	c.Flags().StringVar(&order, "order", "", "ask ModelArts for this order, `PROJECT/ORDER`")
	c.Flags().BoolVar(&every, "all", false, "also list one by one what is as it must be")
	format := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := config.LoadServe()
		settings.Version = programVersion()
		d := doctor{config: settings}
		d.wrong, _ = errors.AsType[config.Problems](err)
		if order != "" {
			if d.order, err = parseOrder(c, settings, order); err != nil {
				return err
			}
		}
		p := newFindingPrinter(c.OutOrStdout(), *format, every, settings.Secrets())
		return d.run(c.Context(), p)
	}
	return c
}

// How long things may take, so that all together take no more than 30 s.
const (
	doctorTime    = 28 * time.Second
	doctorConnect = 6 * time.Second // to NATS
	doctorTry     = 4 * time.Second // of the permissions
	doctorLook    = 6 * time.Second // at all else in NATS
	doctorCall    = 7 * time.Second // of ModelArts
	doctorSlack   = 20 * time.Second
	doctorGlance  = 2 * time.Second // at the server, and at its clock
)

// A doctor looks at an installation as a worker with this configuration would see it.
type doctor struct {
	config config.Config
	wrong  config.Problems
	order  watcher.Order // of --order; zero: none
}

// run looks at everything and prints what it finds.
func (d *doctor) run(interrupted context.Context, p *findingPrinter) error {
	ctx, cancel := context.WithTimeout(interrupted, doctorTime)
	defer cancel()
	slack := make(chan findings, 1)
	go func() { slack <- d.slack(ctx) }()

	if err := p.print("configuration", d.environment()); err != nil {
		return err
	}
	clock := store.NewClock(nil)
	seen := d.nats(ctx, clock)
	if interrupted.Err() != nil {
		return exit.Error{Code: exit.Interrupted}
	}
	for _, group := range seen.groups() {
		if err := p.print(group.name, group.findings); err != nil {
			return err
		}
	}
	cloud, clocks := d.modelArts(ctx, clock, seen)
	if interrupted.Err() != nil {
		return exit.Error{Code: exit.Interrupted}
	}
	for _, group := range []findingGroup{{"ModelArts", "", cloud}, {"clocks", "", append(seen.clocks, clocks...)}, {"Slack", "", <-slack}} {
		if err := p.print(group.name, group.findings); err != nil {
			return err
		}
	}
	return p.conclude(d.unset())
}

// conclude prints the sum, and returns an error where there are problems, of which so many are that a variable is
// missing.
func (p *findingPrinter) conclude(missing int) error {
	problems := p.all.count(levelProblem)
	if p.format == output.AsText {
		if _, err := fmt.Fprintln(p.out, p.summary()); err != nil {
			return err
		}
	}
	switch {
	case problems > 0 && missing == problems:
		return fmt.Errorf("%s not set here: run it with the worker's environment, or see orderwatch serve --help", areVariables(missing))
	case problems > 0:
		return fmt.Errorf("%s: %s until that is mended", words.Count(problems, "problem"), p.all.consequences())
	}
	return nil
}

// consequences says what the problems that were found mean.
func (f findings) consequences() string {
	var lost, here, over, untold bool
	for _, one := range f {
		switch {
		case one.Level != levelProblem:
		case strings.HasPrefix(one.Check, "slack."):
			untold = true
		case one.Check == "nats.connection", one.Check == "nats.login":
			here = true // what others see is not known
		case one.Check == "watches.broken", one.Check == "watches.unreadable", one.Check == "watches.lost":
			over = true
		default:
			lost = true
		}
	}
	var all []string
	if lost {
		all = append(all, "work is lost, repeated or not done")
	}
	if here {
		all = append(all, "a worker with this environment, on this machine, does nothing")
	}
	if over {
		all = append(all, "some requests get no completion")
	}
	if untold {
		all = append(all, "people are not told")
	}
	return strings.Join(all, ", and ")
}

// areVariables returns "1 variable is", "2 variables are".
func areVariables(n int) string {
	if n == 1 {
		return "1 variable is"
	}
	return fmt.Sprintf("%d variables are", n)
}

// isWrong reports whether something is wrong with a variable that begins so, without [config.Prefix].
func (d *doctor) isWrong(prefixes ...string) bool {
	for _, w := range d.wrong {
		name := strings.TrimPrefix(w.Variable, config.Prefix)
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
	}
	return false
}

// unset returns how many variables are required and are not there.
func (d *doctor) unset() int {
	n := 0
	for _, w := range d.wrong {
		if w.Missing {
			n++
		}
	}
	return n
}

// environment tells what is wrong with the variables.
func (d *doctor) environment() (f findings) {
	for _, w := range d.wrong {
		do := "Mend it: orderwatch serve does not start with it."
		if w.Missing {
			do = "orderwatch serve does not start without it."
		}
		f.add(levelProblem, "configuration.variable", w.Variable, w.What, do)
	}
	if len(f) == 0 {
		f.ok("configuration.variables", "", "orderwatch serve would start with them")
	}
	return f
}

// skipped is what is said of what depends on variables that are wrong.
func skipped(check string) (f findings) {
	f.unseen(check, "", "was not looked at: its variables are wrong", "Mend them first.")
	return f
}

// cannotConnect says what is wrong where there is no connection to NATS.
func cannotConnect(err error, url string) finding {
	f := finding{Check: "nats.connection", About: url, Level: levelProblem, Found: "cannot connect: " + err.Error()}
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired),
		errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		f.Check, f.Found = "nats.login", "the server refuses the login: "+err.Error()
		f.Do = "Check the ORDERWATCH_NATS_ variable that logs in: CREDS_FILE, NKEY_FILE, USER and PASSWORD, or TOKEN."
	default:
		f.Do = connectionAdvice(err)
	}
	return f
}

// connectionAdvice says what may mend a connection to NATS that cannot be made, by its cause.
func connectionAdvice(err error) string {
	const meanwhile = " Nothing is lost meanwhile, but a worker with this environment takes and polls nothing."
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isName := errors.AsType[x509.HostnameError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired:
		return "The server's certificate is out of its time, or this machine's clock is off: renew the certificate, or mend the clock."
	case isName:
		return "Connect by a name or an address that the server's certificate has, in ORDERWATCH_NATS_URL."
	case isUnknown:
		return "Give the authority that signed the server's certificate: ORDERWATCH_NATS_CA_FILE."
	case isDNS:
		return "Check the name in ORDERWATCH_NATS_URL, and this machine's DNS." + meanwhile
	case link.MayWantTLSFirst(err):
		return sentence(link.TLSFirstHint) + " Otherwise look at the server's log."
	case strings.Contains(err.Error(), "certificate"), strings.Contains(err.Error(), "tls"), errors.Is(err, nats.ErrSecureConnWanted), errors.Is(err, nats.ErrSecureConnRequired):
		return "Check ORDERWATCH_NATS_CA_FILE, _CERT_FILE and _KEY_FILE, and whether the server wants TLS."
	}
	return "Check the address, the network, and whether nats-server runs." + meanwhile
}

// quiet is the log of parts that tell doctor what they find by what they return.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
