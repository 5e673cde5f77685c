// Command orderwatch waits for ModelArts orders: it takes requests from NATS, polls each order
// until it has ended, publishes a completion event, and tells people on Slack.
//
// This package reads command lines and wires the other packages together; those decide the rest. Each command has
// the file of its name, and its help is help/NAME.txt.
//
// Read main.go first, which names all commands, then
//
//   - help.go: how help is read and laid out; man.go makes manual pages of it;
//   - flags.go: the flag -o, and what is said of wrong flags;
//   - orders.go: how orders are named, how many arguments there may be, and why the service refuses a call;
//   - client.go: where NATS is, and how a command logs in;
//   - get.go: get and why; actions.go: cancel and poll; serve.go: serve, page, provision and health; status.go: status and
//     history.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(int(run(ctx, os.Args[1:], os.Stdout, os.Stderr)))
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) exit.Code {
	root := newRoot()
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	return exit.Status(root.ExecuteContext(ctx), stderr)
}

// newRoot returns the whole program, with all its commands.
func newRoot() *cobra.Command {
	root := newCommand("orderwatch", knownCommand)
	root.RunE = func(c *cobra.Command, _ []string) error { return exit.Usage(c, "name a command") }
	root.Version, root.SilenceUsage, root.SilenceErrors = programVersion(), true, true
	root.SetVersionTemplate(builtFrom().text())
	root.SuggestionsMinimumDistance = 2 // letters that may be wrong
	root.SetUsageTemplate(usageText)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return exit.Usage(c, "%w", wrongFlag(c, err)) })
	addGroup(root, "Ask and follow:", contextFlag(watchCommand(), getCommand(), whyCommand(), listCommand(), eventsCommand(), cancelCommand(), pollCommand(), renotifyCommand(), historyCommand(), statusCommand())...)
	addGroup(root, "Run:", serveCommand(), pageCommand(), demoCommand(), emulatorCommand(), healthCommand())
	const last = "Set up:"
	addGroup(root, last, append(contextFlag(provisionCommand()), doctorCommand(), routesCommand(), teamsCommand(), schemaCommand(), completionCommand(), manCommand(), versionCommand())...)
	root.SetHelpCommandGroupID(last)
	return root
}

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
