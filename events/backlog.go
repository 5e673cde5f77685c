package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A backlog is what a patrol knows of watches that nobody polls although they are due and no hold says why: too few
// workers, or a consumer that does not deliver. People are told once for each project, until it has none.
type backlog struct {
	store    *store.Store
	projects map[string]*overdueWatches
}

// overdueWatches are those of one project.
type overdueWatches struct {
	region string
	number int       // in this round
	oldest time.Time // when the one that waits longest was due
	since  time.Time // when a round first found one, by the server's clock
	told   bool
}

// begin begins a round.
func (b *backlog) begin() {
	for _, p := range b.projects {
		p.number = 0
	}
}

// count takes a watch that is overdue.
func (b *backlog) count(r index.Row, due time.Time) {
	p := b.projects[r.ProjectID]
	if p == nil {
		p = &overdueWatches{since: b.store.Clock.Now()}
		b.projects[r.ProjectID] = p
	}
	if p.number == 0 || due.Before(p.oldest) {
		p.region, p.oldest = r.Region, due
	}
	p.number++
}

// number returns how many watches of the round are overdue.
func (b *backlog) number() (n int) {
	for _, p := range b.projects {
		n += p.number
	}
	return n
}

// tell ends a round: it publishes an event for each project that had overdue watches in all rounds for long enough.
func (b *backlog) tell(ctx context.Context) (err error) {
	now := b.store.Clock.Now()
	for project, p := range b.projects {
		switch {
		case p.number == 0:
			delete(b.projects, project)
		case !p.told && now.Sub(p.since) >= b.store.Timing.Unreachable:
			failed := b.publish(ctx, project, p, now)
			p.told = failed == nil
			err = errors.Join(err, failed)
		}
	}
	return err
}

func (b *backlog) publish(ctx context.Context, project string, p *overdueWatches, now time.Time) error {
	a := watcher.Attention{
		Kind: watcher.Overdue, Region: p.region, ProjectID: project, Since: p.since, Until: now, Waiting: p.number, WaitingAll: p.number,
		Reason: fmt.Sprintf("%d watches of the project are not polled, the first since %s: workers are too few or stuck, NATS does not deliver to them, or max_payload is too small for their requests; the log of a worker says so then", p.number, p.oldest.UTC().Format(time.RFC3339)),
	}
	if err := b.store.Attention(ctx, a, now); err != nil {
		return fmt.Errorf("tell of overdue watches of %s: %w", project, err)
	}
	return nil
}
