package inspect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// An Inspector looks at what an installation has in NATS. It stores, creates and alters nothing.
// Its methods end with their context, and may be called at the same time.
type Inspector struct {
	store  *store.Store
	nc     *nats.Conn
	denied sync.Map    // subjects that the user may not publish on, as far as that is known
	deaf   atomic.Bool // the user may not subscribe where its answers come
}

// ErrDenied means that something was not asked for, since Permissions found that the user may not.
var ErrDenied = errors.New("this user may not ask for it")

// may returns an ErrDenied if one of the subjects is known to be denied.
func (i *Inspector) may(subjects ...string) error {
	if i.deaf.Load() {
		return fmt.Errorf("%w: NATS does not let it subscribe to %s, where answers come", ErrDenied, i.inbox().Subject)
	}
	for _, s := range subjects {
		if _, denied := i.denied.Load(s); denied {
			return fmt.Errorf("%w: %s", ErrDenied, s)
		}
	}
	return nil
}

// New returns an inspector on the connection, which stays the caller's. config is that of the
// workers. The clock is set to the server's by [Inspector.Clock].
func New(config store.Config, nc *nats.Conn, clock *store.Clock) (*Inspector, error) {
	s, err := store.Open(slog.New(slog.DiscardHandler), config, nc, clock)
	if err != nil {
		return nil, err
	}
	return Over(s), nil
}

// Over returns an inspector on a worker's store.
func Over(s *store.Store) *Inspector { return &Inspector{store: s, nc: s.JS.Conn()} }

// Clock returns how far the server's clock is ahead of this machine's, which is wrong by no more than
// half of the time that the answer took. It asks for a stream that must be there.
func (i *Inspector) Clock(ctx context.Context) (ahead, took time.Duration, err error) {
	n := i.store.Names
	for _, stream := range []string{n.WakeupStream(), n.RequestStream(), n.EventStream()} {
		if err = i.may(n.API("STREAM.INFO." + stream)); err != nil {
			continue
		}
		begin := time.Now()
		err = i.store.Clock.Refresh(ctx, i.store.JS, stream)
		if took = time.Since(begin); err == nil || ctx.Err() != nil {
			break
		}
	}
	return i.store.Clock.Offset(), took, err
}

// A Limit is a bound of the JetStream account, and how much of it is used.
type Limit struct {
	Name string // as the server calls it: max_storage, …
	Tier string // R1, R3, …; empty where the account has none
	Used int64  // 0 where it bounds each stream or consumer by itself
	Most int64  // in bytes, or a number
	Each bool   // it bounds each stream or consumer by itself
}

// Limits returns the limits of the JetStream account. The error is jetstream's ErrJetStreamNotEnabled
// or ErrJetStreamNotEnabledForAccount where there is no JetStream.
func (i *Inspector) Limits(ctx context.Context) ([]Limit, error) {
	if err := i.may(i.store.Names.API("INFO")); err != nil {
		return nil, err
	}
	account, err := i.store.JS.AccountInfo(ctx)
	if errors.Is(err, nats.ErrNoResponders) {
		err = jetstream.ErrJetStreamNotEnabled
	}
	if err != nil {
		return nil, fmt.Errorf("look at the JetStream account: %w", err)
	}
	tiers := account.Tiers
	if len(tiers) == 0 {
		tiers = map[string]jetstream.Tier{"": account.Tier}
	}
	var limits []Limit
	for name, t := range tiers {
		l := t.Limits
		all := []Limit{
			{Name: "max_memory", Used: int64(t.Memory), Most: l.MaxMemory},
			{Name: "max_storage", Used: int64(t.Store), Most: l.MaxStore},
			{Name: "max_streams", Used: int64(t.Streams), Most: int64(l.MaxStreams)},
			{Name: "max_consumers", Used: int64(t.Consumers), Most: int64(l.MaxConsumers)},
			{Name: "max_ack_pending", Most: int64(l.MaxAckPending), Each: true},
			{Name: "storage_max_stream_bytes", Most: l.StoreMaxStreamBytes, Each: true},
		}
		for _, limit := range all {
			limit.Tier = name
			counts := limit.Name == "max_memory" || limit.Name == "max_storage" // 0 is a limit there, else none
			if limit.Most > 0 || limit.Most == 0 && counts {
				limits = append(limits, limit)
			}
		}
	}
	slices.SortFunc(limits, func(a, b Limit) int { return strings.Compare(a.Tier+a.Name, b.Tier+b.Name) })
	return limits, nil
}

