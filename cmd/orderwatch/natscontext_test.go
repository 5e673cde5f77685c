package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
)

// A home holds contexts of the nats tool.
type home string

// write writes a context.
func (h home) write(t *testing.T, name string, fields map[string]any) {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	h.file(t, filepath.Join("context", name+".json"), string(text))
}

func (h home) file(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(string(h), "nats", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// list carries out a command that needs NATS.
func (h home) list(t *testing.T, env []string, args ...string) rig.Waited {
	t.Helper()
	return rig.CarryOut(t, append([]string{"XDG_CONFIG_HOME=" + string(h), "SECRETS=" + string(h)}, env...), append([]string{"events"}, args...)...)
}

// loggedIn is what is said where the login is right: there is no worker.
const loggedIn = "there is no stream ORDER_EVENTS"

// TestContexts logs in as contexts say, in each way there is.
func TestContexts(t *testing.T) {
	t.Parallel()
	h := home(t.TempDir())
	user := guarded.NewKey(t, nkeys.CreateUser)
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	h.file(t, "user.nk", string(seed))
	named := guarded.Start(t, guarded.Users(fmt.Sprintf(`
		{ user: ann, password: planted-ann, permissions: { subscribe: { allow: ["_INBOX_of_ann.>"] } } }
		{ nkey: %s }
	`, guarded.PublicKey(t, user))), nats.UserInfo("admin", "planted-admin"))
	token := rig.StartNATS(t, "planted-token")
	a := guarded.NewAuthority(t)
	admin := filepath.Join(t.TempDir(), "admin.creds")
	a.Issue(t, admin, 0)
	a.Issue(t, filepath.Join(string(h), "user.creds"), 0)
	account := guarded.Start(t, a.Rules(t), nats.UserCredentials(admin))
	creds, err := os.ReadFile(admin)
	if err != nil {
		t.Fatal(err)
	}
	userJWT, err := nkeys.ParseDecoratedJWT(creds)
	if err != nil {
		t.Fatal(err)
	}
	key, err := nkeys.ParseDecoratedNKey(creds)
	if err != nil {
		t.Fatal(err)
	}
	userSeed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}

	for name, tt := range map[string]struct {
		fields map[string]any
		says   string
	}{
		"user":            {map[string]any{"url": named.URL, "user": "ann", "password": "planted-ann", "inbox_prefix": "_INBOX_of_ann", "description": "x", "color_scheme": "blue", "new": 1}, loggedIn},
		"another-inbox":   {map[string]any{"url": named.URL, "user": "ann", "password": "planted-ann"}, `NATS does not let this user subscribe to "_INBOX.`},
		"wrong-password":  {map[string]any{"url": named.URL, "user": "ann", "password": "planted-wrong"}, "the login is refused by NATS"},
		"nkey":            {map[string]any{"url": named.URL, "nkey": "$SECRETS/nats/user.nk"}, loggedIn},
		"token":           {map[string]any{"url": token.URL, "token": "planted-token"}, loggedIn},
		"token-in-url":    {map[string]any{"url": strings.Replace(token.URL, "://", "://planted-token@", 1)}, loggedIn},
		"wrong-in-url":    {map[string]any{"url": strings.Replace(token.URL, "://", "://planted-wrong@", 1)}, "refused by NATS at " + token.URL},
		"creds":           {map[string]any{"url": account.URL, "creds": "file://" + filepath.Join(string(h), "user.creds")}, loggedIn},
		"jwt":             {map[string]any{"url": account.URL, "user_jwt": userJWT, "user_seed": string(userSeed)}, loggedIn},
		"two-servers":     {map[string]any{"url": "nats://" + rig.FreeAddr(t) + "," + token.URL, "token": "planted-token"}, loggedIn},
		"nobody":          {map[string]any{"url": "nats://planted-user:planted-password@" + rig.FreeAddr(t)}, "no answer from NATS at nats://127.0.0.1:"},
		"nsc":             {map[string]any{"nsc": "nsc://o/a/u"}, "does not support nsc"},
		"prefix":          {map[string]any{"url": token.URL, "token": "planted-token", "jetstream_api_prefix": "x.API", "jetstream_domain": "x"}, "contradict each other"},
		"proxy":           {map[string]any{"url": token.URL, "socks_proxy": "socks5://planted@x"}, "does not support socks_proxy"},
		"elsewhere":       {map[string]any{"url": token.URL, "token": "op://vault/planted"}, "token: orderwatch does not look up op: references"},
		"creds-elsewhere": {map[string]any{"url": token.URL, "creds": "data:;base64,planted"}, "creds: orderwatch does not look up data: references"},
		"no-creds":        {map[string]any{"url": token.URL, "creds": "~/none.creds"}, "none.creds"},
		"no-seed":         {map[string]any{"url": token.URL, "nkey": filepath.Join(string(h), "nats", "context", "user.json")}, "holds no seed"},
		"no-ca":           {map[string]any{"url": token.URL, "ca": "/none/ca.pem"}, "/none/ca.pem"},
	} {
		h.write(t, name, tt.fields)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := h.list(t, nil, "--context", name)
			if got.Code != 1 || !strings.Contains(got.Err, tt.says) || strings.Count(got.Err, "\n") > 2 {
				t.Errorf("exit code %d, want 1 and %q in\n%s", got.Code, tt.says, got.Err)
			}
			if strings.Contains(got.Err, "planted") || strings.Contains(got.Err, userJWT) || strings.Contains(got.Err, string(userSeed)) {
				t.Errorf("a secret came out: %s", got.Err)
			}
		})
	}
}

