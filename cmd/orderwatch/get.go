package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/notify/routes"
)

func getCommand() *cobra.Command {
	command := newCommand("get", oneOrder)
	command.SuggestFor = []string{"show"}
	command.ValidArgsFunction = completeOrders("", 1)
	format := outputFlag(command)
	all := command.Flags().Bool("all", false, "show every item, request and message, however many there are")
	open := command.Flags().Bool("open", false, "print the address of the order's page, and nothing else; on a terminal the desktop opens it, too")
	command.RunE = func(c *cobra.Command, args []string) error {
		config, err := config.Load()
		if err == nil {
			err = checkNamed(c, config, args)
		}
		if err != nil {
			return err
		}
		s, err := connect(c, config)
		if err != nil {
			return err
		}
		defer s.close()
		found, err := s.find(c, args[0])
		if err != nil {
			return err
		}
		w, err := s.Get(c.Context(), found.Order)
		if err != nil {
			return orderRefusal(c, args[0], found, err)
		}
		if page := w.PageURL(s.config.Links.Public); page != "" {
			w.Links.Order = page
		}
		if *open && *format != output.AsJSON {
			return openPage(c, w.Links.Order)
		}
		return printed(c, w, func(p show.Page) string {
			p.All = *all
			return p.Watch(w)
		})
	}
	return command
}

func whyCommand() *cobra.Command {
	command := newCommand("why", oneOrder)
	command.SuggestFor = []string{"story", "timeline", "log"}
	command.ValidArgsFunction = completeOrders("", 1)
	outputFlag(command)
	all := command.Flags().Bool("all", false, "cut no line")
	command.RunE = func(c *cobra.Command, args []string) error {
		s, err := openSession(c)
		if err != nil {
			return err
		}
		defer s.close()
		found, err := s.find(c, args[0])
		if err != nil {
			return err
		}
		story, err := s.Why(c.Context(), found.Order)
		if errors.Is(err, client.ErrNoWorker) {
			if _, err := s.Get(c.Context(), found.Order); err == nil {
				name := found.Order.String()
				return fmt.Errorf("the workers are of a release before this command, and do not answer it\nWhat is kept: orderwatch events %s; how it is now: orderwatch get %s", name, name)
			}
		}
		if err != nil {
			return orderRefusal(c, args[0], found, err)
		}
		return printed(c, story, func(p show.Page) string {
			p.All = *all
			return p.Story(story)
		})
	}
	return command
}

// openPage prints the address of the order's page. On a terminal the desktop opens it, too, where there is one.
func openPage(c *cobra.Command, page string) error {
	if !routes.IsLink(page) {
		return errors.New("no address of the order's page is known: set ORDERWATCH_PUBLIC_URL, here or for the workers, to where orderwatch page is found")
	}
	fmt.Fprintln(c.OutOrStdout(), output.Clean(page))
	desktop := opener()
	if len(desktop) == 0 || !output.IsTerminal(c.OutOrStdout()) {
		return nil
	}
	if err := exec.CommandContext(c.Context(), desktop[0], append(desktop[1:], page)...).Run(); err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "the desktop does not open it: %v\n", err)
	}
	return nil
}

// opener returns the command that opens an address on this desktop; empty where there is none, as on a machine that is reached
// by ssh.
func opener() []string {
	switch {
	case runtime.GOOS == "darwin":
		return []string{"open"}
	case runtime.GOOS == "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	case os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "":
		return []string{"xdg-open"}
	}
	return nil
}
