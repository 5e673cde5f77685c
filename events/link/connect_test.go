package link_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/events/link"
)

// TestConnectFailuresAreToldOnce holds that each server and cause is told once, whatever ports of this machine were in
// use, and that what ends at once is told with what may mend it.
func TestConnectFailuresAreToldOnce(t *testing.T) {
	var text bytes.Buffer
	failures := link.Failures{Log: slog.New(slog.NewTextHandler(&text, nil)), URL: "nats://127.0.0.1"}
	tell := failures.Tell
	for i := range 30 {
		for server := range 3 {
			tell(fmt.Errorf("dial tcp 10.0.0.%d:4222: connect: connection refused", server))
			tell(&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 40000 + i}, Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(server)), Port: 4222}, Err: errors.New("connection reset by peer")})
		}
		tell(io.EOF)
	}
	if lines := strings.Count(text.String(), "\n"); lines != 7 {
		t.Errorf("%d lines; want 7:\n%s", lines, text.String())
	}
	if !strings.Contains(text.String(), "ORDERWATCH_NATS_TLS_FIRST") {
		t.Error("no hint at the end of file")
	}
}
