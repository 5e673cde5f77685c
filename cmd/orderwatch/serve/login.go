package serve

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

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
