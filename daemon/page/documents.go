package page

import (
	"net/http"

	"sightd/publish"
)

// document is what is answered. It isn't changed once it is made.
type document struct {
	kind string // Content-Type
	code int
	body []byte
}

// builder makes a document of a Status.
type builder func(s *Status) (document, error)

// documents are all that there is, by their paths.
var documents = map[string]builder{
	"/":        pageDocument,
	"/metrics": metricsDocument,
	"/health":  healthDocument,
}

func pageDocument(s *Status) (document, error) {
	body, err := render(s)
	return document{"text/html; charset=utf-8", http.StatusOK, body}, err
}

func metricsDocument(s *Status) (document, error) {
	return document{"text/plain; version=0.0.4; charset=utf-8", http.StatusOK, metrics(s)}, nil
}

// healthDocument tells by its code, too, whether the daemon does its work.
func healthDocument(s *Status) (document, error) {
	code := http.StatusOK
	if s.Health.Status == publish.StatusFailing {
		code = http.StatusServiceUnavailable
	}
	body, err := publish.HealthPayload(s.Health, s.Limit)
	return document{"application/json", code, body}, err
}
