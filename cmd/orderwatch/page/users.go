package page

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
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

// Users are those who may see the page, by their names. They are safe for concurrent use.
type users struct {
	all   map[string]user
	decoy []byte        // a hash that no password has: an unknown name takes as long as a known one
	slots chan struct{} // as many passwords are looked at at a time: each takes a core for a while
	salt  []byte

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
	decoy, err := bcrypt.GenerateFromPassword(salt, bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	u := &users{all: make(map[string]user), decoy: decoy, slots: make(chan struct{}, 2), salt: salt, right: make(map[[sha256.Size]byte]time.Time)}
	for i, line := range strings.Split(string(bytes.TrimPrefix(text, []byte("\ufeff"))), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, ":")
		hash, team, named := strings.Cut(rest, ":")
		_, err := bcrypt.Cost([]byte(hash))
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
		u.all[name] = user{[]byte(hash), team}
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

// find returns the user of the name, if the password is the user's.
func (u *users) find(name, password string, now time.Time) (user, bool) {
	sum := hmac.New(sha256.New, u.salt)
	fmt.Fprintf(sum, "%d:%s%s", len(name), name, password)
	key := [sha256.Size]byte(sum.Sum(nil))
	found, known := u.all[name]
	u.mu.Lock()
	fresh := now.Before(u.right[key])
	u.mu.Unlock()
	if known && fresh {
		return found, true
	}
	hash := found.hash
	if !known {
		hash = u.decoy
	}
	u.slots <- struct{}{}
	defer func() { <-u.slots }()
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return user{}, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.right) >= mostRight {
		clear(u.right)
	}
	u.right[key] = now.Add(rightFor)
	return found, true
}
