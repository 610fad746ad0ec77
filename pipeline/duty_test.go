package pipeline_test

import (
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/pipeline"
)

// Several letters of one person in one matter share one contact duty; when it
// has ended, the next letter opens one (rule P15).
func TestOneContactDuty(t *testing.T) {
	o := open(t, nil, func(c *configs.Centre) {
		c.Routing.ContactDuty = true
		c.Labels = map[string]configs.To{"bezdomnosc": {Department: "bezdomnosc"}}
		c.Rules = []configs.Rule{{ID: "nocleg", Text: []string{"nocleg"}, Label: "bezdomnosc", Weight: 0.9, Because: "mowa o noclegu"}}
	})
	o.run()
	mail := func(id, from, text string) *sekretariat.Letter {
		t.Helper()
		return o.settled(o.take("a", "From: "+from+"\r\nMessage-ID: <"+id+"@example>\r\nSubject: Wniosek\r\n\r\nProszę o nocleg. "+text))
	}
	first := mail("1", "jan@poczta.example", "pierwszy")
	if !first.Decision.ContactDuty || first.Decision.Label != "bezdomnosc" {
		t.Fatalf("the first letter: %+v", first.Decision)
	}
	second := mail("2", "jan@poczta.example", "drugi")
	if second.Decision.ContactDuty {
		t.Error("the second letter of the same person opens a duty of its own")
	}
	advice, err := pipeline.LoadAdvice(t.Context(), o.house.Vault, o.cfg.ID, second.ID.Submission(), *second.Advice)
	if err != nil || !strings.Contains(strings.Join(advice.Warnings, " "), "RPW/1/") {
		t.Errorf("the second letter does not say where the duty is: %v %v", advice.Warnings, err)
	}
	if other := mail("3", "ewa@poczta.example", "inna osoba"); !other.Decision.ContactDuty {
		t.Error("another person has no duty")
	}
	who := o.who("bezdomnosc")
	if err := o.pipe.Done(t.Context(), who, first.ID, first.Revision); err != nil {
		t.Fatal(err)
	}
	if next := mail("4", "jan@poczta.example", "po załatwieniu"); !next.Decision.ContactDuty {
		t.Error("after the first duty ended the next letter opens none")
	}
}
