package serve

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The Go runtime is told of the container's limit, but for an operator's own.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	quiet := slog.New(slog.DiscardHandler)
	container := memlimit.Limit(256 << 20)
	limit := func(p memlimit.Provider) int64 {
		debug.SetMemoryLimit(math.MaxInt64)
		limitMemory(quiet, p)
		return debug.SetMemoryLimit(-1)
	}
	for name, tt := range map[string]struct {
		of   memlimit.Provider
		want int64
	}{
		"a container": {container, 256 << 20 * 4 / 5},
		"no limit":    {func() (uint64, error) { return 0, memlimit.ErrNoLimit }, math.MaxInt64},
		"not known":   {func() (uint64, error) { return 0, errors.New("no cgroups here") }, math.MaxInt64},
	} {
		if got := limit(tt.of); got != tt.want {
			t.Errorf("%s: the limit is %d, want %d", name, got, tt.want)
		}
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	if got := limit(container); got != math.MaxInt64 {
		t.Errorf("GOMEMLIMIT is overridden: %d", got)
	}
}

// BenchmarkMemory, in ../faults, holds that a worker stays below this limit.
func TestManifestLimitsMemory(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if manifest := string(text); !regexp.MustCompile(`limits:\s+memory: 256Mi\n`).MatchString(manifest) || strings.Contains(manifest, "GOMEMLIMIT, value") {
		t.Error("the manifest's limit is not the one that is measured, or it sets GOMEMLIMIT, too")
	}
}

// TestRecallOf holds how much memory records may take, by the limit of the process.
func TestRecallOf(t *testing.T) {
	for limit, want := range map[int64]int{
		50 << 20: 32 << 20, 205 << 20: 32 << 20, 800 << 20: 100 << 20, 4 << 30: 128 << 20, math.MaxInt64: 128 << 20,
	} {
		if got := recallOf(limit); got != want {
			t.Errorf("of %d MiB: %d MiB; want %d", limit>>20, got>>20, want>>20)
		}
	}
}
