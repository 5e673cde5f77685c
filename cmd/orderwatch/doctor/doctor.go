// Package doctor looks at an installation as a worker with the same configuration would see it, and says what is
// wrong and what to do. It takes 30 s at most and changes nothing: it posts nothing, and what it sends to try
// permissions is refused by NATS.
//
// Read doctor.go first (what is looked at, and in which order), then finding.go (what is found, and how it is
// shown). The looks at NATS begin in nats.go: server.go, login.go (a login that is no worker's), assets.go
// (streams, consumers, watches and workers) and neighbours.go (other installations) are parts of them. cloud.go
// looks at ModelArts, slack.go at Slack.
package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// How long things may take, so that all together take no more than 30 s.
const (
	runTime     = 28 * time.Second
	connectTime = 6 * time.Second // to NATS
	tryTime     = 4 * time.Second // of the permissions
	lookTime    = 6 * time.Second // at all else in NATS
	callTime    = 7 * time.Second // of ModelArts
	slackTime   = 20 * time.Second
	glanceTime  = 2 * time.Second // at the server, and at its clock
)

// A Doctor looks at an installation as a worker with this configuration would see it.
type Doctor struct {
	Config   config.Config
	Problems config.Problems // what is wrong with the configuration; what depends on it is not looked at
	Order    watcher.Order   // the one that ModelArts is asked for; zero: one that does not exist
	All      bool            // texts list one by one also what is as it must be
}

// Run looks at everything and prints what it finds, group by group. Secrets of the configuration are not shown.
// The error is nil if no problem was found, [exit.Error] with [exit.Interrupted] where interrupted ended, and
// otherwise says how many problems there are and what they mean.
func (d *Doctor) Run(interrupted context.Context, out io.Writer, format output.Format) error {
	p := newPrinter(out, format, d.All, d.Config.Secrets())
	ctx, cancel := context.WithTimeout(interrupted, runTime)
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

// conclude prints how many findings there are of each level. It returns an error if there are problems; missing is
// how many of the problems are a variable that is not set.
func (p *printer) conclude(missing int) error {
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
func (d *Doctor) isWrong(prefixes ...string) bool {
	for _, w := range d.Problems {
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
func (d *Doctor) unset() int {
	n := 0
	for _, w := range d.Problems {
		if w.Missing {
			n++
		}
	}
	return n
}

// environment tells what is wrong with the variables.
func (d *Doctor) environment() (f findings) {
	for _, w := range d.Problems {
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
