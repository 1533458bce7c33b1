package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"sightd/daemon"
	"sightd/publish"
)

const mqttAbout = `test tries the broker of the configuration in stages: DNS, TCP, TLS, CONNECT, SUBSCRIBE, PUBLISH; and it reads back what it
publishes, because brokers acknowledge what an access list or a size limit then drops. A daemon that runs is not disturbed,
nothing stays on the broker. Exit status: 0 all stages passed, 1 one failed, 2 usage.`

func mqttCommand(ctx context.Context, c *call) error {
	fs := c.flags("mqtt", "test [-c FILE] [--json]", mqttAbout)
	fs.String("c", "", daemonFlag)
	asJSON := fs.Bool("json", false, "print a JSON object in place of a table")
	timeout := fs.Duration("timeout", 0, "how long each stage may take; 0 is 10s")
	arguments, err := c.parse(fs)
	switch {
	case err != nil:
		return err
	case len(arguments) != 1 || arguments[0] != "test":
		return usageError{fmt.Sprintf("want test, have %q", arguments)}
	case *timeout < 0:
		return usageError{fmt.Sprintf("-timeout: want 0 or more, have %v", *timeout)}
	}
	file, err := daemonFile(c, fs)
	if err != nil {
		return err
	}
	config, err := daemon.Load(file, os.Environ())
	if err != nil {
		return err
	}
	url, embedded := config.BrokerURL()
	options, err := config.BrokerOptions(url)
	if err != nil {
		return err
	}
	report, err := publish.Check(ctx, options, publish.CheckOptions{
		Discovery: options.Discovery, Fleet: config.MQTT.Fleet, Timeout: *timeout,
	})
	if err != nil {
		return err
	}
	if embedded {
		explainEmbedded(&report)
	}
	out := bufio.NewWriter(c.stdout)
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(report)
	} else {
		printCheck(out, report, embedded)
	}
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if !report.OK {
		return errRefused
	}
	return nil
}

// explainEmbedded says of a broker that isn't there what only a configuration without mqtt.broker tells.
func explainEmbedded(report *publish.CheckReport) {
	for i := range report.Stages {
		if s := &report.Stages[i]; s.Stage == "TCP" && s.Result == publish.StageFailed {
			s.Hint = "mqtt.broker is empty: sightd runs its own broker on mqtt.listen, while it runs. Start \"sightd run\" first, or set mqtt.broker"
		}
	}
}

// printCheck prints a table, with each hint below its stage.
func printCheck(w io.Writer, report publish.CheckReport, embedded bool) {
	where := "mqtt.broker"
	if embedded {
		where = "the broker inside sightd, mqtt.listen"
	}
	fmt.Fprintf(w, "broker %s (%s), client id %s\n", printable(report.Broker), where, printable(report.ClientID))
	for _, s := range report.Stages {
		took := fmt.Sprintf("%.1f ms", s.TookMS)
		if s.Result == publish.StageSkipped {
			took = ""
		}
		fmt.Fprintf(w, "%-10s %-8s %10s  %s\n", s.Stage, s.Result, took, printable(s.Detail))
		if s.Hint != "" {
			fmt.Fprintf(w, "%32s%s\n", "-> ", printable(s.Hint))
		}
	}
}
