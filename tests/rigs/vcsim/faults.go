package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// The kinds of injected faults.
const (
	replyLost = "reply-lost" // executed, then the connection is cut
	cut       = "cut"        // the connection is cut before the execution
	denied    = "denied"     // the call fails with NoPermission
	callFault = "fault"      // the call fails with a fault
	taskFault = "task-fault" // the call returns a task, which ends with a fault; nothing is executed
	delay     = "delay"      // the call is executed later
)

// rule is one fault to inject.
type rule struct {
	Method    string          `json:"method"` // of SOAP; "*" is any mutating one, "**" any; or "NFC", "FOLDER"
	Object    string          `json:"object"` // a moref or a name; empty is any
	Kind      string          `json:"kind"`
	Times     int             `json:"times"` // 0 means once; below 0 means for ever
	Skip      int             `json:"skip"`  // so many calls pass first
	Fault     string          `json:"fault"` // the fault's XSI type
	Message   string          `json:"message"`
	Detail    json.RawMessage `json:"detail"` // fields of the fault
	Privilege string          `json:"privilege"`
	MS        int             `json:"ms"`
	After     int64           `json:"after"` // for NFC and FOLDER: so many bytes are sent before the cut
}

// faults are the rules that are still to be applied, in their order.
type faults struct {
	site  *site
	mu    sync.Mutex
	rules []*rule
}

func newFaults(s *site) *faults {
	return &faults{site: s}
}

// add checks a rule and keeps it.
func (f *faults) add(r *rule) error {
	switch r.Kind {
	case replyLost, cut, denied, delay:
	case callFault, taskFault:
		if _, err := r.fault(nil); err != nil {
			return err
		}
	default:
		return fmt.Errorf("no such kind of fault: %q", r.Kind)
	}
	if r.Method == "" {
		return fmt.Errorf("a fault needs a method")
	}
	if r.Times == 0 {
		r.Times = 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
	return nil
}

// left is how many rules are still to be applied.
func (f *faults) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.rules)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// take returns the first rule for this call, used up once, or nil.
func (f *faults) take(c soapCall) *rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.rules {
		if !f.fits(r, c) {
			continue
		}
		if r.Skip > 0 {
			r.Skip--
			continue
		}
		if r.Times > 0 {
			r.Times--
		}
		if r.Times == 0 {
			f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
		}
		return r
	}
	return nil
}

func (f *faults) fits(r *rule, c soapCall) bool {
	download := c.Type == ""
	switch r.Method {
	case "**":
		if download {
			return false
		}
	case "*":
		if download || !mutating(c.Method) {
			return false
		}
	default:
		if r.Method != c.Method {
			return false
		}
	}
	if r.Object == "" || r.Object == c.Object {
		return true
	}
	for _, name := range f.site.names(types.ManagedObjectReference{Type: c.Type, Value: c.Object}) {
		if r.Object == name {
			return true
		}
	}
	return false
}

// names are what a rule may call an object: its name, and for a snapshot its machine's name and id.
func (s *site) names(ref types.ManagedObjectReference) []string {
	switch obj := s.model.Map().Get(ref).(type) {
	case *simulator.VirtualMachineSnapshot:
		return append(s.names(obj.Vm), obj.Vm.Value)
	case *simulator.VirtualMachine:
		return []string{obj.Name}
	case mo.Entity:
		return []string{obj.Entity().Name}
	}
	return nil
}

// fault makes the fault that the rule asks for.
func (r *rule) fault(object *types.ManagedObjectReference) (types.BaseMethodFault, error) {
	if r.Kind == denied {
		privilege := r.Privilege
		if privilege == "" {
			privilege = "System.View"
		}
		return &types.NoPermission{Object: object, PrivilegeId: privilege}, nil
	}
	kind, ok := types.TypeFunc()(r.Fault)
	if !ok {
		return nil, fmt.Errorf("no such fault type: %q", r.Fault)
	}
	value := reflect.New(kind).Interface()
	fault, ok := value.(types.BaseMethodFault)
	if !ok {
		return nil, fmt.Errorf("%s is no fault", r.Fault)
	}
	if len(r.Detail) > 0 {
		if err := json.Unmarshal(r.Detail, value); err != nil {
			return nil, fmt.Errorf("the detail of %s: %w", r.Fault, err)
		}
	}
	return fault, nil
}

// inject applies a rule before the execution and tells whether that was all.
func (f *front) inject(w http.ResponseWriter, r *http.Request, c soapCall, rule *rule) bool {
	switch rule.Kind {
	case delay:
		time.Sleep(time.Duration(rule.MS) * time.Millisecond)
		return false
	case cut:
		panic(http.ErrAbortHandler)
	case denied, callFault:
		ref := types.ManagedObjectReference{Type: c.Type, Value: c.Object}
		fault, _ := rule.fault(&ref)
		writeFault(w, fault, rule.Message)
		return true
	case taskFault:
		if !f.site.sessionOf(r) {
			return false // the simulator answers NotAuthenticated
		}
		f.failedTask(w, c, rule)
		return true
	}
	return false
}

// failedTask answers with a task that does nothing and ends with the rule's fault.
func (f *front) failedTask(w http.ResponseWriter, c soapCall, rule *rule) {
	fault, _ := rule.fault(nil)
	if rule.Message != "" {
		fault.GetMethodFault().FaultMessage = []types.LocalizableMessage{{Key: "test", Message: rule.Message}}
	}
	entity := types.ManagedObjectReference{Type: c.Type, Value: c.Object}
	if snapshot, ok := f.site.model.Map().Get(entity).(*simulator.VirtualMachineSnapshot); ok {
		entity = snapshot.Vm
	}
	task := runTask(f.site.context(), entity, taskName(c.Method)+"Task", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, fault
	})
	writeSOAP(w, http.StatusOK, fmt.Sprintf(
		`<%[1]sResponse xmlns="urn:vim25"><returnval type="Task">%[2]s</returnval></%[1]sResponse>`, c.Method, task.Value))
}

// writeFault answers with a SOAP fault.
func writeFault(w http.ResponseWriter, fault types.BaseMethodFault, message string) {
	name := reflect.TypeOf(fault).Elem().Name()
	start := xml.StartElement{Name: xml.Name{Local: name + "Fault"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"},
		{Name: xml.Name{Local: "xsi:type"}, Value: name},
	}}
	writeSOAP(w, http.StatusInternalServerError, fmt.Sprintf(
		`<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>%s</faultstring><detail>%s</detail></soapenv:Fault>`,
		escape(message), encode(fault, start)))
}

func writeSOAP(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>`+
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" `+
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">`+
		`<soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`, body)
}
