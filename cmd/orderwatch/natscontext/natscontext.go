// Package natscontext reads the contexts of the nats tool, so that a command connects as that tool does. A
// context is a file that says where NATS is and how to log in; of what it holds, errors show nothing.
//
// Read natscontext.go: [Contexts.Access] decides which file is read, options how a command logs in, and check what
// is refused.
package natscontext

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// Contexts are the contexts of the nats tool. See github.com/nats-io/jsm.go/natscontext.
type Contexts struct {
	dir string // empty where there is no home directory
}

// Find returns the contexts of the user who runs the command.
func Find() Contexts {
	if root := os.Getenv("XDG_CONFIG_HOME"); root != "" {
		return Contexts{filepath.Join(root, "nats")}
	}
	if home := homeDir(); home != "" {
		return Contexts{filepath.Join(home, ".config", "nats")}
	}
	return Contexts{}
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
	name, _ := config.ReadFile(filepath.Join(c.dir, "context.txt"), maxContextFile) // empty where it cannot be read
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

// A natsContext is what such a file says, as far as it matters for a connection.
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
	APIPrefix   string `json:"jetstream_api_prefix"`
	InboxPrefix string `json:"inbox_prefix"`

	// These are not supported.
	NSC         string `json:"nsc"`
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
	return Access{URL: cmp.Or(x.URL, nats.DefaultURL), From: fmt.Sprintf("the context %q", name), Domain: x.JSDomain, Prefix: strings.TrimSuffix(x.APIPrefix, "."), Options: options}, nil
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
	type field struct {
		name  string
		value *string
	}
	for _, f := range []field{
		{"nsc", &x.NSC}, {"socks_proxy", &x.SocksProxy}, {"windows_cert_store", &x.WindowsCert},
	} {
		if *f.value != "" {
			return fmt.Errorf("orderwatch does not support %s: use another context, or ORDERWATCH_NATS_URL", f.name)
		}
	}
	if x.JSDomain != "" && x.APIPrefix != "" {
		return errors.New("jetstream_domain and jetstream_api_prefix contradict each other: keep one")
	}
	for _, f := range []field{{"password", &x.Password}, {"token", &x.Token}, {"user_jwt", &x.UserJWT}, {"user_seed", &x.UserSeed}} {
		if scheme := reference(*f.value); scheme != "" {
			return fmt.Errorf("%s: orderwatch does not look up %s: references; write the value itself, or use a creds file", f.name, scheme)
		}
	}
	for _, f := range []field{{"creds", &x.Creds}, {"nkey", &x.NKey}, {"cert", &x.Cert}, {"key", &x.Key}, {"ca", &x.CA}} {
		*f.value = expandPath(*f.value)
		if scheme := reference(*f.value); scheme != "" {
			return fmt.Errorf("%s: orderwatch does not look up %s: references; name a file", f.name, scheme)
		}
		if *f.value == "" {
			continue
		}
		if why := config.CheckFile(*f.value); why != "" {
			return fmt.Errorf("%s: %s", f.name, why)
		}
	}
	return nil
}

// reference returns the scheme of a value that stands for a secret kept elsewhere.
func reference(value string) string {
	scheme, _, found := strings.Cut(value, ":")
	scheme = strings.ToLower(scheme)
	if found && slices.Contains([]string{"op", "nsc", "env", "data", "file"}, scheme) {
		return scheme
	}
	return ""
}

// expandPath returns the path that the nats tool means: with ~, variables and file:// filled in.
func expandPath(path string) string {
	path = os.ExpandEnv(path)
	if n := len("file://"); len(path) >= n && strings.EqualFold(path[:n], "file://") {
		path = path[n:]
	}
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		path = homeDir() + rest
	}
	return path
}

// An Access says where NATS is for a command, and how to log in.
type Access struct {
	URL     string
	From    string // what says so, as people would look for it
	Domain  string // of JetStream; empty for the server's own
	Prefix  string // of JetStream's API, where it is imported under another name; without a dot at the end
	Options []nats.Option
}
