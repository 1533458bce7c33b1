package publish

import "context"

// Settle waits until the broker knows which requests were answered, for a client that is to be closed with more to come: else it gives
// the last one again to the next. The broker reads one packet after the other, so that its answer to a subscription, which is made once
// more, comes behind the acknowledgements.
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
