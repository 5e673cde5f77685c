package screens

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed static
var files embed.FS

// static is the directory of the files that browsers load.
var static = func() fs.FS {
	dir, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // the name is a constant
	}
	return dir
}()

// stamps are beginnings of the files' sums, by name: they stand in their URLs, so that a browser may keep the files for good.
var stamps = func() map[string]string {
	all := make(map[string]string)
	entries, err := fs.ReadDir(static, ".")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, e := range entries {
		text, err := fs.ReadFile(static, e.Name())
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(text)
		all[e.Name()] = hex.EncodeToString(sum[:6])
	}
	return all
}()

// Static serves the files that screens name, below /static/. Each has a URL of its content, which never changes.
func Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stamp, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/static/"), "/")
		if stamps[name] == "" || stamps[name] != stamp {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		http.ServeFileFS(w, r, static, name)
	})
}
