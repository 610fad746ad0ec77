// Package compose checks docker-compose.yml against the compose schema, without
// a container engine. It is a module of its own so that the loader's
// dependencies stay out of the product's.
package compose

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

func TestComposeFileIsValid(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(context.Background()) // validates schema and consistency
	if err != nil {
		t.Fatal(err)
	}
	names := p.ServiceNames()
	for _, want := range []string{"nats", "s3", "ingest", "route", "desk"} {
		if !slices.Contains(names, want) {
			t.Errorf("no service %s", want)
		}
	}
	for _, s := range p.Services {
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
	for _, f := range []string{"configs/compose/nats.conf", "configs/compose/installation.yaml", "Dockerfile"} {
		if _, err := os.Stat(filepath.Join("../..", f)); err != nil {
			t.Error(err)
		}
	}
}
