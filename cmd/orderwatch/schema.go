package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/schema"
)

func schemaCommand() *cobra.Command {
	command := newCommand("schema", arguments(0, 1, "name one schema"))
	command.ValidArgs = schema.Names()
	format := outputFlag(command)
	command.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return listSchemas(c.OutOrStdout(), *format)
		}
		document, err := schema.Document(args[0])
		if err != nil {
			return exit.Usage(c, "%w", err)
		}
		return printed(c, json.RawMessage(document), func(show.Page) string { return string(document) })
	}
	return command
}

// listSchemas prints the names of the documents with what they are about.
func listSchemas(out io.Writer, format output.Format) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range schema.Names() {
		listed := struct {
			Name  string `json:"name"`
			Title string `json:"title"`
		}{name, schema.Title(name)}
		if format == output.AsJSON {
			if err := output.JSON(out, listed); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\n", listed.Name, listed.Title)
	}
	return table.Flush()
}
