package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sightd/daemon"
	"sightd/publish"
)

// running starts a sightd with its own broker, and returns the broker's host:port.
func running(t *testing.T) string {
	t.Helper()
	c := config(t)
	c.MQTT.Listen = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- daemon.Run(ctx, *c, daemon.Options{Log: slog.New(slog.DiscardHandler), Ready: func(broker string) { ready <- broker }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	select {
	case broker := <-ready:
		u, err := url.Parse(broker)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	case err := <-ended:
		ended <- err
		t.Fatalf("the daemon ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the daemon isn't ready")
	}
	return ""
}

// told are the findings as lines.
func told(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s: %s -> %s\n", f.Status, f.Name, f.Detail, f.Hint)
	}
	return b.String()
}

func TestBroker(t *testing.T) {
	addr := running(t)
	c := config(t)
	c.MQTT.Broker, c.MQTT.MaxPayloadKB = "mqtt://"+addr, 4
	e := &examiner{system: recorded(t, nil), config: c}
	found := told(e.broker(context.Background()))
	for _, stage := range []string{"TCP", "CONNECT", "SUBSCRIBE", "PUBLISH", "READ BACK", "RETAIN", "DISCOVERY"} {
		if !strings.Contains(found, "ok broker "+stage+": ") {
			t.Errorf("want the stage %s to be ok, have\n%s", stage, found)
		}
	}

	t.Run("embedded, running", func(t *testing.T) {
		c := config(t)
		c.MQTT.Listen = addr
		e := &examiner{system: recorded(t, nil), config: c}
		e.bind = bindable
		holder(t, e.system, os.Getpid(), hold(t, c))
		found := told(e.broker(context.Background()))
		if !strings.Contains(found, "ok broker port: "+addr+" is that of the running sightd (pid ") || !strings.Contains(found, "ok broker READ BACK: ") {
			t.Errorf("got\n%s\nwant the port, and the stages", found)
		}
	})
	t.Run("no broker", func(t *testing.T) {
		ln := listening(t)
		c.MQTT.Broker = "mqtt://" + ln.Addr().String()
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		want(t, e.broker(context.Background()), "fail broker TCP: connection refused -> nothing listens there")
	})
	t.Run("wrong options", func(t *testing.T) {
		c.MQTT.Broker, c.MQTT.CA = "mqtts://"+addr, "/none.pem"
		want(t, e.broker(context.Background()), "fail broker: /none.pem -> below mqtt")
		c.MQTT.CA, c.MQTT.User, c.MQTT.PasswordFile = "", "u", "/none.txt"
		want(t, e.broker(context.Background()), "fail broker: /none.txt -> below mqtt")
	})
	t.Run("end", func(t *testing.T) {
		c := config(t)
		c.MQTT.Broker = "mqtt://" + addr
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errors.New("interrupted"))
		if found := told(tryBroker(ctx, mustOptions(t, c), c.MQTT)); !strings.Contains(found, "fail broker TCP") {
			t.Errorf("got\n%s\nwant a stage that failed", found)
		}
	})
}

func mustOptions(t *testing.T, c *daemon.Config) publish.Options {
	t.Helper()
	url, _ := c.BrokerURL()
	options, err := c.BrokerOptions(url)
	if err != nil {
		t.Fatal(err)
	}
	return options
}

func TestStages(t *testing.T) {
	report := publish.CheckReport{Stages: []publish.CheckStage{
		{Stage: "DNS", Result: publish.StageSkipped, Detail: "an address"},
		{Stage: "TLS", Result: publish.StageOK, Detail: "TLS 1.3", Hint: "renew the certificate"},
		{Stage: "CONNECT", Result: publish.StageFailed, Detail: "refused", Hint: "check mqtt.user"},
		{Stage: "PUBLISH", Result: publish.StageSkipped, Detail: "in vain"},
	}}
	want(t, stages(report), "warn broker TLS: TLS 1.3 -> renew", "fail broker CONNECT: refused -> mqtt.user")
}

func TestEmbedded(t *testing.T) {
	const socket = "   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 23456 1 0000000000000000 100 0 0 10 0\n"
	of := func(program string) map[string]string {
		return map[string]string{"proc/net/tcp": socket, "proc/900/fd/3": "-> socket:[23456]", "proc/900/comm": program + "\n"}
	}
	for _, test := range []struct {
		name    string
		files   map[string]string
		bind    error
		running int // process, 0: there is none
		change  func(*daemon.Config)
		want    string
	}{
		{"free", nil, nil, 0, nil, "ok broker port: 127.0.0.1:1883 is free"},
		{"free, but sightd runs", nil, nil, 812, nil, "warn broker port: though a sightd runs with this state_dir (pid 812) -> restart it"},
		{"taken", of("mosquitto"), syscall.EADDRINUSE, 0, nil, "fail broker port: mosquitto (pid 900) has 127.0.0.1:1883 already -> set mqtt.broker to mqtt://127.0.0.1:1883"},
		{"taken by another than the one that runs", of("mosquitto"), syscall.EADDRINUSE, 812, nil, "fail broker port: mosquitto (pid 900) has -> mqtt.listen"},
		{"taken by another sightd", of("sightd"), syscall.EADDRINUSE, 0, nil, "fail broker port: sightd (pid 900) has -> another sightd runs"},
		{"taken by who knows", nil, syscall.EADDRINUSE, 0, nil, "fail broker port: another program has 127.0.0.1:1883 -> as root"},
		{"low", nil, os.NewSyscallError("bind", syscall.EACCES), 0, nil, "fail broker port: permission denied -> below 1024"},
		{"not here", nil, syscall.EADDRNOTAVAIL, 0, nil, "fail broker port: cannot assign -> ip address"},
		{"else", nil, io.ErrUnexpectedEOF, 0, nil, "fail broker port: unexpected EOF -> set mqtt.listen"},
		{"user alone", nil, nil, 0, func(c *daemon.Config) { c.MQTT.User = "u" }, "fail broker: both or neither -> set both"},
		{"user and password", nil, nil, 0, func(c *daemon.Config) { c.MQTT.User, c.MQTT.Password = "u", "p" }, "ok broker port: is free"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := recorded(t, test.files), config(t)
			s.bind = func(string) error { return test.bind }
			if test.running != 0 {
				holder(t, s, test.running, hold(t, c))
			}
			if test.change != nil {
				test.change(c)
			}
			want(t, (&examiner{system: s, config: c}).broker(context.Background()), test.want)
		})
	}
}

func TestBindable(t *testing.T) {
	ln := listening(t)
	addr := ln.Addr().String()
	if err := bindable(addr); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%s, which is in use: got %v, want that", addr, err)
	}
	if err := bindable(":" + addr[strings.LastIndex(addr, ":")+1:]); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("all addresses, with a port in use: got %v, want that", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it gives the address back
		if err := bindable(addr); err != nil {
			t.Errorf("%s, which is free: %v", addr, err)
		}
	}
	for listen, want := range map[string]error{"127.0.0.1:0": nil, "[::1]:0": nil, "192.0.2.7:1883": syscall.EADDRNOTAVAIL} {
		if err := bindable(listen); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", listen, err, want)
		}
	}
	if err := bindable("127.0.0.1"); err == nil {
		t.Error("no port: got no error")
	}
}
