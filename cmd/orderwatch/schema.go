package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/schema"
)

func schemaCommand() *cobra.Command {
	var format *output.Format
	c := &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print the JSON Schema of a message, or the AsyncAPI document",
		Long: `Print the JSON Schema (2020-12) of a message, or, with the name asyncapi, the
AsyncAPI 3 document of all messages. What is printed stands alone. Without a
name the names are listed.`,
		Example: `  orderwatch schema
  orderwatch schema completed
  orderwatch schema asyncapi > orderwatch-asyncapi.json`,
		ValidArgs: schema.Names(),
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Usage(c, "name one schema: %s", c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listSchemas(c, *format)
			}
			document, err := schema.Document(args[0])
			if err != nil {
				return exit.Usage(c, "%w", err)
			}
			if *format == output.AsJSON {
				return output.JSON(c.OutOrStdout(), json.RawMessage(document))
			}
			_, err = c.OutOrStdout().Write(document)
			return err
		},
	}
	format = outputFlag(c)
	return c
}

// A listedSchema is a line of the list of schemas.
type listedSchema struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// listSchemas prints the names of the documents with what they are about.
func listSchemas(c *cobra.Command, format output.Format) error {
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, name := range schema.Names() {
		listed := listedSchema{name, schema.Title(name)}
		if format == output.AsJSON {
			if err := output.JSON(c.OutOrStdout(), listed); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\n", listed.Name, listed.Title)
	}
	return table.Flush()
}