// invalidJSON is the server's error for a call of its API that it cannot read.
const invalidJSON = jetstream.ErrorCode(10025)

// Strict reports whether the servers that lead the streams refuse calls of the JetStream API which hold what they do not
// know (jetstream { strict: true }, the default). It asks for the streams' settings with a field that there is none of. The
// error is an [ErrDenied] where the user may not ask.
func (i *Inspector) Strict(ctx context.Context) (bool, error) {
	n := i.store.Names
	for _, stream := range []string{n.WakeupStream(), n.RequestStream(), n.EventStream()} {
		call := n.API("STREAM.INFO." + stream)
		if err := i.may(call); err != nil {
			return false, err
		}
		reply, err := i.nc.RequestWithContext(ctx, call, []byte(`{"none_orderwatch_doctor_probes":true}`))
		if err != nil {
			return false, fmt.Errorf("ask %s: %w", call, err)
		}
		var answer struct {
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(reply.Data, &answer); err != nil {
			return false, fmt.Errorf("ask %s: %w", call, err)
		}
		switch {
		case answer.Error == nil:
			return false, nil
		case answer.Error.ErrorCode != invalidJSON:
			return false, fmt.Errorf("ask %s: %w", call, answer.Error)
		}
	}
	return true, nil
}

// A Syncing says how soon a server writes to its disk what it has acknowledged.
type Syncing struct {
	Server string
	Always bool // before it acknowledges
	Every  time.Duration
}

// Syncing returns what the servers say of it, which they say to their system account alone: mostly
// nothing.
func (i *Inspector) Syncing(ctx context.Context) []Syncing {
	var all []Syncing
	i.ask(ctx, "$SYS.REQ.SERVER.PING.JSZ", 0, func(m *nats.Msg) {
		var answer struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			JetStream struct {
				Config struct {
					Every  time.Duration `json:"sync_interval"`
					Always bool          `json:"sync_always"`
				} `json:"config"`
			} `json:"data"`
		}
		if json.Unmarshal(m.Data, &answer) == nil && answer.Server.Name != "" {
			config := answer.JetStream.Config
			all = append(all, Syncing{answer.Server.Name, config.Always, config.Every})
		}
	})
	return all
}

// silence is how long further answers to a question are awaited that many may answer.
const silence = 500 * time.Millisecond

// ask puts a question to all who listen, and hands their answers to f: so many, or 0: until
// no more come.
func (i *Inspector) ask(ctx context.Context, subject string, most int, f func(*nats.Msg)) {
	inbox := i.nc.NewRespInbox()
	answers, err := i.nc.SubscribeSync(inbox)
	if err != nil {
		return
	}
	defer answers.Unsubscribe()
	if err := i.nc.PublishRequest(subject, inbox, nil); err != nil {
		return
	}
	for n := 0; most == 0 || n < most; n++ {
		next, cancel := context.WithTimeout(ctx, silence)
		m, err := answers.NextMsgWithContext(next)
		cancel()
		if err != nil || m.Header.Get("Status") == strconv.Itoa(503) { // nobody listens
			return
		}
		f(m)
	}
}

