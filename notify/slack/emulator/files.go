package emulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
)

// maxFile bounds a file that is uploaded, in bytes. Slack takes 1 GB.
const maxFile = 64 << 20

const scopeFiles = "files:write"

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
	m, err := readPost(r)
	if !s.admit(w, r, m, err, scopeFiles, nil) {
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
	u := &upload{File: File{ID: fmt.Sprintf("F0%08d", s.serial), Name: name, Size: size}, by: m.by}
	s.uploads[u.ID] = u
	s.mu.Unlock()
	write(w, map[string]any{"ok": true, "upload_url": "http://" + r.Host + "/upload/" + u.ID, "file_id": u.ID})
}

// takeUpload serves the address that files.getUploadURLExternal gave: the second step. It takes the
// bytes as they are, or the form that Slack's own libraries send.
func (s *Server) takeUpload(w http.ResponseWriter, r *http.Request) {
	if s.meets(s.nextFault("upload", true), w, r, "", nil) {
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
	ask, err := readPost(r)
	file, m, ok := readCompletion(r)
	ask.Channel = m.Channel
	keep := func() {
		if ok && s.authorize(ask.by, scopeFiles) == "" {
			s.share(file, m)
		}
	}
	if !s.admit(w, r, ask, err, scopeFiles, keep) {
		return
	}
	if !ok {
		refuse(w, "invalid_arguments", "[ERROR] needs one file [json-pointer:/files]")
		return
	}
	if wait := s.limit(m.Channel, false); wait > 0 {
		tooMany(w, wait)
		return
	}
	if !s.mayShare(file.ID, ask.by) {
		refuse(w, "file_not_found")
		return
	}
	v := s.checkPlace(m)
	if v == nil && m.Text != "" {
		v = Check(m, SlackLimits)
	}
	if v != nil {
		refuseWrong(w, v)
		return
	}
	file = s.share(file, m)
	write(w, map[string]any{"ok": true, "files": []map[string]any{{"id": file.ID, "title": file.Title}}})
}

// readCompletion reads which file is to be shown, and the message that shows it.
func readCompletion(r *http.Request) (f File, m Message, ok bool) {
	ask := r.PostForm
	m = Message{Channel: ask.Get("channel_id"), ThreadTS: ask.Get("thread_ts"), Text: ask.Get("initial_comment")}
	var files []File
	if json.Unmarshal([]byte(ask.Get("files")), &files) != nil || len(files) != 1 {
		return f, m, false
	}
	return files[0], m, true
}

// deleteFile serves files.delete: the file is gone, with the messages that show nothing else.
func (s *Server) deleteFile(w http.ResponseWriter, r *http.Request) {
	ask, err := readPost(r)
	if s.meetsChance(w, r, nil) || !s.permits(w, ask, err, scopeFiles) {
		return
	}
	id := r.PostForm.Get("file")
	s.mu.Lock()
	defer s.mu.Unlock()
	shows := func(m Message) bool {
		return m.by == ask.by && slices.ContainsFunc(m.Files, func(f File) bool { return f.ID == id })
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
