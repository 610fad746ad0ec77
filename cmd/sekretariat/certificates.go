package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
)

// certificateFiles looks at the certificates that lie in files of the
// installation and of one centre, soonest end first: our own ones, which we
// show to others, and CAs that we trust (rule P10). A file that cannot be read
// is the business of whoever uses it.
func certificateFiles(cfg *configs.Installation, c *configs.Centre, now time.Time) []ingest.Expiry {
	files := map[string]string{"nats.ca": cfg.NATS.CA, "mail_door.cert": cfg.MailDoor.Cert, "doors.cert": cfg.Doors.Cert}
	if s := cfg.Storage.S3; s != nil {
		files["storage.s3.ca"] = s.CA
		files["s3-cert.pem"] = filepath.Join(cfg.Data, folderSecrets, "s3-cert.pem")
	}
	for _, m := range c.Mailboxes {
		files[m.ID+".ca"] = m.CA
		if m.OAuth != nil {
			files[m.ID+".oauth.ca"] = m.OAuth.CA
		}
	}
	for _, e := range c.EPUAP {
		files[e.ID+".ca"], files[e.ID+".cert"] = e.CA, e.Cert
	}
	for _, e := range c.EDelivery {
		files[e.ID+".ca"], files[e.ID+".cert"] = e.CA, e.Cert
	}
	var list []ingest.Expiry
	for what, file := range files {
		if begin, end, ok := certificateLife(file); ok {
			list = append(list, ingest.NewExpiry(what, begin, end, now))
		}
	}
	slices.SortFunc(list, func(a, b ingest.Expiry) int { return a.At.Compare(b.At) })
	return list
}

// certificateAlarms names the files whose certificate ends soon, or has ended.
func (s *service) certificateAlarms() (list []string) {
	now := sekretariat.SystemClock()
	for _, c := range s.centres {
		for _, e := range certificateFiles(s.cfg, c.cfg, now) {
			if e.Stage != 0 {
				list = append(list, fmt.Sprintf("%s: the certificate in %s ends in %d days", c.cfg.ID, e.What, e.Days(now)))
			}
		}
	}
	return list
}

// sayCertificates writes those into the log, at the start and once a day.
func (s *service) sayCertificates(ctx context.Context) error {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		for _, a := range s.certificateAlarms() {
			s.log.Warn().Msg(a)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// certificateLife is the life of the first certificate in a file: of a chain
// the own one. A bundle of several CAs is looked after by who makes it.
func certificateLife(file string) (begin, end time.Time, ok bool) {
	if file == "" {
		return begin, end, false
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return begin, end, false
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return begin, end, false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return begin, end, false
	}
	return c.NotBefore, c.NotAfter, true
}
