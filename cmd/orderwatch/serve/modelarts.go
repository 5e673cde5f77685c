package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// Orders returns the client of the ModelArts API. The caller closes it.
func Orders(log *slog.Logger, config config.Config, clock *store.Clock, accounts watcher.Accounts, timing modelarts.Timing) (*modelarts.Client, error) {
	m := config.ModelArts
	trust, err := trusted(m.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ORDERWATCH_MODELARTS_CA_FILE: %w", err)
	}
	login, err := modelArtsLogin(log, config, trust, clock.Now)
	if err != nil {
		return nil, fmt.Errorf("log in to ModelArts: %w", err)
	}
	return modelarts.New(log, modelarts.Config{
		Endpoint: m.Endpoint, Regions: m.Regions, Credential: login,
		Timeout: m.Timeout, Rate: m.Rate, Accounts: accounts, Timing: timing, Concurrency: config.Watch.Concurrency,
		TLS: trust, UserAgent: "orderwatch/" + config.Version, Secrets: config.Secrets(), Now: clock.Now,
	})
}

// trusted returns the TLS settings that trust the certificates in the file; nil for the system's.
func trusted(path string) (*tls.Config, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := config.ReadFile(path, config.MaxCertFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// modelArtsLogin returns the one way to log in that is configured.
func modelArtsLogin(log *slog.Logger, config config.Config, trust *tls.Config, now func() time.Time) (login.Credential, error) {
	m, agent := config.ModelArts, "orderwatch/"+config.Version
	switch {
	case m.AccessKey.IsSet():
		return login.NewAccessKey(m.AccessKey.Reveal(), m.SecretKey.Reveal(), m.SecurityToken.Reveal(), now)
	case m.User != "":
		return login.NewPassword(log, login.PasswordConfig{
			User: m.User, Password: m.Password.Reveal(), Domain: m.Domain,
			Endpoint: m.IAMEndpoint, Regions: m.Regions, TLS: trust, UserAgent: agent, Now: now,
		})
	case m.ECSAgency:
		return login.NewAgency(log, login.AgencyConfig{Endpoint: m.MetadataEndpoint, UserAgent: agent, Now: now})
	case m.Token.File() != "":
		return login.NewTokenFile(log, m.Token.File())
	}
	return login.NewToken(m.Token.Reveal())
}
