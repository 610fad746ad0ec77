// Package register is the register of incoming mail (RPW): it numbers letters
// without gap or repeat, writes the write-once entries and their chain, keeps
// the cards, holds the read model that people look at, and proves all of it.
package register
