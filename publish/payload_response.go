package publish

import (
	"encoding/json"
	"errors"
	"fmt"

	"sightd/decide"
)

// Response is the answer to a Request, on ResponseTopic or FleetResultTopic.
type Response struct {
	Data        json.RawMessage // what was asked for, a JSON object; nil: nothing
	Error       string          // why there is none; "": all went well
	Transaction json.RawMessage // the request's
}

type responseJSON struct {
	Data        json.RawMessage `json:"data"`
	Status      string          `json:"status"`
	Error       *string         `json:"error"`
	Transaction json.RawMessage `json:"transaction"`
}

type healthCheckJSON struct {
	Healthy bool            `json:"healthy"`
	Health  json.RawMessage `json:"health"`
}

// around is the room for what a response has around its data: the other keys, and a transaction of maxTransaction bytes
// that are all escaped.
const around = 512

// ResponsePayload is the JSON of r, in at most limit bytes. A response with an error has no data. Data that is too large
// becomes an error, so that whoever asked is answered; what is too large even then, and data that is no JSON, are errors
// of ResponsePayload.
func ResponsePayload(r Response, limit int) ([]byte, error) {
	v := responseJSON{Data: r.Data, Status: "ok", Transaction: r.Transaction}
	if r.Error == "" {
		payload, err := encode(v, limit)
		if !errors.As(err, new(tooLarge)) {
			return payload, wrapResponse(err)
		}
		r.Error = fmt.Sprintf("answer is too large: %v", err)
	}
	v.Data, v.Status = nil, "error"
	payload, err := fit(limit, func(cut int) any {
		v.Error = textOrNull(r.Error, cut)
		return v
	})
	return payload, wrapResponse(err)
}

func wrapResponse(err error) error {
	if err != nil {
		return fmt.Errorf("encode response: %w", err)
	}
	return nil
}

// ClassifyResponse answers a request to classify, in at most limit bytes: data is the event as EventPayload has it, and a
// refused picture is an error.
func ClassifyResponse(transaction json.RawMessage, e decide.Event, m Model, limit int) ([]byte, error) {
	if e.Kind == decide.Refused {
		return ResponsePayload(Response{Error: e.Error, Transaction: transaction}, limit)
	}
	data, err := EventPayload(e, m, limit-around)
	if err != nil {
		return nil, err
	}
	return ResponsePayload(Response{Data: data, Transaction: transaction}, limit)
}

// HealthResponse answers a request for health_check, in at most limit bytes: data is {"healthy":…,"health":{…}} with what
// HealthPayload has. A degraded board is healthy still: it does its work.
func HealthResponse(transaction json.RawMessage, h Health, limit int) ([]byte, error) {
	health, err := HealthPayload(h, limit-around)
	if err != nil {
		return nil, err
	}
	data, err := encode(healthCheckJSON{Healthy: h.Status != StatusFailing, Health: health}, limit)
	if err != nil {
		return nil, wrapResponse(err)
	}
	return ResponsePayload(Response{Data: data, Transaction: transaction}, limit)
}

// ErrorResponse answers a request that failed with why, in at most limit bytes.
func ErrorResponse(transaction json.RawMessage, why error, limit int) ([]byte, error) {
	return ResponsePayload(Response{Error: why.Error(), Transaction: transaction}, limit)
}
