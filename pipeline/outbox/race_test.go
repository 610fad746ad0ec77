//go:build race

package outbox_test

// rounds of the duel through the whole pipeline.
const rounds = 100
