package publish

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

type snapshotJSON struct {
	Source string `json:"source"`
	Time   string `json:"ts"`
	Image  string `json:"image"`
}

// SnapshotResponse answers a request of Snapshot, in at most limit bytes: data has source, ts, which is when the picture was
// taken, and image, a JPEG file in base64. One that is too large for that is answered with an error.
func SnapshotResponse(transaction json.RawMessage, source string, taken time.Time, jpeg []byte, limit int) ([]byte, error) {
	v := snapshotJSON{Source: printable(source), Time: timestamp(taken)}
	bare, err := encode(v, limit)
	if err != nil {
		return nil, wrapResponse(err)
	}
	if most := max(0, limit-around-len(bare)) / 4 * 3; len(jpeg) > most {
		why := fmt.Errorf("picture of %s is too large for an answer: want at most %d bytes of JPEG, have %d", v.Source, most, len(jpeg))
		return ErrorResponse(transaction, why, limit)
	}
	v.Image = base64.StdEncoding.EncodeToString(jpeg)
	data, err := encode(v, limit)
	if err != nil {
		return nil, wrapResponse(err)
	}
	return ResponsePayload(Response{Data: data, Transaction: transaction}, limit)
}
