package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/events/inspect"
)

// foreign reports whether the streams of these names are another installation's, and says so. What is
// another's is not looked at any further, and nothing of it is to be changed.
func (x *natsExam) foreign(list []inspect.Asset) bool {
	var whose []string
	for _, a := range list {
		if len(a.Foreign) > 0 {
			whose = append(whose, fmt.Sprintf("stream %s has %s", a.Stream, strings.Join(a.Foreign, ", ")))
		}
	}
	if len(whose) == 0 {
		return false
	}
	const another = "was not looked at: it is not this installation's"
	who := "another installation lives here"
	if len(whose) == 1 {
		who = "somebody else's stream has this name"
	}
	x.seen.assets.add(levelProblem, "assets.installation", "", who+": "+strings.Join(whose, "; ")+". None of these subjects is this installation's",
		"Set ORDERWATCH_STREAM_PREFIX, too, to a prefix of your own: workers take nothing until then. Change and delete nothing of what is there.")
	x.seen.assets.unseen("assets.state", "", fmt.Sprintf("the other %d streams, buckets and consumers of these names were not looked at: they may be another installation's", len(list)-len(whose)), "")
	x.seen.watches.unseen("watches.open", "", another, "")
	x.seen.workers.unseen("workers.present", "", another, "")
	return true
}

// neighbours returns, by the names of missing streams, who has their subjects, and says so.
func (x *natsExam) neighbours(ctx context.Context, list []inspect.Asset) map[string]inspect.Neighbour {
	missing := func(a inspect.Asset) bool { return a.Missing && a.Consumer == "" }
	if !slices.ContainsFunc(list, missing) {
		return nil
	}
	all, err := x.Neighbours(ctx)
	if err != nil && !errors.Is(err, inspect.ErrDenied) {
		x.unseen(&x.seen.assets, "assets.subjects", "who has the subjects of missing streams was not looked at: "+err.Error(), "")
	}
	taken := make(map[string]inspect.Neighbour)
	for _, n := range all {
		if _, told := taken[n.Own]; told || !slices.ContainsFunc(list, func(a inspect.Asset) bool { return missing(a) && a.Stream == n.Own }) {
			continue
		}
		taken[n.Own] = n
		x.seen.assets.add(levelProblem, "assets.installation", n.Own, fmt.Sprintf("another installation may live here: stream %s has the subject %s, which is to be that of %s", n.Stream, n.Subject, n.Own),
			"If so, set ORDERWATCH_SUBJECT_PREFIX and ORDERWATCH_SERVICE_PREFIX, too, to prefixes of your own. Change and delete nothing before you know whose it is.")
	}
	return taken
}
