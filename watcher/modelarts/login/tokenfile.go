package login

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
)

// maxTokenFile is more than any token: those with a catalog in them have some 10 KiB.
const maxTokenFile = 64 << 10

// A TokenFile is an IAM token in a file that somebody else renews. The file is read at each use,
// so it can be replaced in any way. While it cannot be read or holds no token, the last one is
// used. Make it with [NewTokenFile].
type TokenFile struct {
	masked
	logger *slog.Logger
	path   string

	mu     sync.Mutex
	last   Token
	failed bool // the last look brought no token
}

// NewTokenFile returns the token in the file, or an error where there is none now.
func NewTokenFile(logger *slog.Logger, path string) (*TokenFile, error) {
	token, err := readToken(path)
	if err != nil {
		return nil, err
	}
	return &TokenFile{logger: logger, path: path, last: token}, nil
}

// Authorize sets X-Auth-Token.
func (f *TokenFile) Authorize(r *http.Request, region, projectID string) error {
	return f.token().Authorize(r, region, projectID)
}

// token returns the token that the file holds, or held last.
func (f *TokenFile) token() Token {
	token, err := readToken(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		if f.failed {
			f.logger.Info("modelarts token file is readable again", "path", f.path)
		}
		f.last, f.failed = token, false
	case !f.failed:
		f.logger.Warn("modelarts token file holds no token: the last one is used", "path", f.path, "err", err)
		f.failed = true
	}
	return f.last
}

// renew reports whether the file holds another token by now.
func (f *TokenFile) renew(r *http.Request, _, _ string) bool {
	return *f.token().secret != r.Header.Get("X-Auth-Token")
}

func (*TokenFile) advice() string {
	return "renew the token in the file that ORDERWATCH_MODELARTS_TOKEN_FILE names"
}

// Login is the same as that of a [Token].
func (*TokenFile) Login() string { return Token{}.Login() }

func readToken(path string) (Token, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // does not wait for a pipe's other end
	if err != nil {
		return Token{}, unreadable(err)
	}
	defer file.Close()
	if stat, err := file.Stat(); err != nil || !stat.Mode().IsRegular() {
		return Token{}, errors.New("token file: is a directory, a pipe or a device, not a file")
	}
	content, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return Token{}, unreadable(err)
	}
	if len(content) > maxTokenFile {
		return Token{}, fmt.Errorf("token file: is longer than %d KiB", maxTokenFile>>10)
	}
	return NewToken(strings.TrimSpace(string(content)))
}

// unreadable says why without the path: what was given as one may be the secret itself.
func unreadable(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("token file: %w", err)
}
