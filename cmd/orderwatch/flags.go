package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
)

// wrongFlag says what is wrong with a flag, and which may have been meant.
func wrongFlag(c *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		if near := nearFlags(c, unknown.GetSpecifiedName()); len(near) > 0 {
			return fmt.Errorf("%w: did you mean --%s?", err, strings.Join(near, " or --"))
		}
		return err
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		flag := invalid.GetFlag()
		return fmt.Errorf("--%s: %q %s", flag.Name, output.Shorten(invalid.GetValue(), 60), wantedValue(flag, invalid.Unwrap()))
	}
	return err
}

// nearFlags returns the command's flags whose names are near to the one that does not exist, by the
// measure that commands are suggested by.
func nearFlags(c *cobra.Command, name string) []string {
	names := cobra.Command{SuggestionsMinimumDistance: c.Root().SuggestionsMinimumDistance}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return names.SuggestionsFor(name)
}

// wantedValue says what the flag's value must be. err is what its own check said.
func wantedValue(flag *pflag.Flag, err error) string {
	switch flag.Value.Type() {
	case "int":
		return "must be a whole number"
	case "bool":
		return "must be true or false"
	case "duration":
		return "must be a duration, such as 90m"
	}
	return err.Error()
}

// outputFlag adds the flag -o to the command.
func outputFlag(c *cobra.Command) *output.Format {
	format := output.AsText
	c.Flags().VarP(&format, "output", "o", "text for people, or json for programs: one object in each line")
	completeFlag(c, "output", string(output.AsText), string(output.AsJSON))
	return &format
}

// printed prints the value as the command's flag -o says: as JSON, or as the text that draw returns.
func printed(c *cobra.Command, value any, draw func(show.Page) string) error {
	out := c.OutOrStdout()
	if c.Flag("output").Value.String() == string(output.AsJSON) {
		return output.JSON(out, value)
	}
	_, rows := output.Size(out)
	_, err := io.WriteString(out, draw(show.Page{Now: time.Now(), Width: output.Columns(out), Rows: rows, Paint: output.PaintFor(out)}))
	return err
}

// completeFlag lets shells complete the flag with these values.
func completeFlag(c *cobra.Command, flag string, values ...string) {
	complete(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func complete(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // there is no such flag
	}
}
