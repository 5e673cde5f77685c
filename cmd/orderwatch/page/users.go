package page

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// maxUsersFile is the most that the file of users holds, in bytes, and maxName the longest name, in characters: it becomes
// the By of what the user does.
const (
	maxUsersFile = 1 << 20
	maxName      = 200
)

// How many passwords are looked at at a time, and how many wait for that.
const (
	atOnce      = 2
	mostWaiting = 32
)

// Users are those who may see the page, by their names. They are safe for concurrent use.
type users struct {
	all     map[string]user
	cost    int                               // of the hash that takes longest
	compare func(hash, password []byte) error // bcrypt's
	slots   chan struct{}                     // as many passwords are looked at at a time: each takes a core for a while
	queue   chan struct{}                     // as many are looked at or wait for that
	salt    []byte

	mu    sync.Mutex
	right map[[sha256.Size]byte]time.Time // until when a name with its password need not be looked at again
}

type user struct {
	hash []byte
	team string // empty: sees all
}

// readUsers reads the file, whose teams are to be among these; without a file there are no users.
func readUsers(path string, known teams.Teams) (*users, error) {
	if path == "" {
		return nil, nil
	}
	text, err := config.ReadFile(path, maxUsersFile)
	if err != nil {
		return nil, err
	}
	return parseUsers(text, known)
}

// parseUsers reads lines of NAME:HASH or NAME:HASH:TEAM. The error names the line, and shows nothing of it.
func parseUsers(text []byte, known teams.Teams) (*users, error) {
	salt := make([]byte, 32)
	rand.Read(salt) // it never fails
	u := &users{
		all: make(map[string]user), compare: bcrypt.CompareHashAndPassword, slots: make(chan struct{}, atOnce), queue: make(chan struct{}, atOnce+mostWaiting),
		salt: salt, right: make(map[[sha256.Size]byte]time.Time),
	}
	for i, line := range strings.Split(string(bytes.TrimPrefix(text, []byte("\ufeff"))), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, ":")
		hash, team, named := strings.Cut(rest, ":")
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case name == "" || utf8.RuneCountInString(name) > maxName || foreign.Line(name) != name:
			return nil, fmt.Errorf("line %d: must begin with a name of at most %d visible characters and a colon", i+1, maxName)
		case err != nil:
			return nil, fmt.Errorf("line %d: must have a bcrypt hash after the name, as htpasswd -nB writes it", i+1)
		case named && !teamName.MatchString(team):
			return nil, fmt.Errorf("line %d: must end with a team of A-Z a-z 0-9 _ - after its last colon, or without the colon for a user who sees all", i+1)
		case named && known.Empty():
			return nil, fmt.Errorf("line %d: names a team, but ORDERWATCH_TEAMS_FILE is not set: the page does not know which orders are a team's", i+1)
		case known.Known(team) != nil:
			return nil, fmt.Errorf("line %d: names a team that is not in the file of ORDERWATCH_TEAMS_FILE", i+1)
		case u.all[name].hash != nil:
			return nil, fmt.Errorf("line %d: names a user who is there already", i+1)
		}
		u.all[name], u.cost = user{[]byte(hash), team}, max(u.cost, cost)
	}
	if len(u.all) == 0 {
		return nil, fmt.Errorf("names no user")
	}
	return u, nil
}

// How long a password that was right is remembered, by a sum of it, and how many are.
const (
	rightFor  = 5 * time.Minute
	mostRight = 10_000
)

// Why a user is not found.
var (
	errWrong = errors.New("the name or the password is wrong")
	errBusy  = errors.New("too many passwords wait to be looked at")
)

// find returns the user of the name, if the password is the user's. The error is errWrong; or errBusy where too
// many passwords wait to be looked at, or ctx is done before this one is.
func (u *users) find(ctx context.Context, name, password string, now time.Time) (user, error) {
	sum := hmac.New(sha256.New, u.salt)
	fmt.Fprintf(sum, "%d:%s%s", len(name), name, password)
	key := [sha256.Size]byte(sum.Sum(nil))
	found, known := u.all[name]
	u.mu.Lock()
	fresh := now.Before(u.right[key])
	u.mu.Unlock()
	if known && fresh {
		return found, nil
	}
	end, err := u.turn(ctx)
	if err != nil {
		return user{}, err
	}
	defer end()
	if !u.matches(found.hash, password) || !known {
		return user{}, errWrong
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.right) >= mostRight {
		clear(u.right)
	}
	u.right[key] = now.Add(rightFor)
	return found, nil
}

// turn waits until a password may be looked at. The caller calls end when that is done. The error is errBusy.
func (u *users) turn(ctx context.Context) (end func(), err error) {
	select {
	case u.queue <- struct{}{}:
	default:
		return nil, errBusy
	}
	select {
	case u.slots <- struct{}{}:
		return func() { <-u.slots; <-u.queue }, nil
	case <-ctx.Done():
		<-u.queue
		return nil, errBusy
	}
}

// matches reports whether the password is that of the hash, which is nil for an unknown name. A wrong password
// takes the same time for all names, which is that of the highest cost in the file: each cost takes twice as long as the one
// below it, so decoys of all costs from the hash's on make up for the rest.
func (u *users) matches(hash []byte, password string) bool {
	if hash == nil {
		hash = decoy(u.cost)
	}
	right := u.compare(hash, []byte(password)) == nil
	for cost, _ := bcrypt.Cost(hash); cost < u.cost && !right; cost++ { // the hash was looked at when it was read
		_ = u.compare(decoy(cost), []byte(password))
	}
	return right
}

// decoy returns a hash of that cost which no password has.
func decoy(cost int) []byte { return fmt.Appendf(nil, "$2a$%02d$%s", cost, strings.Repeat(".", 53)) }
