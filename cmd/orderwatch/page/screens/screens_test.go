package screens_test

import (
	"bytes"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
)

func TestEmptyScreens(t *testing.T) {
	var b bytes.Buffer
	for name, err := range map[string]error{
		"now": screens.Now(&b, screens.NowView{}), "order": screens.Order(&b, screens.OrderView{}),
		"history": screens.History(&b, screens.HistoryView{}), "health": screens.Health(&b, screens.HealthView{}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
