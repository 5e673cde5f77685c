//go:build faults

package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/events/store"
)

// LoadTiming returns the durations that the contract does not name, and arms the fault that the
// environment asks for. A build with the tag faults serves the tests of crashes alone:
//
//	FAULT_POINT   a point of package events, NAME or NAME:n for its nth passing
//	FAULT_ACTION  kill, stop or term
//	FAULT_TIMING  durations of package events in place of those of production: {"AckWait": "3s", …}
//	FAULT_SPEED   by how much the durations are divided that say how long an account is held,
//	              when people are told, and those of package notify/outbox
//
// Whatever is wrong with them ends the program: a test must not pass because of a misspelling.
func LoadTiming() Timing {
	timing, err := faultTiming(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "orderwatch:", err)
		os.Exit(int(exit.Misuse))
	}
	return timing
}

func faultTiming(environ []string) (Timing, error) {
	timing := DefaultTiming()
	set := make(map[string]string)
	for _, pair := range environ {
		switch name, value, _ := strings.Cut(pair, "="); {
		case slices.Contains([]string{"FAULT_POINT", "FAULT_ACTION", "FAULT_TIMING", "FAULT_SPEED"}, name):
			set[name] = value
		case strings.HasPrefix(name, "FAULT_"):
			return timing, fmt.Errorf("%s: no such variable; there are FAULT_POINT, FAULT_ACTION, FAULT_TIMING, FAULT_SPEED", name)
		}
	}
	if set["FAULT_POINT"] != "" || set["FAULT_ACTION"] != "" {
		if err := store.ArmFault(set["FAULT_POINT"], set["FAULT_ACTION"]); err != nil {
			return timing, fmt.Errorf("FAULT_POINT, FAULT_ACTION: %w", err)
		}
	}
	if text := set["FAULT_SPEED"]; text != "" {
		speed, err := strconv.Atoi(text)
		if err != nil || speed < 1 {
			return timing, errors.New("FAULT_SPEED: must be a number from 1")
		}
		timing.Unreachable /= time.Duration(speed)
		timing.LastPoll /= time.Duration(speed)
		timing.Forbidden /= time.Duration(speed)
		divide(reflect.ValueOf(&timing.ModelArts).Elem(), speed)
		divide(reflect.ValueOf(&timing.Patience).Elem(), speed)
		divide(reflect.ValueOf(&timing.Slack).Elem(), speed)
	}
	if text := set["FAULT_TIMING"]; text != "" {
		if err := setDurations(&timing.Timing, text); err != nil {
			return timing, fmt.Errorf("FAULT_TIMING: %w", err)
		}
	}
	return timing, nil
}

// setDurations replaces the durations that the JSON object names, field by field.
func setDurations(timing *store.Timing, text string) error {
	var named map[string]string
	if err := json.Unmarshal([]byte(text), &named); err != nil {
		return err
	}
	for name, value := range named {
		field := reflect.ValueOf(timing).Elem().FieldByName(name)
		if !field.IsValid() || field.Type() != reflect.TypeFor[time.Duration]() {
			return fmt.Errorf("store.Timing has no duration %q", name)
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		field.SetInt(int64(d))
	}
	return nil
}

// divide divides all durations in a struct.
func divide(durations reflect.Value, speed int) {
	for i := range durations.NumField() {
		field := durations.Field(i)
		switch {
		case field.Type() == reflect.TypeFor[time.Duration]():
			field.SetInt(field.Int() / int64(speed))
		case field.Kind() == reflect.Struct:
			divide(field, speed)
		}
	}
}
