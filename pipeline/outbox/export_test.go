package outbox

// Plan works on one event as the work group would.
var Plan = (*Outbox).plan
