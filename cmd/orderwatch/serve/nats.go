package serve

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

// Login returns how to log in to NATS. Each installation has its own prefix of inboxes, so
// that permissions can keep others from reading its replies.
func Login(c config.Config) ([]nats.Option, error) {
	n := c.NATS
	options := []nats.Option{nats.CustomInboxPrefix("_INBOX_" + c.Assets.ServicePrefix)}
	switch {
	case n.CredsFile != "":
		options = append(options, nats.UserCredentials(n.CredsFile)) // read again at each reconnect
	case n.NKeyFile != "":
		nkey, err := nats.NkeyOptionFromSeed(n.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("ORDERWATCH_NATS_NKEY_FILE: holds no seed of a user's nkey")
		}
		options = append(options, nkey)
	case n.User != "":
		options = append(options, nats.UserInfoHandler(func() (user, password string) { return n.User, n.Password.Current() }))
	case n.Token.IsSet():
		options = append(options, nats.TokenHandler(n.Token.Current))
	}
	if n.TLSFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	if n.CAFile != "" {
		options = append(options, nats.RootCAs(n.CAFile))
	}
	if n.CertFile != "" {
		options = append(options, nats.ClientCert(n.CertFile, n.KeyFile))
	}
	return options, nil
}
