package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sekretariat/configs"
	"sekretariat/extract/trust"
)

// fileTrust is where reading processes find what the office trusts.
const fileTrust = "trust.json"

// writeTrust loads the trusted certificates and writes them for the reading
// processes; "" if there are none. Certificates are no secret.
func writeTrust(c configs.Trust, dir string) (string, error) {
	if len(c.Signers) == 0 && len(c.Lists) == 0 {
		return "", nil
	}
	list, err := trust.Load(c)
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("trust: %w", err)
	}
	name := filepath.Join(dir, fileTrust)
	temporary := name + ".new" // a child that starts meanwhile must not see half of it
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return "", fmt.Errorf("trust: %w", err)
	}
	if err := os.Rename(temporary, name); err != nil {
		return "", fmt.Errorf("trust: %w", err)
	}
	return name, nil
}

// trustOf reads the trust of a file of its own or of an installation file.
func trustOf(name string) (configs.Trust, error) {
	if name == "" {
		return configs.Trust{}, nil
	}
	if in, err := configs.Load(name); err == nil {
		return in.Trust, nil
	}
	return configs.LoadTrust(name)
}
