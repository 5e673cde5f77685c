package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func manCommand() *cobra.Command {
	command := newCommand("man", func(c *cobra.Command, args []string) error {
		if _, rest, err := newRoot().Find(args); len(args) > 1 && (err != nil || len(rest) > 0) {
			return exit.Usage(c, "name one command or one directory: %s", c.UseLine())
		}
		return nil
	})
	command.RunE = func(c *cobra.Command, args []string) error {
		root := newRoot()
		named, rest, err := root.Find(args)
		if err == nil && len(rest) == 0 {
			return writePage(named, c.OutOrStdout())
		}
		dir := args[0]
		if _, err := os.Stat(dir); err != nil && !strings.ContainsRune(dir, filepath.Separator) {
			if err := knownCommand(root, args); len(root.SuggestionsFor(dir)) > 0 {
				return exit.Usage(c, "%w A directory is written ./%s", err, dir)
			}
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		n, err := writePages(root, dir)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "wrote %s into %s\n", words.Count(n, "page"), dir)
		return err
	}
	return command
}

// writePages writes the page of the command, and those of all below it, and returns how many they are.
func writePages(c *cobra.Command, dir string) (pages int, err error) {
	var b bytes.Buffer
	if err := writePage(c, &b); err != nil {
		return 0, err
	}
	path := filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return 0, err
	}
	pages = 1
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			below, err := writePages(sub, dir)
			if err != nil {
				return 0, err
			}
			pages += below
		}
	}
	return pages, nil
}

// writePage writes the command's manual page, without a date.
func writePage(c *cobra.Command, w io.Writer) error {
	c.DisableAutoGenTag = true
	c.Short, c.Long = manText(c.Short), manText(c.Long)
	c.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = manText(f.Usage) })
	var b bytes.Buffer
	never := time.Time{}
	header := doc.GenManHeader{Section: "1", Date: &never, Source: "orderwatch " + programVersion(), Manual: "orderwatch"}
	if err := doc.GenMan(c, &header, &b); err != nil {
		return err
	}
	_, err := w.Write(bytes.Replace(b.Bytes(), []byte(never.Format(`"Jan 2006"`)), []byte(`""`), 1))
	return err
}

var (
	laidOut   = regexp.MustCompile(`(?m)^ |\S {2,}\S`)
	forMarkup = regexp.MustCompile("[\\\\`*_<>\\[\\]#]")
)

// manText returns a text of the help as the manual's generator wants it: paragraphs that are laid
// out by blanks stay as they are, the others flow.
func manText(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, paragraph := range paragraphs {
		if laidOut.MatchString(paragraph) {
			paragraphs[i] = "```\n" + paragraph + "\n```"
		} else {
			paragraphs[i] = forMarkup.ReplaceAllString(paragraph, `\$0`)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}