// TestContextTLS connects with certificates, to a server that wants the handshake first.
func TestContextTLS(t *testing.T) {
	t.Parallel()
	h, dir := home(t.TempDir()), t.TempDir()
	ca, caKey := writeCertificate(t, dir, "ca", nil, nil)
	writeCertificate(t, dir, "server", ca, caKey)
	writeCertificate(t, dir, "client", ca, caKey)
	file := func(name string) string { return filepath.Join(dir, name+".pem") }
	tls := fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true, handshake_first: true }\n", file("server"), file("server-key"), file("ca"))
	g := guarded.Start(t, tls, nats.ClientCert(file("client"), file("client-key")), nats.RootCAs(file("ca")), nats.TLSHandshakeFirst())
	all := map[string]any{"url": g.URL, "cert": file("client"), "key": file("client-key"), "ca": file("ca"), "tls_first": true}
	without := func(field string) map[string]any {
		fields := make(map[string]any)
		for name, value := range all {
			if name != field {
				fields[name] = value
			}
		}
		return fields
	}
	for name, tt := range map[string]struct {
		fields map[string]any
		says   string
	}{
		"all":        {all, loggedIn},
		"no-cert":    {without("cert"), "NATS at nats://"},
		"no-ca":      {without("ca"), "certificate signed by unknown authority"},
		"not-first":  {without("tls_first"), "NATS at nats://"},
		"lost-files": {map[string]any{"url": g.URL, "cert": file("none"), "key": file("client-key")}, "cert: "},
	} {
		h.write(t, name, tt.fields)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := h.list(t, nil, "--context", name); got.Code != 1 || !strings.Contains(got.Err, tt.says) {
				t.Errorf("exit code %d, want 1 and %q in\n%s", got.Code, tt.says, got.Err)
			}
		})
	}
}

// writeCertificate writes a certificate, as it is after the changes, and its key: an authority's where none is given.
func writeCertificate(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey, changes ...func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: ca == nil, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, change := range changes {
		change(certificate)
	}
	if ca == nil {
		ca, caKey = certificate, key
	}
	signed, err := x509.CreateCertificate(rand.Reader, certificate, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name: {Type: "CERTIFICATE", Bytes: signed}, name + "-key": {Type: "EC PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(dir, file+".pem"), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// TestContextChosen looks at which context is taken.
func TestContextChosen(t *testing.T) {
	t.Parallel()
	none, h := home(t.TempDir()), home(t.TempDir())
	right, wrong := rig.StartNATS(t, ""), "nats://"+rig.FreeAddr(t)
	h.write(t, "right", map[string]any{"url": right.URL})
	h.write(t, "wrong", map[string]any{"url": wrong})
	h.file(t, "context/broken.json", "planted {")
	h.file(t, "context.txt", "right\n")
	environment := func(url string) []string { return []string{"ORDERWATCH_NATS_URL=" + url} }
	for _, tt := range []struct {
		name string
		home home
		env  []string
		args []string
		says string
	}{
		{name: "the selected one", home: h, says: loggedIn},
		{name: "the named one", home: h, args: []string{"--context", "wrong"}, says: `which the context "wrong" names`},
		{name: "the environment before the selected one", home: h, env: environment(wrong), says: "which ORDERWATCH_NATS_URL names"},
		{name: "the named one before the environment", home: h, env: environment(wrong), args: []string{"--context=right"}, says: loggedIn},
		{name: "half an environment", home: h, env: []string{"ORDERWATCH_NATS_TOKEN=planted"}, says: "ORDERWATCH_NATS_TOKEN is: set it"},
		{name: "one that is not there", home: h, args: []string{"--context", "left"}, says: `no context "left" of the nats tool; there are broken, right, wrong`},
		{name: "a path", home: h, args: []string{"--context", "../context"}, says: "no name of a context"},
		{name: "no JSON", home: h, args: []string{"--context", "broken"}, says: "must be a JSON object"},
		{name: "none at all", home: none, says: "Set ORDERWATCH_NATS_URL, or name a context"},
		{name: "none at all, but named", home: none, args: []string{"--context", "right"}, says: "there is none in"},
	} {
		got := tt.home.list(t, tt.env, tt.args...)
		if got.Code != 1 || !strings.Contains(got.Err, tt.says) || strings.Contains(got.Err, "planted") {
			t.Errorf("%s: exit code %d, want 1 and %q in\n%s", tt.name, got.Code, tt.says, got.Err)
		}
	}
	// The right one's stream is not in another domain.
	if _, err := right.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDER_EVENTS", Subjects: []string{"orders.>"}}); err != nil {
		t.Fatal(err)
	}
	h.write(t, "elsewhere", map[string]any{"url": right.URL, "jetstream_domain": "hub"})
	if got := h.list(t, nil); got.Code != 0 {
		t.Errorf("exit code %d: %s", got.Code, got.Err)
	}
	if got := h.list(t, nil, "--context", "elsewhere"); got.Code != 1 || !strings.Contains(got.Err, loggedIn) {
		t.Errorf("in another domain: exit code %d: %s", got.Code, got.Err)
	}

	got := rig.CarryOut(t, []string{"XDG_CONFIG_HOME=" + string(h)}, "__complete", "events", "--context", "")
	if !strings.HasPrefix(got.Out, "broken\nelsewhere\nright\nwrong\n") {
		t.Errorf("completion of --context: %q", got.Out)
	}
}
