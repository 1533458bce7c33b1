// Package outbox is a bounded, ordered first-in first-out store of MQTT messages on disk that survives crashes. It keeps
// a topic, a payload and the time of acceptance of each message, and knows nothing of MQTT clients or of what a payload
// means.
//
// # Promise
//
// Once Put has returned, the message is in the page cache: the end of the process, kill -9 included, loses nothing. A
// power cut loses at most what was put in the last second, and the time one fdatasync takes: the first message that is
// neither synced nor acknowledged starts a second, after which one fdatasync covers everything written so far. What is
// acknowledged within that second costs no fdatasync. While there is nothing to put or to acknowledge nothing is written.
//
// Messages are handed out at least once, oldest first. Acknowledgements are recorded when AckBatch of them are
// unrecorded, a second after the first of them, and at once when nothing is left. So after kill -9 the messages handed out
// again are those that were handed out and not acknowledged, and at most AckBatch more. A power cut can bring back
// what was acknowledged since the last fdatasync as well, because none is made for acknowledgements; the kernel writes them
// of itself, usually within half a minute.
//
// This holds as long as the disk works. When it does not, messages are kept in memory, at most MemoryBytes of them with
// the oldest dropped, until the disk works again; Stats and the log say so. Those are lost with the process.
//
// # Files
//
// The folder has a file named lock, and segments named by 16 hexadecimal digits and .log, to which records are appended.
// All integers are little-endian, uvarints as in encoding/binary, checksums CRC-32C.
//
// A segment begins with a header of 4096 bytes, so that records begin on a page of their own:
//
//	0   8  "sightdob"
//	8   4  version, 1
//	12  4  zero
//	16  8  number of the first message: no message in the segment has a lower one
//	24  8  the number after the last message of the segments before
//	32  24 messages ever dropped, expired and damaged, when the segment was made
//	56  4  zero
//	60  4  checksum of the bytes before
//	64     zero
//
// A record is a frame, and a body of at most 16 MiB:
//
//	0  1  kind: 0xA1 message, 0xA2 packed message, 0xA3 acknowledgements
//	1  3  length of the body
//	4  4  checksum of the bytes before and of the body
//
// A message is its number less the header's first (uvarint), the time of acceptance in nanoseconds since 1970 (8 bytes),
// the topic's length (uvarint), the topic and the payload. In a packed message the last three are replaced by the
// checksum of the message record before (4 bytes), their length (uvarint), and their DEFLATE form, ended by a sync flush.
// It continues the stream of the packed messages before, back to the last message that is not packed, which is the
// stream's preset dictionary. Numbers increase strictly; the first number in the header of the next segment ends a
// segment as well.
//
// Acknowledgements are all that are known so far, so that the last such record holds: the floor, below which every message
// is done with (uvarint); messages ever dropped, expired and damaged (uvarints); the number of ranges above the floor
// (uvarint), and for each range the numbers left out before it and its length (uvarints).
//
// Whole segments are removed, the oldest first, when all their messages are acknowledged. When no message is left in the
// last one, it is begun anew in place: acknowledgements are written behind the header, over the records that they make void.
// Before an fdatasync zeros are written ahead, which the next records replace. What lies behind the last record of the last
// segment is therefore zero, stale or torn; it is passed over at Open, and written over later.
//
// That is so because of what reaches the device. On ext4 a message that is acknowledged at once costs 2.1 KiB at one
// a second, all of it the file system's journal; with the file cut 2.9 KiB, with a new file each time 4.7 KiB. A message
// that is synced alone costs 4.5 KiB and one flush; 16.6 KiB and two flushes if the file grows by it.
//
// A damaged segment is replaced by its records before the damage, and kept as NAME.corrupt-TIME, in UTC; at most two such
// are kept, and none when messages need their room. A repair writes NAME.tmp first.
package outbox
