package inspect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/store"
)

// An Asset is a stream, a bucket's stream, or a consumer, as it was found.
type Asset struct {
	Stream   string
	Consumer string // empty for the stream itself
	Optional bool   // workers work without it: only how long orders take is not known
	Missing  bool
	Err      error // why it could not be looked at

	Differences []Difference
	Foreign     []string // the subjects of a stream that has none of this installation's: it is another one's

	Replicas int      // that it has; 0: not known
	NoLeader bool     // nobody writes
	Behind   []string // replicas that are offline or not current

	Messages, Bytes uint64 // of a stream

	Pending     uint64 // of a consumer: messages that were not delivered yet
	InFlight    int    // delivered and not acknowledged
	Redelivered int    // of those: delivered more than once
	Paused      bool
	PausedUntil time.Time // zero: not known
}

// Name names the asset for people.
func (a Asset) Name() string {
	if a.Consumer == "" {
		return "stream " + a.Stream
	}
	return "consumer " + a.Consumer + " of " + a.Stream
}

// A Difference is a setting that is not as wanted.
type Difference struct {
	Setting, Found, Wanted string
	Fatal                  bool   // to go on would lose or repeat work: workers take nothing
	Do                     string // the command that changes it, where it is always the same; empty otherwise
}

// Assets looks at all streams and consumers.
func (i *Inspector) Assets(ctx context.Context) []Asset {
	wanted := i.store.Streams()
	found := make([][]Asset, len(wanted))
	var looking sync.WaitGroup
	for n, stream := range wanted {
		looking.Go(func() { found[n] = i.assets(ctx, stream) })
	}
	var usual []Asset
	looking.Go(func() { usual = i.history(ctx) })
	looking.Wait()
	var all []Asset
	for _, some := range found {
		all = append(all, some...)
	}
	return append(all, usual...)
}

// history looks at the bucket of how long orders take, and at the consumer that fills it.
func (i *Inspector) history(ctx context.Context) (both []Asset) {
	bucket, consumer := i.store.History()
	both = i.assets(ctx, bucket)
	name := i.store.Names.EventStream()
	err := i.may(i.store.Names.API("STREAM.INFO." + name))
	var events jetstream.Stream
	if err == nil {
		events, err = i.store.JS.Stream(ctx, name)
	}
	if err != nil {
		both = append(both, Asset{Stream: name, Consumer: consumer.Durable, Missing: errors.Is(err, jetstream.ErrStreamNotFound), Err: err})
	} else {
		both = append(both, i.consumer(ctx, events, consumer))
	}
	for n := range both {
		both[n].Optional = true
		for at := range both[n].Differences {
			both[n].Differences[at].Fatal = false // for what is learned alone
		}
	}
	return both
}

// assets looks at one stream and its consumer.
func (i *Inspector) assets(ctx context.Context, wanted jetstream.StreamConfig) []Asset {
	if err := i.may(i.store.Names.API("STREAM.INFO." + wanted.Name)); err != nil {
		return []Asset{{Stream: wanted.Name, Err: err}}
	}
	consumer, consumes := i.store.Consumers()[wanted.Name]
	stream, err := i.store.JS.Stream(ctx, wanted.Name)
	if err != nil {
		a := Asset{Stream: wanted.Name, Missing: errors.Is(err, jetstream.ErrStreamNotFound), Err: err}
		if a.Missing && consumes { // with its stream
			return []Asset{a, {Stream: wanted.Name, Consumer: consumer.Durable, Missing: true, Err: err}}
		}
		return []Asset{a}
	}
	info := stream.CachedInfo()
	a := Asset{Stream: wanted.Name, Replicas: info.Config.Replicas, Messages: info.State.Msgs, Bytes: info.State.Bytes}
	a.Differences, a.Foreign = exported(i.store.CompareStream(wanted, info.Config)), otherSubjects(wanted, info.Config)
	a.cluster(info.Cluster)
	if !consumes {
		return []Asset{a}
	}
	return []Asset{a, i.consumer(ctx, stream, consumer)}
}

func (i *Inspector) consumer(ctx context.Context, stream jetstream.Stream, wanted jetstream.ConsumerConfig) Asset {
	a := Asset{Stream: stream.CachedInfo().Config.Name, Consumer: wanted.Durable}
	if a.Err = i.may(i.store.Names.API("CONSUMER.INFO." + a.Stream + "." + a.Consumer)); a.Err != nil {
		return a
	}
	consumer, err := stream.Consumer(ctx, wanted.Durable)
	if err != nil {
		a.Missing, a.Err = errors.Is(err, jetstream.ErrConsumerNotFound), err
		return a
	}
	info := consumer.CachedInfo()
	a.Differences = exported(i.store.CompareConsumer(wanted, info.Config))
	a.Pending, a.InFlight, a.Redelivered = info.NumPending, info.NumAckPending, info.NumRedelivered
	if a.Paused = info.Paused; a.Paused && info.Config.PauseUntil != nil {
		a.PausedUntil = info.Config.PauseUntil.UTC()
	}
	a.cluster(info.Cluster)
	return a
}

// cluster notes who has the asset. A server that stands alone says nothing of it.
func (a *Asset) cluster(c *jetstream.ClusterInfo) {
	if c == nil || c.Name == "" && c.Leader != "" { // alone
		return
	}
	a.NoLeader = c.Leader == ""
	for _, peer := range c.Replicas {
		switch {
		case peer.Offline:
			a.Behind = append(a.Behind, peer.Name+" is offline")
		case !peer.Current:
			a.Behind = append(a.Behind, fmt.Sprintf("%s is not up to date: %d behind, heard of %s ago", peer.Name, peer.Lag, peer.Active.Round(time.Second)))
		}
	}
}

func exported(list []store.Difference) []Difference {
	var all []Difference
	for _, d := range list {
		all = append(all, Difference{d.Setting, fmt.Sprint(d.Found), fmt.Sprint(d.Wanted), d.Fatal, d.Do})
	}
	return all
}
