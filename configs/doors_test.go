package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat/configs"
	"sekretariat/configs/password"
)

// loadDoors loads an installation of one centre with these doors and boxes.
func loadDoors(t *testing.T, doors, boxes string) (*configs.Installation, error) {
	t.Helper()
	dir := t.TempDir()
	profile := "id: osrodek\nname: Ośrodek\ntown: Olszanów\ndepartments:\n  - { id: sekretariat, name: Sekretariat }\nboxes:\n" + boxes
	for name, text := range map[string]string{"osrodek.yaml": profile, "installation.yaml": "centres: [osrodek.yaml]\n" + doors} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return configs.Load(filepath.Join(dir, "installation.yaml"))
}

func TestDoors(t *testing.T) {
	hash := password.Hash("dlugie haslo skanera")
	device := func(rest string) string {
		return "  - { id: wejscie, devices: [{ user: ksero, password: \"" + hash + "\"" + rest + " }] }\n"
	}
	in, err := loadDoors(t, "doors: { sftp: \"127.0.0.1:2222\" }\n", device(", allow: [192.0.2.0/24], doors: [sftp]"))
	if err != nil || len(in.Warnings) > 0 && strings.Contains(strings.Join(in.Warnings, " "), "skaner") {
		t.Fatalf("%v, %q", err, in.Warnings)
	}
	if b := in.Profiles[0].Boxes[0]; b.Off || b.Devices[0].Uses(configs.DoorWebDAV) || !b.Devices[0].Uses(configs.DoorSFTP) || in.Doors.PerDevice != 8 {
		t.Errorf("box %+v", b)
	}
	for what, c := range map[string]struct{ doors, boxes, want string }{
		"no such door":    {"doors: { sftp: \"127.0.0.1:2222\" }\n", device(", doors: [ftp]"), "ftp"},
		"plain password":  {"", "  - { id: wejscie, devices: [{ user: ksero, password: haslo }] }\n", "argon2id"},
		"no proof":        {"", "  - { id: wejscie, devices: [{ user: ksero }] }\n", "keys"},
		"bad network":     {"", device(", allow: [192.0.2.1]"), "network"},
		"bad key":         {"", device(", keys: [abc]"), "public key"},
		"bad name":        {"", "  - { id: wejscie, devices: [{ user: \"ksero 1\", password: \"" + hash + "\" }] }\n", "sign-in name"},
		"same name":       {"", device("") + strings.ReplaceAll(device(""), "wejscie", "filia"), "same user"},
		"key without":     {"doors: { webdav: \"127.0.0.1:1\", cert: x.pem }\n", device(""), "belong together"},
		"no address":      {"doors: { sftp: \"2222\" }\n", device(""), "address"},
		"unknown setting": {"doors: { ssh: \"127.0.0.1:1\" }\n", device(""), "ssh"},
	} {
		if _, err := loadDoors(t, c.doors, c.boxes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, c := range map[string]struct{ doors, boxes, want string }{
		"doors without devices": {"doors: { sftp: \"127.0.0.1:2222\" }\n", "  - { id: wejscie, upload: true }\n", "żaden skaner nie ma konta"},
		"devices without doors": {"", device(""), "żadne drzwi"},
		"open WebDAV":           {"doors: { webdav: \"192.0.2.1:8080\" }\n", device(""), "certyfikatu"},
		"old SSH":               {"doors: { sftp: \"192.0.2.1:22\", old_ssh: true }\n", device(""), "old_ssh"},
	} {
		in, err := loadDoors(t, c.doors, c.boxes)
		if err != nil || !strings.Contains(strings.Join(in.Warnings, "\n"), c.want) {
			t.Errorf("%s: %v, %v", what, err, in)
		}
	}
}
