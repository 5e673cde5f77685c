package emulator

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"
)

// A User may log in to IAM.
type User struct {
	Name, Password, Domain string
	// Projects are those that the user may ask for; none: all.
	Projects []string
}

// How IAM treats wrong passwords.
const (
	maxWrong = 5                // in a row; the next one locks the user
	userLock = 15 * time.Minute // how long it is refused then, whatever the password
)

// iamTime is how IAM writes times.
const iamTime = "2006-01-02T15:04:05.000000Z"

// A token is what IAM handed out.
type token struct {
	project string
	expires time.Time
}

type iam struct {
	users  map[string]User // by domain and name
	tokens map[string]*token
	wrong  map[string]int // wrong passwords in a row, by domain and name
	locked map[string]time.Time
	calls  int
	faults faultSet
}

func newIAM(users []User) iam {
	i := iam{users: make(map[string]User), tokens: make(map[string]*token), wrong: make(map[string]int), locked: make(map[string]time.Time)}
	for _, u := range users {
		u.Projects = slices.Clone(u.Projects)
		i.users[u.Domain+"\x00"+u.Name] = u
	}
	return i
}

// A loginBody is what is sent to IAM.
type loginBody struct {
	Auth struct {
		Identity struct {
			Methods  []string
			Password struct {
				User struct {
					Name, Password string
					Domain         struct{ Name string }
				}
			}
		}
		Scope struct {
			Project struct{ ID, Name string }
		}
	}
}

func (e *Emulator) createToken(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	var login loginBody
	if err == nil {
		err = json.Unmarshal(body, &login)
	}
	e.mu.Lock()
	e.iam.calls++
	fault := e.iam.faults.next(Call{}, e.options.Now())
	var a answer
	var secret string
	switch {
	case fault.replaces():
		a = fault.answer()
	case err != nil, !slices.Contains(login.Auth.Identity.Methods, "password"), login.Auth.Scope.Project.ID == "":
		a = iamError(http.StatusBadRequest, "The request body is invalid")
	default:
		a, secret = e.logIn(login)
	}
	e.mu.Unlock()
	if secret != "" {
		w.Header().Set("X-Subject-Token", secret)
	}
	deliver(w, r, a, fault)
}

// logIn returns IAM's answer, and the token where it gives one. The lock is held.
func (e *Emulator) logIn(login loginBody) (answer, string) {
	now, user := e.options.Now(), login.Auth.Identity.Password.User
	name, project := user.Domain.Name+"\x00"+user.Name, login.Auth.Scope.Project.ID
	known, ok := e.iam.users[name]
	switch {
	case now.Before(e.iam.locked[name]):
		return iamError(http.StatusUnauthorized, "The account is locked."), ""
	case !ok || known.Password != user.Password:
		e.iam.wrong[name]++
		if e.iam.wrong[name] > maxWrong {
			delete(e.iam.wrong, name)
			e.iam.locked[name] = now.Add(userLock)
		}
		return iamError(http.StatusUnauthorized, "The username or password is wrong."), ""
	case len(known.Projects) > 0 && !slices.Contains(known.Projects, project):
		return iamError(http.StatusNotFound, "Could not find project: "+project), ""
	}
	delete(e.iam.wrong, name)
	secret := "MII" + rand.Text() + rand.Text() + rand.Text() + "=="
	t := &token{project: project, expires: now.Add(e.options.TokenLife)}
	e.iam.tokens[secret] = t
	e.handedOut = append(e.handedOut, secret)
	return jsonAnswer(http.StatusCreated, map[string]any{"token": map[string]any{
		"expires_at": t.expires.UTC().Format(iamTime), "issued_at": now.UTC().Format(iamTime),
		"methods": []string{"password"},
		"project": map[string]any{"id": project},
		"user":    map[string]any{"name": user.Name, "domain": map[string]any{"name": user.Domain.Name}},
	}}), secret
}

func iamError(status int, message string) answer {
	return (&Fault{Status: status, Shape: NestedInt, Message: message}).answer()
}

// RevokeTokens makes all tokens dead that were handed out so far, as a new password would.
func (e *Emulator) RevokeTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.iam.tokens)
}

// Logins returns how many tokens were asked for, whatever was answered.
func (e *Emulator) Logins() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.iam.calls
}

// SetPassword changes a user's password. Tokens that were handed out stay.
func (e *Emulator) SetPassword(domain, name, password string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.iam.users[domain+"\x00"+name]
	u.Name, u.Domain, u.Password = name, domain, password
	e.iam.users[domain+"\x00"+name] = u
}

// SetLoginFaults replaces the faults of IAM and of the metadata service; none: no more faults. Their
// calls, of each of the two, and times count from now.
func (e *Emulator) SetLoginFaults(faults ...Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.iam.faults = newFaultSet(faults, e.options.Now())
	e.metadata.faults = e.iam.faults
}

// HandedOut returns every token and key that IAM and the metadata service have handed out.
func (e *Emulator) HandedOut() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.handedOut)
}
