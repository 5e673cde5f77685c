package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of what is the same in all releases.
var epoch = time.Unix(0, 0).UTC()

// images writes the image for each platform of Linux: all of them as an OCI layout in one archive, each in one that docker
// load takes, too, and the digest by which registries know them together.
func (r *release) images(docker dockerfile) error {
	base, err := r.baseLayer()
	if err != nil {
		return err
	}
	annotations := map[string]string{
		"org.opencontainers.image.title":    "orderwatch",
		"org.opencontainers.image.version":  r.version,
		"org.opencontainers.image.revision": r.commit,
		"org.opencontainers.image.created":  r.at.Format(time.RFC3339),
		"org.opencontainers.image.source":   "https://github.com/orderwatch/orderwatch",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		if p.os != "linux" {
			continue
		}
		image, err := r.image(p, docker.config, base, annotations)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        plain{image},
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch}},
		})
		folder, err := r.layout(p.String(), func(to layout.Path, name layout.Option) error { return to.AppendImage(image, name) })
		if err != nil {
			return err
		}
		if err := r.forDocker(folder, image); err != nil {
			return err
		}
		if err := r.wrap(folder, "image_"+p.String()+".tar"); err != nil {
			return err
		}
	}
	index = mutate.Annotations(index, annotations).(v1.ImageIndex)
	folder, err := r.layout("all", func(to layout.Path, name layout.Option) error { return to.AppendIndex(index, name) })
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.out, r.name("image.digest")), []byte(digest.String()+"\n"), 0o644); err != nil {
		return err
	}
	return r.wrap(folder, "image.tar")
}

// plain is an image whose descriptor in an index has no artifactType: older tools drop that when they copy the index, and its
// digest would be another one.
type plain struct{ v1.Image }

func (plain) ArtifactType() (string, error) { return "", nil }

// layer returns a layer of what fill adds.
func layer(at time.Time, fill func(tree) error) (v1.Layer, error) {
	content, err := pack(at, fill)
	if err != nil {
		return nil, err
	}
	if content, err = squeeze(content); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// baseLayer returns the layer of what does not change with a release.
func (r *release) baseLayer() (v1.Layer, error) {
	root, err := output(r.source, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	zones, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, err
	}
	return layer(epoch, func(t tree) error { return baseRoot(t, zones) })
}

// image returns the image of a platform.
func (r *release) image(p platform, config v1.Config, base v1.Layer, annotations map[string]string) (v1.Image, error) {
	const docs = "usr/share/doc/orderwatch"
	program, err := layer(r.at, func(t tree) error {
		return errors.Join(
			t.copy("orderwatch", r.program(p), 0o755),
			t.dir("usr", 0o755, 0), t.dir("usr/share", 0o755, 0), t.dir("usr/share/doc", 0o755, 0), t.dir(docs, 0o755, 0),
			t.copy(docs+"/LICENSE", filepath.Join(r.source, "LICENSE"), 0o644),
			t.copy(docs+"/"+licencesName, filepath.Join(r.work, licencesName), 0o644),
		)
	})
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: r.at}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image,
		mutate.Addendum{Layer: base, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "what " + baseName + " has"}},
		mutate.Addendum{Layer: program, MediaType: types.OCILayer, History: v1.History{Created: created, CreatedBy: "orderwatch " + r.version}},
	)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Created, file.OS, file.Architecture, file.Config = created, p.os, p.arch, config
	file.Config.Labels = annotations // docker inspect shows no annotations
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, annotations).(v1.Image), nil
}

// layout returns a folder with an OCI layout of one image, or of one index of images, which is named as docker build names it.
func (r *release) layout(folder string, add func(to layout.Path, name layout.Option) error) (string, error) {
	path := filepath.Join(r.work, "image", folder)
	to, err := layout.Write(path, empty.Index)
	if err != nil {
		return "", err
	}
	return path, add(to, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          "docker.io/library/orderwatch:" + r.version,
		"org.opencontainers.image.ref.name": r.version,
	}))
}

// forDocker adds to an OCI layout what docker load asks for, where Docker keeps its images otherwise than containerd.
func (r *release) forDocker(folder string, image v1.Image) error {
	config, err := image.ConfigName()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	entry := tarball.Descriptor{Config: blob(config), RepoTags: []string{"orderwatch:" + r.version}}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		entry.Layers = append(entry.Layers, blob(digest))
	}
	text, err := json.Marshal([]tarball.Descriptor{entry})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "manifest.json"), text, 0o644)
}

// blob returns where a layout has what a digest names.
func blob(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

// wrap writes a folder as an archive.
func (r *release) wrap(folder, name string) error {
	content, err := pack(r.at, func(t tree) error {
		entries, err := os.ReadDir(folder)
		for _, e := range entries {
			err = errors.Join(err, t.copy(e.Name(), filepath.Join(folder, e.Name()), 0o644))
		}
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, r.name(name)), content, 0o644)
}
