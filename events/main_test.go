package events_test

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// atOnce is how many tests run at the same time where nobody says otherwise (-parallel): most of them
// wait for timers of the server's and the worker's.
const atOnce = 3

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < atOnce && flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", strconv.Itoa(atOnce)) // it is a number
	}
	os.Exit(m.Run())
}
