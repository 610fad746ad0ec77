package mailkey_test

import (
	"testing"

	"sekretariat"
	"sekretariat/pipeline/mailkey"
)

// TestPlatform: an UPP hangs together with the letter that it names, in the same
// account and channel only.
func TestPlatform(t *testing.T) {
	k := mailkey.New([]byte("secret"), "x")
	letter := k.Platform(sekretariat.KindEPUAP, "esp", &sekretariat.Reading{MessageID: "77000001"})
	proof := k.Platform(sekretariat.KindEPUAP, "esp", &sekretariat.Reading{MessageID: "77000002", References: []string{"77000001"}})
	if letter.Sender != proof.Sender || letter.Sender == "" || len(proof.References) != 1 || proof.References[0] != letter.Message || proof.Message == letter.Message {
		t.Errorf("%+v, %+v", letter, proof)
	}
	for _, other := range []*sekretariat.Thread{
		k.Platform(sekretariat.KindEDelivery, "esp", &sekretariat.Reading{MessageID: "77000001"}),
		k.Platform(sekretariat.KindEPUAP, "inna", &sekretariat.Reading{MessageID: "77000001"}),
		k.Thread(&sekretariat.Reading{MessageID: "77000001"}),
	} {
		if other.Message == letter.Message || other.Sender == letter.Sender {
			t.Errorf("another channel or account: %+v", other)
		}
	}
	if k.Platform(sekretariat.KindEPUAP, "esp", &sekretariat.Reading{}) != nil {
		t.Error("a letter without an id hangs together with something")
	}
}
