//go:build page

package browser_test

import (
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

func TestMain(m *testing.M) { rig.Main(m, 2) }
