package daemon

import (
	"slices"

	"sightd/publish"
)

// announce tells Home Assistant what there is, and withdraws what was announced before and isn't any more: sources that went from the
// configuration, or all of them.
func (d *Daemon) announce(before []string) (err error) {
	if d.announced, err = d.announceNow(); err != nil {
		return err
	}
	for _, topic := range before {
		if !slices.Contains(d.announced, topic) {
			d.client.Announce(topic, nil)
		}
	}
	return nil
}

// announceNow tells Home Assistant of the bridge and of each source, where mqtt.discovery says so, and gives the topics.
func (d *Daemon) announceNow() (topics []string, err error) {
	prefix := d.config.MQTT.Discovery
	if prefix == "" {
		return nil, nil
	}
	about := publish.Discovery{Prefix: prefix, Base: d.config.base(), Name: d.config.Name, Info: d.info(), Images: d.config.Snapshots.MQTT}
	topic, payload, err := about.Bridge(d.maxPayload())
	if err != nil {
		return nil, err
	}
	d.client.Announce(topic, payload)
	topics = append(topics, topic)
	for _, s := range d.config.Sources {
		if topic, payload, err = about.Source(s.Name, s.Live(), d.maxPayload()); err != nil {
			return topics, err
		}
		d.client.Announce(topic, payload)
		topics = append(topics, topic)
	}
	return topics, nil
}
