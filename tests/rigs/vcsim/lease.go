package main

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerLeases) }

// leases are the exports that have begun. Their URLs need no session: whoever knows one may read.
type leases struct {
	mu      sync.Mutex
	byToken map[string]*exportLease
	timeout time.Duration
}

// exportLease is an HttpNfcLease for the download of a stopped machine's or a snapshot's disks.
type exportLease struct {
	mo.HttpNfcLease

	site    *site
	vm      *simulator.VirtualMachine
	stopped bool // ExportVm: the machine has to stay off
	token   string
	files   map[string]*exported // by the last part of the URL
	beat    chan struct{}        // a sign of progress
	ended   chan struct{}        // closed with the lease
	once    sync.Once
}

// exported is one disk of a lease.
type exported struct {
	key  string
	disk *types.VirtualDisk
	sum  string
	size int64
}

func registerLeases(s *site) {
	l := &leases{byToken: map[string]*exportLease{}, timeout: 300 * time.Second}
	handle(s, "lease_timeout", func(r struct{ Seconds float64 }) (any, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.timeout = time.Duration(r.Seconds * float64(time.Second))
		return done()
	})
	handle(s, "leases", func(nothing) (any, error) { return map[string]any{"leases": l.report(s)}, nil })
	s.hooks.serve("ExportVm", func(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
		return l.exportVM(s, ctx, m)
	})
	s.hooks.serve("ExportSnapshot", func(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
		return l.exportSnapshot(s, ctx, m)
	})
	s.hooks.add("PowerOnVM_Task", l.refusePowerOn)
	s.front.handle("/nfc/", func(w http.ResponseWriter, r *http.Request) { l.serve(s, w, r) })
}

// report tells the state of every lease that ever was, for a test that asks whether all were ended.
func (l *leases) report(s *site) []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := []map[string]any{}
	for _, lease := range l.byToken {
		ctx := s.context()
		ctx.WithLock(lease, func() {
			found = append(found, map[string]any{
				"lease": lease.Self.Value, "state": lease.State, "progress": lease.TransferProgress,
				"entity": lease.vm.Self.Value,
			})
		})
	}
	return found
}

func (l *leases) exportVM(s *site, ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		return faultReply(&types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: vm.Runtime.PowerState,
		})
	}
	lease := l.begin(s, ctx, "ExportVm", vm, vm.Config.Hardware.Device)
	return &methods.ExportVmBody{Res: &types.ExportVmResponse{Returnval: lease}}
}

func (l *leases) exportSnapshot(s *site, ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	snapshot, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	vm := ctx.Map.Get(snapshot.Vm).(*simulator.VirtualMachine)
	lease := l.begin(s, ctx, "ExportSnapshot", vm, snapshot.Config.Hardware.Device)
	return &methods.ExportSnapshotBody{Res: &types.ExportSnapshotResponse{Returnval: lease}}
}

