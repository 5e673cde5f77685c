// Package emulator is a stand-in for the order API of ModelArts: ShowOrder and ListOrders in memory, with
// scripts and faults, as an [http.Handler].
//
// It is NO PRODUCTION SERVER. It stores nothing, and forgets nothing: every order that was ever
// added or asked for stays in memory until the process ends. Listen on 127.0.0.1 only, and give it
// no login that is good elsewhere.
//
// Read emulator.go (how a call is answered), order.go (scripts) and fate.go (what an order's name makes of it),
// list.go (which orders a list shows) and row.go (what it says of one), fault.go, quota.go and outage.go (what goes
// wrong), login.go with signature.go, iam.go and metadata.go (who may ask), control.go with json.go (how all of it
// is switched from outside), and call.go (the calls that came).
//
// # Orders
//
// [Emulator.Add] scripts an order item by item: when an item appears, when it ends, how. What a poll answers is
// worked out from the script and the clock; no status is stored. An order that was not added is answered
// 404 ModelArts.50015001, another path 404 APIGW.0101, a call without a token 401 APIGW.0301, one with a wrong token
// 401 APIGW.0307. Where the published pages disagree, an order's script says which spelling it answers with.
//
// # Lists
//
// ListOrders shows the orders of a project whose clock runs and that ShowOrder knows, the newest first: those of one
// workspace, created within the last month. It says that an order runs until all its items have ended, and then
// that it ended with the last of them; a [Listing] in the order's script says otherwise, and a [RowFault] makes the
// lists of all orders wrong. A limit that is empty or 0 is 100. A limit or an offset over 500, an unknown
// phase, and a text where a number belongs are answered 400 ModelArts.50004000.
//
// # Logins
//
// [Options] say which logins are known. With none any token is taken. Signatures (SDK-HMAC-SHA256) are verified; one
// that is more than 15 minutes off is refused, and more than five wrong ones in a row lock the key for five minutes.
// IAM is at POST /v3/auth/tokens: a token is of one project, and more than five wrong passwords in a row lock the
// user for 15 minutes. A machine's metadata service is at /openstack/latest/securitykey.
//
// # Orders by name
//
// With [Options.AutoOrders] an order that was not added, but whose name is order.FATE-anything,
// is scripted at its first poll (see [Sample]):
//
//	order.succeed-…  a pool, then three nodes after 5 s; all succeed after 20 s
//	order.partial-…  the same; one node fails
//	order.fail-…     the same; everything fails
//	order.never-…    the same; one node never ends
//	order.slow-…     a pool, then three nodes after 435 s; all succeed after 686 s
//	order.late-…     404 for 10 s, then as succeed
//	order.empty-…    no item ever
//	order.missing-…  404 for ever
//
// # Faults
//
// A [Fault] replaces, slows, cuts or swallows answers: of one order ([Order.Faults]), of all and of the list
// ([Emulator.SetFaults]), or wherever a function says so ([Options.Fault], [Options.ListFault]). Delays run on real
// time, also where the scripts' clock is injected. A [Quota] throttles; an [Outage] takes the whole emulator away.
// [Control] switches all of it.
//
// # Regions
//
// An emulator stands for all regions. Calls of /REGION/v1/… are those of the region, so with the
// endpoint http://127.0.0.1:9090/{region} each has quotas and faults of its own.
package emulator

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say how an [Emulator] behaves. The zero value accepts any token, and has no orders
// but those that are added.
type Options struct {
	// Tokens, Keys, Users and Agency are the known logins. Where there are none, every value of
	// X-Auth-Token but an empty one is accepted, and no signature.
	//
	// Tokens are accepted values of X-Auth-Token, for all projects.
	Tokens []string
	// Keys may sign requests.
	Keys []Key
	// Users may log in to IAM, for tokens that live so long; 0: 24 hours.
	Users     []User
	TokenLife time.Duration
	// Agency lets the metadata service hand out keys that live so long; 0: an hour.
	Agency  Agency
	KeyLife time.Duration
	// AutoOrders scripts orders by their names at their first poll; see the package comment.
	AutoOrders bool
	// Now is the clock of scripts and logins; nil: time.Now.
	Now func() time.Time
	// Fault is asked at each ShowOrder, and ListFault at each ListOrders, that no fault of the order and none of
	// SetFaults is meant for, outside of outages and within the quota. Call.Status is 0 in it. It returns nil
	// where nothing is wrong, and is called from many goroutines at once.
	Fault, ListFault func(Call) *Fault
	// CallsKept is how many calls [Emulator.Calls] remembers at most; 0: 1,000.
	CallsKept int
}

