package emulator

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"time"
)

// An Agency says what the metadata service of the machine is like.
type Agency string

// The kinds.
const (
	NoAgency   Agency = ""      // no key is handed out
	WithToken  Agency = "token" // for a caller who has asked for a token first
	NoTokens   Agency = "none"  // for everybody: asking for a token is answered 405
	TokensGone Agency = "gone"  // for everybody: asking for a token is answered 503
)

type metadata struct {
	tokens  map[string]time.Time // and when they end
	current Key
	calls   int // for keys
	faults  faultSet
}

func (e *Emulator) createMetadataToken(w http.ResponseWriter, r *http.Request) {
	life, err := time.ParseDuration(r.Header.Get("X-Metadata-Token-Ttl-Seconds") + "s")
	none := map[Agency]int{NoAgency: http.StatusNotFound, NoTokens: http.StatusMethodNotAllowed, TokensGone: http.StatusServiceUnavailable}[e.options.Agency]
	a := answer{status: cmp.Or(none, http.StatusBadRequest)}
	if none == 0 && err == nil && life > 0 && life <= 6*time.Hour {
		secret := rand.Text()
		e.mu.Lock()
		e.metadata.tokens[secret] = e.options.Now().Add(life)
		e.handedOut = append(e.handedOut, secret)
		e.mu.Unlock()
		a = answer{http.StatusOK, "text/plain", []byte(secret)}
	}
	deliver(w, r, a, nil)
}

func (e *Emulator) securityKey(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	now := e.options.Now()
	e.metadata.calls++
	fault := e.metadata.faults.next(Call{}, now)
	var a answer
	switch {
	case fault.replaces():
		a = fault.answer()
	case e.options.Agency == NoAgency:
		a = answer{http.StatusNotFound, "text/plain", []byte("no agency")}
	case e.options.Agency == WithToken && !now.Before(e.metadata.tokens[r.Header.Get("X-Metadata-Token")]):
		a = answer{http.StatusUnauthorized, "text/plain", []byte("the metadata token is missing or has expired")}
	default:
		k := e.agencyKey(now)
		a = jsonAnswer(http.StatusOK, map[string]any{"credential": map[string]any{
			"access": k.Access, "secret": k.Secret, "securitytoken": k.SecurityToken, "expires_at": k.Expires.UTC().Format(iamTime),
		}})
	}
	e.mu.Unlock()
	deliver(w, r, a, fault)
}

// agencyKey returns the machine's key. It is replaced ten minutes before its end, or when half its
// life is over. The lock is held.
func (e *Emulator) agencyKey(now time.Time) Key {
	if k := e.metadata.current; k.Expires.Sub(now) > min(10*time.Minute, e.options.KeyLife/2) {
		return k
	}
	k := Key{Access: "HST" + rand.Text()[:17], Secret: rand.Text() + rand.Text(), SecurityToken: "gQ" + rand.Text() + rand.Text() + rand.Text(), Expires: now.Add(e.options.KeyLife)}
	e.metadata.current = k
	e.keys.keys[k.Access] = k
	e.handedOut = append(e.handedOut, k.Access, k.Secret, k.SecurityToken)
	return k
}

// MetadataCalls returns how often the machine's key was asked for, whatever was answered.
func (e *Emulator) MetadataCalls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.metadata.calls
}
