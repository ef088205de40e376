package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerControl) }

// A control serves one name of the control port: it gets the JSON body and returns what is to be answered.
type control func(body json.RawMessage) (any, error)

// handle registers a control whose body is decoded into a T; an unknown field is an error.
func handle[T any](s *site, name string, f func(T) (any, error)) {
	s.controls[name] = func(body json.RawMessage) (any, error) {
		var request T
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&request); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return f(request)
	}
}

type nothing struct{}

// done is the answer of a control that has nothing to tell.
func done() (any, error) { return map[string]any{}, nil }

// serveControls opens the control port and returns its address.
func (s *site) serveControls() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = http.Serve(listener, http.HandlerFunc(s.serveControl)) }()
	return "http://" + listener.Addr().String(), nil
}

func (s *site) serveControl(w http.ResponseWriter, r *http.Request) {
	answer, err := s.control(r)
	status := http.StatusOK
	if err != nil {
		status, answer = http.StatusBadRequest, map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *site) control(r *http.Request) (answer any, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			bugFault("the control "+r.URL.Path, bug)
			err = fmt.Errorf("panic: %v", bug)
		}
	}()
	f, ok := s.controls[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok || r.Method != http.MethodPost {
		return nil, fmt.Errorf("no such control: %s %s", r.Method, r.URL.Path)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return f(body)
}

func registerControl(s *site) {
	handle(s, "fault", func(r rule) (any, error) {
		if err := s.faults.add(&r); err != nil {
			return nil, err
		}
		return done()
	})
	handle(s, "faults", func(nothing) (any, error) { return map[string]any{"left": s.faults.left()}, nil })
	handle(s, "faults/clear", func(nothing) (any, error) { s.faults.clear(); return done() })
	handle(s, "counts", func(nothing) (any, error) { return s.counts.report(), nil })
	handle(s, "counts/reset", func(nothing) (any, error) { s.counts.reset(); return done() })
	handle(s, "session/expire", func(nothing) (any, error) { return s.expireSessions() })
	handle(s, "files", func(nothing) (any, error) { return s.files() })
	handle(s, "texts", func(nothing) (any, error) { return map[string]any{"texts": s.texts()}, nil })
	handle(s, "latency", func(r struct{ MS int }) (any, error) {
		s.front.latency.Store(int64(time.Duration(r.MS) * time.Millisecond))
		return done()
	})
	handle(s, "down", func(r struct{ On bool }) (any, error) {
		s.front.down.Store(r.On)
		if r.On {
			s.front.conns.cut()
		}
		return done()
	})
	delays := &taskDelays{ms: map[string]int{}}
	handle(s, "task_delay", func(r struct {
		Method string
		MS     int
	}) (any, error) {
		delays.set(strings.TrimSuffix(r.Method, "_Task"), r.MS)
		return done()
	})
	handle(s, "datastore", s.setDatastore)
}

// taskDelays are how long tasks take, by the task's name ("CreateSnapshotEx").
type taskDelays struct {
	mu sync.Mutex
	ms map[string]int
}

func (d *taskDelays) set(task string, ms int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// The simulator has names of its own for some tasks: PowerOnVM's is "PowerOn", ReconfigVM's "ReconfigVm".
	for _, name := range []string{task, strings.TrimSuffix(task, "VM"), strings.Replace(task, "VM", "Vm", 1)} {
		d.ms[name], d.ms[name+"_Task"] = ms, ms
	}
	setTaskDelays(d.ms)
}

// setTaskDelays puts a copy in place: the simulator reads the map without a lock. LockHandoff 0 lets clients read
// an object while one of its tasks waits.
func setTaskDelays(ms map[string]int) {
	fresh := map[string]int{"LockHandoff": 0}
	for task, n := range ms {
		fresh[task] = n
	}
	simulator.TaskDelay.MethodDelay = fresh
}

// context is a fresh context for the rig's own work in the simulator. It is not shared with any client's call, so
// that it takes locks of its own.
func (s *site) context() *simulator.Context {
	ctx := *s.model.Service.Context
	ctx.Session = &simulator.Session{
		UserSession: types.UserSession{Key: uuid.NewString(), UserName: s.config.User},
		Registry:    simulator.NewRegistry(),
		Map:         s.model.Map(),
	}
	return &ctx
}

// sessions are the keys of all sessions.
func (s *site) sessions() []string {
	manager := s.model.Map().SessionManager()
	view := s.context().Session.Get(manager.Self).(*simulator.SessionManager)
	keys := make([]string, 0, len(view.SessionList))
	for _, session := range view.SessionList {
		keys = append(keys, session.Key)
	}
	return keys
}

// sessionOf tells whether a request carries the cookie of a living session.
func (s *site) sessionOf(r *http.Request) bool {
	cookie, err := r.Cookie("vmware_soap_session")
	if err != nil {
		return false
	}
	for _, key := range s.sessions() {
		if key == strings.Trim(cookie.Value, `"`) {
			return true
		}
	}
	return false
}

// expireSessions ends every session, as an idle time-out does.
func (s *site) expireSessions() (any, error) {
	manager := s.model.Map().SessionManager()
	keys := s.sessions()
	reply := manager.TerminateSession(s.context(), &types.TerminateSession{SessionId: keys})
	if fault := reply.Fault(); fault != nil {
		return nil, fmt.Errorf("%T", fault.VimFault())
	}
	return map[string]any{"ended": len(keys)}, nil
}

// files lists what lies in all datastores as "[datastore] path".
func (s *site) files() (any, error) {
	found := []string{}
	for _, entity := range s.model.Map().All("Datastore") {
		ds := entity.(*simulator.Datastore)
		err := filepath.WalkDir(ds.Summary.Url, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			relative, err := filepath.Rel(ds.Summary.Url, path)
			if strings.HasSuffix(path, ".vmdk") {
				found = append(found, fmt.Sprintf("[%s] %s", ds.Name, relative))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	sort.Strings(found)
	return map[string]any{"files": found}, nil
}

// setDatastore changes what a datastore tells of its space and state.
func (s *site) setDatastore(r struct {
	Name       string
	Capacity   *int64
	Free       *int64
	Accessible *bool
}) (any, error) {
	for _, entity := range s.model.Map().All("Datastore") {
		ds := entity.(*simulator.Datastore)
		if ds.Name != r.Name {
			continue
		}
		var changes []types.PropertyChange
		if r.Capacity != nil {
			changes = append(changes, types.PropertyChange{Name: "summary.capacity", Val: *r.Capacity})
		}
		if r.Free != nil {
			ds.Info.GetDatastoreInfo().FreeSpace = *r.Free
			changes = append(changes, types.PropertyChange{Name: "summary.freeSpace", Val: *r.Free})
		}
		if r.Accessible != nil {
			changes = append(changes, types.PropertyChange{Name: "summary.accessible", Val: *r.Accessible})
		}
		ctx := s.context()
		ctx.WithLock(ds, func() { ctx.Update(ds, changes) })
		return done()
	}
	return nil, fmt.Errorf("no datastore %q", r.Name)
}