// An Emulator is ShowOrder and ListOrders in memory. It is safe for concurrent use; make it with [New].
type Emulator struct {
	options  Options
	mux      *http.ServeMux
	regional *http.ServeMux // of paths that begin with a region; in one, a pattern with and one without could fit the same path

	mu     sync.Mutex
	orders map[orderKey]*script
	lists  map[string]rows // of each project
	polls  map[orderKey]int
	faults faultSet // of all orders and lists
	quota  counter
	outage Outage
	calls  callLog

	keys      keyRing
	iam       iam
	metadata  metadata
	handedOut []string

	door door
}

type orderKey struct{ project, name string }

// The paths of the two calls that are emulated.
const (
	listOrders = "/v1/{project_id}/orders"
	showOrder  = listOrders + "/{order_name}"
)

// New returns an emulator without orders.
func New(o Options) *Emulator {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.CallsKept = max(cmp.Or(o.CallsKept, 1000), 1)
	o.TokenLife = cmp.Or(o.TokenLife, 24*time.Hour)
	o.KeyLife = cmp.Or(o.KeyLife, time.Hour)
	o.Tokens = slices.Clone(o.Tokens)
	e := &Emulator{
		options: o,
		mux:     http.NewServeMux(), regional: http.NewServeMux(),
		orders: make(map[orderKey]*script),
		lists:  make(map[string]rows),
		polls:  make(map[orderKey]int),
		calls:  callLog{limit: o.CallsKept, total: make(map[Kind]int)},

		keys:     newKeyRing(o.Keys),
		iam:      newIAM(o.Users),
		metadata: metadata{tokens: make(map[string]time.Time)},
	}
	e.mux.HandleFunc("GET "+showOrder, e.showOrder)
	e.mux.HandleFunc("GET "+listOrders, e.listOrders)
	e.mux.HandleFunc("POST /v3/auth/tokens", e.createToken)
	e.mux.HandleFunc("PUT /meta-data/latest/api/token", e.createMetadataToken)
	e.mux.HandleFunc("GET /openstack/latest/securitykey", e.securityKey)
	e.mux.HandleFunc("/", e.noSuchAPI)
	e.regional.HandleFunc("GET /{region}"+showOrder, e.showOrder)
	e.regional.HandleFunc("GET /{region}"+listOrders, e.listOrders)
	return e
}

// Add scripts an order, or scripts it anew. Its clock starts now, unless the order says that it
// starts at its first poll.
func (e *Emulator) Add(project, name string, o Order) {
	s, key := newScript(o), orderKey{project, name}
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := e.orders[key]; last != nil && !last.start.IsZero() {
		e.lists[project] = e.lists[project].without(name, last)
	}
	e.orders[key] = s
	if !o.FromFirstPoll {
		e.start(key, s, e.options.Now())
	}
}

// start lets the order's clock start, and lists the order.
func (e *Emulator) start(key orderKey, s *script, now time.Time) {
	s.start = now
	e.lists[key.project] = e.lists[key.project].with(key.name, s)
}

// SetFaults replaces the faults of all orders and lists; none: no more faults. Their polls and times count
// from now, the polls over all orders, and those of lists by themselves. An order's own faults come first.
func (e *Emulator) SetFaults(faults ...Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = newFaultSet(faults, e.options.Now())
}

// Polls returns how many calls named the order, whatever they were answered; with an empty name how many asked for
// the project's list.
func (e *Emulator) Polls(project, name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.polls[orderKey{project, name}]
}

