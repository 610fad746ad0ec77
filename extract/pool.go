package extract

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
)

// PoolOptions bound a Pool.
type PoolOptions struct {
	// Command starts a child that calls Serve on its standard input and output
	// ("/proc/self/exe", "read-child").
	Command []string
	Size    int           // children at once, default 2
	Time    time.Duration // for one letter, default 60 s; then the child is killed
	Idle    time.Duration // a child without work ends after this, default 30 s
	Temp    string        // folder for anonymous files of large originals
	Trust   string        // file with the JSON of a trust.List, "" = nothing is trusted
	Logger  zerolog.Logger
}

// Pool reads originals in child processes of the same binary, so that a letter
// that hangs or eats memory costs one child and its own text, nothing else.
// Small originals travel through a pipe to a child that stays alive; large
// ones as an inherited anonymous file, so that neither side holds them.
type Pool struct {
	o    PoolOptions
	idle chan *child   // children waiting for work
	room chan struct{} // one token per child that may exist
}

// NewPool makes a pool; children start with the first letter.
func NewPool(o PoolOptions) *Pool {
	if o.Size == 0 {
		o.Size = 2
	}
	if o.Time == 0 {
		o.Time = 60 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 30 * time.Second
	}
	return &Pool{o: o, idle: make(chan *child, o.Size), room: make(chan struct{}, o.Size)}
}

// errChild says that a child died or broke the protocol over one letter.
var errChild = errors.New("reading process failed")

// Read implements Reader. A letter that kills its child is read again with
// less and less of what hangs on it, so that a hostile attachment costs itself
// and not the letter; one that kills every child is a Reading that says so
// (FindingKilled), not an error.
func (p *Pool) Read(ctx context.Context, in Input) (sekretariat.Reading, error) {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
	case <-ctx.Done():
		return sekretariat.Reading{}, ctx.Err()
	}
	for ; in.Care <= carefulest; in.Care++ {
		r, err := p.once(ctx, in)
		if err == nil && slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool { return f.Detail == detailCare }) {
			r.Findings = append(r.Findings, sekretariat.Finding{Code: FindingKilled})
		}
		if err == nil || ctx.Err() != nil || !errors.Is(err, errChild) {
			return r, err
		}
		p.o.Logger.Warn().Err(err).Int64("size", in.Body.Size()).Msg("a reading process died over a letter; reading less of it in a fresh one")
	}
	return sekretariat.Reading{
		Reader: "none-1", Format: in.MediaType, Outcome: sekretariat.ReadUnreadable,
		Findings: []sekretariat.Finding{{Code: FindingKilled}},
	}, nil
}

func (p *Pool) once(ctx context.Context, in Input) (sekretariat.Reading, error) {
	c, err := p.child(ctx, in)
	if err != nil {
		return sekretariat.Reading{}, err
	}
	r, err := c.read(ctx, in, p.o.Time)
	if err != nil || c.single {
		c.kill()
		return r, err
	}
	p.rest(c)
	return r, nil
}

// child takes a waiting child or starts one.
func (p *Pool) child(ctx context.Context, in Input) (*child, error) {
	if in.Body.Size() > inlineMax {
		return p.startWithFile(ctx, in.Body)
	}
	for {
		select {
		case c := <-p.idle:
			if c.timer.Stop() {
				return c, nil
			} // else it is just being ended
		default:
			return p.start(nil)
		}
	}
}

// rest keeps a child for the next letter and ends it when none comes.
func (p *Pool) rest(c *child) {
	c.timer = time.AfterFunc(p.o.Idle, c.kill)
	select {
	case p.idle <- c:
	default:
		c.timer.Stop()
		c.kill()
	}
}

// Close ends the waiting children.
func (p *Pool) Close() {
	for {
		select {
		case c := <-p.idle:
			c.timer.Stop()
			c.kill()
		default:
			return
		}
	}
}

