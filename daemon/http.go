package daemon

import (
	"fmt"

	"sightd/daemon/page"
	"sightd/publish"
)

// site is the status page, where http.listen says so. The zero value shows nothing. Only Run's goroutine calls its methods.
type site struct {
	server *page.Server // nil: there is none
	listen string       // as configured when it was opened; "" without one
}

// apply opens, closes or moves the page as the configuration says. After an error there is none.
func (s *site) apply(d *Daemon) error {
	listen := d.config.HTTP.Listen
	if listen == s.listen {
		return nil
	}
	if err := s.close(); err != nil { // before the other is opened: it may want the same port
		d.log.Warn("the status page before may still be there", "err", err)
	}
	if listen == "" {
		return nil
	}
	server, err := page.Open(page.Options{Listen: listen, Now: d.now, Log: d.log})
	if err != nil {
		return err
	}
	s.server, s.listen = server, listen
	d.log.Info("status page", "url", "http://"+reachable(server.Addr().String())+"/")
	return nil
}

// show has the page show d, which must run its flow, or with nil what it showed last: d isn't looked at any more then.
func (s *site) show(d *Daemon) {
	switch {
	case s.server == nil:
	case d == nil:
		s.server.Show(nil)
	default:
		s.server.Show(d.shown)
	}
}

func (s *site) close() error {
	server := s.server
	s.server, s.listen = nil, ""
	if server == nil {
		return nil
	}
	if err := server.Close(); err != nil {
		return fmt.Errorf("close http.listen: %w", err)
	}
	return nil
}

// shown is what the status page shows: it may be called while the flow runs.
func (d *Daemon) shown() page.Status {
	factor, _ := d.heat.slow() // why is said by the health's check
	s := page.Status{
		Name: d.config.Name, Info: d.info(), Health: d.health(), Limit: d.maxPayload(),
		Broker: d.config.MQTT.Broker, Connected: d.client.Stats().Connected, Classified: d.pace.count(), Heat: factor,
	}
	if d.broker != nil {
		s.Broker = "embedded, on " + d.broker.Addr().String()
	}
	for _, each := range d.sources {
		s.Sources = append(s.Sources, page.Source{Name: each.config.Name, Available: each.available(), State: each.shown()})
	}
	return s
}

// shown is the source's state, with the problem that it has now.
func (s *source) shown() publish.State {
	problem := s.problem()
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	state.Problem = problem
	return state
}

// count is how many pictures there were.
func (p *pace) count() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(p.n)
}
