package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// scriptsFolder is where the sources have the scripts of others that the page's screens load, their licences and sums.
const scriptsFolder = "cmd/orderwatch/page/screens/static"

// mayContain are the licences of what a program may contain. Another one wants a look: does it ask for more than its text?
var mayContain = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// sboms writes for each platform what its program contains, as CycloneDX: the modules and Go itself by cyclonedx-gomod,
// and the scripts of the page.
func (r *release) sboms() error {
	scripts, err := r.scripts()
	if err != nil {
		return err
	}
	for _, p := range platforms {
		path := filepath.Join(r.out, r.name(p.String()+".cdx.json"))
		_, err := output(r.source, p.env(), "cyclonedx-gomod", "app", "-json", "-licenses", "-std", "-noserial", "-notimestamp",
			"-main", "cmd/orderwatch", "-output", path, ".")
		if err != nil {
			return err
		}
		if err := r.complete(path, scripts); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// complete mends a bill of materials, and looks at its licences.
func (r *release) complete(path string, scripts []any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var bom map[string]any
	if err := json.Unmarshal(text, &bom); err != nil {
		return err
	}
	metadata, _ := bom["metadata"].(map[string]any)
	program, ok := metadata["component"].(map[string]any)
	if !ok {
		return errors.New("it names no program")
	}
	program["version"] = r.version // cyclonedx-gomod gives a program without a tag another version than the program itself says
	program["licenses"] = licensedAs("Apache-2.0")
	for _, tool := range list(metadata["tools"]) {
		delete(tool.(map[string]any), "hashes") // cyclonedx-gomod's own: other machines may build it otherwise
	}
	components := append(list(bom["components"]), scripts...)
	bom["components"] = components
	for _, c := range components {
		if err := r.licensed(c.(map[string]any)); err != nil {
			return err
		}
	}
	if text, err = json.MarshalIndent(bom, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// list returns a list of JSON; none where the value is none.
func list(value any) []any {
	all, _ := value.([]any)
	return all
}

// licensed gives a component the licences that its texts hold, and returns an error where it has none, or one that it may not have.
// cyclonedx-gomod names one licence at most for each module, none for Go, and for golang.org/x/… another one: its word counts
// where no text is known.
func (r *release) licensed(component map[string]any) error {
	name, version := fmt.Sprint(component["name"]), fmt.Sprint(component["version"])
	of := name + " " + version
	if name == "std" {
		of = goName
	}
	if ids := r.ids[of]; len(ids) > 0 {
		delete(component, "evidence")
		component["licenses"] = licensedAs(ids...)
	}
	evidence, _ := component["evidence"].(map[string]any)
	licences := append(list(component["licenses"]), list(evidence["licenses"])...)
	if len(licences) == 0 {
		return fmt.Errorf("%s has no licence", name)
	}
	for _, l := range licences {
		id := ""
		if choice, ok := l.(map[string]any)["license"].(map[string]any); ok {
			id = fmt.Sprint(choice["id"])
		}
		if !slices.Contains(mayContain, id) {
			return fmt.Errorf("the licence %q of %s is none of %v", id, name, mayContain)
		}
	}
	return nil
}

// licensedAs returns licences as CycloneDX says them.
func licensedAs(ids ...string) (all []any) {
	for _, id := range ids {
		all = append(all, map[string]any{"license": map[string]any{"id": id}})
	}
	return all
}

// scriptSum matches a line of SHA256SUMS: a script's sum, its name and version.
var scriptSum = regexp.MustCompile(`(?m)^([0-9a-f]{64})  ([a-z-]+)-(\d+\.\d+\.\d+)\.min\.js$`)

// scriptNames are the names in npm of the scripts of the page.
var scriptNames = map[string]string{"htmx": "htmx.org", "htmx-ext-sse": "htmx-ext-sse", "idiomorph-ext": "idiomorph"}

// scripts returns the scripts of the page as components.
func (r *release) scripts() ([]any, error) {
	sums, err := os.ReadFile(filepath.Join(r.source, scriptsFolder, "SHA256SUMS"))
	if err != nil {
		return nil, err
	}
	var all []any
	for _, match := range scriptSum.FindAllStringSubmatch(string(sums), -1) {
		name := scriptNames[match[2]]
		if name == "" {
			return nil, fmt.Errorf("the script %s has no name in npm: add it to scriptNames", match[2])
		}
		purl := "pkg:npm/" + name + "@" + match[3]
		all = append(all, map[string]any{
			"bom-ref": purl, "type": "library", "name": name, "version": match[3], "purl": purl,
			"hashes":   []any{map[string]any{"alg": "SHA-256", "content": match[1]}},
			"licenses": licensedAs("0BSD"),
		})
	}
	if want := strings.Count(string(sums), ".js\n"); len(all) != want || want == 0 {
		return nil, fmt.Errorf("%s/SHA256SUMS has %d scripts, of which %d can be read", scriptsFolder, want, len(all))
	}
	return all, nil
}
