package events_test

import (
	"os"
	"testing"

	"github.com/orderwatch/orderwatch/events/eventstest"
)

func TestMain(m *testing.M) { os.Exit(eventstest.Main(m, 6)) }
