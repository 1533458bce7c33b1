package publish

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotReloaded is what AskReload's error wraps when the daemon has answered, and goes on with the model that it had.
var ErrNotReloaded = errors.New("the model before goes on")

// AskReload has the daemon that o is of read its model again, and use it, in the way of Ask; but it waits for the answer until ctx
// ends, since finding out what runs a model best takes minutes on a slow board. When it returns because of ctx the daemon goes on all the
// same.
//
// The request is sent once, so that the model isn't read twice. That the daemon hears requests is asked before, with HealthCheck.
func AskReload(ctx context.Context, o Options) (ReloadResult, error) {
	if _, err := Ask(ctx, o, HealthCheck, nil); err != nil {
		return ReloadResult{}, err
	}
	r, err := ask(ctx, o, question{command: Reload, patient: true}, nil)
	switch {
	case err != nil:
		return ReloadResult{}, err
	case r.Error != "":
		return ReloadResult{}, fmt.Errorf("%w: sightd answers: %s", ErrNotReloaded, text(r.Error, maxText))
	}
	return ParseReload(r.Data)
}
