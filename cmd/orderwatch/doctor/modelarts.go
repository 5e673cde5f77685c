package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/sweep"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// noSuchOrder is the name that ModelArts is asked for where no order is given. That it does not know it
// shows that it answers and takes the login.
const noSuchOrder = "orderwatch-doctor"

// modelArts asks each region once, and compares ModelArts's clock with that by which workers go.
func (x *exam) modelArts(ctx context.Context) {
	if x.isWrong("MODELARTS_", "HW_") {
		x.skip("modelarts.login")
		return
	}
	x.tokenAge()
	config := x.Config
	config.ModelArts.Timeout = min(config.ModelArts.Timeout, callTime)
	orders, err := serve.Orders(slog.New(slog.DiscardHandler), config, x.time, heldAccounts(x.holds), modelarts.DefaultTiming())
	if err != nil {
		x.add(levelProblem, "modelarts.login", "", err.Error(), "Mend the variable: orderwatch serve does not start with it.")
		return
	}
	defer orders.Close()
	regions := config.ModelArts.Regions
	calls := make([]regionCall, len(regions))
	var asking sync.WaitGroup
	for i, region := range regions {
		asking.Go(func() {
			calls[i] = x.call(ctx, orders, region)
			if calls[i].Level == levelOK && config.Poll.SweepEvery > 0 {
				calls[i].list = x.list(ctx, orders, region, calls[i].project)
			}
		})
	}
	asking.Wait()
	answered, known := false, false
	for _, c := range calls {
		answered, known = answered || c.Level != levelUnseen, known || c.known
	}
	takeBack(calls)
	for _, c := range calls {
		x.put(c.finding)
		if c.list.Check != "" {
			x.put(c.list)
		}
		x.cloudClock(c)
	}
	if x.Order != (watcher.Order{}) && answered && !known {
		x.add(levelWarning, "modelarts.order", x.Order.String(), "no region that answers knows it",
			"Check its name, which is not the billing order id, its project and its region.")
	}
}

// A regionCall is what came of asking one region.
type regionCall struct {
	finding
	list     finding // of the list of orders; zero: it was not asked for
	project  string
	look     modelarts.Look
	known    bool // the order is
	doubtful bool // the login or the project is refused, but the project may be another region's
}

// takeBack takes back what is doubtful, where one region takes the login.
func takeBack(calls []regionCall) {
	if !slices.ContainsFunc(calls, func(c regionCall) bool { return c.Level == levelOK }) {
		return
	}
	for i := range calls {
		if c := &calls[i]; c.doubtful {
			c.Level, c.Found = levelUnseen, "is not known: the project may be of another region: "+c.Found
			c.Do = "Name an order of this region with --order PROJECT/ORDER."
		}
	}
}

