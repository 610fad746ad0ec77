// Package train makes the router's model from labelled letters.
package train

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sekretariat/router"
	"sekretariat/router/letters"
	"sekretariat/router/model"
)

// The letters of the folder letters are invented, each written individually;
// all persons, numbers and addresses are invented. The model that ships is made
// from them alone:
//
//go:generate go run sekretariat/cmd/sekretariat train --letters letters --out ../model/default.model

// Examples turns labelled letters into what the model learns from. r supplies
// the rules whose findings are features; letters without a label are left out.
func Examples(r *router.Router, list []letters.Letter) []model.Example {
	now := time.Now()
	var out []model.Example
	for _, l := range list {
		if l.Label == "" {
			continue
		}
		out = append(out, model.Example{Input: r.Input(l.Facts(now)), Label: l.Label, Kind: l.Kind, Urgent: l.Urgent})
	}
	return out
}

// Digest is the SHA-256 over the letter files of a folder, in the order of
// their names: the card of a model names what it was made from.
func Digest(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	h := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", fmt.Errorf("digest of the training letters: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n", filepath.Base(f), len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
