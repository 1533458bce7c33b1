// Sightd classifies pictures on edge boards and tells the labels over MQTT; and it makes the quantized models that it runs. See
// README.md, or run "sightd help".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes. A command that works with several pictures ends with exitRefused when some were refused.
const (
	exitOK      = 0
	exitRefused = 1 // or any other failure
	exitUsage   = 2
)

// command is one of sightd's commands.
type command struct {
	name, arguments, summary string
	run                      func(ctx context.Context, c *call) error
}

var commands = []command{
	{"run", "[-c FILE]", "watch folders and cameras, classify what comes, publish labels over MQTT", runCommand},
	{"classify", "FILE|DIR|-...", "classify pictures and print their labels", classifyCommand},
	{"cameras", "[--all] [--json]", "list cameras, and a line for the configuration of each", camerasCommand},
	{"explain", "SOURCE [--at 14:03]", "ask the running sightd why a camera's labels came, went or didn't", explainCommand},
	{"replay", "DIR|VIDEO [-c FILE]", "decide on a recording as on a camera, to try thresholds", replayCommand},
	{"export", "WEIGHTS -o OUT.tflite", "make a quantized .tflite of GoogLeNet weights", exportCommand},
	{"model", "info|dump|verify|use [FILE]", "tell what is in a .tflite, prove that this machine runs it right, run it", modelCommand},
	{"config", "init|check|show|schema", "print a commented configuration, check one, show what is in force, print schemas", configCommand},
	{"mqtt", "test [-c FILE]", "try the broker in stages, and say what is wrong with it", mqttCommand},
	{"doctor", "[-c FILE] [--json]", "find what could keep sightd from working here", doctorCommand},
	{"bench", "[--all]", "measure how fast a model runs here, by each delegate", benchCommand},
	{"version", "", "print the versions of sightd and its libraries", versionCommand},
	{"capture-v4l2", "", "", captureCommand}, // sightd starts these; help doesn't tell of them
	{trialName, "", "", trialCommand},
}

// call is one invocation of a command: its arguments and its streams.
type call struct {
	args   []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// usageError is a command line that can't be meant. Text "" has been told already.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// errRefused ends a command that has told of its refusals already.
var errRefused = errors.New("some pictures were refused")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Main runs sightd with the arguments behind its name and returns the exit code.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		printHelp(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		printHelp(stdout)
		return exitOK
	case "-version", "--version":
		args[0] = "version"
	}
	for _, cmd := range commands {
		if cmd.name == args[0] {
			return exitCode(cmd.run(ctx, &call{args[1:], stdin, stdout, stderr}), cmd.name, stderr)
		}
	}
	fmt.Fprintf(stderr, "sightd: there is no command %q. \"sightd help\" lists the commands.\n", args[0])
	return exitUsage
}

// exitCode tells of an error and turns it into the exit code.
func exitCode(err error, name string, stderr io.Writer) int {
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &usage):
		if usage.text != "" {
			fmt.Fprintf(stderr, "sightd %s: %s\n\"sightd %s --help\" tells more.\n", name, usage.text, name)
		}
		return exitUsage
	case errors.Is(err, errRefused):
		return exitRefused
	}
	fmt.Fprintf(stderr, "sightd %s: %v\n", name, err)
	return exitRefused
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "sightd classifies pictures on edge boards and tells the labels over MQTT.\n\nUsage: sightd COMMAND [flags] [arguments]\n\n")
	for _, cmd := range commands {
		if cmd.summary == "" {
			continue
		}
		fmt.Fprintf(w, "  %-34s %s\n", cmd.name+" "+cmd.arguments, cmd.summary)
	}
	fmt.Fprint(w, "\n\"sightd COMMAND --help\" tells a command's flags.\n")
}

// flags makes the flag set of a command, whose help starts with about.
func (c *call) flags(name, arguments, about string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(c.stderr)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "Usage: sightd %s %s\n\n%s\n\nFlags:\n", name, arguments, about)
		fs.PrintDefaults()
	}
	return fs
}

// parse parses the flags, wherever they stand among the arguments, and returns the arguments. "--" ends the flags; "-" is an argument.
func (c *call) parse(fs *flag.FlagSet) ([]string, error) {
	var arguments []string
	rest := c.args
	for {
		for _, a := range rest {
			if a == "-h" || a == "-help" || a == "--help" {
				fs.SetOutput(c.stdout)
			}
			if a == "--" {
				break
			}
		}
		if err := fs.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usageError{} // package flag has told it
		}
		ended := len(rest) > fs.NArg() && rest[len(rest)-fs.NArg()-1] == "--"
		rest = fs.Args()
		if ended || len(rest) == 0 {
			return append(arguments, rest...), nil
		}
		arguments, rest = append(arguments, rest[0]), rest[1:]
	}
}
