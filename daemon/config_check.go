package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sightd/inference"
)

// isControl reports C0, C1 and DEL, and the separators of lines and paragraphs.
func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

func orEmpty(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New(`want a path, have ""`)
	}
	return nil
}

var configName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

func checkName(s string) error {
	if !configName.MatchString(s) {
		return fmt.Errorf("want 1 to 64 of a-z, 0-9, _ and -, have %s", quoted(s))
	}
	return nil
}

// checkDelegate checks the name of a delegate, not whether it can be had: only the machine that is to run it knows.
func checkDelegate(s string) error {
	d, err := inference.ParseDelegate(s)
	if err != nil || !d.IsExternal() {
		return err
	}
	_, options, err := d.Library()
	for i, o := range options {
		if slices.ContainsFunc(options[:i], func(other inference.ExternalOption) bool { return other.Key == o.Key }) {
			return fmt.Errorf("want each option of the delegate once, have %s twice", quoted(o.Key))
		}
	}
	return err
}

func checkBoardName(s string) error {
	if s == "fleet" {
		return errors.New(`want another name than "fleet": its topics are those of the fleets`)
	}
	return checkName(s)
}

func checkSourceName(s string) error {
	if s == "bridge" {
		return errors.New(`want another name than "bridge": its topics are the daemon's own`)
	}
	return checkName(s)
}

// checkBroker never repeats the URL: it may have a password in it.
func checkBroker(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return errors.New("want a URL such as mqtt://192.168.1.2:1883, have something else")
	}
	if u.User != nil {
		return errors.New("want a URL without user and password: give them as mqtt.user and mqtt.password_file")
	}
	switch u.Scheme {
	case "mqtt", "mqtts":
		if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery {
			return errors.New("want nothing behind host and port: only ws:// and wss:// have a path")
		}
	case "ws", "wss":
	default:
		return fmt.Errorf("want the scheme mqtt, mqtts, ws or wss, have %s", quoted(u.Scheme))
	}
	if u.Fragment != "" {
		return errors.New("want a URL without #")
	}
	if u.Hostname() == "" {
		return errors.New("want a host in the URL, have only a port")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("want a port from 1 to 65535, have %s", quoted(port))
		}
	}
	return nil
}

// checkListen wants an address to listen on, such as the example.
func checkListen(example string) func(string) error {
	return func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if err != nil {
			return fmt.Errorf("want host:port such as %s, have %s", example, quoted(s))
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("want a port from 0 to 65535, have %s", quoted(port))
		}
		return nil
	}
}

// checkTopic wants a topic to publish below: no wildcards, no empty levels, and no $ in front, which brokers keep for
// themselves (MQTT 3.1.1, section 4.7).
func checkTopic(s string) error {
	if len(s) > 256 || strings.ContainsAny(s, "+#") || s[0] == '$' || slices.Contains(strings.Split(s, "/"), "") {
		return fmt.Errorf("want topic levels such as home/door, at most 256 bytes, without + and #, no $ or / in front, no / at the end, have %s", quoted(s))
	}
	return nil
}

// checkTogether looks at the keys that are right by themselves but have to fit each other.
func (r *configReader) checkTogether() {
	r.checkMQTT()
	r.checkPaths()
	r.checkLive()
	r.checkDecide(nil)
	r.checkPrivacy()
}

func (r *configReader) checkMQTT() {
	m := r.config.MQTT
	if m.Password != "" && m.PasswordFile != "" {
		r.fault("mqtt.password_file", errors.New("want this or mqtt.password, have both"))
	}
	if m.User == "" && m.Password != "" {
		r.fault("mqtt.password", errors.New("want mqtt.user with it: MQTT has no password without a user"))
	}
	if m.User == "" && m.PasswordFile != "" {
		r.fault("mqtt.password_file", errors.New("want mqtt.user with it: MQTT has no password without a user"))
	}
	if m.Cert != "" && m.Key == "" {
		r.fault("mqtt.cert", errors.New("want mqtt.key with it"))
	}
	if m.Key != "" && m.Cert == "" {
		r.fault("mqtt.key", errors.New("want mqtt.cert with it"))
	}
	if host, _, err := net.SplitHostPort(m.Listen); m.Broker == "" && m.User == "" && err == nil && !loopback(host) {
		r.fault("mqtt.listen", errors.New("want mqtt.user and mqtt.password_file with an address that others reach, have no mqtt.user: "+
			"who reaches the broker inside sightd must log in"))
	}
	tls := strings.HasPrefix(m.Broker, "mqtts:") || strings.HasPrefix(m.Broker, "wss:")
	for _, k := range []struct{ path, value string }{{"mqtt.ca", m.CA}, {"mqtt.cert", m.Cert}, {"mqtt.key", m.Key}} {
		if k.value != "" && !tls {
			r.fault(k.path, errors.New("want an mqtts:// or wss:// URL as mqtt.broker with it: no other connection is encrypted"))
		}
	}
}

// loopback reports whether only programs on this machine reach a host's name or address. Other names than localhost are looked
// up when the broker starts, not here.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
