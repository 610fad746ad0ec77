package train

import (
	"os"
	"testing"

	"sekretariat/router/model"
)

// The model that ships was made from the letters that lie here: whoever changes
// a letter runs "go generate ./router/train".
func TestModelBelongsToTheLetters(t *testing.T) {
	if _, err := os.Stat("letters"); err != nil {
		t.Fatal(err)
	}
	digest, err := Digest("letters")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	if m.Card.Digest != digest {
		t.Errorf("the model was made from letters with digest %.12s…, here lie %.12s…: run go generate ./router/train", m.Card.Digest, digest)
	}
}
