package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/inspect"
)

func (x *exam) permissions(ctx context.Context) {
	trying, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	list, err := x.Permissions(trying, x.nc.ConnectedUrl(), x.login...)
	if err != nil {
		x.add(levelWarning, "permissions.all", "", "could not be tried: "+err.Error(), "Try again.")
		return
	}
	if !inspect.MayWork(list) {
		x.stranger = true
		x.askStranger(trying)
		return
	}
	for _, p := range list {
		check := "permissions." + string(p.Verb)
		switch {
		case p.Grant == inspect.Granted && p.Need == inspect.NeedDoctor:
		case p.Grant == inspect.Granted:
			x.ok(check, p.Subject, "allowed")
		case p.Need == inspect.NeedHistory && p.Grant == inspect.Denied:
			x.add(levelNote, check, p.Subject, "denied: how long orders usually take is not known; all else works",
				"Give it to the worker's user, as in deploy/nats-permissions.conf, or leave it.")
		case p.Grant == inspect.NotTried:
			x.unseen(check, p.Subject, "could not be tried", "Make sure that the worker's user has it, as in deploy/nats-permissions.conf.")
		case p.Need == inspect.NeedDoctor:
			x.add(levelNote, check, p.Subject, "denied; only doctor asks for it", "")
		case p.Need == inspect.NeedSweep:
			x.add(levelWarning, check, p.Subject, "denied: workers do not tell each other which orders are listed, and poll them more often",
				"Give it to the worker's user, as in deploy/nats-permissions.conf, and restart the worker; or set ORDERWATCH_SWEEP_EVERY=0.")
		case p.Need == inspect.NeedProvision:
			x.add(levelNote, check, p.Subject, "denied: this user cannot create what is missing",
				"Let another user create it, and set ORDERWATCH_PROVISION=false; or allow it.")
		default:
			x.add(levelProblem, check, p.Subject, "denied", "Give it to the worker's user, as in deploy/nats-permissions.conf.")
		}
	}
}

// askStranger finds out what a login may do that is no worker's, and says so. Its answers may come elsewhere
// than a worker's.
func (x *exam) askStranger(ctx context.Context) {
	found := "this is no worker's login"
	uses, err := x.Uses(ctx, x.nc.ConnectedUrl(), x.login...)
	if err == nil {
		x.uses, found = uses, found+": "+mayDo(uses)
		if !x.Heard() {
			x.listenElsewhere(ctx)
		}
	}
	x.add(levelNote, "permissions.login", x.Config.NATS.User, found,
		"What a worker needs is not looked at. Run doctor with the worker's environment to look at it. If this is meant to be the worker's login: it needs what deploy/nats-permissions.conf gives to the user worker.")
	x.unseen("permissions.worker", "", "what a worker may do was not looked at: this is no worker's login", "")
	if !x.Heard() {
		x.unseen("permissions.subscribe", "", "NATS sends this login no answers: none of the inbox prefixes "+strings.Join(x.inboxes(), ", ")+" is allowed",
			"Nothing else in NATS was looked at.")
	}
}

// mayDo says what somebody may do who is no worker.
func mayDo(uses inspect.Uses) string {
	const conf = " of deploy/nats-permissions.conf"
	switch uses {
	case inspect.Uses{Ask: true, Serve: true, Follow: true}:
		return "it may ask for watches, use the service and follow events, as the user person" + conf
	case inspect.Uses{Ask: true}:
		return "it may ask for watches, as the user producer" + conf
	case inspect.Uses{}:
		return "it may do nothing of what workers do, and neither ask for watches, use the service nor create a consumer of events"
	}
	var may []string
	if uses.Ask {
		may = append(may, "ask for watches")
	}
	if uses.Serve {
		may = append(may, "use the service")
	}
	if uses.Follow {
		may = append(may, "follow events")
	}
	return "it may " + strings.Join(may, " and ")
}

// inboxes returns the prefixes of the subjects where answers may come to the login.
func (d *Doctor) inboxes() []string {
	return slices.Compact([]string{"_INBOX_" + d.Config.Assets.ServicePrefix, d.Config.NATS.InboxPrefix(), "_INBOX"})
}

// listenElsewhere connects anew with the first inbox prefix that the login may use.
func (x *exam) listenElsewhere(ctx context.Context) {
	for _, prefix := range x.inboxes()[1:] {
		login := append(slices.Clone(x.login), nats.CustomInboxPrefix(prefix))
		nc, err := connectOnce(ctx, x.url, login)
		if err != nil {
			return
		}
		i, err := x.inspector(nc)
		if err == nil {
			_, err = i.Permissions(ctx, nc.ConnectedUrl(), login...)
		}
		if err == nil && i.Heard() {
			x.nc.Close()
			x.nc, x.login, x.Inspector = nc, login, i
			return
		}
		nc.Close()
	}
}

// asWorker says how to look at what this login may not look at.
const asWorker = "Run doctor with the worker's environment to look at it."

// missed adds what could not be looked at, and what to do about it. Where the login is no worker's, it is
// the login that is to be another.
func (x *exam) missed(check, found, do string) {
	if x.stranger {
		do = asWorker
	}
	x.unseen(check, "", found, do)
}
