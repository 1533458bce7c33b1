package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sightd/daemon"
	"sightd/publish"
)

// broker tries the one that is configured, or looks for what would keep the embedded one from its port.
func (e *examiner) broker(ctx context.Context) []Finding {
	url, embedded := e.config.BrokerURL()
	options, err := e.config.BrokerOptions(url)
	if err != nil {
		return []Finding{{"broker", Fail, err.Error(), "correct the keys below mqtt; " + asUser}}
	}
	if embedded && (options.User == "") != (options.Password == "") {
		return []Finding{{"broker", Fail, "the broker inside sightd wants mqtt.user and a password both or neither, and has one",
			"set both (mqtt.password_file, mqtt.password or systemd's credential mqtt), or neither"}}
	}
	if embedded {
		return e.embedded(ctx, options)
	}
	return append(e.password(options), tryBroker(ctx, options, e.config.MQTT)...)
}

// password warns where the service has one that whoever looks hasn't.
func (e *examiner) password(options publish.Options) []Finding {
	if options.User == "" || options.Password != "" || e.unit == nil || e.getenv("CREDENTIALS_DIRECTORY") != "" {
		return nil
	}
	return []Finding{{"broker password", Warn, "mqtt.user is set, and no password is known here; " + e.unit["Id"] + " may have it as systemd's credential mqtt",
		"as root, doctor finds it while the service runs: sudo sightd doctor; or set mqtt.password_file"}}
}

// tryBroker has a finding for each stage of publish.Check that was tried.
func tryBroker(ctx context.Context, options publish.Options, c daemon.MQTTConfig) []Finding {
	ctx, cancel := context.WithTimeoutCause(ctx, brokerPatience, fmt.Errorf("no end within %v", brokerPatience))
	defer cancel()
	report, err := publish.Check(ctx, options, publish.CheckOptions{
		Discovery: c.Discovery, Fleet: c.Fleet, Timeout: stagePatience, // and the options' largest payload
	})
	if err != nil {
		return []Finding{{"broker", Fail, err.Error(), "correct the keys below mqtt; " + asUser}}
	}
	return stages(report)
}

func stages(report publish.CheckReport) []Finding {
	var findings []Finding
	for _, s := range report.Stages {
		f := Finding{Name: "broker " + s.Stage, Status: OK, Detail: s.Detail, Hint: s.Hint}
		switch {
		case s.Result == publish.StageSkipped:
			continue
		case s.Result == publish.StageFailed:
			f.Status = Fail
		case s.Hint != "":
			f.Status = Warn
		}
		findings = append(findings, f)
	}
	return findings
}

// embedded looks at the port of the broker inside sightd. Where a sightd runs with the same state_dir its broker is tried.
func (e *examiner) embedded(ctx context.Context, options publish.Options) []Finding {
	listen := e.config.MQTT.Listen
	running, pid := e.running()
	err := e.bind(listen)
	switch {
	case err == nil && running:
		return []Finding{{"broker port", Warn, fmt.Sprintf("%s is free, though a sightd runs with this state_dir%s: with another configuration?", listen, process{pid: pid}),
			"give doctor the configuration that sightd runs with (-c), or restart it"}}
	case err == nil:
		return []Finding{{"broker port", OK, listen + " is free for the broker inside sightd", ""}}
	case errors.Is(err, syscall.EADDRINUSE):
		return e.taken(ctx, options, running, pid)
	case errors.Is(err, syscall.EACCES):
		return []Finding{{"broker port", Fail, fmt.Sprintf("listen on %s: %v", listen, err),
			"ports below 1024 are for root: set mqtt.listen to another, such as 127.0.0.1:1883"}}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return []Finding{{"broker port", Fail, fmt.Sprintf("listen on %s: %v", listen, err),
			"mqtt.listen wants an address of this machine (ip address), 127.0.0.1 or 0.0.0.0"}}
	}
	return []Finding{{"broker port", Fail, fmt.Sprintf("listen on %s: %v", listen, err), "set mqtt.listen to an address and a port of this machine"}}
}

// taken says who has the port. running and pid are of the sightd with this state_dir.
func (e *examiner) taken(ctx context.Context, options publish.Options, running bool, pid int) []Finding {
	listen := e.config.MQTT.Listen
	owner := e.listener(portOf(listen))
	if running && (owner == 0 || pid == 0 || owner == pid) {
		f := Finding{"broker port", OK, fmt.Sprintf("%s is that of the running sightd%s", listen, process{pid: pid}), ""}
		return append([]Finding{f}, tryBroker(ctx, options, e.config.MQTT)...)
	}
	who := "another program"
	if owner != 0 {
		who = strings.TrimSpace(e.command(owner) + process{pid: owner}.String())
	}
	hint := fmt.Sprintf("set mqtt.broker to %s to use what is there, if it is a broker; or mqtt.listen to another port", options.Broker)
	switch {
	case owner == 0:
		hint += "; as root, doctor can tell which program it is"
	case e.command(owner) == "sightd":
		hint = "another sightd runs with a state_dir of its own: stop it, or set mqtt.listen to another port"
	}
	return []Finding{{"broker port", Fail, fmt.Sprintf("%s has %s already: the broker inside sightd can't listen there", who, listen), hint}}
}

// portOf is the port of host:port, 0 where it has none.
func portOf(listen string) uint16 {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return 0
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// bindable reports whether a program could listen on host:port. It only takes the address, for a moment, and doesn't listen: who
// begins to listen meanwhile is not kept from it, and who connects meanwhile is refused as before.
func bindable(listen string) error {
	tcp, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil || tcp.Port == 0 {
		return err
	}
	addr := tcp.AddrPort()
	if !addr.Addr().IsValid() { // no host: all addresses
		if err := bind(netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())); !errors.Is(err, unix.EAFNOSUPPORT) {
			return err
		}
		addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
	}
	return bind(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
}

// bind takes the address as Go's listeners do, with SO_REUSEADDR, and gives it back.
func bind(addr netip.AddrPort) error {
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // nothing was sent
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if family == unix.AF_INET {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if zone := addr.Addr().Zone(); zone != "" {
		link, err := net.InterfaceByName(zone)
		if err != nil {
			return err
		}
		sa.ZoneId = uint32(link.Index)
	}
	return unix.Bind(fd, sa)
}
