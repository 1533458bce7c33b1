package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"sightd/daemon"
)

const configAbout = `init prints a commented configuration in which every key has its default.
check says whether a configuration is right; each error has file, line, column and key.
show prints what is in force: defaults, the file over them, variables such as SIGHTD_MQTT_BROKER over both. Passwords are masked.`

func configCommand(_ context.Context, c *call) error {
	fs := c.flags("config", "init|check|show [-c FILE]", configAbout)
	file := fs.String("c", "", "configuration `FILE` (YAML)")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) == 2 && *file == "" {
		*file = arguments[1]
		arguments = arguments[:1]
	}
	if len(arguments) != 1 {
		return usageError{"want one of init, check and show"}
	}
	switch arguments[0] {
	case "init":
		_, err := io.WriteString(c.stdout, daemon.Example())
		return err
	case "check", "show":
		config, err := daemon.Load(*file, os.Environ())
		if err != nil {
			return err
		}
		if arguments[0] == "show" {
			_, err = io.WriteString(c.stdout, config.String())
			return err
		}
		_, err = fmt.Fprintln(c.stdout, "the configuration is right")
		return err
	}
	return usageError{fmt.Sprintf("want init, check or show, have %q", arguments[0])}
}
