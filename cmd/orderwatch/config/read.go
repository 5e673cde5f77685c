package config

import (
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// A variable is one field of a [Config].
type variable struct {
	name  string // without [Prefix]
	group string // the name of the Config's field that holds it
	tag   reflect.StructTag
	value reflect.Value
}

// variables returns the fields of c that have one, in their order.
func variables(c *Config) []variable {
	var all []variable
	for group, fields := range reflect.ValueOf(c).Elem().Fields() {
		if fields.Kind() != reflect.Struct {
			continue
		}
		for field, value := range fields.Fields() {
			if name, ok := field.Tag.Lookup("env"); ok {
				all = append(all, variable{name, group.Name, field.Tag, value})
			}
		}
	}
	return all
}

// secret reports whether the variable can also be given as a file.
func (v variable) secret() bool { return v.value.Type() == reflect.TypeFor[Secret]() }

// names returns every name, without [Prefix], that c's fields are read from.
func names(c *Config) []string {
	var all []string
	for _, v := range variables(c) {
		all = append(all, v.name)
		if v.secret() {
			all = append(all, v.name+"_FILE")
		}
	}
	return all
}

// read fills c from the environment. A field whose variable is bad gets its default, and a
// bad secret counts as set, so that what would follow from it is not reported as well.
func (p *Problems) read(c *Config) {
	*c = Default()
	for _, v := range variables(c) {
		switch {
		case v.secret():
			v.value.Set(reflect.ValueOf(p.readSecret(v.name)))
		case os.Getenv(Prefix+v.name) == "": // set but empty counts as unset; envconfig would try to convert it
		case v.convert(strings.TrimSuffix(Prefix, "_")) != nil:
			p.add(v.name, "must be "+kind(v.value))
		}
	}
}

// nowhere is a prefix under which no variable can be set, so that envconfig takes the default: no name holds this sign.
const nowhere = "="

// convert lets envconfig read the variable under the prefix, or leaves the field as it is. envconfig stops at the first
// bad variable of a struct, so it is given a struct for each; and its tag for a name would read the name without the
// prefix too, so the field itself is named like the variable. Its error shows the value: do not pass it on.
func (v variable) convert(prefix string) error {
	spec := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: v.name,
		Type: v.value.Type(),
		Tag:  reflect.StructTag("default:" + strconv.Quote(v.tag.Get("default"))),
	}}))
	if err := envconfig.Process(prefix, spec.Interface()); err != nil {
		return err
	}
	v.value.Set(spec.Elem().Field(0))
	return nil
}

// kind says how a value of the field's type is written.
func kind(value reflect.Value) string {
	switch value.Interface().(type) {
	case time.Duration:
		return "a duration such as 90s or 1h30m"
	case slog.Level:
		return "debug, info, warn or error"
	case int:
		return "a whole number"
	case float64:
		return "a number"
	}
	return "true or false" // no text or list is bad
}

// unusable stands for a secret that could not be read: it is set, and passes every check.
const unusable = "https://unusable.invalid/"

// readSecret returns the secret that the variable or its file holds.
func (p *Problems) readSecret(name string) Secret {
	text, path := os.Getenv(Prefix+name), os.Getenv(Prefix+name+"_FILE")
	if path == "" {
		return NewSecret(text)
	}
	content, err := readSecretFile(path)
	switch {
	case text != "":
		p.add(name, "is set twice, here and as "+Prefix+name+"_FILE: keep one")
	case err != nil:
		p.add(name+"_FILE", cannotRead(path, err))
	case content == "":
		p.add(name+"_FILE", "names an empty file: write the secret into it")
	default:
		return Secret{&content, path}
	}
	return NewSecret(unusable)
}
