package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sightd/publish"
	"sightd/publish/outbox"
)

// link opens the embedded broker, where no other is configured, and the client that publishes to url. What the client can't be opened
// with is an error; a broker that isn't there is none.
func (d *Daemon) link() (url string, err error) {
	linked, err := d.config.fingerprint()
	if err != nil {
		return "", err
	}
	if url, err = d.openBroker(); err != nil {
		return "", err
	}
	if d.config.MQTT.Broker != "" {
		if d.claim, err = claimTopics(url, d.config.base()); err != nil {
			return "", err
		}
	}
	if err := d.openClient(url); err != nil {
		return "", err
	}
	d.linked = linked
	return url, nil
}

// claimTopics makes sure that no other sightd on this machine publishes to the same topics of the same broker: each would undo what the
// other says. The claim is a socket with a name but without a file, which goes with the process, however that ends.
func claimTopics(url, base string) (claim net.Listener, err error) {
	sum := sha256.Sum256([]byte(url + " " + base))
	claim, err = net.Listen("unix", fmt.Sprintf("@sightd-%x", sum[:16]))
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("publish to %s: another sightd on this machine does, to the same broker: the key name (or mqtt.base) must be another one here", base)
	}
	return claim, nil // a system that has no such sockets can't tell
}

// unlink says goodbye to the broker, and closes the embedded one.
func (d *Daemon) unlink() error {
	d.linked = fingerprint{}
	var err error
	if d.client != nil {
		err = d.closeClient()
		d.client = nil
	}
	if d.broker != nil {
		err = errors.Join(err, d.broker.Close()) // last: the client has said goodbye to it
		d.broker = nil
	}
	if d.claim != nil {
		err = errors.Join(err, d.claim.Close())
		d.claim = nil
	}
	return err
}

// openBroker opens the embedded broker, where no other is configured, and gives the URL to publish to.
func (d *Daemon) openBroker() (url string, err error) {
	if d.config.MQTT.Broker != "" {
		return d.config.MQTT.Broker, nil
	}
	password, err := d.config.MQTT.secret(os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return "", err
	}
	d.broker, err = publish.Listen(d.config.MQTT.Listen, publish.ListenOptions{
		User: d.config.MQTT.User, Password: password, MaxPacket: maxBrokerPacket,
	}, d.log)
	if err != nil {
		return "", err
	}
	url = "mqtt://" + reachable(d.broker.Addr().String())
	d.log.Info("embedded broker is listening", "broker", url)
	return url, nil
}

func (d *Daemon) openClient(url string) error {
	opts, err := d.config.BrokerOptions(url)
	if err != nil {
		return err
	}
	opts.Info, opts.Outbox, opts.Embedded, opts.Log = d.info(), d.outbox, d.broker, d.log
	opts.Intake = publish.Intake{Held: heldRequests, Bytes: d.config.Limits.MaxFileMB << 20, Fleet: d.config.MQTT.Fleet}
	d.client, err = publish.New(opts)
	return err
}

// closeClient says goodbye to the broker.
func (d *Daemon) closeClient() error {
	for _, s := range d.sources {
		if err := d.client.SetAvailability(s.config.Name, publish.Offline); err != nil {
			return err
		}
	}
	if err := d.save(true); err != nil {
		d.log.Warn("the next start won't know the sources' last states", "err", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := d.client.Close(ctx); err != nil {
		d.log.Warn("the broker may not have heard that sightd stops; it will publish the will", "err", err)
	}
	return nil
}

// openOutbox opens what keeps events until the broker has them.
func (d *Daemon) openOutbox() (err error) {
	d.outbox, err = outbox.Open(outbox.Options{
		Dir:      filepath.Join(d.config.StateDir, "outbox"),
		MaxBytes: int64(d.config.MQTT.Outbox.MaxMB) << 20,
		MaxAge:   d.config.MQTT.Outbox.MaxAge,
		Log:      d.log,
	})
	return err
}

// fingerprint tells whether a connection is still what the configuration says.
type fingerprint [sha256.Size]byte

// fingerprint is that of all that the client, the embedded broker and the outbox depend on, the files' content too: a certificate or a
// password may have been replaced.
func (c Config) fingerprint() (fingerprint, error) {
	password, err := c.MQTT.secret(os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return fingerprint{}, err
	}
	text := fmt.Sprintf("%q %#v %q %d", c.Name, c.MQTT, password, c.Limits.MaxFileMB)
	for _, file := range []string{c.MQTT.CA, c.MQTT.Cert, c.MQTT.Key} {
		if file == "" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return fingerprint{}, fmt.Errorf("read a certificate of mqtt: %w", err)
		}
		text += fmt.Sprintf(" %q", data)
	}
	return sha256.Sum256([]byte(text)), nil
}
