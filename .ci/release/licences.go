package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licenceFile matches the names of files that say under which conditions a program may be given to others, and who wrote it.
var licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|notice|patents|copyright)\b[^/]*$|\.LICENSE$`)

// licencesName is the file with the licences, in archives and in the image.
const licencesName = "THIRD-PARTY-LICENSES.txt"

const goName = "Go and its standard library"

// licenceWords are words that a licence has and no other, by SPDX's names.
var licenceWords = map[string]string{
	"AGPL-3.0":     "GNU AFFERO GENERAL PUBLIC LICENSE",
	"Apache-2.0":   "Apache License",
	"BSD-2-Clause": "Redistribution and use in source and binary forms",
	"GPL":          "GNU GENERAL PUBLIC LICENSE",
	"LGPL":         "GNU LESSER GENERAL PUBLIC LICENSE",
	"MIT":          "Permission is hereby granted, free of charge",
	"MPL-2.0":      "Mozilla Public License",
}

// idsOf returns which licences a text holds: one file may hold several.
func idsOf(text string) (ids []string) {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	for id, words := range licenceWords {
		if strings.Contains(text, strings.ToLower(words)) {
			if id == "BSD-2-Clause" && (strings.Contains(text, "neither the name") || strings.Contains(text, "may not be used to endorse")) {
				id = "BSD-3-Clause"
			}
			ids = append(ids, id)
		}
	}
	return ids
}

// licences writes the licences of all that the programs contain of others, as these ask of those who pass a program on:
// each text once, below the names of those whose it is.
func (r *release) licences() error {
	texts := make(map[string]map[string]bool) // who has a text
	add := func(name, path string) error {
		text, err := os.ReadFile(path)
		clean := strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
		if texts[clean] == nil {
			texts[clean] = make(map[string]bool)
		}
		texts[clean][name] = true
		return err
	}
	for _, p := range platforms {
		packages, err := r.packages(p)
		if err != nil {
			return err
		}
		for _, p := range packages {
			if p.Module == nil || p.Module.Main {
				continue
			}
			if err := licencesOf(p, add); err != nil {
				return err
			}
		}
	}
	root, err := output(r.source, nil, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	for _, file := range []string{"LICENSE", "PATENTS"} {
		if err := add(goName, filepath.Join(strings.TrimSpace(string(root)), file)); err != nil {
			return err
		}
	}
	r.ids = make(map[string][]string)
	for text, who := range texts {
		for name := range who {
			r.ids[name] = slices.Compact(slices.Sorted(slices.Values(append(r.ids[name], idsOf(text)...))))
		}
	}
	scripts, err := filepath.Glob(filepath.Join(r.source, scriptsFolder, "*.LICENSE"))
	if err != nil || len(scripts) == 0 {
		return fmt.Errorf("%s has no *.LICENSE: %w", scriptsFolder, err)
	}
	for _, path := range scripts {
		if err := add(strings.TrimSuffix(filepath.Base(path), ".LICENSE")+" (script of the page)", path); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.work, licencesName), written(texts), 0o644)
}

// A goPackage is what go list says of a package.
type goPackage struct {
	ImportPath, Dir string
	Module          *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{}
	}
}

// packages returns the packages that a platform's program contains.
func (r *release) packages(p platform) ([]goPackage, error) {
	out, err := output(r.source, p.env(), "go", "list", "-deps", "-json=ImportPath,Dir,Module", "./cmd/orderwatch")
	if err != nil {
		return nil, err
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// licencesOf adds the texts of a package: those of its folder, and of each above it up to its module's.
func licencesOf(p goPackage, add func(name, path string) error) error {
	found := false
	for dir := p.Dir; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Type() != fs.ModeDir && licenceFile.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
				if err := add(p.Module.Path+" "+p.Module.Version, filepath.Join(dir, e.Name())); err != nil {
					return err
				}
				found = true
			}
		}
		if dir == p.Module.Dir {
			break
		}
	}
	if !found {
		return fmt.Errorf("%s has no licence", p.Module.Path)
	}
	return nil
}

// written returns the page of all texts, in the order of their owners.
func written(texts map[string]map[string]bool) []byte {
	owners := make(map[string]string)
	for text, who := range texts {
		owners[text] = strings.Join(slices.Sorted(maps.Keys(who)), "\n")
	}
	var b bytes.Buffer
	b.WriteString("orderwatch contains software of others. These are their licences and notices.\n")
	line := strings.Repeat("=", 80)
	for _, text := range slices.SortedFunc(maps.Keys(texts), func(a, b string) int {
		return strings.Compare(owners[a]+"\x00"+a, owners[b]+"\x00"+b)
	}) {
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s\n", line, owners[text], line, text)
	}
	return b.Bytes()
}
