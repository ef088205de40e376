package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/vim25/xml"
)

// maxCall bounds a SOAP request that the front reads into memory.
const maxCall = 32 << 20

// front is what clients talk to: TLS with the test's certificate before the plain simulator. It counts the calls,
// delays them, and injects the faults that a server cannot inject into itself.
type front struct {
	site     *site
	listener net.Listener
	server   *http.Server
	target   *url.URL
	client   *http.Transport
	routes   *http.ServeMux
	leaf     []byte // DER
	latency  atomic.Int64
	down     atomic.Bool
	conns    connections
}

func newFront(s *site) *front {
	f := &front{site: s, routes: http.NewServeMux()}
	f.client = &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	f.routes.HandleFunc("/", f.forward)
	f.routes.HandleFunc("/sdk", f.soap)
	f.routes.HandleFunc("/sdk/vimService", f.soap)
	return f
}

// handle registers a path that the front serves itself.
func (f *front) handle(path string, handler http.HandlerFunc) {
	f.routes.HandleFunc(path, handler)
}

func (f *front) start(target *url.URL) error {
	pair, err := tls.LoadX509KeyPair(f.site.config.Chain, f.site.config.Key)
	if err != nil {
		return err
	}
	f.leaf, f.target = pair.Certificate[0], target
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	f.server = &http.Server{
		Handler:     f,
		ConnState:   f.conns.track,
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		ErrorLog:    log.New(io.Discard, "", 0), // a client that refuses our certificate is no news
		ReadTimeout: 10 * time.Minute,
		// Without HTTP/2: a cut must cut one call's connection and no other's.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	gate := &gate{Listener: f.listener, down: &f.down}
	go func() { _ = f.server.ServeTLS(gate, "", "") }()
	return nil
}

func (f *front) close() {
	_ = f.server.Close()
}

// url is the address of the SDK; port is that of the front.
func (f *front) url() string {
	return fmt.Sprintf("https://127.0.0.1:%d/sdk", f.port())
}

func (f *front) port() int {
	return f.listener.Addr().(*net.TCPAddr).Port
}

// thumbprint is the certificate's SHA-1 in the notation of vSphere.
func (f *front) thumbprint() string {
	sum := sha1.Sum(f.leaf)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// ServeHTTP delays and dispatches one request. A panic closes the connection, as a crashed service would.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		bug := recover()
		if bug == nil {
			return
		}
		if bug != http.ErrAbortHandler {
			log.Printf("panic at %s %s: %v\n%s", r.Method, r.URL.Path, bug, debug.Stack())
		}
		panic(http.ErrAbortHandler)
	}()
	time.Sleep(time.Duration(f.latency.Load()))
	f.routes.ServeHTTP(w, r)
}

// soap serves one SOAP call: it counts it, asks for a fault, and forwards it.
func (f *front) soap(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCall))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c := parseCall(body)
	f.site.counts.called(c.Method)
	rule := f.site.faults.take(c)
	if rule != nil && f.inject(w, r, c, rule) {
		return
	}
	// A call goes on when its client has gone: only reads may be given up.
	ctx := context.WithoutCancel(r.Context())
	if !mutating(c.Method) {
		ctx = r.Context()
	}
	reply := f.ask(ctx, r, bytes.NewReader(body))
	defer func() { _ = reply.Body.Close() }()
	if rule != nil && rule.Kind == replyLost {
		_, _ = io.Copy(io.Discard, reply.Body)
		panic(http.ErrAbortHandler)
	}
	if c.Method == "Login" && reply.StatusCode == http.StatusOK {
		f.site.counts.loggedIn()
	}
	give(w, reply)
}

// forward passes any other request on.
func (f *front) forward(w http.ResponseWriter, r *http.Request) {
	reply := f.ask(r.Context(), r, r.Body)
	defer func() { _ = reply.Body.Close() }()
	give(w, reply)
}

// ask sends a request to the simulator; without an answer the client's connection is cut.
func (f *front) ask(ctx context.Context, r *http.Request, body io.Reader) *http.Response {
	inner := r.Clone(ctx)
	inner.RequestURI = ""
	inner.URL.Scheme, inner.URL.Host = "http", f.target.Host
	inner.Header.Del("Connection")
	inner.Body = io.NopCloser(body)
	reply, err := f.client.RoundTrip(inner)
	if err != nil {
		if ctx.Err() == nil {
			log.Printf("the simulator did not answer %s %s: %v", r.Method, r.URL.Path, err)
		}
		panic(http.ErrAbortHandler)
	}
	return reply
}

func give(w http.ResponseWriter, reply *http.Response) {
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(reply.StatusCode)
	if _, err := io.Copy(w, reply.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// soapCall is what the front needs to know of a call.
type soapCall struct {
	Method string
	Type   string // of the called object
	Object string // its managed object id
}

// parseCall reads the method and the called object. Parameters may carry attributes and any prefix, so it goes
// by the XML and not by its text.
func parseCall(body []byte) soapCall {
	var envelope struct {
		Body struct {
			Call struct {
				XMLName xml.Name
				This    struct {
					Type  string `xml:"type,attr"`
					Value string `xml:",chardata"`
				} `xml:"_this"`
			} `xml:",any"`
		} `xml:"Body"`
	}
	_ = xml.Unmarshal(body, &envelope) // what it cannot read the simulator refuses
	call := envelope.Body.Call
	return soapCall{call.XMLName.Local, call.This.Type, strings.TrimSpace(call.This.Value)}
}

// readers are the methods that change nothing but what belongs to the caller's own session.
var readers = []string{
	"Retrieve", "Query", "Find", "Login", "Logout", "CurrentTime", "CreatePropertyCollector", "CreateContainerView",
	"CreateListView", "CreateFilter", "CreateCollectorFor", "Destroy", "Wait", "CheckForUpdates", "Continue", "Cancel",
	"Has", "Read", "Fetch", "SessionIsActive", "Get", "List", "Search", "HttpNfcLease", "Validate", "Check", "Reset",
	"ModifyListView", "SetCollectorPageSize", "Rewind", "AcquireCloneTicket", "CloneSession",
}

// writers look like readers by their first letters and are none.
var writers = map[string]bool{
	"Destroy_Task": true, "DestroyNetwork": true, "DestroyDatastore": true, "ResetVM_Task": true, "CancelTask": true,
	"DestroyIpPool": true,
}

// mutating tells whether a method changes the site.
func mutating(method string) bool {
	if writers[method] {
		return true
	}
	for _, prefix := range readers {
		if strings.HasPrefix(method, prefix) {
			return false
		}
	}
	return true
}

// counts are the calls that reached the front, whatever became of them.
type counts struct {
	mu     sync.Mutex
	calls  map[string]int
	logins int
}

func newCounts() *counts {
	return &counts{calls: map[string]int{}}
}

func (c *counts) called(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[method]++
}

func (c *counts) loggedIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins++
}

func (c *counts) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls, c.logins = map[string]int{}, 0
}

func (c *counts) report() map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	total, calls := 0, map[string]int{}
	for method, n := range c.calls {
		calls[method] = n
		total += n
	}
	return map[string]any{"calls": calls, "logins": c.logins, "total": total}
}

// gate is a listener that closes every connection at once while the site is down. The port stays ours: to close
// it would let another process take it.
type gate struct {
	net.Listener
	down *atomic.Bool
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil || !g.down.Load() {
			return conn, err
		}
		_ = conn.Close()
	}
}

// connections are the open ones, so that "down" can cut them.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[net.Conn]bool{}
	}
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.open, conn)
		return
	}
	c.open[conn] = true
}

func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Close()
	}
}
