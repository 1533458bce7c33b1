package publish

import (
	"bytes"
	"encoding/json"
	"net"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/eclipse/paho.mqtt.golang/packets"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"
)

func FuzzParseReload(f *testing.F) {
	got, err := ReloadResponse(nil, testReload, MaxPayload)
	if err != nil {
		f.Fatal(err)
	}
	r, _ := parseResponse(got)
	f.Add([]byte(r.Data))
	f.Add([]byte(`{"sha256":"\u0000","keys":["a",null],"took_ms":-1}`))
	f.Add([]byte(`{"took_ms":9223372036854775807,"sha256":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := ParseReload(data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !utf8.ValidString(err.Error()) {
				t.Fatalf("want an error of one line, have %q", err)
			}
			return
		}
		response, err := ReloadResponse(nil, read, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		r, ok := parseResponse(response)
		again, err := ParseReload(r.Data)
		if !ok || err != nil {
			t.Fatalf("%s: have %v, %v", response, ok, err)
		}
		// What was made printable and short stays as it is.
		response, err = ReloadResponse(nil, again, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		r, _ = parseResponse(response)
		if third, err := ParseReload(r.Data); err != nil || !reflect.DeepEqual(third, again) {
			t.Fatalf("want %+v, have %+v, %v", again, third, err)
		}
	})
}

// FuzzParseResponse reads answers to what Ask asks: what is no answer is none, and an answer made again says the same.
func FuzzParseResponse(f *testing.F) {
	for _, s := range []string{
		`{"data":{"a":1},"status":"ok","error":null,"transaction":"x"}`, `{"data":null,"status":"error","error":"no","transaction":7}`,
		`{"status":"ok"}`, `{"status":"ok","error":"x"}`, `{"status":"error"}`, `null`, `[]`, `{"status":"ok","data":"\ud800","transaction":"é"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, ok := parseResponse(payload)
		if !ok {
			return
		}
		if !json.Valid(payload) || r.Error != "" && r.Data != nil || len(r.Data)+len(r.Transaction) > len(payload) {
			t.Fatalf("have %+v", r)
		}
		again, err := ResponsePayload(r, 2*len(payload)+around)
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := parseResponse(again); !ok || (back.Error == "") != (r.Error == "") {
			t.Fatalf("%s: have %+v again, %v", again, back, ok)
		}
	})
}

// FuzzBroker sends the embedded broker what a stranger sends, behind a login or in its place, and wants it to serve others after that.
func FuzzBroker(f *testing.F) {
	login := func(edit func(*packets.ConnectPacket)) []byte {
		p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
		p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.ClientIdentifier = "MQTT", 4, true, "stranger"
		edit(p)
		return written(f, p)
	}
	subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	subscribe.MessageID, subscribe.Topics, subscribe.Qoss = 1, []string{"t/#", "$SYS/#", "$share/g/t", "$SYS/broker/version"}, []byte{2, 1, 0, 1}
	publish := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	publish.MessageID, publish.TopicName, publish.Payload, publish.Qos, publish.Retain = 1, "t/x", []byte("x"), 2, true
	unsubscribe := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	unsubscribe.MessageID, unsubscribe.Topics = 2, []string{"t/#"}
	ack := packets.NewControlPacket(packets.Pubrel).(*packets.PubrelPacket)
	ack.MessageID = 1
	plain := login(func(*packets.ConnectPacket) {})
	f.Add(plain, bytes.Join([][]byte{written(f, subscribe), written(f, publish), written(f, ack), written(f, unsubscribe)}, nil))
	f.Add(login(func(p *packets.ConnectPacket) {
		p.WillFlag, p.WillRetain, p.WillQos, p.WillTopic, p.WillMessage = true, true, 1, "t/will", []byte("gone")
	}), []byte{0xc0, 0, 0x20, 0})
	f.Add(plain, []byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0x10, 0x80, 0x80, 0x80, 0x80}, []byte{})
	five := mochipackets.Packet{
		FixedHeader: mochipackets.FixedHeader{Type: mochipackets.Connect}, ProtocolVersion: 5,
		Properties: mochipackets.Properties{TopicAliasMaximum: 3, ReceiveMaximum: 1, SessionExpiryInterval: 1, SessionExpiryIntervalFlag: true},
		Connect: mochipackets.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: "five", WillFlag: true, WillRetain: true, WillTopic: "t/w",
			WillPayload: []byte("x"), WillProperties: mochipackets.Properties{WillDelayInterval: 5}},
	}
	var buf bytes.Buffer
	if err := five.ConnectEncode(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes(), []byte{0x32, 13, 0, 3, 't', '/', 'x', 0, 1, 3, 0x23, 0, 1, 'a', 'b', 0xe0, 2, 4, 0})

	b := open(f, listen(f), new(allowAll))
	addr := b.Addr().String()
	other := asUser(f, addr, nil, "")
	f.Fuzz(func(t *testing.T, first, more []byte) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(append(first[:len(first):len(first)], more...)); err == nil {
			conn.(*net.TCPConn).CloseWrite() // the broker's answer, or its end of the connection, is awaited either way
		}
		closed(t, conn)
		// The broker serves others still: it takes a message.
		if err := other.publish(deadline(t), func(*packets.PublishPacket) {}, "still/there", []byte("x"), false); err != nil {
			t.Fatalf("publish to the broker after it: %v", err)
		}
		for topic := range b.server.Topics.Retained.GetAll() { // what inputs leave behind isn't to add up
			b.server.Topics.Retained.Delete(topic)
		}
		for id, cl := range b.server.Clients.GetAll() {
			if cl.Closed() {
				b.server.UnsubscribeClient(cl)
				b.server.Clients.Delete(id)
			}
		}
	})
}

func written(t testing.TB, p packets.ControlPacket) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
