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
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man [DIR]",
		Short: "Print the manual page, or write the pages of all commands",
		Long: `Print the program's manual page, or write it and the pages of all commands into
DIR. The same version always writes the same pages.`,
		Example: `  orderwatch man | man -l -
  orderwatch man ~/.local/share/man/man1
  man orderwatch-get`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{c, fmt.Errorf("name one directory: %s", c.UseLine())}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			root := newRoot()
			if len(args) == 0 {
				return writePage(root, c.OutOrStdout())
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return writePages(root, args[0])
		},
	}
}

// writePages writes the page of the command, and those of all below it.
func writePages(c *cobra.Command, dir string) error {
	var b bytes.Buffer
	if err := writePage(c, &b); err != nil {
		return err
	}
	path := filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			if err := writePages(sub, dir); err != nil {
				return err
			}
		}
	}
	return nil
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
