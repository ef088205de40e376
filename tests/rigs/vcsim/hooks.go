package main

import (
	"log"
	"runtime/debug"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// registrars are the parts of the rig. Each file appends its own in an init function, so that no file has to
// know of the others.
var registrars []func(*site)

// registerAll lets every part add its hooks and controls to a new site.
func registerAll(s *site) {
	for _, register := range registrars {
		register(s)
	}
}

// A hook looks at a call before the simulator serves it. A returned fault answers the call, a returned object
// receives it in place of the real one, and nil, nil means "not mine".
type hook func(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault)

// A server answers a call in place of the simulator. The method's Body is the pointer to the request, for
// example *types.CreateSnapshot_Task, and its This is the called object.
type server func(ctx *simulator.Context, m *simulator.Method) soap.HasFault

// hooks are the overrides by the name of the SOAP method ("CreateSnapshot_Task"); "*" is asked for every call.
type hooks struct {
	mu       sync.RWMutex
	byMethod map[string][]hook
}

func newHooks() *hooks {
	return &hooks{byMethod: map[string][]hook{}}
}

// add registers a hook. Hooks of one method are asked in the order of their registration, those for "*" first.
func (h *hooks) add(method string, f hook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byMethod[method] = append(h.byMethod[method], f)
}

// serve registers a function that answers every call of a method.
func (h *hooks) serve(method string, f server) {
	h.add(method, func(_ *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
		return answerBy(m, f), nil
	})
}

// handle is the simulator's Registry.Handler.
func (h *hooks) handle(ctx *simulator.Context, m *simulator.Method) (ref mo.Reference, fault types.BaseMethodFault) {
	if ctx.Session == nil {
		return nil, nil // the simulator itself answers NotAuthenticated
	}
	defer func() {
		if bug := recover(); bug != nil {
			ref, fault = nil, bugFault(m.Name, bug)
		}
	}()
	for _, f := range h.of(m.Name) {
		ref, fault = f(ctx, m)
		if fault != nil {
			return nil, fault
		}
		if ref != nil {
			hide(m)
			return ref, nil
		}
	}
	return nil, nil
}

func (h *hooks) of(method string) []hook {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return append(append([]hook{}, h.byMethod["*"]...), h.byMethod[method]...)
}

// hide makes the called object unknown to the session: otherwise the simulator looks it up once more after
// the handler and calls the real object all the same.
func hide(m *simulator.Method) {
	m.This = types.ManagedObjectReference{Type: "FerryHook", Value: m.This.Value}
}

// call is the object that receives a call which a server answers.
type call struct {
	method simulator.Method
	serve  server
}

// answerBy returns the object for a hook that wants f to answer this call (only this one).
func answerBy(m *simulator.Method, f server) mo.Reference {
	c := &call{method: *m, serve: f}
	m.Name = "Answer"
	return c
}

// Reference is that of the called object, whose lock the simulator holds while Answer runs.
func (c *call) Reference() types.ManagedObjectReference {
	return c.method.This
}

// Answer serves the call; a panic becomes a SOAP fault, because it would leave the object locked.
func (c *call) Answer(ctx *simulator.Context, _ types.AnyType) (reply soap.HasFault) {
	defer func() {
		if bug := recover(); bug != nil {
			reply = faultReply(bugFault(c.method.Name, bug))
		}
	}()
	return c.serve(ctx, &c.method)
}

// faultBody is a reply that is only a fault.
type faultBody struct {
	Fault_ *soap.Fault
}

func (b *faultBody) Fault() *soap.Fault { return b.Fault_ }

// faultReply makes the reply of a call that fails with this fault.
func faultReply(fault types.BaseMethodFault) soap.HasFault {
	return &faultBody{simulator.Fault("", fault)}
}

// bugFault reports a panic on stderr and gives the fault that the client sees.
func bugFault(method string, bug any) types.BaseMethodFault {
	log.Printf("panic in %s: %v\n%s", method, bug, debug.Stack())
	return &types.SystemError{Reason: "the test rig panicked in " + method}
}

// runTask runs f as an asynchronous task of the object and returns the task's reference. The name is the task's
// ("createSnapshot"), which is also its key in task_delay (with a capital). A panic ends the task with a fault.
func runTask(
	ctx *simulator.Context, of mo.Reference, name string, f func(*simulator.Task) (types.AnyType, types.BaseMethodFault),
) types.ManagedObjectReference {
	task := simulator.CreateTask(of, name, func(t *simulator.Task) (result types.AnyType, fault types.BaseMethodFault) {
		defer func() {
			if bug := recover(); bug != nil {
				result, fault = nil, bugFault(name, bug)
			}
		}()
		return f(t)
	})
	return task.Run(ctx)
}
