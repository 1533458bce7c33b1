package publish

import "context"

// AnswerReload is one of the answers: see AnswerEvent. It may come minutes after the request: see ReloadResponse. It waits until the
// broker has acknowledged it, or ctx ends.
func (r *IncomingRequest) AnswerReload(ctx context.Context, result ReloadResult) error {
	payload, err := ReloadResponse(r.Transaction, result, r.client.opts.MaxPayload)
	if err := r.answer(ctx, payload, err, false); err != nil {
		return err
	}
	select {
	case <-r.settled:
	case <-ctx.Done():
	}
	return nil
}

// Settle waits until the broker knows which requests were answered and acknowledged, for a client that is to be closed with another to
// come: else that is given the last one again. The broker reads one packet after the other, so that its answer to a subscription, which
// is made once more, comes behind.
func (c *Client) Settle(ctx context.Context) {
	c.intake.mu.Lock()
	link := c.intake.link
	c.intake.mu.Unlock()
	if link == nil {
		return
	}
	if _, err := link.subscribe(ctx, c.intakeFilters()...); err != nil {
		c.opts.Log.Debug("requests may come again", "err", err)
	}
}
