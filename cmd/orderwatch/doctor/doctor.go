// Package doctor looks at an installation as a worker with the same configuration would see it, and says what is
// wrong and what to do. It takes 30 s at most and changes nothing: it posts nothing, and what it sends to try
// permissions is refused by NATS.
//
// Read doctor.go first: in which order it looks, how long that may take, what is wrong with variables
// (configuration.*), and the closing sentence. finding.go says what a finding is, and how it is shown. Each other file
// makes one kind of finding, and decides how bad it is and what to do about it:
//
//   - nats.go: nats.*, the connection, the server and the account; and in which order it looks at NATS
//   - permissions.go: permissions.*, what the login may do, and what is looked at where it is no worker's
//   - assets.go: assets.*, streams, buckets and consumers, and whether another installation has them
//   - watches.go: watches.*, what is late, broken or lost
//   - workers.go: workers.*, how many there are, and the accounts that they do not ask
//   - modelarts.go: modelarts.*, the login in each region
//   - clocks.go: clocks.*, how far they are apart
//   - slack.go: slack.*, token, scopes, channels and webhook
package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
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
	p := &printer{
		out: out, format: format, paint: output.PaintFor(out), columns: output.TextColumns(out), every: d.All,
		hide: foreign.NewSecrets(config.Redacted, d.Config.Secrets()...),
	}
	ctx, cancel := context.WithTimeout(interrupted, runTime)
	defer cancel()
	slack := make(chan findings, 1)
	go func() { slack <- d.slack(ctx) }()

	if err := p.print(findingGroup{"configuration", d.environment()}); err != nil {
		return err
	}
	x := d.nats(ctx)
	if interrupted.Err() != nil {
		return exit.Error{Code: exit.Interrupted}
	}
	if err := p.print(x.groups()...); err != nil {
		return err
	}
	cloud, clocks := x.modelArts(ctx)
	if interrupted.Err() != nil {
		return exit.Error{Code: exit.Interrupted}
	}
	if err := p.print(findingGroup{"ModelArts", cloud}, findingGroup{"clocks", append(x.seen.clocks, clocks...)}, findingGroup{"Slack", <-slack}); err != nil {
		return err
	}
	return p.conclude(d.Problems)
}

// conclude prints how many findings there are of each level. It returns an error if there are problems.
func (p *printer) conclude(variables config.Problems) error {
	if p.format == output.AsText {
		if _, err := fmt.Fprintln(p.out, p.summary()); err != nil {
			return err
		}
	}
	problems, unset, are := p.all.count(levelProblem), 0, "are"
	for _, w := range variables {
		if w.Missing {
			unset++
		}
	}
	if unset == 1 {
		are = "is"
	}
	switch {
	case problems == 0:
		return nil
	case unset == problems:
		return fmt.Errorf("%s %s not set here: run it with the worker's environment, or see orderwatch serve --help", words.Count(unset, "variable"), are)
	}
	return fmt.Errorf("%s: %s until that is mended", words.Count(problems, "problem"), p.all.consequences())
}

const (
	workIsLost    = "work is lost, repeated or not done"
	nothingHere   = "a worker with this environment, on this machine, does nothing" // what others see is not known
	noCompletion  = "some requests get no completion"
	peopleNotTold = "people are not told"
)

func (f findings) consequences() string {
	met := make(map[string]bool)
	for _, one := range f {
		if one.Level == levelProblem {
			met[one.means()] = true
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

// skipped is what is said of what depends on variables that are wrong.
func skipped(check string) (f findings) {
	f.unseen(check, "", "was not looked at: its variables are wrong", "Mend them first.")
	return f
}

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
