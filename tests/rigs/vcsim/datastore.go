package main

import (
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
)

func init() {
	registrars = append(registrars, func(s *site) { s.front.handle("/folder/", s.serveFolder) })
}

// serveFolder is the access to the files of datastores. Unlike the simulator it wants a session, and a file that
// the rig keeps as a hole has its whole size.
func (s *site) serveFolder(w http.ResponseWriter, r *http.Request) {
	s.counts.called(r.Method + " /folder")
	if !s.sessionOf(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.front.forward(w, r)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/folder/")
	folder := s.datastoreFolder(r.URL.Query())
	if folder == "" || !filepath.IsLocal(name) {
		http.NotFound(w, r)
		return
	}
	out := &cutWriter{ResponseWriter: w, out: s.throttled(w, "FOLDER", name)}
	http.ServeFile(out, withPath(r), filepath.Join(folder, name))
}

// withPath keeps ServeFile from redirecting a name that looks like an index page.
func withPath(r *http.Request) *http.Request {
	inner := r.Clone(r.Context())
	inner.URL.Path = "/file"
	return inner
}

// datastoreFolder is the folder of the datastore that a query names, or "". The datacenter's path is "/DC0".
func (s *site) datastoreFolder(query url.Values) string {
	dc, err := s.datacenter(strings.TrimPrefix(query.Get("dcPath"), "/"))
	if err != nil {
		return ""
	}
	ds, ok := s.model.Map().FindByName(query.Get("dsName"), dc.Datastore).(*simulator.Datastore)
	if !ok {
		return ""
	}
	return ds.Summary.Url
}

// throttled is where a download's bytes go, with the fault that waits for this kind of download, if any: a cut
// after some bytes, or a delay.
func (s *site) throttled(w io.Writer, kind, name string) io.Writer {
	rule := s.faults.take(soapCall{Method: kind, Object: name})
	if rule == nil {
		return w
	}
	if rule.Kind == delay {
		time.Sleep(time.Duration(rule.MS) * time.Millisecond)
		return w
	}
	return &limitedOut{w: w, left: rule.After}
}

// limitedOut cuts the connection after so many bytes.
type limitedOut struct {
	w    io.Writer
	left int64
}

func (l *limitedOut) Write(p []byte) (int, error) {
	if int64(len(p)) < l.left {
		l.left -= int64(len(p))
		return l.w.Write(p)
	}
	_, _ = l.w.Write(p[:l.left])
	if flusher, ok := l.w.(http.Flusher); ok {
		flusher.Flush()
	}
	panic(http.ErrAbortHandler)
}

// cutWriter is a response whose bytes pass a limit.
type cutWriter struct {
	http.ResponseWriter
	out io.Writer
}

func (c *cutWriter) Write(p []byte) (int, error) { return c.out.Write(p) }