// inlineMax is the size up to which an original goes through the pipe.
const inlineMax = 4 << 20

// child is one reading process.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	w      *bufio.Writer // over in
	out    *bufio.Reader
	single bool // has its original as a file and ends after it
	timer  *time.Timer
	once   sync.Once
}

func (p *Pool) start(file *os.File) (*child, error) {
	cmd := exec.Command(p.o.Command[0], p.o.Command[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+p.o.Time.String(), tempEnv+"="+p.o.Temp, trustEnv+"="+p.o.Trust)
	// A group of its own, so that the tools it starts die with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// What a dying child prints may quote the letter: it goes nowhere.
	if file != nil {
		cmd.ExtraFiles = []*os.File{file}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a reading process: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a reading process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a reading process: %w", err)
	}
	return &child{cmd: cmd, in: in, w: bufio.NewWriterSize(in, 64<<10), out: bufio.NewReaderSize(out, 64<<10), single: file != nil}, nil
}

func (p *Pool) startWithFile(ctx context.Context, body sekretariat.Body) (*child, error) {
	f, err := Anonymous(p.o.Temp)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.Copy(f, contextReader{ctx, io.NewSectionReader(body, 0, body.Size())}); err != nil {
		return nil, fmt.Errorf("copy a large original for reading: %w", err)
	}
	return p.start(f)
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// request is the head of what a child is asked to do.
type request struct {
	Op     string `json:"op,omitempty"` // "" = read
	Input  Input  `json:"input"`
	Inline int64  `json:"inline"` // octets that follow; -1: the original is descriptor 3
	Parts  *Parts `json:"parts,omitempty"`
	Pages  *Pages `json:"pages,omitempty"`
	Cache  string `json:"cache,omitempty"` // of sheets: folder of the compiled PDF engine
}

// What a child may be asked for beside a reading.
const (
	opParts  = "parts"  // the content of parts
	opLook   = "look"   // one part, read anew with a password
	opSheets = "sheets" // what can be seen on each page
)

// answer is what it sends back.
type answer struct {
	Reading sekretariat.Reading `json:"reading"`
	Sheets  []Sheet             `json:"sheets,omitempty"`
	Error   string              `json:"error,omitempty"` // reading could not be done; try again later
	Code    string              `json:"code,omitempty"`  // of an error that callers distinguish
}

func (c *child) read(ctx context.Context, in Input, limit time.Duration) (sekretariat.Reading, error) {
	// The child has its own clock on the letter; ours is for a child that
	// does not even notice that.
	watch := time.AfterFunc(limit+5*time.Second, c.kill)
	defer watch.Stop()
	stop := context.AfterFunc(ctx, c.kill)
	defer stop()
	a, err := c.exchange(in)
	switch {
	case ctx.Err() != nil:
		return a.Reading, ctx.Err()
	case err != nil:
		return a.Reading, fmt.Errorf("%w: %w", errChild, err)
	case a.Error != "":
		return a.Reading, fmt.Errorf("read: %s", a.Error)
	}
	return a.Reading, nil
}

func (c *child) exchange(in Input) (answer, error) {
	var a answer
	req := request{Input: in, Inline: in.Body.Size()}
	if c.single {
		req.Inline = -1
	}
	if err := writeFrame(c.w, req); err != nil {
		return a, err
	}
	if !c.single {
		if _, err := io.Copy(c.w, io.NewSectionReader(in.Body, 0, in.Body.Size())); err != nil {
			return a, err
		}
	}
	if err := c.w.Flush(); err != nil {
		return a, err
	}
	return a, readFrame(c.out, &a)
}

func (c *child) kill() {
	c.once.Do(func() {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		_ = c.in.Close()
		go func() { _ = c.cmd.Wait() }()
	})
}

// maxFrame bounds a frame; a Reading with every text at its limit is below it.
const maxFrame = 64 << 20

func writeFrame(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(b)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("frame of %d octets", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
