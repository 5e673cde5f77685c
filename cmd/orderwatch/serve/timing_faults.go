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
//	FAULT_PATIENCE how long an order is late, stalled and so on before people are told: {"Stalled": "3s", …}
//	FAULT_SPEED   by how much the durations are divided that say how long an account is held,
//	              when people are told, and those of package notify/outbox
//
// Whatever is wrong with them ends the program: a test must not pass because of a misspelling.
func LoadTiming() Timing {
	timing := DefaultTiming()
	if err := timing.readFaults(); err != nil {
		fmt.Fprintln(os.Stderr, "orderwatch:", err)
		os.Exit(int(exit.Misuse))
	}
	return timing
}

func (t *Timing) readFaults() error {
	variables := []string{"FAULT_POINT", "FAULT_ACTION", "FAULT_TIMING", "FAULT_PATIENCE", "FAULT_SPEED"}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "FAULT_") && !slices.Contains(variables, name) {
			return fmt.Errorf("%s: no such variable; there are %s", name, strings.Join(variables, ", "))
		}
	}
	if point, action := os.Getenv("FAULT_POINT"), os.Getenv("FAULT_ACTION"); point != "" || action != "" {
		if err := store.ArmFault(point, action); err != nil {
			return fmt.Errorf("FAULT_POINT, FAULT_ACTION: %w", err)
		}
	}
	if text := os.Getenv("FAULT_SPEED"); text != "" {
		speed, err := strconv.Atoi(text)
		if err != nil || speed < 1 {
			return errors.New("FAULT_SPEED: must be a number from 1")
		}
		for _, durations := range []any{&t.Unreachable, &t.LastPoll, &t.Forbidden, &t.ModelArts, &t.Patience, &t.Slack} {
			divide(reflect.ValueOf(durations).Elem(), speed)
		}
	}
	for name, durations := range map[string]any{"FAULT_TIMING": &t.Timing, "FAULT_PATIENCE": &t.Patience} {
		if text := os.Getenv(name); text != "" {
			if err := setDurations(durations, text); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// setDurations replaces the durations that the JSON object names, field by field.
func setDurations(durations any, text string) error {
	var named map[string]string
	if err := json.Unmarshal([]byte(text), &named); err != nil {
		return err
	}
	for name, value := range named {
		field := reflect.ValueOf(durations).Elem().FieldByName(name)
		if !field.IsValid() || field.Type() != reflect.TypeFor[time.Duration]() {
			return fmt.Errorf("there is no duration %q", name)
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		field.SetInt(int64(d))
	}
	return nil
}

// divide divides a duration, or all durations in a struct.
func divide(value reflect.Value, speed int) {
	switch {
	case value.Type() == reflect.TypeFor[time.Duration]():
		value.SetInt(value.Int() / int64(speed))
	case value.Kind() == reflect.Struct:
		for i := range value.NumField() {
			divide(value.Field(i), speed)
		}
	}
}