// call asks one region, if a project of it is known and its account is not held. It asks for the order of --order, or
// for one that does not exist, of a project that the records know there, or else of the default project.
func (x *exam) call(ctx context.Context, orders *modelarts.Client, region string) (c regionCall) {
	order := watcher.Order{ProjectID: cmp.Or(x.projects[region], x.Config.ModelArts.ProjectID), Name: noSuchOrder}
	if x.Order != (watcher.Order{}) {
		order = x.Order
	}
	guessed := x.projects[region] != order.ProjectID // nothing shows that the project, which is in one region, is in this one
	c.project, c.finding = order.ProjectID, finding{Check: "modelarts.login", About: region, Level: levelUnseen}
	if order.ProjectID == "" {
		c.Found = "was not asked: no project of this region is known, by the records or the environment"
		c.Do = "Name an order with --order PROJECT/ORDER, or set ORDERWATCH_MODELARTS_PROJECT_ID."
		return c
	}
	if leave := orders.Wait(ctx, region, order, x.time.Now(), watcher.Turn{}); leave.After > 0 {
		c.Found, c.Do = "was not asked: "+leave.Why, "Try again when the hold is over."
		return c
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var err error
	c.look, err = orders.Look(ctx, region, order)
	c.known, c.Level = err == nil, levelOK
	refusal, _ := errors.AsType[*answer.Error](err)
	switch {
	case err == nil:
		answer := c.look.Answer
		c.Found = fmt.Sprintf("%s takes the login; %s has %s, the API counts %d", c.look.Host, order, words.Count(len(answer.Items), "item"), answer.Count)
	case refusal == nil:
		c.Level, c.Found, c.Do = levelProblem, "was not reached: "+err.Error(), "Check the endpoint, the network and the proxy."
	case refusal.Class == watcher.NotFound && x.Order == (watcher.Order{}):
		c.Found = fmt.Sprintf("%s takes the login for project %s: it says that there is no order %s", c.look.Host, order.ProjectID, order.Name)
	case refusal.Class == watcher.NotFound:
		c.Found = fmt.Sprintf("%s takes the login, but knows no order %s", c.look.Host, order)
	default:
		c.Found = refusal.Error()
		c.Level, c.Do = x.explain(refusal)
		c.doubtful = guessed && c.Level == levelProblem && slices.Contains([]watcher.Class{watcher.Refused, watcher.Credentials, watcher.Forbidden}, refusal.Class)
		if timeout := x.Config.ModelArts.Timeout; refusal.Status == 0 && timeout > callTime {
			c.Found += fmt.Sprintf("; doctor waits for %s at the most, workers for %s", callTime, timeout)
		}
	}
	return c
}

// list asks once for a list of the project's orders, and says whether sweeps will work.
func (x *exam) list(ctx context.Context, orders *modelarts.Client, region, project string) finding {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	page, err := orders.List(ctx, region, project, sweep.Query{Phase: "running", Limit: 1})
	f := finding{Check: "modelarts.list", About: region, Level: levelOK}
	refusal, _ := errors.AsType[*answer.Error](err)
	switch {
	case err == nil:
		f.Found = fmt.Sprintf("orders of project %s are listed; %s at the moment", project, words.Count(page.Count, "running one"))
	case refusal != nil && refusal.Held != "":
		f.Level, f.Found, f.Do = levelUnseen, "was not listed: "+err.Error(), "Try again when the hold is over."
	default:
		f.Level, f.Found = levelWarning, "orders of project "+project+" are not listed: "+err.Error()
		f.Do = "They are polled as without the list, and their ends are seen later. Let the login list orders (ListOrders); or set ORDERWATCH_SWEEP_EVERY=0."
	}
	return f
}

// explain says what an error of ModelArts means for all orders.
func (d *Doctor) explain(e *answer.Error) (level, string) {
	login, endpoint := d.variables()
	switch badName := e.Code == "ModelArts.50004000"; {
	case e.Class == watcher.Refused && badName && d.Order == (watcher.Order{}):
		return levelOK, "" // the login is taken, the made-up name is not
	case e.Class == watcher.Refused && badName:
		return levelWarning, "The login is taken; check the order's name."
	case e.Class == watcher.Refused:
		return levelProblem, "The login is taken, but not for this project: check its id, and that the login is of it."
	case e.Class == watcher.Credentials && e.Status == http.StatusForbidden:
		return levelProblem, "The login is taken, but the account may not be used: check its permissions, balance and state. No order of it can be polled."
	case e.Class == watcher.Credentials:
		return levelProblem, "No order can be polled with this login (" + login + "). After more than five failures a key is locked for 5 minutes, a user for 15."
	case e.Class == watcher.Forbidden:
		return levelProblem, "The login is taken, but it may not look at orders of this project: give it the permission to, or check that it is of this project."
	case e.Class == watcher.Throttled:
		return levelWarning, "Workers wait and go on by themselves. If it lasts, lower ORDERWATCH_MODELARTS_RATE, or have the quota raised."
	case e.Status >= http.StatusInternalServerError, e.Status == http.StatusRequestTimeout:
		return levelWarning, "It may pass: orders are polled again on schedule, and deadlines go on."
	}
	return levelProblem, "This is no answer of ModelArts about orders: check the region, the network, the proxy (HTTPS_PROXY) and " + endpoint + "."
}

// variables names the variables that log in, and those that say where to ask.
func (d *Doctor) variables() (login, endpoint string) {
	endpoint = "ORDERWATCH_MODELARTS_ENDPOINT"
	switch m := d.Config.ModelArts; {
	case m.AccessKey.IsSet():
		return "an access key: ORDERWATCH_MODELARTS_ACCESS_KEY and _SECRET_KEY", endpoint
	case m.User != "":
		return "a password: ORDERWATCH_MODELARTS_USER, _PASSWORD and _DOMAIN", endpoint + " and _IAM_ENDPOINT"
	case m.ECSAgency:
		return "this machine's agency: ORDERWATCH_MODELARTS_ECS_AGENCY", endpoint + " and _METADATA_ENDPOINT"
	}
	return "a token: ORDERWATCH_MODELARTS_TOKEN", endpoint
}

// tokenLife is how long an IAM token is valid.
const tokenLife = 24 * time.Hour

// tokenAge tells how old a token is, which nothing renews.
func (x *exam) tokenAge() {
	token := x.Config.ModelArts.Token
	if !token.IsSet() {
		return
	}
	const do = "Let a job replace the file at least twice a day; it is read again whenever it changes. Or log in with an access key, a password or an agency, which are renewed."
	if token.File() == "" {
		x.add(levelWarning, "modelarts.token", "", "the token is in the environment: it ends within 24 hours, and nothing renews it",
			"Put it in a file: ORDERWATCH_MODELARTS_TOKEN_FILE. "+do)
		return
	}
	stat, err := os.Stat(token.File())
	if err != nil {
		return // it was there a moment ago
	}
	age := time.Since(stat.ModTime())
	found := "the token's file was written " + words.Brief(age) + " ago"
	switch {
	case age >= tokenLife:
		x.add(levelWarning, "modelarts.token", "", found+", and a token lives for 24 hours", do)
	case age >= tokenLife/2:
		x.add(levelNote, "modelarts.token", "", found, do)
	default:
		x.ok("modelarts.token", "", found)
	}
}

// heldAccounts are the holds that workers stored. Nothing is added to them.
type heldAccounts map[string]watcher.Hold

func (heldAccounts) Workers() int { return 1 }

func (h heldAccounts) Hold(key string) (watcher.Hold, watcher.Revision) { return h[key], 0 }

func (heldAccounts) SetHold(context.Context, string, watcher.Hold, watcher.Revision) error {
	return nil
}

func (heldAccounts) Reserved(string) float64 { return 0 }

func (heldAccounts) Answered(string, watcher.Order) {}

func (heldAccounts) LastAnswered(string) (watcher.Order, bool) { return watcher.Order{}, false }
