// Package compose checks docker-compose.yml against the compose schema, without
// a container engine. It is a module of its own so that the loader's
// dependencies stay out of the product's.
package compose

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

func TestComposeFileIsValid(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root), cli.WithProfiles([]string{"tools"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(context.Background()) // validates schema and consistency
	if err != nil {
		t.Fatal(err)
	}
	names := p.ServiceNames()
	for _, want := range []string{"nats", "s3", "clamav", "ingest", "route", "desk", "tools"} {
		if !slices.Contains(names, want) {
			t.Errorf("no service %s", want)
		}
	}
	for _, s := range p.Services {
		if s.Name != "tools" && s.HealthCheck == nil {
			t.Errorf("nobody notices when service %s is ill", s.Name)
		}
		for _, v := range s.Volumes {
			if v.Source == filepath.Join(root, "secrets") && s.Name != "tools" {
				t.Errorf("service %s sees all secrets, also the keys that sign credentials", s.Name)
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("service %s publishes port %s on %q, want this machine only", s.Name, port.Published, port.HostIP)
			}
		}
		for name := range s.Environment {
			t.Errorf("service %s has %s in its environment: secrets come as files", s.Name, name)
		}
	}
}

// TestMountedFilesExist fails when compose mounts a file of the repository that
// is not there: the engine would make a folder of that name instead.
func TestMountedFilesExist(t *testing.T) {
	for _, f := range []string{"configs/compose/nats.conf", "configs/compose/clamd.conf", "configs/compose/installation.yaml", "Dockerfile"} {
		if _, err := os.Stat(filepath.Join("../..", f)); err != nil {
			t.Error(err)
		}
	}
}

// TestImage looks at what needs no engine: the image has the programs that the
// service calls, and no secret goes into its build.
func TestImage(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	run := regexp.MustCompile(`(?m)^PACKAGES_RUN +:= +(.*)$`).FindStringSubmatch(read("Makefile"))
	if run == nil {
		t.Fatal("the Makefile does not say which packages the service needs")
	}
	image := read("Dockerfile")
	for _, p := range strings.Fields(run[1]) {
		if p != "dovecot-imapd" && !strings.Contains(image, p) { // the demo's mail server
			t.Errorf("the image lacks the package %s", p)
		}
	}
	ignored := strings.Fields(read(".dockerignore"))
	for _, secret := range []string{"/secrets", "/credentials", "/data", ".git"} {
		if !slices.Contains(ignored, secret) {
			t.Errorf("%s goes into the build of the image", secret)
		}
	}
}
