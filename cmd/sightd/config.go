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

const configAbout = `init prints a commented configuration in which every key has its default; with --service as the package installs it for its
service: /etc/sightd/sightd.yaml. With a NAME, too, it is for another instance, sightd@NAME: /etc/sightd/NAME.yaml.
check says whether a configuration is right; each error has file, line, column and key. Labels that it names are looked up in the model
that would be run. What isn't to be found here, such as a certificate, is a warning: it may be on another machine. Exit status: 0 right,
1 wrong, 2 usage. Without a file it is about the defaults.
show prints what is in force: defaults, the file over them, variables such as SIGHTD_MQTT_BROKER over both. A comment behind each
value tells where it is from. Passwords are masked.
schema prints the JSON Schema of the configuration, for editors; with --payloads those of the messages over MQTT, by name.`

func configCommand(_ context.Context, c *call) error {
	fs := c.flags("config", "init [--service [NAME]] | check|show [-c FILE] | schema [--payloads]", configAbout)
	file := fs.String("c", "", "configuration `FILE` (YAML)")
	payloads := fs.Bool("payloads", false, "with schema: of the MQTT payloads")
	service := fs.Bool("service", false, "with init: for the systemd service")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if *service {
		return printService(c.stdout, arguments)
	}
	if len(arguments) == 2 && arguments[0] != "init" && *file == "" {
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
		text, err := daemon.Show(*file, os.Environ())
		if err != nil {
			return err
		}
		_, err = io.WriteString(c.stdout, text)
		return err
	}
	return usageError{fmt.Sprintf("want init, check, show or schema, have %q", arguments[0])}
}

// printService prints the configuration of the service, or of an instance of it.
func printService(w io.Writer, arguments []string) error {
	if len(arguments) == 0 || len(arguments) > 2 || arguments[0] != "init" {
		return usageError{"want --service with init, and one name at most"}
	}
	instance, host := "", ""
	if len(arguments) == 2 {
		var err error
		if instance = arguments[1]; instance == "" {
			return usageError{`want a name behind --service, or nothing, have ""`}
		}
		if host, err = os.Hostname(); err != nil {
			return fmt.Errorf("name an instance by the host's name: %w", err)
		}
	}
	text, err := daemon.ServiceExample(instance, host)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

// checkConfig says that a configuration is right, behind what is to be known of it on this machine.
func checkConfig(w io.Writer, file string) error {
	warnings, err := daemon.Check(file, os.Environ())
	for _, warning := range warnings {
		if _, err := fmt.Fprintln(w, printable(warning)); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	right := "no file given: the defaults are right, with the variables over them"
	if file != "" {
		right = printable(file) + " is right"
	}
	switch n := len(warnings); {
	case n == 1:
		right += ", with a warning"
	case n > 1:
		right += fmt.Sprintf(", with %d warnings", n)
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
