// Package natscontext reads the contexts of the nats tool, so that a command connects as that tool does. A
// context is a file that says where NATS is and how to log in; of what it holds, errors show nothing.
package natscontext

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// Contexts are the contexts of the nats tool: files that say how to connect. dir is empty where
// there is no home directory. See github.com/nats-io/jsm.go/natscontext.
type Contexts struct{ dir string }

// Find returns the contexts of whoever runs the command.
func Find() Contexts {
	root := os.Getenv("XDG_CONFIG_HOME")
	if root == "" {
		home := homeDir()
		if home == "" {
			return Contexts{}
		}
		root = filepath.Join(home, ".config")
	}
	return Contexts{filepath.Join(root, "nats")}
}

// homeDir returns the user's home directory, empty where there is none.
func homeDir() string {
	if home, err := os.UserHomeDir(); err == nil {
		return home
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// maxContextFile is the most that a file of the nats tool holds, in bytes.
const maxContextFile = 64 << 10

// Selected returns the name of the context that is selected, empty for none.
func (c Contexts) Selected() string {
	if c.dir == "" {
		return ""
	}
	name, err := config.ReadFile(filepath.Join(c.dir, "context.txt"), maxContextFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// Names returns the names of all contexts, in the order of the alphabet.
func (c Contexts) Names() []string {
	if c.dir == "" {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(c.dir, "context", "*.json")) // fails for a bad pattern alone
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".json")
	}
	return files
}

// Known ends a sentence with the names of the contexts.
func (c Contexts) Known() string {
	if names := c.Names(); len(names) > 0 {
		return "; there are " + output.Clean(strings.Join(names, ", "))
	}
	return "; there is none in " + filepath.Join(c.dir, "context")
}

// A natsContext is what such a file says, as far as it matters for a connection. Fields that are
// missing here say how the nats tool shows things.
type natsContext struct {
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Token       string `json:"token"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	UserJWT     string `json:"user_jwt"`
	UserSeed    string `json:"user_seed"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	TLSFirst    bool   `json:"tls_first"`
	JSDomain    string `json:"jetstream_domain"`
	InboxPrefix string `json:"inbox_prefix"`

	// These are not supported.
	NSC         string `json:"nsc"`
	APIPrefix   string `json:"jetstream_api_prefix"`
	SocksProxy  string `json:"socks_proxy"`
	WindowsCert string `json:"windows_cert_store"`
}

// Access returns how the named context connects.
func (c Contexts) Access(name string) (Access, error) {
	if name == "" || strings.ContainsAny(name, `/\`) || strings.Contains(name, "..") {
		return Access{}, fmt.Errorf("%q is no name of a context of the nats tool%s", name, c.Known())
	}
	path := filepath.Join(c.dir, "context", name+".json")
	text, err := config.ReadFile(path, maxContextFile)
	if errors.Is(err, fs.ErrNotExist) || c.dir == "" {
		return Access{}, fmt.Errorf("there is no context %q of the nats tool%s", name, c.Known())
	}
	if err != nil {
		return Access{}, fmt.Errorf("read the context of the nats tool: %w", err)
	}
	var x natsContext
	if json.Unmarshal(text, &x) != nil { // its error could show what stands there
		return Access{}, fmt.Errorf("%s is no context: it must be a JSON object as `nats context add` writes it", path)
	}
	options, err := x.options()
	if err != nil {
		return Access{}, fmt.Errorf("context %q (%s): %w", name, path, err)
	}
	if x.URL == "" {
		x.URL = nats.DefaultURL
	}
	return Access{URL: x.URL, From: fmt.Sprintf("the context %q", name), Domain: x.JSDomain, Options: options}, nil
}

// Options returns how to log in, in the order in which the nats tool looks at the fields.
func (x natsContext) options() (options []nats.Option, err error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	switch {
	case x.User != "":
		options = append(options, nats.UserInfo(x.User, x.Password))
	case x.Creds != "":
		options = append(options, nats.UserCredentials(x.Creds))
	case x.NKey != "":
		nkey, err := nats.NkeyOptionFromSeed(x.NKey)
		if err != nil {
			return nil, errors.New("nkey: the file holds no seed of a user's nkey")
		}
		options = append(options, nkey)
	case x.UserJWT != "" && x.UserSeed != "":
		options = append(options, nats.UserJWTAndSeed(x.UserJWT, x.UserSeed))
	case x.UserJWT != "":
		bearer := func() (string, error) { return x.UserJWT, nil }
		options = append(options, nats.UserJWT(bearer, func([]byte) ([]byte, error) { return nil, nil }))
	}
	if x.Token != "" {
		options = append(options, nats.Token(x.Token))
	}
	if x.Cert != "" && x.Key != "" {
		options = append(options, nats.ClientCert(x.Cert, x.Key))
	}
	if x.CA != "" {
		options = append(options, nats.RootCAs(x.CA))
	}
	if x.TLSFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	if x.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(x.InboxPrefix))
	}
	return options, nil
}

// check refuses what is not supported, and expands the paths.
func (x *natsContext) check() error {
	for _, field := range [...]struct{ name, value string }{
		{"nsc", x.NSC}, {"jetstream_api_prefix", x.APIPrefix}, {"socks_proxy", x.SocksProxy}, {"windows_cert_store", x.WindowsCert},
	} {
		if field.value != "" {
			return fmt.Errorf("orderwatch does not support %s: use another context, or ORDERWATCH_NATS_URL", field.name)
		}
	}
	for _, field := range [...]struct {
		name  string
		value string
	}{
		{"password", x.Password}, {"token", x.Token}, {"user_jwt", x.UserJWT}, {"user_seed", x.UserSeed},
	} {
		if scheme := reference(field.value); scheme != "" {
			return fmt.Errorf("%s: orderwatch does not look up %s: references; write the value itself, or use a creds file", field.name, scheme)
		}
	}
	for _, field := range [...]struct {
		name string
		path *string
	}{
		{"creds", &x.Creds}, {"nkey", &x.NKey}, {"cert", &x.Cert}, {"key", &x.Key}, {"ca", &x.CA},
	} {
		*field.path = expandPath(*field.path)
		if scheme := reference(*field.path); scheme != "" {
			return fmt.Errorf("%s: orderwatch does not look up %s: references; name a file", field.name, scheme)
		}
		if *field.path == "" {
			continue
		}
		if why := config.CheckFile(*field.path); why != "" {
			return fmt.Errorf("%s: %s", field.name, why)
		}
	}
	return nil
}

// reference returns the scheme of a value that stands for a secret kept elsewhere.
func reference(value string) string {
	scheme, _, _ := strings.Cut(value, ":")
	switch scheme = strings.ToLower(scheme); scheme {
	case "op", "nsc", "env", "data", "file":
		if strings.Contains(value, ":") {
			return scheme
		}
	}
	return ""
}

// expandPath returns the path that the nats tool means: with ~, variables and file:// filled in.
func expandPath(path string) string {
	path = os.ExpandEnv(path)
	if len(path) >= len("file://") && strings.EqualFold(path[:len("file://")], "file://") {
		path = path[len("file://"):]
	}
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		path = homeDir() + rest
	}
	return path
}

// A Access says where NATS is for a command, and how to log in.
type Access struct {
	URL     string
	From    string // what says so, as people would look for it
	Domain  string // of JetStream; empty for the server's own
	Options []nats.Option
}
