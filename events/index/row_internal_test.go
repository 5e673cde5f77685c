package index

import (
	"testing"
	"unsafe"
)

// TestWorkersRowsStaySmall holds that what boards keep beside costs a worker no memory: its row is as large as before, as Go
// allocates it.
func TestWorkersRowsStaySmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(row{}); size > 160 {
		t.Errorf("a row has %d bytes; want 160 at the most", size)
	}
}
