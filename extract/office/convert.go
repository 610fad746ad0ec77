package office

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sekretariat"
)

// Limits of LibreOffice.
const (
	convertTime = 40 * time.Second
	maxOutput   = 256 << 20 // octets
)

// programs are where Debian's LibreOffice has its main program. soffice, the
// script around it, would leave it running when it is killed.
var programs = []string{"/usr/lib/libreoffice/program/soffice.bin", "/opt/libreoffice/program/soffice.bin"}

// exitAgain is what LibreOffice says when it has made itself a profile and
// wants to be started again (EXITHELPER_NORMAL_RESTART).
const exitAgain = 81

// profile is the configuration of the conversion: no macros, no links that
// would be fetched from the network, no questions.
const profile = `<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Misc"><prop oor:name="FirstRun" oor:op="fuse"><value>false</value></prop></item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>0</value></prop></item>
<item oor:path="/org.openoffice.Office.Calc/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>2</value></prop></item>
</oor:items>
`

// Convert has LibreOffice make a file of another kind ("pdf", "odt") out of a
// document and calls fn with it. It works in a folder of its own below temp,
// which is gone afterwards; no name of the letter's appears in it. Returns
// ErrTool and ErrPassword.
func Convert(ctx context.Context, body sekretariat.Body, typ, to, temp string, fn func(sekretariat.Body) error) error {
	program := find()
	if program == "" {
		return fmt.Errorf("%w: install libreoffice-writer-nogui and libreoffice-calc-nogui", ErrTool)
	}
	dir, err := os.MkdirTemp(temp, "office-")
	if err != nil {
		return fmt.Errorf("folder for LibreOffice: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir, body, typ); err != nil {
		return fmt.Errorf("folder for LibreOffice: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, convertTime)
	defer cancel()
	err = start(ctx, program, dir, typ, to)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == exitAgain {
		err = start(ctx, program, dir, typ, to)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTool, err)
	}
	f, err := os.Open(filepath.Join(dir, "out", "in."+to))
	if errors.Is(err, os.ErrNotExist) {
		return ErrTool // it says nothing of why: damaged, or a password
	}
	if err != nil {
		return fmt.Errorf("open what LibreOffice made: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() > maxOutput {
		return fmt.Errorf("%w: %d octets came out: %w", ErrTool, info.Size(), err)
	}
	return fn(io.NewSectionReader(f, 0, info.Size()))
}

func find() string {
	for _, p := range programs {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

func prepare(dir string, body sekretariat.Body, typ string) error {
	user := filepath.Join(dir, "profile", "user")
	if err := os.MkdirAll(user, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(user, "registrymodifications.xcu"), []byte(profile), 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "in."+extensions[typ]), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.NewSectionReader(body, 0, body.Size()))
	return errors.Join(err, f.Close())
}

// start runs LibreOffice without a network if the system lets us make a
// namespace without one; the profile forbids links in any case.
func start(ctx context.Context, program, dir, typ, to string) error {
	var err error
	for _, flags := range []uintptr{syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, 0} {
		cmd := exec.CommandContext(ctx, program, "--headless", "--norestore", "--nologo", "--nolockcheck", "--nodefault",
			"-env:UserInstallation=file://"+filepath.Join(dir, "profile"), "--convert-to", to, "--outdir", filepath.Join(dir, "out"),
			filepath.Join(dir, "in."+extensions[typ]))
		cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
		cmd.Dir, cmd.WaitDelay = dir, time.Second
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: flags}
		if flags != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		}
		if err = cmd.Start(); err != nil {
			continue
		}
		return cmd.Wait()
	}
	return err
}
