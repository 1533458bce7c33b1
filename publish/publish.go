// Package publish says over MQTT 3.1.1 what the daemon decided, and hears what it is asked: topics, payloads and their JSON
// Schemas, Home Assistant's discovery, the connection to the broker, a check of one in stages, questions to a daemon that runs,
// and an embedded broker for boards that have none.
//
// A Client owns a connection and makes it anew for as long as it lives. What it reported as delivered was acknowledged by
// the broker; everything else is sent again over the next connection, in the same order. The payload of an event is built
// once, so its id is the same in every repeat. Events that no file stands for go through package outbox, which keeps them on
// disk. States collapse to the last. Requests come over a second connection, no more of them at a time than can be worked on,
// and are acknowledged when their answer is. A broker embedded in the same process is given new events without a connection, while the
// Client's stands: it has them as if it had acknowledged them.
//
// MQTT 3.1.1 has no word for a message that a broker takes and then drops, because of an access right or its size: Check
// reads back what it publishes to find out. The package knows nothing of frames, models or folders: it takes a decide.Event
// and gives it to a broker.
package publish
