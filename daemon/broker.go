package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"sightd/publish"
)

// BrokerOptions are what the configuration says about the broker at url: who logs in, where to publish, and whom to trust. It
// reads the password: from the configuration, its file, or systemd's credential "mqtt". Info, Log and all that belongs to a
// running daemon are left out.
func (c Config) BrokerOptions(url string) (publish.Options, error) {
	c, err := c.named()
	if err != nil {
		return publish.Options{}, err
	}
	password, err := c.MQTT.secret(os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return publish.Options{}, err
	}
	state, err := filepath.Abs(c.StateDir)
	if err != nil {
		return publish.Options{}, fmt.Errorf("find state_dir: %w", err)
	}
	id, err := publish.ClientID(c.Name, machineID(), state)
	if err != nil {
		return publish.Options{}, err
	}
	return publish.Options{
		Broker: url, ClientID: id, Base: c.base(), QoS: byte(c.MQTT.QoS),
		User: c.MQTT.User, Password: password, CA: c.MQTT.CA, Cert: c.MQTT.Cert, Key: c.MQTT.Key,
		MaxPayload: c.maxPayload(), Discovery: c.MQTT.Discovery,
	}, nil
}

// BrokerURL is mqtt.broker, or, where that is empty, how this machine reaches the embedded broker; embedded says which.
func (c Config) BrokerURL() (url string, embedded bool) {
	if c.MQTT.Broker != "" {
		return c.MQTT.Broker, false
	}
	return "mqtt://" + reachable(c.MQTT.Listen), true
}

// reachable is where this machine reaches a listener on addr, host:port: one on all addresses by loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	switch {
	case err != nil:
		return addr // it can't be listened on either
	case host == "" || ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// named fills in the name, if there is none, by that of the host.
func (c Config) named() (Config, error) {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return c, fmt.Errorf("name this board by its host's name: %w: set the key name", err)
		}
		c.Name = publish.Name(host)
		if err := checkBoardName(c.Name); err != nil {
			return c, fmt.Errorf("name this board by its host's name: %w: set the key name", err)
		}
	}
	return c, nil
}

// base is what all topics start with.
func (c Config) base() string {
	if c.MQTT.Base != "" {
		return c.MQTT.Base
	}
	return "sightd/" + c.Name
}

// maxPayload is the most bytes of a message.
func (c Config) maxPayload() int { return c.MQTT.MaxPayloadKB << 10 }
