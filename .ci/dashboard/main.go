// Command dashboard prints the Grafana dashboard of orderwatch: deploy/helm/monitoring/dashboard.json is what it prints. After a
// change here run, in this folder:
//
//	go run . >../../deploy/helm/monitoring/dashboard.json
//
// It is a module of its own, so that nothing of Grafana is among the dependencies of orderwatch. panels.go has the panels.
//
// It makes the schema that the library calls deprecated, since the newer one needs Grafana 12.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	text, err := render()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
	os.Stdout.Write(text)
}

// render returns the dashboard as JSON.
func render() ([]byte, error) {
	made, err := board().Build()
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	text, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	text = bytes.ReplaceAll(text, []byte(`\u003e`), []byte(">")) // as people read queries
	return append(text, '\n'), check(text)
}

// check returns an error for a dashboard that the schema refuses: a field that it does not know is lost where the dashboard is
// read and written again. The library's own strict reader stops half-way.
func check(text []byte) error {
	plugins.RegisterDefaultPlugins()
	var read dashboard.Dashboard
	if err := json.Unmarshal(text, &read); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := read.Validate(); err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	again, err := json.Marshal(read)
	if err != nil {
		return fmt.Errorf("encode what was read: %w", err)
	}
	var before, after any
	if err := errors.Join(json.Unmarshal(text, &before), json.Unmarshal(again, &after)); err != nil {
		return err
	}
	if !reflect.DeepEqual(before, after) {
		return errors.New("it has a field that the schema does not know, or lacks one that the schema wants")
	}
	return nil
}

const docs = "https://github.com/orderwatch/orderwatch/blob/main/deploy/"

func board() *dashboard.DashboardBuilder {
	b := dashboard.NewDashboardBuilder("orderwatch").
		Uid("orderwatch").
		Description("What is watched, how soon workers see that orders end, and what keeps them from it.").
		Tags([]string{"orderwatch"}).
		Timezone("browser").
		Time("now-6h", "now").
		Refresh("1m").
		Readonly().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("namespace").
			Label("Namespace").
			Description("The namespace of the installation on Kubernetes.").
			Datasource(source).
			Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(orderwatch_workers, namespace)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).
			IncludeAll(true).
			AllValue(".*")). // also series without the label
		Link(dashboard.NewDashboardLinkBuilder("Runbook").Type(dashboard.DashboardLinkTypeLink).Url(docs + "RUNBOOK.md").TargetBlank(true)).
		Link(dashboard.NewDashboardLinkBuilder("Metrics").Type(dashboard.DashboardLinkTypeLink).Url(docs + "MONITORING.md#what-metrics-says").TargetBlank(true))
	id := uint32(0)
	next := func() uint32 { id++; return id }
	for _, r := range rows {
		b.WithRow(dashboard.NewRowBuilder(r.title).Id(next()))
		for _, p := range r.panels {
			b.WithPanel(p.build(next()))
		}
	}
	return b
}

// source is the data source that the variable names.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

type row struct {
	title  string
	panels []panel
}

// A panel shows the queries over time, or one value of the time that is shown.
type panel struct {
	title   string
	says    string // the description
	unit    string // one of package units
	width   uint32 // of 24
	alert   string // its entry in the runbook is linked; empty: none
	single  bool   // one value
	stacked bool
	floor   float64 // with single: red below it
	queries []query
}

type query struct{ legend, expr string }

func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	if p.single {
		b := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Datasource(source).Unit(p.unit).Span(p.width).Height(5).
			Decimals(2).GraphMode(common.BigValueGraphModeNone).NoValue("no order ended").
			Orientation(common.VizOrientationAuto).ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
			ColorScheme(dashboard.NewFieldColorBuilder().Mode("thresholds")).
			Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps([]dashboard.Threshold{
				{Color: "red"}, {Color: "green", Value: &p.floor},
			})).
			Links(p.links())
		for i, q := range p.queries {
			b.WithTarget(q.target(i).Instant())
		}
		return b
	}
	b := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Datasource(source).Unit(p.unit).Span(p.width).Height(8).
		Min(0).LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Links(p.links())
	if p.stacked {
		b.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	for i, q := range p.queries {
		b.WithTarget(q.target(i).Range())
	}
	return b
}

func (p panel) links() []cog.Builder[dashboard.DashboardLink] {
	if p.alert == "" {
		return nil
	}
	return []cog.Builder[dashboard.DashboardLink]{
		dashboard.NewDashboardLinkBuilder("Runbook").Type(dashboard.DashboardLinkTypeLink).Url(runbook(p.alert)).TargetBlank(true),
	}
}

func (q query) target(i int) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source).RefId(string(rune('A' + i))).Expr(q.expr).LegendFormat(q.legend)
}
