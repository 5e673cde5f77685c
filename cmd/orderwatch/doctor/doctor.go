// Package doctor looks at an installation as a worker with the same configuration would see it, and says what is
// wrong and what to do. It takes 30 s at most and changes nothing: it posts nothing, and what it sends to try
// permissions is refused by NATS.
//
// Read doctor.go first: in which order it looks, how long that may take, what is wrong with variables
// (configuration.*), and the closing sentence, which is its error. finding.go says what a finding is, how it is shown,
// and how findings are counted. Each other file
// makes one kind of finding, and decides how bad it is and what to do about it:
//
//   - nats.go: nats.*, the connection, the server and the account; and in which order it looks at NATS
//   - permissions.go: permissions.*, what the login may do, and what is looked at where it is no worker's
//   - assets.go: assets.*, streams, buckets and consumers, and whether another installation has them
//   - watches.go: watches.*, what is late, broken or lost
//   - workers.go: workers.*, how many there are, and the accounts that they do not ask
//   - modelarts.go: modelarts.*, the login and the list of orders in each region
//   - clocks.go: clocks.*, how far they are apart
//   - slack.go: slack.*, token, scopes, channels and webhook
package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// How long things may take, so that all together take no more than 30 s.
const (
	runTime     = 28 * time.Second
	connectTime = 6 * time.Second // to NATS
	tryTime     = 4 * time.Second // of the permissions
	lookTime    = 6 * time.Second // at all else in NATS
	callTime    = 7 * time.Second // of ModelArts
	listTime    = 3 * time.Second // of its list of orders, after that
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

// An exam is one look at an installation: what was found, and what one look needs of another.
type exam struct {
	*Doctor
	report
	time *store.Clock

	*inspect.Inspector // nil: NATS could not be used
	nc                 *nats.Conn
	url                string
	login              []nats.Option

	stranger bool         // the login is no worker's
	uses     inspect.Uses // of a stranger; none: not known
	why      string       // nothing more could be looked at
	present  int          // workers; -1: not known
	open     int          // watches; 0: none, or not known
	holds    map[string]watcher.Hold
	ahead    time.Duration     // the server's clock
	clocked  bool              // that is known
	projects map[string]string // of records, by region
}

// Run looks at everything and prints what it finds, group by group. Secrets of the configuration are not shown.
// The error is nil if no problem was found, [exit.Error] with [exit.Interrupted] where interrupted ended, and
// otherwise says how many problems there are and what they mean.
func (d *Doctor) Run(interrupted context.Context, out io.Writer, format output.Format) error {
	p := &printer{
		out: out, format: format, paint: output.PaintFor(out), columns: output.TextColumns(out), every: d.All,
		hide: foreign.NewSecrets(config.Redacted, d.Config.Secrets()...),
	}
	ctx, cancel := context.WithTimeout(interrupted, runTime)
	defer cancel()
	x := &exam{Doctor: d, time: store.NewClock(nil), present: -1}
	var slack sync.WaitGroup
	slack.Go(func() { x.slack(ctx) })

	x.environment()
	if err := p.print(&x.report, "configuration"); err != nil {
		return err
	}
	x.nats(ctx)
	if interrupted.Err() != nil {
		return exit.Error{Code: exit.Interrupted}
	}
	if err := p.print(&x.report, "nats", "permissions", "assets", "watches", "workers"); err != nil {
		return err
	}
	x.modelArts(ctx)
	if interrupted.Err() != nil {
		return exit.Error{Code: exit.Interrupted}
	}
	slack.Wait()
	if err := p.print(&x.report, "modelarts", "clocks", "slack"); err != nil {
		return err
	}
	if format == output.AsText {
		if _, err := fmt.Fprintln(out, x.summary()); err != nil {
			return err
		}
	}
	return x.conclude()
}

// conclude returns an error if there are problems.
func (x *exam) conclude() error {
	problems, unset := x.count(levelProblem), 0
	for _, w := range x.Problems {
		if w.Missing {
			unset++
		}
	}
	switch {
	case problems == 0:
		return nil
	case unset < problems:
		return fmt.Errorf("%s: %s until that is mended", words.Count(problems, "problem"), x.consequences())
	}
	are := "are"
	if unset == 1 {
		are = "is"
	}
	return fmt.Errorf("%s %s not set here: run it with the worker's environment, or see orderwatch serve --help", words.Count(unset, "variable"), are)
}

const (
	workIsLost    = "work is lost, repeated or not done"
	nothingHere   = "a worker with this environment, on this machine, does nothing" // what others see is not known
	noCompletion  = "some requests get no completion"
	peopleNotTold = "people are not told"
)

func (r *report) consequences() string {
	met := make(map[string]bool)
	for _, f := range r.all {
		if f.Level == levelProblem {
			met[f.means()] = true
		}
	}
	all := []string{workIsLost, nothingHere, noCompletion, peopleNotTold}
	return strings.Join(slices.DeleteFunc(all, func(c string) bool { return !met[c] }), ", and ")
}

func (f finding) means() string {
	switch f.Check {
	case "nats.connection", "nats.login":
		return nothingHere
	case "watches.broken", "watches.unreadable", "watches.lost":
		return noCompletion
	}
	if strings.HasPrefix(f.Check, "slack.") {
		return peopleNotTold
	}
	return workIsLost
}

// isWrong reports whether something is wrong with a variable that begins so, without [config.Prefix].
func (d *Doctor) isWrong(prefixes ...string) bool {
	return slices.ContainsFunc(d.Problems, func(w config.Problem) bool {
		name := strings.TrimPrefix(w.Variable, config.Prefix)
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
}

// skip says that what the check looks at depends on variables that are wrong.
func (x *exam) skip(check string) {
	x.unseen(check, "", "was not looked at: its variables are wrong", "Mend them first.")
}

func (x *exam) environment() {
	for _, w := range x.Problems {
		do := "Mend it: orderwatch serve does not start with it."
		if w.Missing {
			do = "orderwatch serve does not start without it."
		}
		x.add(levelProblem, "configuration.variable", w.Variable, w.What, do)
	}
	if len(x.Problems) == 0 {
		x.ok("configuration.variables", "", "orderwatch serve would start with them")
	}
}
