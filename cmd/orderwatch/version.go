package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
)

// version is stamped by the build: -ldflags "-X main.version=1.2.3".
var version string

// programVersion returns the stamped version, or the module's as Go's build wrote it.
func programVersion() string {
	if version != "" {
		return version
	}
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "(devel)"
}

// A build is what this program was built from.
type build struct {
	Version     string `json:"version"`
	Commit      string `json:"commit,omitempty"`       // in full; empty where the build did not see a repository
	CommittedAt string `json:"committed_at,omitempty"` // by RFC 3339
	Modified    bool   `json:"modified,omitempty"`     // the sources were not those of the commit
	Go          string `json:"go"`
	Platform    string `json:"platform"` // such as linux/amd64
}

// builtFrom reads what Go's build wrote into the program.
func builtFrom() build {
	b := build{Version: programVersion(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.time":
				b.CommittedAt = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	return b
}

func (b build) text() string {
	text := fmt.Sprintf("orderwatch %s %s %s\n", b.Version, b.Go, b.Platform)
	if b.Commit != "" {
		text += "commit " + b.Commit + " of " + b.CommittedAt
		if b.Modified {
			text += ", and changes that are in no commit"
		}
		text += "\n"
	}
	return text
}

func versionCommand() *cobra.Command {
	command := newCommand("version", exit.NoArguments)
	outputFlag(command)
	command.RunE = func(c *cobra.Command, _ []string) error {
		built := builtFrom()
		return printed(c, built, func(show.Page) string { return built.text() })
	}
	return command
}
