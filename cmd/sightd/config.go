package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"sightd/daemon"
	"sightd/publish"
)

const configAbout = `init prints a commented configuration in which every key has its default.
check says whether a configuration is right; each error has file, line, column and key. Labels that it names are looked up in its model.
Without a file it is about the defaults.
show prints what is in force: defaults, the file over them, variables such as SIGHTD_MQTT_BROKER over both. Passwords are masked.
schema prints the JSON Schema of the configuration, for editors; with --payloads those of the messages over MQTT, by name.`

func configCommand(_ context.Context, c *call) error {
	fs := c.flags("config", "init|check|show|schema [-c FILE]", configAbout)
	file := fs.String("c", "", "configuration `FILE` (YAML)")
	payloads := fs.Bool("payloads", false, "with schema: of the MQTT payloads")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) == 2 && *file == "" {
		*file = arguments[1]
		arguments = arguments[:1]
	}
	if len(arguments) != 1 {
		return usageError{"want one of init, check, show and schema"}
	}
	switch arguments[0] {
	case "init":
		_, err := io.WriteString(c.stdout, daemon.Example())
		return err
	case "schema":
		return printSchema(c.stdout, *payloads)
	case "check", "show":
		if arguments[0] == "check" {
			return checkConfig(c.stdout, *file)
		}
		config, err := daemon.Load(*file, os.Environ())
		if err != nil {
			return err
		}
		_, err = io.WriteString(c.stdout, config.String())
		return err
	}
	return usageError{fmt.Sprintf("want init, check, show or schema, have %q", arguments[0])}
}

// checkConfig says that a configuration is right. A model that is on another machine, so that its labels aren't known, is no fault.
func checkConfig(w io.Writer, file string) error {
	_, unread, err := daemon.Check(file, os.Environ())
	if err != nil {
		return err
	}
	right := "no file given: the defaults are right, with the variables over them"
	if file != "" {
		right = printable(file) + " is right"
	}
	if unread != nil {
		right += "; it wasn't held against the model's labels: " + printable(unread.Error())
	}
	_, err = fmt.Fprintln(w, right)
	return err
}

// printSchema prints the configuration's schema, or one object with the schemas of all payloads.
func printSchema(w io.Writer, payloads bool) error {
	if !payloads {
		_, err := w.Write(daemon.ConfigSchema())
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(publish.Schemas())
}
