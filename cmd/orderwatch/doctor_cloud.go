package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// How far clocks may be apart.
const (
	smallSkew = 2 * time.Second
	maxSkew   = 15 * time.Minute // ModelArts refuses signatures from then on
)

// noSuchOrder is the name that ModelArts is asked for where no order is given. That it does not know it
// shows that it answers and takes the login.
const noSuchOrder = "orderwatch-doctor"

// modelArts asks each region once, and compares ModelArts's clock with that by which workers go.
func (d *doctor) modelArts(ctx context.Context, clock *store.Clock, seen *seenInNATS) (cloud, clocks findings) {
	if d.isWrong("MODELARTS_", "HW_") {
		return skipped("modelarts.login"), nil
	}
	cloud = d.tokenAge()
	config := d.config
	config.ModelArts.Timeout = min(config.ModelArts.Timeout, doctorCall)
	orders, err := serve.Orders(quiet(), config, clock, heldAccounts(seen.holds), modelarts.DefaultTiming())
	if err != nil {
		cloud.add(levelProblem, "modelarts.login", "", err.Error(), "Mend the variable: orderwatch serve does not start with it.")
		return cloud, nil
	}
	defer orders.Close()
	regions := config.ModelArts.Regions
	calls := make([]regionCall, len(regions))
	var asking sync.WaitGroup
	for i, region := range regions {
		order, guessed := d.orderOf(region, seen.projects)
		if order.ProjectID == "" {
			calls[i] = notAsked(region)
			continue
		}
		asking.Go(func() {
			calls[i] = d.call(ctx, orders, clock, region, order)
			calls[i].guessed = guessed
		})
	}
	asking.Wait()
	doubtful(calls)
	known, asked := false, false
	for _, c := range calls {
		cloud = append(cloud, c.finding)
		clocks = append(clocks, d.cloudClock(c, seen)...)
		known, asked = known || c.known, asked || c.asked
	}
	if d.order != (watcher.Order{}) && asked && !known {
		cloud.add(levelWarning, "modelarts.order", d.order.String(), "no region that answers knows it",
			"Check its name, which is not the billing order id, its project and its region.")
	}
	return cloud, clocks
}

// A regionCall is what came of asking one region.
type regionCall struct {
	finding finding
	region  string
	look    modelarts.Look
	asked   bool // it was
	refused bool // the login, or the project
	known   bool // the order is
	guessed bool // that the project is one of the region
}

// orderOf returns an order to ask the region for: that of --order, or one that does not exist, of a project
// of the region that is known by the records, or else of the default project. guessed says that nothing
// shows that the project is one of the region: a project is in one.
func (d *doctor) orderOf(region string, projects map[string]string) (order watcher.Order, guessed bool) {
	if d.order != (watcher.Order{}) {
		return d.order, projects[region] != d.order.ProjectID
	}
	if project := projects[region]; project != "" {
		return watcher.Order{ProjectID: project, Name: noSuchOrder}, false
	}
	return watcher.Order{ProjectID: d.config.ModelArts.ProjectID, Name: noSuchOrder}, true
}

// notAsked is what is said of a region in which no project is known.
func notAsked(region string) (c regionCall) {
	var f findings
	f.unseen("modelarts.login", region, "was not asked: no project of this region is known, by the records or the environment",
		"Name an order with --order PROJECT/ORDER, or set ORDERWATCH_MODELARTS_PROJECT_ID.")
	return regionCall{region: region, finding: f[0]}
}

// doubtful takes back what is said of regions that refuse a project which may be another region's, where
// one region takes the login.
func doubtful(calls []regionCall) {
	if !slices.ContainsFunc(calls, func(c regionCall) bool { return c.finding.Level == levelOK }) {
		return
	}
	for i := range calls {
		c := &calls[i]
		if c.refused && c.guessed {
			c.finding.Level, c.finding.unlooked = levelNote, true
			c.finding.Found = "is not known: the project may be of another region: " + c.finding.Found
			c.finding.Do = "Name an order of this region with --order PROJECT/ORDER."
		}
	}
}

