package screens_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestScriptsOfOthersAreAsPublished holds that scripts of others are those whose sums were looked at, each with its licence,
// and that no other file came in between. The sums are those of the files in npm's packages.
func TestScriptsOfOthersAreAsPublished(t *testing.T) {
	list, err := os.Open("static/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	known := []string{"SHA256SUMS", "icon.svg", "orderwatch.css", "page.js"}
	for lines := bufio.NewScanner(list); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		text, err := os.ReadFile(filepath.Join("static", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(text); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is not the file of this sum", name)
		}
		known = append(known, name)
	}
	entries, err := os.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			t.Errorf("nothing says what %s is", e.Name())
		}
	}
	for _, licence := range []string{"htmx-2.0.11.LICENSE", "htmx-ext-sse-2.2.4.LICENSE", "idiomorph-0.8.0.LICENSE"} {
		if !slices.Contains(known, licence) {
			t.Errorf("%s is missing", licence)
		}
	}
}
