package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"sekretariat"
)

// envServer makes the test binary a nats-server with that configuration file.
const envServer = "SEKRETARIAT_TEST_NATS_CONF"

func TestMain(m *testing.M) {
	if conf := os.Getenv(envServer); conf != "" {
		if err := serve(conf); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {}
	}
	goleak.VerifyTestMain(m)
}

// serve runs a server and says "ready" when it is.
func serve(conf string) error {
	o, err := server.ProcessConfigFile(conf)
	if err != nil {
		return err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(attemptTimeout * 6) {
		return errors.New("not ready")
	}
	fmt.Println("ready")
	return nil
}

// natsServer is a server in a process of its own.
type natsServer struct {
	t       *testing.T
	dir     string
	secrets string
	url     string // of all servers of the installation
	cmd     *exec.Cmd
}

// startServer prepares an installation's secrets and starts its server.
func startServer(t *testing.T) *natsServer {
	t.Helper()
	addr := freeAddress(t)
	s := &natsServer{t: t, dir: t.TempDir(), url: "nats://" + addr}
	s.secrets = filepath.Join(s.dir, "secrets")
	s.prepare("listen: " + strconv.Quote(addr))
	s.start()
	t.Cleanup(s.kill)
	return s
}

// startCluster is startServer for three servers.
func startCluster(t *testing.T) []*natsServer {
	t.Helper()
	const n = 3
	secrets := filepath.Join(t.TempDir(), "secrets")
	var urls, routes, listen []string
	for range n {
		urls = append(urls, "nats://"+freeAddress(t))
		listen = append(listen, freeAddress(t))
		routes = append(routes, "nats-route://"+listen[len(listen)-1])
	}
	var all []*natsServer
	for i := range n {
		s := &natsServer{t: t, dir: t.TempDir(), secrets: secrets, url: strings.Join(urls, ",")}
		s.prepare(fmt.Sprintf("server_name: node-%d\nlisten: %q\ncluster: { name: test, listen: %q, routes: [ \"%s\" ] }",
			i, strings.TrimPrefix(urls[i], "nats://"), listen[i], strings.Join(routes, `", "`)))
		s.start()
		t.Cleanup(s.kill)
		all = append(all, s)
	}
	return all
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// prepare makes secrets and configuration.
func (s *natsServer) prepare(conf string) {
	s.t.Helper()
	if err := InitSecrets(s.secrets); err != nil {
		s.t.Fatal(err)
	}
	own, err := os.ReadFile(filepath.Join(s.secrets, fileServerConf))
	if err != nil {
		s.t.Fatal(err)
	}
	conf += "\nlog_file: server.log\n" + string(own)
	if err := os.WriteFile(filepath.Join(s.dir, "nats.conf"), []byte(conf), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *natsServer) start() {
	s.t.Helper()
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), envServer+"="+filepath.Join(s.dir, "nats.conf"))
	s.cmd.Dir = s.dir
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "ready" {
		b, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
		s.t.Fatalf("the server says %q, %v\n%s", line, err, b)
	}
}

// kill is kill -9.
func (s *natsServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // says that it was killed
		s.cmd = nil
	}
}

// stop lets the server write down all it knows.
func (s *natsServer) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait() // its exit code is 1 after a signal
	s.cmd = nil
}

func (s *natsServer) restart() {
	s.t.Helper()
	s.kill()
	s.start()
}

// open connects a ledger as another process of the installation would.
func (s *natsServer) open(change ...func(*Options)) (*Ledger, Log) {
	s.t.Helper()
	o := Options{URL: s.url, Secrets: s.secrets, Logger: zerolog.New(zerolog.NewTestWriter(s.t)).Level(zerolog.ErrorLevel)}
	for _, c := range change {
		c(&o)
	}
	l, err := Open(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			s.t.Errorf("closing: %v", err)
		}
	})
	g, err := l.Centre(context.Background(), testCentre, []sekretariat.SeriesID{"rpw"})
	if err != nil {
		s.t.Fatal(err)
	}
	return l, g
}
