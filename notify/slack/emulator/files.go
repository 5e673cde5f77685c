package emulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxFile bounds a file that is uploaded, in bytes. Slack takes 1 GB.
const maxFile = 64 << 20

// A File is one that was shared in a channel.
type File struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Title   string `json:"title"`
	Size    int    `json:"size"`
	Content []byte `json:"-"`
}

// An upload is a file that was announced, and is not shared yet.
type upload struct {
	File
	by       string // the token
	uploaded bool
}

// getUploadURL serves files.getUploadURLExternal: the first of three steps.
func (s *Server) getUploadURL(w http.ResponseWriter, r *http.Request) {
	token, ok := s.admitFile(w, r, nil)
	if !ok {
		return
	}
	size, err := strconv.Atoi(r.PostForm.Get("length"))
	name := r.PostForm.Get("filename")
	switch {
	case name == "" || err != nil || size <= 0:
		refuse(w, "invalid_arguments", "[ERROR] needs filename and length [json-pointer:/length]")
		return
	case size > maxFile:
		refuse(w, "file_upload_size_restricted")
		return
	}
	s.mu.Lock()
	s.serial++
	u := &upload{File: File{ID: fmt.Sprintf("F0%08d", s.serial), Name: name, Size: size}, by: token}
	s.uploads[u.ID] = u
	s.mu.Unlock()
	write(w, map[string]any{"ok": true, "upload_url": "http://" + r.Host + "/upload/" + u.ID, "file_id": u.ID})
}

// takeUpload serves the address that files.getUploadURLExternal gave: the second step. It takes the
// bytes as they are, or the form that Slack's own libraries send.
func (s *Server) takeUpload(w http.ResponseWriter, r *http.Request) {
	fault := s.nextFault("upload")
	if !wait(r, fault.Delay) {
		return
	}
	if fault.answers() {
		fault.answer(w, r)
		return
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxFile+maxRequest)
	body := io.Reader(r.Body)
	if form, err := r.MultipartReader(); err == nil {
		part, err := form.NextPart()
		if err != nil {
			http.Error(w, "no file in the form", http.StatusBadRequest)
			return
		}
		body = part
	}
	content, err := io.ReadAll(body)
	io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[path.Base(r.URL.Path)]
	switch {
	case u == nil:
		http.Error(w, "no such upload", http.StatusNotFound)
	case err != nil || len(content) != u.Size:
		http.Error(w, fmt.Sprintf("%d bytes came, %d were announced", len(content), u.Size), http.StatusBadRequest)
	default:
		u.Content, u.uploaded = content, true
		fmt.Fprintf(w, "OK - %d", len(content))
	}
}

// completeUpload serves files.completeUploadExternal: the third step, which shares one file in a
// channel or a thread. As with Slack, the answer has no ts.
func (s *Server) completeUpload(w http.ResponseWriter, r *http.Request) {
	token, ok := s.admitFile(w, r, func() {
		if f, m, ok := readCompletion(r); ok {
			s.share(f, m)
		}
	})
	if !ok {
		return
	}
	file, m, ok := readCompletion(r)
	if !ok {
		refuse(w, "invalid_arguments", "[ERROR] needs one file [json-pointer:/files]")
		return
	}
	if wait := s.penalty429(m.Channel); wait > 0 {
		tooMany(w, wait)
		return
	}
	if !s.mayShare(file.ID, token) {
		refuse(w, "file_not_found")
		return
	}
	if v := s.checkPlace(m); v != nil {
		refuse(w, v[0].Code, pointers(v)...)
		return
	}
	if v := Check(m, SlackLimits); m.Text != "" && v != nil {
		refuse(w, v[0].Code, pointers(v)...)
		return
	}
	file = s.share(file, m)
	write(w, map[string]any{"ok": true, "files": []map[string]any{{"id": file.ID, "title": file.Title}}})
}

// readCompletion reads which file is to be shown, and the message that shows it.
func readCompletion(r *http.Request) (f File, m Message, ok bool) {
	var files []File
	if json.Unmarshal([]byte(r.PostForm.Get("files")), &files) != nil || len(files) != 1 {
		return f, m, false
	}
	ask := r.PostForm
	return files[0], Message{Channel: ask.Get("channel_id"), ThreadTS: ask.Get("thread_ts"), Text: ask.Get("initial_comment")}, true
}

// deleteFile serves files.delete: the file is gone, with the messages that show nothing else.
func (s *Server) deleteFile(w http.ResponseWriter, r *http.Request) {
	token, _, err := readPost(r)
	if s.meets(w, r, "files.delete", nil) {
		return
	}
	if err != nil {
		refuse(w, "invalid_arguments", err.Error())
		return
	}
	if code := s.authorize(token, "files:write"); code != "" {
		refuse(w, code)
		return
	}
	id := r.PostForm.Get("file")
	s.mu.Lock()
	defer s.mu.Unlock()
	shows := func(m Message) bool {
		return m.by == token && slices.ContainsFunc(m.Files, func(f File) bool { return f.ID == id })
	}
	for _, c := range s.channels {
		if slices.ContainsFunc(c.messages, shows) {
			c.messages = slices.DeleteFunc(c.messages, shows)
			write(w, map[string]any{"ok": true})
			return
		}
	}
	refuse(w, "file_not_found")
}

// admitFile reads a bot's call about a file, and answers it where it meets a fault, cannot be read,
// or its token may write no files. keep is what a fault does that accepts the call all the same.
func (s *Server) admitFile(w http.ResponseWriter, r *http.Request, keep func()) (token string, ok bool) {
	token, _, err := readPost(r)
	fault := s.nextFault(strings.TrimPrefix(r.URL.Path, "/api/"))
	if !wait(r, fault.Delay) {
		return token, false
	}
	if fault.answers() {
		if fault.Accept && keep != nil && s.authorize(token, "files:write") == "" {
			keep()
		}
		s.faulted(Fault{Status: fault.Status, Header: fault.Header}, Message{Channel: r.PostForm.Get("channel_id")}, nil, nil)
		fault.answer(w, r)
		return token, false
	}
	if err != nil {
		refuse(w, "invalid_arguments", err.Error())
		return token, false
	}
	if code := s.authorize(token, "files:write"); code != "" {
		refuse(w, code)
		return token, false
	}
	return token, true
}

// mayShare reports whether the token uploaded the file, and it is not shared yet.
func (s *Server) mayShare(id, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	return u != nil && u.uploaded && u.by == token
}

// share keeps a message that shows the file, where it was uploaded and its channel exists.
func (s *Server) share(asked File, m Message) File {
	s.mu.Lock()
	u := s.uploads[asked.ID]
	if u == nil || !u.uploaded {
		s.mu.Unlock()
		return asked
	}
	delete(s.uploads, asked.ID)
	u.Title = asked.Title
	m.Files, m.by = []File{u.File}, u.by
	s.mu.Unlock()
	s.accept(m)
	return u.File
}