// begin makes a lease. It belongs to the caller's session, and gets ready after the task_delay of the method.
func (l *leases) begin(
	s *site, ctx *simulator.Context, method string, vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice,
) types.ManagedObjectReference {
	lease := &exportLease{
		site: s, vm: vm, stopped: method == "ExportVm", token: uuid.NewString(), files: map[string]*exported{},
		beat: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	lease.Self = types.ManagedObjectReference{
		Type: "HttpNfcLease", Value: fmt.Sprintf("session[%s]%s", ctx.Session.Key, lease.token),
	}
	lease.State, lease.Mode = types.HttpNfcLeaseStateInitializing, string(types.HttpNfcLeaseModePushOrGet)
	l.mu.Lock()
	timeout := l.timeout
	l.byToken[lease.token] = lease
	l.mu.Unlock()
	info := &types.HttpNfcLeaseInfo{Lease: lease.Self, Entity: vm.Self, LeaseTimeout: int32(max(1, timeout.Seconds()))}
	for i, disk := range disksOf(devices) {
		info.TotalDiskCapacityInKB += disk.CapacityInKB
		info.DeviceUrl = append(info.DeviceUrl, lease.offer(vm, disk, i))
	}
	ctx.Session.Put(lease)
	go lease.live(info, timeout, method)
	return lease.Self
}

// offer adds a disk to a lease and returns its entry. Instead of the host there is a "*", as from a real host.
func (e *exportLease) offer(vm *simulator.VirtualMachine, disk *types.VirtualDisk, number int) types.HttpNfcLeaseDeviceUrl {
	name := fmt.Sprintf("disk-%d.vmdk", number)
	key := fmt.Sprintf("/%s/VirtualDisk:%d", vm.Self.Value, disk.Key)
	e.files[name] = &exported{key: key, disk: disk}
	return types.HttpNfcLeaseDeviceUrl{
		Key: key, ImportKey: fmt.Sprintf("/%s/VirtualLsiLogicController0:%d", vm.Name, number),
		Url:           fmt.Sprintf("https://*:%d/nfc/%s/%s", e.site.front.port(), e.token, name),
		SslThumbprint: e.site.front.thumbprint(), Disk: ptr(true), TargetId: name,
	}
}

// live makes the lease ready and lets it time out when no progress is reported for too long.
func (e *exportLease) live(info *types.HttpNfcLeaseInfo, timeout time.Duration, method string) {
	time.Sleep(time.Duration(simulator.TaskDelay.MethodDelay[method]) * time.Millisecond)
	ctx := e.site.context()
	ctx.WithLock(e, func() {
		ctx.Update(e, []types.PropertyChange{
			{Name: "info", Val: info}, {Name: "initializeProgress", Val: int32(100)},
			{Name: "state", Val: types.HttpNfcLeaseStateReady},
		})
	})
	for {
		select {
		case <-e.ended:
			return
		case <-e.beat:
		case <-time.After(timeout):
			e.end(ctx, types.HttpNfcLeaseStateError, &types.LocalizedMethodFault{
				Fault: &types.Timedout{}, LocalizedMessage: "The lease has timed out.",
			})
			return
		}
	}
}

// end ends the lease once; running downloads break off.
func (e *exportLease) end(ctx *simulator.Context, state types.HttpNfcLeaseState, fault *types.LocalizedMethodFault) {
	e.once.Do(func() {
		close(e.ended)
		changes := []types.PropertyChange{{Name: "state", Val: state}}
		if fault != nil {
			changes = append(changes, types.PropertyChange{Name: "error", Val: fault})
		}
		ctx.WithLock(e, func() { ctx.Update(e, changes) })
	})
}

func (e *exportLease) over() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

// overFault answers a call on a lease that has ended.
func (e *exportLease) overFault() *soap.Fault {
	if e.Error != nil {
		return simulator.Fault(e.Error.LocalizedMessage, e.Error.Fault.(types.BaseMethodFault))
	}
	return simulator.Fault("the lease has ended", &types.InvalidState{})
}

// HttpNfcLeaseProgress keeps the lease alive.
func (e *exportLease) HttpNfcLeaseProgress(ctx *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	body := &methods.HttpNfcLeaseProgressBody{}
	switch {
	case e.over():
		body.Fault_ = e.overFault()
	case req.Percent < 0 || req.Percent > 100:
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "percent"})
	default:
		select {
		case e.beat <- struct{}{}:
		default:
		}
		ctx.Update(e, []types.PropertyChange{{Name: "transferProgress", Val: req.Percent}})
		body.Res = new(types.HttpNfcLeaseProgressResponse)
	}
	return body
}