// Instances returns the versions of the service's instances, one for each: as they announce them,
// 0.0.0 for a build without a number. most is how many are awaited, 0: as many as come. others are the subjects on
// which other installations take requests that answer on this one's service, too: those are none of its instances.
func (i *Inspector) Instances(ctx context.Context, most int) (versions, others []string, err error) {
	subject := "$SRV.INFO." + i.store.Names.Service
	if err := i.may(subject); err != nil {
		return nil, nil, err
	}
	i.ask(ctx, subject, most, func(m *nats.Msg) {
		var answer micro.Info
		if json.Unmarshal(m.Data, &answer) != nil {
			return
		}
		if requests := answer.Metadata["requests"]; requests != "" && requests != i.store.Names.Watch() {
			others = append(others, requests)
			return
		}
		versions = append(versions, answer.Version)
	})
	slices.Sort(others)
	return versions, slices.Compact(others), nil
}

// Workers are the workers at one moment, and what they tell each other.
type Workers struct {
	Present int
	Holds   map[string]watcher.Hold // that stand, by the account's key
	Leases  []store.Lease           // who lists the orders of which project
}

// Workers looks at the bucket that the workers share. Who works is judged by the server's clock: see
// [Inspector.Clock].
func (i *Inspector) Workers(ctx context.Context) (Workers, error) {
	if err := i.may(i.store.Names.API("DIRECT.GET." + i.store.Names.AccountStream())); err != nil {
		return Workers{}, err
	}
	present, holds, leases, err := i.store.LookAtWorkers(ctx)
	return Workers{present, holds, leases}, err
}

// A LateWatch is a watch whose next step is overdue.
type LateWatch struct {
	watcher.Order
	WatchID string
	Late    time.Duration
}

// Watches are the open watches.
type Watches struct {
	wire.WatchCount
	Worst []LateWatch // of those that are overdue or stuck, latest first; a few
	// LateErr says why the wake-ups of some watches were not read that are late by their records: they count as overdue, and
	// may have been polled since.
	LateErr error

	// Broken are those of the unreadable records that workers know of, oldest first; BrokenErr says why these are
	// not known.
	Broken    []wire.BrokenRecord
	BrokenErr error

	// Projects is a project for each region that has one: of the record that was written last.
	Projects map[string]string
}

// worstWatches is how many late watches are named.
const worstWatches = 5

// Watches reads the records as far as there is time. What is late is judged by the server's clock: see
// [Inspector.Clock].
func (i *Inspector) Watches(ctx context.Context) (w Watches, err error) {
	if err := i.may(i.store.Names.API("DIRECT.GET." + i.store.Names.RecordStream())); err != nil {
		return w, err
	}
	broken, brokenErr := i.broken(ctx)
	x := index.New(i.store)
	err = x.CatchUp(ctx, time.Time{})
	all := err == nil
	count, late, failed := x.Count(ctx, broken)
	w = Watches{WatchCount: count, LateErr: failed, Projects: x.Projects(), Broken: x.StillBroken(broken), BrokenErr: brokenErr}
	w.All = all
	if err != nil && ctx.Err() != nil && w.Watching+w.Ending > 0 {
		err = nil // as far as there was time
	}
	slices.SortStableFunc(late, func(a, b index.Late) int { return cmp.Compare(b.By, a.By) })
	for _, l := range late[:min(len(late), worstWatches)] {
		w.Worst = append(w.Worst, LateWatch{l.Order, l.WatchID, l.By})
	}
	return w, err
}

// broken returns the broken records that workers know of, oldest first.
func (i *Inspector) broken(ctx context.Context) ([]wire.BrokenRecord, error) {
	if err := i.may(i.store.Names.API("STREAM.MSG.GET." + i.store.Names.RecordStream())); err != nil {
		return nil, err
	}
	list, _, err := i.store.BrokenList(ctx)
	return list, err
}

// Losses returns what people were told of streams that were lost, oldest first, as long as the events are kept.
func (i *Inspector) Losses(ctx context.Context) ([]watcher.Attention, error) {
	if err := i.may(i.store.Names.API("STREAM.MSG.GET." + i.store.Names.EventStream())); err != nil {
		return nil, err
	}
	return i.store.Losses(ctx)
}