// Calls returns the last calls, oldest first; see [Options.CallsKept].
func (e *Emulator) Calls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls.calls)
}

// ServeHTTP answers one call.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, mux := range [...]*http.ServeMux{e.mux, e.regional} {
		_, pattern := mux.Handler(r)
		if strings.HasSuffix(pattern, showOrder) || strings.HasSuffix(pattern, listOrders) { // these count calls, also those in an outage
			mux.ServeHTTP(w, r)
			return
		}
	}
	e.mu.Lock()
	gone := e.outage.fault()
	e.mu.Unlock()
	if gone != nil {
		deliver(w, r, gone.answer(), gone)
		return
	}
	e.mux.ServeHTTP(w, r)
}

func (e *Emulator) noSuchAPI(w http.ResponseWriter, r *http.Request) {
	deliver(w, r, documentedError(http.StatusNotFound, "APIGW.0101", "The API does not exist or has not been published in the environment"), nil)
}

func (e *Emulator) showOrder(w http.ResponseWriter, r *http.Request) {
	key := orderKey{r.PathValue("project_id"), r.PathValue("order_name")}
	call, order, fault := e.begin(key, r.PathValue("region"), caller(r))
	if fault == nil && e.options.Fault != nil {
		fault = e.options.Fault(call)
	}
	e.finish(w, r, call, e.answer(r, key, order, call.Time), fault)
}

// finish sends what is answered to a call where nothing is wrong, or what the fault makes of it; nil: there is none.
func (e *Emulator) finish(w http.ResponseWriter, r *http.Request, call Call, a answer, fault *Fault) {
	fault = cmp.Or(fault, &Fault{})
	if fault.replaces() {
		a = fault.answer()
	}
	call.Status = a.status
	if fault.Hang || fault.Cut {
		call.Status = 0
	}
	e.mu.Lock()
	e.calls.add(call)
	e.mu.Unlock()
	w.Header().Set("X-Request-Id", fmt.Sprintf("emulator-%d-%s", call.Poll, cmp.Or(call.Order, string(call.Kind))))
	deliver(w, r, a, fault)
}

// begin counts the call and finds the order's script, nil where there is none, and the fault
// that is meant for it, nil where there is none: the outage, one of the order's or of all, or the
// quota's.
func (e *Emulator) begin(key orderKey, region, login string) (Call, *script, *Fault) {
	now := e.options.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.polls[key]++
	order := e.orders[key]
	if order == nil && e.options.AutoOrders {
		if o, ok := Sample(fate(key.name)); ok {
			order = newScript(o)
			e.orders[key] = order
		}
	}
	call := Call{Time: now, Kind: ShowOrder, Region: region, Project: key.project, Order: key.name, Poll: e.polls[key]}
	gone, ofAll := e.troubles(call, login)
	if order != nil {
		order.polls++
		if order.start.IsZero() {
			e.start(key, order, now)
		}
		if f := pick(order.Faults, call, order.polls, now.Sub(order.start)); f != nil && gone == nil {
			return call, order, f
		}
	}
	return call, order, cmp.Or(gone, ofAll)
}

// troubles counts a call, and returns the outage and what else is meant for it besides its order's own faults: a
// fault of all, or the quota's. Each is nil where there is none.
func (e *Emulator) troubles(call Call, login string) (gone, ofAll *Fault) {
	over := e.quota.take(call.Region+" "+login, call.Time)
	gone, ofAll = e.outage.fault(), e.faults.next(call, call.Time)
	if ofAll == nil && over > 0 {
		ofAll = e.quota.refusal(over)
	}
	return gone, ofAll
}

// answer is what the API says where nothing is wrong with it. Of the script it reads only what
// does not change after the first poll.
func (e *Emulator) answer(r *http.Request, key orderKey, order *script, now time.Time) answer {
	if refused, ok := e.unauthorised(r, key.project); ok {
		return refused
	}
	if order == nil || now.Sub(order.start) < order.NotFoundFor {
		return documentedError(http.StatusNotFound, "ModelArts.50015001", fmt.Sprintf("Order %s not found.", key.name))
	}
	return order.answer(now)
}