// call asks one region for the order, if its account is not held.
func (d *doctor) call(ctx context.Context, orders *modelarts.Client, clock *store.Clock, region string, order watcher.Order) (c regionCall) {
	c.region = region
	c.finding = finding{Check: "modelarts.login", About: region}
	if leave := orders.Wait(ctx, region, order, clock.Now(), time.Time{}); leave.After > 0 {
		c.finding.Level, c.finding.unlooked, c.finding.Found = levelNote, true, "was not asked: "+leave.Why
		c.finding.Do = "Try again when the hold is over."
		return c
	}
	ctx, cancel := context.WithTimeout(ctx, doctorCall)
	defer cancel()
	var err error
	c.asked = true
	c.look, err = orders.Look(ctx, region, order)
	c.known = err == nil
	f := &c.finding
	refusal, _ := errors.AsType[*answer.Error](err)
	switch {
	case err == nil:
		answer := c.look.Answer
		f.Level, f.Found = levelOK, fmt.Sprintf("%s takes the login; %s has %s, the API counts %d", c.look.Host, order, words.Count(len(answer.Items), "item"), answer.Count)
	case refusal == nil:
		f.Level, f.Found, f.Do = levelProblem, "was not reached: "+err.Error(), "Check the endpoint, the network and the proxy."
	case refusal.Class == watcher.NotFound && d.order == (watcher.Order{}):
		f.Level, f.Found = levelOK, fmt.Sprintf("%s takes the login for project %s: it says that there is no order %s", c.look.Host, order.ProjectID, order.Name)
	case refusal.Class == watcher.NotFound:
		f.Level, f.Found = levelOK, fmt.Sprintf("%s takes the login, but knows no order %s", c.look.Host, order)
	default:
		f.Found = refusal.Error()
		f.Level, f.Do = d.explain(refusal)
		c.refused = f.Level == levelProblem && slices.Contains([]watcher.Class{watcher.Refused, watcher.Credentials, watcher.Forbidden}, refusal.Class)
		if timeout := d.config.ModelArts.Timeout; refusal.Status == 0 && timeout > doctorCall {
			f.Found += fmt.Sprintf("; doctor waits for %s at the most, workers for %s", doctorCall, timeout)
		}
	}
	return c
}

// explain says what an error of ModelArts means for all orders.
func (d *doctor) explain(e *answer.Error) (level, string) {
	switch e.Class {
	case watcher.Refused:
		switch {
		case e.Code == "ModelArts.50004000" && d.order == (watcher.Order{}):
			return levelOK, "" // the login is taken, the made-up name is not
		case e.Code == "ModelArts.50004000":
			return levelWarning, "The login is taken; check the order's name."
		}
		return levelProblem, "The login is taken, but not for this project: check its id, and that the login is of it."
	case watcher.Credentials:
		if e.Status == http.StatusForbidden {
			return levelProblem, "The login is taken, but the account may not be used: check its permissions, balance and state. No order of it can be polled."
		}
		return levelProblem, "No order can be polled with this login (" + d.loginVariables() + "). After more than five failures a key is locked for 5 minutes, a user for 15."
	case watcher.Forbidden:
		return levelProblem, "The login is taken, but it may not look at orders of this project: give it the permission to, or check that it is of this project."
	case watcher.Throttled:
		return levelWarning, "Workers wait and go on by themselves. If it lasts, lower ORDERWATCH_MODELARTS_RATE, or have the quota raised."
	}
	if e.Status >= http.StatusInternalServerError || e.Status == http.StatusRequestTimeout {
		return levelWarning, "It may pass: orders are polled again on schedule, and deadlines go on."
	}
	return levelProblem, "This is no answer of ModelArts about orders: check the region, the network, the proxy (HTTPS_PROXY) and " + d.endpointVariables() + "."
}

