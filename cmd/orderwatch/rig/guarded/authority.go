package guarded

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// An Authority issues credentials for users of one account.
type Authority struct {
	operator  nkeys.KeyPair
	key       nkeys.KeyPair // of the account
	systemKey nkeys.KeyPair
	account   *jwt.AccountClaims
}

// NewAuthority makes an authority with new keys, whose account may use JetStream without limits.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	a := &Authority{operator: NewKey(t, nkeys.CreateOperator), key: NewKey(t, nkeys.CreateAccount), systemKey: NewKey(t, nkeys.CreateAccount)}
	a.account = jwt.NewAccountClaims(PublicKey(t, a.key))
	a.account.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	return a
}

// NewKey creates a key.
func NewKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PublicKey returns the public half of the key.
func PublicKey(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// Rules are those of a server that trusts the authority.
func (a *Authority) Rules(t *testing.T) string {
	t.Helper()
	sign := func(claims jwt.Claims) string {
		token, err := claims.Encode(a.operator)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	operator, system := PublicKey(t, a.operator), PublicKey(t, a.systemKey)
	return fmt.Sprintf("operator: %q\nsystem_account: %s\nresolver { type: full, dir: %q }\nresolver_preload { %s: %q, %s: %q }\n",
		sign(jwt.NewOperatorClaims(operator)), system, t.TempDir(), PublicKey(t, a.key), sign(a.account), system, sign(jwt.NewAccountClaims(system)))
}

// Revoke tells the server that the user's credentials are no longer valid.
func (a *Authority) Revoke(t *testing.T, url, user string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "system.creds")
	issue(t, a.systemKey, file, 0)
	nc, err := nats.Connect(url, nats.UserCredentials(file))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	a.account.Revoke(user)
	token, err := a.account.Encode(a.operator)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := nc.Request("$SYS.REQ.CLAIMS.UPDATE", []byte(token), 5*time.Second)
	if err != nil || !strings.Contains(string(answer.Data), `"code":200`) {
		t.Fatalf("revoke: %s, %v", answer.Data, err)
	}
}

// Issue writes credentials for a new user, for ever or until they expire, and returns the user.
func (a *Authority) Issue(t *testing.T, file string, expires time.Duration) (user string) {
	t.Helper()
	return issue(t, a.key, file, expires)
}

func issue(t *testing.T, account nkeys.KeyPair, file string, expires time.Duration) (user string) {
	t.Helper()
	key := NewKey(t, nkeys.CreateUser)
	user = PublicKey(t, key)
	claims := jwt.NewUserClaims(user)
	if expires > 0 {
		claims.Expires = time.Now().Add(expires).Unix()
	}
	token, err := claims.Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(token, seed)
	if err == nil {
		err = os.WriteFile(file+".new", creds, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return user
}
