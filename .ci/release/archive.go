package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A tree is the content of an archive: the files by their order, all of root, and of one time.
type tree struct {
	tar *tar.Writer
	at  time.Time
}

// dir adds a folder.
func (t tree) dir(name string, mode int64, uid int) error {
	return t.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, Uid: uid, Gid: uid, ModTime: t.at, Format: tar.FormatUSTAR})
}

// file adds a file.
func (t tree) file(name string, mode int64, content []byte) error {
	err := t.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: t.at, Format: tar.FormatUSTAR})
	if err != nil {
		return err
	}
	_, err = t.tar.Write(content)
	return err
}

// copy adds a file of the machine's, or a folder with all that is in it.
func (t tree) copy(name, from string, mode int64) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.ToSlash(filepath.Join(name, below))
		if entry.IsDir() {
			return t.dir(to, 0o755, 0)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return t.file(to, mode, content)
	})
}

// pack returns a tar archive of what fill adds.
func pack(at time.Time, fill func(tree) error) ([]byte, error) {
	var b bytes.Buffer
	t := tree{tar.NewWriter(&b), at}
	if err := fill(t); err != nil {
		return nil, err
	}
	err := t.tar.Close()
	return b.Bytes(), err
}

// squeeze returns a content compressed by gzip.
func squeeze(content []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(z, bytes.NewReader(content)); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// archives writes an archive for each platform, of one folder. README.md is not in it: what it links to is not.
func (r *release) archives() error {
	for _, p := range platforms {
		folder := r.name(p.String())
		content, err := pack(r.at, func(t tree) error {
			if err := t.dir(folder, 0o755, 0); err != nil {
				return err
			}
			if err := t.copy(folder+"/orderwatch", r.program(p), 0o755); err != nil {
				return err
			}
			for _, f := range [][2]string{
				{"LICENSE", filepath.Join(r.source, "LICENSE")},
				{licencesName, filepath.Join(r.work, licencesName)},
				{"CHANGELOG.md", filepath.Join(r.source, "CHANGELOG.md")},
				{"man/man1", filepath.Join(r.work, "man")},
				{"completions", filepath.Join(r.work, "completions")},
			} {
				if err := t.copy(folder+"/"+f[0], f[1], 0o644); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if content, err = squeeze(content); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.out, folder+".tar.gz"), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
