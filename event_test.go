package sekretariat

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestParseEventIsEncodingJSON(t *testing.T) {
	e, err := NewEvent(EventSorted, "zielona-gora", "sort", "ab.1", 3, time.Date(2026, 11, 20, 9, 0, 0, 123e6, time.UTC),
		SortedData{Letters: []SortedLetter{{Part: 1, Series: "rpw", Action: ActionRegister}}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := cutEvent(raw); !ok {
		t.Errorf("an event of ours takes the slow way: %s", raw)
	}
	got, err := ParseEvent(raw)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("ParseEvent = %+v, %v; want %+v", got, err, e)
	}
	raw[len(raw)-3] ^= 1
	if again, _ := ParseEvent(raw); reflect.DeepEqual(again, got) {
		t.Error("a changed event parses to the same")
	}
}

// Whatever the fast way accepts with well-formed data, encoding/json reads the
// same.
func FuzzParseEvent(f *testing.F) {
	e, err := NewEvent(EventSeen, "a", "b", "c", 0, time.Unix(0, 0), SeenData{Submission: "x", Door: "imap", Account: "y"})
	if err != nil {
		f.Fatal(err)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"specversion":"1.0","id":"a\u0041","data":{}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"a","source":"/","type":"t","subject":"s","time":"2026-01-01T00:00:00Z","datacontenttype":"j","data":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fast, ok := cutEvent(raw)
		if !ok || !json.Valid(fast.Data) {
			return
		}
		var slow Event
		if err := json.Unmarshal(raw, &slow); err != nil {
			t.Fatalf("encoding/json refuses what the fast way reads: %v\n%s", err, raw)
		}
		if !fast.Time.Equal(slow.Time) || fast.ID != slow.ID || fast.Type != slow.Type || fast.Subject != slow.Subject || string(fast.Data) != string(slow.Data) {
			t.Fatalf("fast %+v, slow %+v", fast, slow)
		}
	})
}