// HttpNfcLeaseComplete ends the lease well.
func (e *exportLease) HttpNfcLeaseComplete(ctx *simulator.Context, _ *types.HttpNfcLeaseComplete) soap.HasFault {
	body := &methods.HttpNfcLeaseCompleteBody{}
	if e.over() || e.State != types.HttpNfcLeaseStateReady {
		body.Fault_ = e.overFault()
		return body
	}
	e.end(ctx, types.HttpNfcLeaseStateDone, nil)
	body.Res = new(types.HttpNfcLeaseCompleteResponse)
	return body
}

// HttpNfcLeaseAbort ends the lease with an error.
func (e *exportLease) HttpNfcLeaseAbort(ctx *simulator.Context, req *types.HttpNfcLeaseAbort) soap.HasFault {
	body := &methods.HttpNfcLeaseAbortBody{}
	if e.over() {
		body.Fault_ = e.overFault()
		return body
	}
	fault := req.Fault
	if fault == nil {
		fault = &types.LocalizedMethodFault{Fault: &types.RequestCanceled{}, LocalizedMessage: "The lease was aborted."}
	}
	e.end(ctx, types.HttpNfcLeaseStateError, fault)
	body.Res = new(types.HttpNfcLeaseAbortResponse)
	return body
}

// HttpNfcLeaseGetManifest tells the checksums of the disks that were downloaded whole.
func (e *exportLease) HttpNfcLeaseGetManifest(
	_ *simulator.Context, _ *types.HttpNfcLeaseGetManifest,
) soap.HasFault {
	entries := []types.HttpNfcLeaseManifestEntry{}
	for _, file := range e.files {
		if file.sum != "" {
			entries = append(entries, types.HttpNfcLeaseManifestEntry{
				Key: file.key, Sha1: file.sum, Size: file.size, Disk: true, Capacity: file.disk.CapacityInBytes,
			})
		}
	}
	return &methods.HttpNfcLeaseGetManifestBody{Res: &types.HttpNfcLeaseGetManifestResponse{Returnval: entries}}
}

// refusePowerOn keeps a machine off while it is exported.
func (l *leases) refusePowerOn(_ *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lease := range l.byToken {
		if lease.stopped && !lease.over() && lease.vm.Self == m.This {
			return nil, &types.TaskInProgress{Task: types.ManagedObjectReference{Type: "Task", Value: "task-export"}}
		}
	}
	return nil, nil
}

// serve streams a disk of a lease. There is no length beforehand, as from a real host.
func (l *leases) serve(s *site, w http.ResponseWriter, r *http.Request) {
	token, name := path.Base(path.Dir(r.URL.Path)), path.Base(r.URL.Path)
	l.mu.Lock()
	lease, ok := l.byToken[token]
	l.mu.Unlock()
	if !ok {
		s.front.forward(w, r) // an import lease of the simulator
		return
	}
	file, known := lease.files[name]
	if lease.over() || !known || lease.State != types.HttpNfcLeaseStateReady {
		http.Error(w, "no such lease", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	s.counts.called("GET /nfc")
	out := s.throttled(w, "NFC", name)
	lease.send(out, file, strings.TrimSuffix(name, ".vmdk"))
}

// send writes the disk; a download that cannot go on cuts the connection, and so its end is missed.
func (e *exportLease) send(w io.Writer, file *exported, name string) {
	disk, err := e.site.openDisk(e.vm, file.disk)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer disk.close()
	out := &leasedOut{lease: e, w: w, sum: sha1.New()}
	if err = writeVMDK(out, disk, name); err != nil {
		panic(http.ErrAbortHandler)
	}
	ctx := e.site.context()
	ctx.WithLock(e, func() { file.sum, file.size = hex.EncodeToString(out.sum.Sum(nil)), out.size })
}

// leasedOut stops when the lease ends.
type leasedOut struct {
	lease *exportLease
	w     io.Writer
	sum   hash.Hash
	size  int64
}

func (o *leasedOut) Write(p []byte) (int, error) {
	if o.lease.over() {
		return 0, http.ErrAbortHandler
	}
	o.sum.Write(p)
	o.size += int64(len(p))
	return o.w.Write(p)
}
