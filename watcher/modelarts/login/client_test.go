package login_test

import (
	"log/slog"

	"github.com/orderwatch/orderwatch/watcher/modelarts/rig"
)

const (
	project = rig.Project
	region  = rig.Region
	secret  = rig.Secret
)

var (
	quiet     = slog.New(slog.DiscardHandler)
	config    = rig.Config
	newClient = rig.New
	serve     = rig.Serve
	order     = rig.Order
)
