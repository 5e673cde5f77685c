package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// A dockerfile is what the release takes from the Dockerfile, so that the two cannot differ.
type dockerfile struct {
	goVersion string    // such as go1.26.8
	config    v1.Config // of the last stage, upon its base's
}

// readDockerfile reads the Dockerfile by BuildKit's own parser, and refuses what the image of a release would not have.
func readDockerfile(path string) (dockerfile, error) {
	var d dockerfile
	file, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return d, err
	}
	var warnings []string
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, text string, _ []parser.Range) {
		warnings = append(warnings, rule+": "+text)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return d, err
	}
	for _, w := range parsed.Warnings {
		warnings = append(warnings, w.Short)
	}
	if len(warnings) > 0 {
		return d, fmt.Errorf("the Dockerfile: %s", strings.Join(warnings, "; "))
	}
	if len(stages) != 2 {
		return d, fmt.Errorf("the Dockerfile has %d stages; the release knows two", len(stages))
	}
	if err := d.readBuild(stages[0]); err != nil {
		return d, err
	}
	return d, d.readImage(stages[1])
}

// readBuild reads which Go builds the program, and holds that it does so as the release does.
func (d *dockerfile) readBuild(stage instructions.Stage) error {
	version, ok := strings.CutPrefix(stage.BaseName, "golang:")
	if !ok {
		return fmt.Errorf("the Dockerfile builds in %s, and not by golang of a version", stage.BaseName)
	}
	d.goVersion = "go" + version
	want := fmt.Sprintf(`CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build %s %q -o /orderwatch ./cmd/orderwatch`,
		strings.Join(flags, " "), ldflags("$VERSION"))
	for _, c := range stage.Commands {
		if run, ok := c.(*instructions.RunCommand); ok && strings.Join(strings.Fields(strings.Join(run.CmdLine, " ")), " ") == want {
			return nil
		}
	}
	return fmt.Errorf("the Dockerfile does not build the program as the release does: RUN %s", want)
}

// readImage reads the configuration of the image.
func (d *dockerfile) readImage(stage instructions.Stage) error {
	if stage.BaseName != baseName {
		return fmt.Errorf("the Dockerfile's image begins with %s; root.go makes what %s has", stage.BaseName, baseName)
	}
	d.config = baseConfig()
	copied := false
	for _, c := range stage.Commands {
		switch c := c.(type) {
		case *instructions.CopyCommand:
			copied = c.From == "build" && c.DestPath == "/orderwatch" && slices.Equal(c.SourcePaths, []string{"/orderwatch"})
		case *instructions.UserCommand:
			d.config.User = c.User
		case *instructions.EnvCommand:
			for _, pair := range c.Env {
				d.config.Env = append(d.config.Env, pair.Key+"="+pair.Value)
			}
		case *instructions.ExposeCommand:
			d.config.ExposedPorts = make(map[string]struct{})
			for _, port := range c.Ports {
				d.config.ExposedPorts[port+"/tcp"] = struct{}{}
			}
		case *instructions.HealthCheckCommand:
			d.config.Healthcheck = &v1.HealthConfig{
				Test: c.Health.Test, Interval: c.Health.Interval, Timeout: c.Health.Timeout, StartPeriod: c.Health.StartPeriod, Retries: c.Health.Retries,
			}
		case *instructions.EntrypointCommand:
			d.config.Entrypoint = c.CmdLine
		case *instructions.CmdCommand:
			d.config.Cmd = c.CmdLine
		default:
			return fmt.Errorf("the release does not know the Dockerfile's %s", c.Name())
		}
	}
	if !copied {
		return fmt.Errorf("the Dockerfile's image does not get /orderwatch alone from the stage build")
	}
	return nil
}
