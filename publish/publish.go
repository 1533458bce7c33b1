// Package publish says over MQTT 3.1.1 what the daemon decided: topics, payloads, the connection to the broker, and an
// embedded broker for boards that have none.
//
// A Client owns one connection and makes it anew for as long as it lives. What Publish reported as delivered was
// acknowledged by the broker; everything else is sent again, unchanged, over the next connection. The payload of an
// event is built once, so its id is the same in every repeat.
//
// The package keeps nothing on disk: a message whose Publish has not returned is lost with the process, and its caller
// still owns what it was about (a folder keeps the picture until then). It subscribes to nothing yet, and knows nothing
// of frames, models or folders: it takes a decide.Event and gives it to a broker.
package publish