// loginVariables names the variables that log in.
func (d *doctor) loginVariables() string {
	m := d.config.ModelArts
	switch {
	case m.AccessKey.IsSet():
		return "an access key: ORDERWATCH_MODELARTS_ACCESS_KEY and _SECRET_KEY"
	case m.User != "":
		return "a password: ORDERWATCH_MODELARTS_USER, _PASSWORD and _DOMAIN"
	case m.ECSAgency:
		return "this machine's agency: ORDERWATCH_MODELARTS_ECS_AGENCY"
	}
	return "a token: ORDERWATCH_MODELARTS_TOKEN"
}

// endpointVariables names the variables that say where to ask.
func (d *doctor) endpointVariables() string {
	const endpoint = "ORDERWATCH_MODELARTS_ENDPOINT"
	switch m := d.config.ModelArts; {
	case m.User != "":
		return endpoint + " and _IAM_ENDPOINT"
	case m.ECSAgency:
		return endpoint + " and _METADATA_ENDPOINT"
	}
	return endpoint
}

// tokenLife is how long an IAM token is valid.
const tokenLife = 24 * time.Hour

// tokenAge tells how old a token is, which nothing renews.
func (d *doctor) tokenAge() (f findings) {
	token := d.config.ModelArts.Token
	if !token.IsSet() {
		return nil
	}
	const do = "Let a job replace the file at least twice a day; it is read again whenever it changes. Or log in with an access key, a password or an agency, which are renewed."
	if token.File() == "" {
		f.add(levelWarning, "modelarts.token", "", "the token is in the environment: it ends within 24 hours, and nothing renews it",
			"Put it in a file: ORDERWATCH_MODELARTS_TOKEN_FILE. "+do)
		return f
	}
	stat, err := os.Stat(token.File())
	if err != nil {
		return nil // it was there a moment ago
	}
	switch age := time.Since(stat.ModTime()); {
	case age >= tokenLife:
		f.add(levelWarning, "modelarts.token", "", "the token's file was written "+words.Brief(age)+" ago, and a token lives for 24 hours",
			do)
	case age >= tokenLife/2:
		f.add(levelNote, "modelarts.token", "", "the token's file was written "+words.Brief(age)+" ago", do)
	default:
		f.ok("modelarts.token", "", "the token's file was written "+words.Brief(age)+" ago")
	}
	return f
}

// cloudClock compares ModelArts's clock, which it tells in whole seconds, with NATS's, or, where that is
// not known, with this machine's.
func (d *doctor) cloudClock(c regionCall, seen *seenInNATS) (f findings) {
	if c.look.Date.IsZero() {
		return nil
	}
	whose := "NATS's clock, by which workers go,"
	if !seen.clocked {
		whose = "this machine's clock"
	}
	off := c.look.Date.Add(time.Second / 2).Sub(c.look.Middle.Add(seen.ahead)).Round(time.Second)
	m := d.config.ModelArts
	signs := m.AccessKey.IsSet() || m.ECSAgency
	found := whose + " is " + behind(off) + " ModelArts's"
	const do = "Let the servers and this machine keep time by NTP."
	switch size := max(off, -off) - c.look.Took/2; {
	case size >= maxSkew && signs:
		f.add(levelProblem, "clocks.modelarts", c.region, found+": it refuses signatures from 15 minutes on", do)
	case size >= smallSkew:
		f.add(levelWarning, "clocks.modelarts", c.region, found, do)
	default:
		f.ok("clocks.modelarts", c.region, whose+" agrees with ModelArts's within 2 s")
	}
	return f
}

// heldAccounts are the holds that workers stored. Nothing is added to them.
type heldAccounts map[string]watcher.Hold

func (heldAccounts) Workers() int { return 1 }

func (h heldAccounts) Hold(key string) (watcher.Hold, watcher.Revision) { return h[key], 0 }

func (heldAccounts) SetHold(context.Context, string, watcher.Hold, watcher.Revision) error {
	return nil
}

func (heldAccounts) Answered(string, watcher.Order) {}

func (heldAccounts) LastAnswered(string) (watcher.Order, bool) { return watcher.Order{}, false }
