package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A platform is what a program runs on, by Go's names.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

// head returns the commit of a clone, and when it was made.
func head(source string) (commit string, at time.Time, err error) {
	out, err := output(source, nil, "git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return "", time.Time{}, err
	}
	commit, seconds, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	return commit, time.Unix(unix, 0).UTC(), err
}

// output carries out a command in a folder and returns what it printed.
func output(dir string, env []string, name string, args ...string) ([]byte, error) {
	command := exec.Command(name, args...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", command, err, &stderr)
	}
	return out, nil
}

// env is the environment of the go command: what decides the bytes of a program is not left to this machine.
func (p platform) env() []string {
	return []string{
		"GOOS=" + p.os, "GOARCH=" + p.arch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOEXPERIMENT=",
	}
}

// flags are those of the go command and of its linker. The Dockerfile has them, too.
var flags = []string{"-trimpath", "-ldflags"}

func ldflags(version string) string { return "-s -w -X main.version=" + version }

// program returns the path of a platform's program.
func (r *release) program(p platform) string {
	return filepath.Join(r.work, "programs", p.String(), "orderwatch")
}

// build builds all programs, by the Go that the Dockerfile names. -buildvcs lets each know its commit.
func (r *release) build(docker dockerfile) error {
	version, err := output(r.source, nil, "go", "env", "GOVERSION")
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(version)); got != docker.goVersion {
		return fmt.Errorf("this is %s, and the Dockerfile builds by %s: set GOTOOLCHAIN=%s", got, docker.goVersion, docker.goVersion)
	}
	for _, p := range platforms {
		args := append(append([]string{"build"}, flags...), ldflags(r.version), "-buildvcs=true", "-o", r.program(p), "./cmd/orderwatch")
		if _, err := output(r.source, p.env(), "go", args...); err != nil {
			return err
		}
	}
	return nil
}

// pages writes the pages of the manual and the completions of shells.
func (r *release) pages() error {
	program := r.program(platform{runtime.GOOS, runtime.GOARCH})
	if _, err := output(r.work, nil, program, "man", filepath.Join(r.work, "man")); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(r.work, "completions"), 0o755); err != nil {
		return err
	}
	for shell, file := range map[string]string{"bash": "orderwatch.bash", "zsh": "_orderwatch", "fish": "orderwatch.fish"} {
		text, err := output(r.work, nil, program, "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.work, "completions", file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
