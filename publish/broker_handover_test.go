package publish

import (
	"fmt"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Every message that the broker has acknowledged, or was given without a connection, reaches a client that keeps its session, however often
// that comes back meanwhile.
func TestBrokerHandover(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	var mu sync.Mutex
	missing := map[string]bool{} // by topic
	empty := make(chan struct{}, 1)
	come := func(topic string) {
		mu.Lock()
		defer mu.Unlock()
		if delete(missing, topic); len(missing) == 0 {
			select {
			case empty <- struct{}{}:
			default:
			}
		}
	}
	connect := func() paho.Client {
		c := paho.NewClient(paho.NewClientOptions().AddBroker(mqttURL(b.Addr())).SetClientID("keeper").SetCleanSession(false).
			SetAutoReconnect(false).SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { come(m.Topic()) }))
		settle(t, c.Connect())
		return c
	}
	keeper := connect()
	settle(t, keeper.Subscribe("t/#", 1, nil))

	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for i := range 4 {
		w := asUser(t, b.Addr().String(), nil, "")
		publishers.Go(func() {
			until(t, stop, func(n int) error {
				topic := fmt.Sprintf("t/%d/%d", i, n)
				mu.Lock()
				missing[topic], missing[topic+"/inside"] = true, true
				mu.Unlock()
				if err := w.publish(deadline(t), func(*packets.PublishPacket) {}, topic, []byte("x"), false); err != nil {
					return err
				}
				return b.publish(topic+"/inside", []byte("x"), 1)
			})
		})
	}
	for range 100 {
		keeper = connect() // the other is cut off by that
	}
	close(stop)
	publishers.Wait()
	defer keeper.Disconnect(100)
	for timeout := time.After(patience); ; {
		mu.Lock()
		left := len(missing)
		mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-empty:
		case <-timeout:
			t.Fatalf("%d messages that the broker has acknowledged haven't come: %v", left, missing)
		}
	}
}
