package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
)

// TestNoFile gives every variable and flag that names a file something that is none: nothing waits, and the
// error says what it is.
func TestNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, what := range map[string]string{"/dev/zero": "a device", pipe: "a pipe", t.TempDir(): "a directory"} {
		for _, v := range []string{
			"NATS_PASSWORD_FILE", "NATS_TOKEN_FILE", "NATS_CREDS_FILE", "NATS_NKEY_FILE", "NATS_CA_FILE", "NATS_CERT_FILE", "NATS_KEY_FILE",
			"MODELARTS_TOKEN_FILE", "MODELARTS_ACCESS_KEY_FILE", "MODELARTS_SECRET_KEY_FILE", "MODELARTS_SECURITY_TOKEN_FILE", "MODELARTS_PASSWORD_FILE",
			"MODELARTS_CA_FILE", "SLACK_TOKEN_FILE", "SLACK_WEBHOOK_URL_FILE", "SLACK_ROUTES_FILE", "TEAMS_FILE",
		} {
			t.Run(v+" "+what, func(t *testing.T) {
				t.Setenv("ORDERWATCH_"+v, path)
				if _, err := config.Load(); err == nil || !strings.Contains(err.Error(), "ORDERWATCH_"+v+`: "`+path+`": is `+what+", not a file") {
					t.Errorf("got %v", err)
				}
			})
		}
		if code, out, errs := routesTest(t, "--file", path, "p/o"); code != exit.Trouble || out != "" || !strings.Contains(errs, "is "+what+", not a file") {
			t.Errorf("routes test: code %d, %q, %q", code, out, errs)
		}
	}
}

// TestNoContextFile gives the contexts of the nats tool files that are none.
func TestNoContextFile(t *testing.T) {
	root := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", root)
	dir := filepath.Join(root, "nats", "context")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"zero.json": "/dev/zero", "../context.txt": "/dev/zero"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "creds.json"), []byte(`{"creds": "/dev/zero"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"--context", "zero"}, "is a device, not a file"},
		{[]string{"--context", "pipe"}, "is a pipe, not a file"},
		{[]string{"--context", "creds"}, `creds: "/dev/zero": is a device, not a file`},
		{nil, "where is NATS?"}, // the selected context cannot be read
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), append([]string{"list"}, tt.args...), &out, &errs)
		if code != exit.Trouble || !strings.Contains(errs.String(), tt.says) {
			t.Errorf("%q: code %d, %s", tt.args, code, &errs)
		}
	}
}
