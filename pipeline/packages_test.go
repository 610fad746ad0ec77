package pipeline_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest/dropbox"
	"sekretariat/pipeline"
)

// download is a kind of package whose list names one letter a line.
type download struct {
	o    *office
	fail int // takes that fail
}

func (d *download) List() string { return "spis.txt" }

func (d *download) Letters(box configs.Account, list []byte, names []string) ([]pipeline.Packaged, error) {
	if !bytes.HasPrefix(list, []byte("SPIS\n")) {
		return nil, errors.New("another list")
	}
	var out []pipeline.Packaged
	for _, want := range strings.Fields(string(list))[1:] {
		for i, n := range names {
			if n == want {
				out = append(out, pipeline.Packaged{File: i, Delivery: sekretariat.Delivery{
					Centre: d.o.cfg.ID, Kind: sekretariat.KindEPUAP, Door: sekretariat.DoorEPUAPFile, Account: box.ID,
					Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
					Arrived:  sekretariat.Arrival{At: time.Now().UTC(), Basis: sekretariat.BasisSent}, MediaType: "application/xml",
				}})
			}
		}
	}
	return out, nil
}

func (d *download) Take(ctx context.Context, delivery sekretariat.Delivery, body io.Reader) error {
	if d.fail--; d.fail >= 0 {
		return errors.New("store is away")
	}
	t, err := d.o.intake.Take(ctx, delivery, body)
	if err != nil {
		return err
	}
	_, err = t.Wait(ctx)
	return err
}

func archive(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f[0])
		if err == nil {
			_, err = io.WriteString(w, f[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// box takes in one file of a box.
func (o *office) box(content []byte) sekretariat.LetterID {
	o.t.Helper()
	ticket, err := o.intake.Take(o.t.Context(), sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindBox, Door: sekretariat.DoorFolder, Account: "pojemnik", Box: "pojemnik",
		Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Arrived:  sekretariat.Arrival{At: time.Now().UTC(), Basis: sekretariat.BasisScanned},
	}, bytes.NewReader(content))
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := ticket.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return sekretariat.NewLetterID(r.Submission, 1)
}

func letterXML(title string) string {
	return fmt.Sprintf(`<Dokument xmlns="urn:f"><TrescDokumentu><Tytul>%s</Tytul><Informacje><Informacja>nocleg</Informacja></Informacje></TrescDokumentu></Dokument>`, title)
}

// TestPackage: the letters of a package are letters of their own, once, and the
// package is none; whatever is not one is registered as it is.
func TestPackage(t *testing.T) {
	o := open(t, nil)
	d := &download{o: o, fail: 1}
	o.packages = d
	o.connect(nil)
	o.run()
	zipped := archive(t, [2]string{"spis.txt", "SPIS\na.xml b.xml"}, [2]string{"a.xml", letterXML("pierwsze")}, [2]string{"b.xml", letterXML("drugie")})
	l := o.await(o.box(zipped), "the package", func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusParked })
	if l.Reason != sekretariat.ParkPackage || !l.Number.IsZero() {
		t.Errorf("%+v", l)
	}
	for _, title := range []string{"pierwsze", "drugie"} {
		id := sekretariat.NewSubmissionID(o.cfg.ID, sekretariat.KindEPUAP, "pojemnik", string(sekretariat.DigestOf([]byte(letterXML(title)))))
		l := o.await(sekretariat.NewLetterID(id, 1), "a letter of it", routed)
		if l.Number.IsZero() || l.Department != "bezdomnosc" {
			t.Errorf("%s: %+v", title, l)
		}
	}
	for name, content := range map[string][]byte{
		"other list":     archive(t, [2]string{"spis.txt", "INNY"}, [2]string{"a.xml", letterXML("trzecie")}),
		"no list":        archive(t, [2]string{"a.xml", letterXML("czwarte")}),
		"nothing beside": archive(t, [2]string{"spis.txt", "SPIS\na.xml"}),
		"damaged":        append([]byte("PK\x03\x04"), bytes.Repeat([]byte("x"), 100)...),
		"member damaged": bytes.Replace(stored(t, "spis.txt", "SPIS\na.xml", "a.xml", letterXML("piate")), []byte("piate"), []byte("pi@te"), 1),
	} {
		if l := o.await(o.box(content), name, routed); l.Number.IsZero() || l.Status == sekretariat.StatusParked {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// stored is an archive without compression.
func stored(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: files[i], Method: zip.Store})
		if err == nil {
			_, err = io.WriteString(w, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestProofsParked: where proofs are not numbered, an UPP is set aside before it
// gets a number; a letter is not.
func TestProofsParked(t *testing.T) {
	o := open(t, nil)
	o.cfg.Proofs = configs.ProofsPark
	o.run()
	take := func(doc string) sekretariat.LetterID {
		t.Helper()
		ticket, err := o.intake.Take(t.Context(), sekretariat.Delivery{
			Centre: o.cfg.ID, Kind: sekretariat.KindEPUAP, Door: sekretariat.DoorEPUAPPull, Account: "esp",
			Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
			Arrived:  sekretariat.Arrival{At: time.Now().UTC(), Basis: sekretariat.BasisSent}, MediaType: "application/xml",
		}, strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ticket.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sekretariat.NewLetterID(r.Submission, 1)
	}
	upp := take(`<p:Dokument xmlns:p="http://crd.gov.pl/xml/schematy/UPO/2008/05/09/"><p:UPP><p:IdentyfikatorPoswiadczenia>1</p:IdentyfikatorPoswiadczenia></p:UPP></p:Dokument>`)
	if l := o.await(upp, "the proof", func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusParked }); l.Reason != sekretariat.ParkProof {
		t.Errorf("%+v", l)
	}
	if l := o.await(take(letterXML("zwykłe")), "a letter", routed); l.Number.N != 1 {
		t.Errorf("%+v", l)
	}
}

// What the door saw of a file stands with the letter, where a clerk sees it.
func TestDoorFinding(t *testing.T) {
	o := open(t, nil)
	o.run()
	ticket, err := o.intake.Take(t.Context(), sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindBox, Door: sekretariat.DoorFolder, Account: "pojemnik", Box: "pojemnik",
		Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Arrived:  sekretariat.Arrival{At: time.Now().UTC(), Basis: sekretariat.BasisScanned},
		Source:   map[string]string{dropbox.SourceFinding: "incomplete"},
	}, strings.NewReader("szukam noclegu"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ticket.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := o.settled(sekretariat.NewLetterID(r.Submission, 1))
	reading, err := pipeline.LoadReading(t.Context(), o.house.Vault, o.cfg.ID, r.Submission, l.Reading)
	if err != nil || len(reading.Findings) == 0 || reading.Findings[0].Code != pipeline.FindingDoor+"incomplete" {
		t.Errorf("%+v, %v", reading, err)
	}
}
