package conch

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/conchlock/conch/internal/node"
)

// audit keeps who has ended whose hold, and why, one JSON object a line.
type audit struct {
	peer   string
	path   string // empty: only in the log
	logger *slog.Logger
	mu     sync.Mutex
}

// auditName is the file in a peer's directory. It ends in nothing that a trace ends in.
const auditName = "audit.log"

func newAudit(cfg Config, logger *slog.Logger) *audit {
	a := &audit{peer: cfg.Name, logger: logger}
	if cfg.Dir != "" {
		a.path = filepath.Join(cfg.Dir, auditName)
	}
	return a
}

// write keeps, for good, that the end of a hold was asked for or is about to be done.
func (a *audit) write(what, lock string, w node.Wish) error {
	a.logger.Warn("the end of a hold was "+what, "lock", lock, "token", uint64(w.Token), "by", w.By, "reason", w.Reason)
	if a.path == "" {
		return nil
	}
	line, err := json.Marshal(struct {
		At     time.Time `json:"ts"`
		Peer   string    `json:"peer"`
		What   string    `json:"event"`
		Lock   string    `json:"lock"`
		Token  uint64    `json:"token,omitempty"` // 0: whichever there is
		By     string    `json:"by"`
		Reason string    `json:"reason"`
	}{time.Now().UTC(), a.peer, "end " + what, lock, uint64(w.Token), w.By, w.Reason})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, missing := os.Stat(a.path)
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the audit log cannot be written: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("the audit log cannot be written: %w", err)
	}
	if dir, err := os.Open(filepath.Dir(a.path)); missing != nil && err == nil {
		defer dir.Close()
		dir.Sync() // as well as the system can: so the file is there after a power cut
	}
	return nil
}
