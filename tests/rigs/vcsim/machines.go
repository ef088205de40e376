package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerMachines) }

// machineSpec is what the control "machine" makes a virtual machine of.
type machineSpec struct {
	Name       string     `json:"name"`
	Datacenter string     `json:"datacenter"` // default: the first
	Folder     string     `json:"folder"`     // below the datacenter's vm folder, "a/b"; made if missing
	Datastore  string     `json:"datastore"`
	Running    bool       `json:"running"`
	Template   bool       `json:"template"`
	Image      string     `json:"image"` // a RAW file, short for one disk
	Disks      []diskSpec `json:"disks"`
	NICs       []string   `json:"nics"` // names of networks
	GuestID    string     `json:"guest_id"`
	CDROM      bool       `json:"cdrom"`
	Floppy     bool       `json:"floppy"`
	CPUs       int32      `json:"cpus"`
	MemoryMB   int64      `json:"memory_mb"`
	Firmware   string     `json:"firmware"`
	Annotation string     `json:"annotation"`
	Guest      guestSpec  `json:"guest"`
	Tools      bool       `json:"tools"`
}

type diskSpec struct {
	Size    int64  `json:"size"`    // bytes
	Image   string `json:"image"`   // a RAW file
	Bus     string `json:"bus"`     // "scsi" (default) or "ide"
	Mode    string `json:"mode"`    // diskMode, default "persistent"
	RDM     string `json:"rdm"`     // "physicalMode" or "virtualMode"
	Sharing string `json:"sharing"` // "sharingMultiWriter", or the controller's "physicalSharing", "virtualSharing"
}

// guestSpec is what VMware Tools report when the machine runs.
type guestSpec struct {
	Hostname        string   `json:"hostname"`
	FullName        string   `json:"full_name"`
	ID              string   `json:"id"`
	Build           string   `json:"build"`
	Addresses       []string `json:"addresses"`
	IgnoresShutdown bool     `json:"ignores_shutdown"`
	NotReady        bool     `json:"not_ready"` // guest operations are not ready although Tools run
}

// machines are the rig's notes on the machines' guests.
type machines struct {
	mu     sync.Mutex
	guests map[types.ManagedObjectReference]guestNote
	macs   int
}

type guestNote struct {
	tools bool
	guest guestSpec
}

func newMachines() *machines {
	return &machines{guests: map[types.ManagedObjectReference]guestNote{}}
}

func (m *machines) note(vm types.ManagedObjectReference, n guestNote) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guests[vm] = n
}

// of returns what the rig knows of a machine's guest; a machine of unknown origin has no Tools.
func (m *machines) of(vm types.ManagedObjectReference) guestNote {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.guests[vm]
}

// newMAC gives an address of the range that vCenter assigns from.
func (m *machines) newMAC() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.macs++
	return fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80+m.macs>>16, m.macs>>8&0xff, m.macs&0xff)
}

func registerMachines(s *site) {
	handle(s, "machine", s.createMachine)
	handle(s, "template", func(spec machineSpec) (any, error) {
		spec.Template, spec.Running = true, false
		return s.createMachine(spec)
	})
	handle(s, "delete", func(r struct{ Moref string }) (any, error) {
		return s.byMoref(r.Moref, func(ctx context.Context, vm *object.VirtualMachine) error {
			_ = s.power(ctx, vm, false)
			return finished(ctx)(vm.Destroy(ctx))
		})
	})
	handle(s, "power", func(r struct {
		Moref string
		On    bool
	}) (any, error) {
		return s.byMoref(r.Moref, func(ctx context.Context, vm *object.VirtualMachine) error {
			return s.power(ctx, vm, r.On)
		})
	})
	watch := &guestWatch{site: s}
	for _, vm := range s.model.Map().All("VirtualMachine") {
		watch.PutObject(nil, vm)
	}
	s.model.Map().AddHandler(watch)
	s.hooks.add("ShutdownGuest", s.shutdownGuest)
}

// client is an in-process client without a login.
func (s *site) client() *vim25.Client {
	client, err := vim25.NewClient(context.Background(), s.model.Service)
	if err != nil {
		panic(err)
	}
	return client
}

func (s *site) byMoref(moref string, f func(context.Context, *object.VirtualMachine) error) (any, error) {
	vm, err := s.machine(moref)
	if err != nil {
		return nil, err
	}
	if err = f(context.Background(), object.NewVirtualMachine(s.client(), vm.Self)); err != nil {
		return nil, err
	}
	return done()
}

// machine returns a virtual machine by its managed object id.
func (s *site) machine(moref string) (*simulator.VirtualMachine, error) {
	vm, ok := s.model.Map().Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: moref}).(*simulator.VirtualMachine)
	if !ok {
		return nil, fmt.Errorf("no machine %q", moref)
	}
	return vm, nil
}

// finished waits for a task that was started just before.
func finished(ctx context.Context) func(*object.Task, error) error {
	return func(task *object.Task, err error) error {
		if err != nil {
			return err
		}
		return task.Wait(ctx)
	}
}

func (s *site) power(ctx context.Context, vm *object.VirtualMachine, on bool) error {
	state, err := vm.PowerState(ctx)
	if err != nil || (state == types.VirtualMachinePowerStatePoweredOn) == on {
		return err
	}
	if on {
		return finished(ctx)(vm.PowerOn(ctx))
	}
	return finished(ctx)(vm.PowerOff(ctx))
}

// createMachine makes a machine as the spec says and returns its references.
func (s *site) createMachine(spec machineSpec) (any, error) {
	ctx := context.Background()
	dc, err := s.datacenter(spec.Datacenter)
	if err != nil {
		return nil, err
	}
	if spec.Image != "" {
		spec.Disks = append([]diskSpec{{Image: spec.Image}}, spec.Disks...)
	}
	config, err := s.configOf(dc, &spec)
	if err != nil {
		return nil, err
	}
	folder, err := s.folder(ctx, dc, spec.Folder)
	if err != nil {
		return nil, err
	}
	task, err := folder.CreateVM(ctx, *config, object.NewResourcePool(s.client(), s.pool(dc)), nil)
	if err != nil {
		return nil, err
	}
	info, err := task.WaitForResult(ctx, nil)
	if err != nil {
		return nil, err
	}
	vm := s.model.Map().Get(info.Result.(types.ManagedObjectReference)).(*simulator.VirtualMachine)
	if err = s.finishMachine(ctx, vm, &spec); err != nil {
		return nil, err
	}
	return map[string]any{
		"moref": vm.Self.Value, "instance_uuid": vm.Config.InstanceUuid, "uuid": vm.Config.Uuid,
	}, nil
}

// finishMachine gives a new machine its disks' bytes and its guest, and its state.
func (s *site) finishMachine(ctx context.Context, vm *simulator.VirtualMachine, spec *machineSpec) error {
	s.machines.note(vm.Self, guestNote{spec.Tools, spec.Guest})
	own := s.context()
	var err error
	own.WithLock(vm, func() {
		own.Update(vm, append(s.guestChanges(vm, false), types.PropertyChange{
			Name: "config.guestFullName", Val: fullName(vm.Config.GuestId),
		}, types.PropertyChange{
			Name: "summary.config.guestFullName", Val: fullName(vm.Config.GuestId),
		}))
		err = s.writeDisks(own, vm, spec)
	})
	if err != nil {
		return err
	}
	client := object.NewVirtualMachine(s.client(), vm.Self)
	if spec.Template {
		return client.MarkAsTemplate(ctx)
	}
	return s.power(ctx, client, spec.Running)
}

// datacenter returns one by its name, or the first.
func (s *site) datacenter(name string) (*simulator.Datacenter, error) {
	var found *simulator.Datacenter
	for _, entity := range s.model.Map().All("Datacenter") {
		dc := entity.(*simulator.Datacenter)
		if dc.Name == name || name == "" && (found == nil || dc.Name < found.Name) {
			found = dc
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no datacenter %q", name)
	}
	return found, nil
}

// datacenterOf climbs from an object to its datacenter.
func (s *site) datacenterOf(entity mo.Entity) *simulator.Datacenter {
	for entity != nil {
		if dc, ok := entity.(*simulator.Datacenter); ok {
			return dc
		}
		parent := entity.Entity().Parent
		if parent == nil {
			break
		}
		entity, _ = s.model.Map().Get(*parent).(mo.Entity)
	}
	panic("an object outside of every datacenter")
}

// folder returns the folder for a new machine and makes those that are missing.
func (s *site) folder(ctx context.Context, dc *simulator.Datacenter, path string) (*object.Folder, error) {
	folder := object.NewFolder(s.client(), dc.VmFolder)
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
		children := s.model.Map().Get(folder.Reference()).(*simulator.Folder).ChildEntity
		if child := s.model.Map().FindByName(name, children); child != nil {
			folder = object.NewFolder(s.client(), child.Reference())
			continue
		}
		made, err := folder.CreateFolder(ctx, name)
		if err != nil {
			return nil, err
		}
		folder = made
	}
	return folder, nil
}

// pool returns the root resource pool of the datacenter's first cluster.
func (s *site) pool(dc *simulator.Datacenter) types.ManagedObjectReference {
	var first *simulator.ClusterComputeResource
	for _, entity := range s.model.Map().All("ClusterComputeResource") {
		cluster := entity.(*simulator.ClusterComputeResource)
		if s.datacenterOf(cluster) == dc && (first == nil || cluster.Name < first.Name) {
			first = cluster
		}
	}
	return *first.ResourcePool
}

// configOf makes the config spec of a new machine.
func (s *site) configOf(dc *simulator.Datacenter, spec *machineSpec) (*types.VirtualMachineConfigSpec, error) {
	if spec.Name == "" {
		return nil, fmt.Errorf("a machine needs a name")
	}
	if spec.Datastore == "" {
		spec.Datastore = "LocalDS_0"
	}
	ds, ok := s.model.Map().FindByName(spec.Datastore, dc.Datastore).(*simulator.Datastore)
	if !ok {
		return nil, fmt.Errorf("no datastore %q", spec.Datastore)
	}
	home := freeFolder(ds.Summary.Url, spec.Name)
	devices, err := s.devicesOf(dc, spec, fmt.Sprintf("[%s] %s", ds.Name, home))
	if err != nil {
		return nil, err
	}
	config := &types.VirtualMachineConfigSpec{
		// The simulator makes both from the name: a machine made anew would be taken for the one that is gone.
		Uuid: uuid.NewString(), InstanceUuid: uuid.NewString(),
		Name: spec.Name, GuestId: orDefault(spec.GuestID, "windows7Server64Guest"), Annotation: spec.Annotation,
		NumCPUs: orDefault(spec.CPUs, 2), MemoryMB: orDefault(spec.MemoryMB, 4096), Firmware: orDefault(spec.Firmware, "bios"),
		Files: &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s] %s/%s.vmx", ds.Name, home, spec.Name)},
	}
	config.DeviceChange, err = devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	return config, err
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// freeFolder returns the name, or the name with a number if such a folder exists already.
func freeFolder(datastore, name string) string {
	free := name
	for i := 1; ; i++ {
		if _, err := os.Stat(filepath.Join(datastore, free)); err != nil {
			return free
		}
		free = fmt.Sprintf("%s_%d", name, i)
	}
}

// addStandardPortgroups makes the inventory's portgroups on every host's vSwitch0 when there is no DVS.
func (s *site) addStandardPortgroups() error {
	if s.config.DVS {
		return nil
	}
	ctx := context.Background()
	for _, entity := range s.model.Map().All("HostSystem") {
		system, err := object.NewHostSystem(s.client(), entity.Reference()).ConfigManager().NetworkSystem(ctx)
		if err != nil {
			return err
		}
		for i := 0; i < s.config.Inventory.Portgroups; i++ {
			spec := types.HostPortGroupSpec{Name: fmt.Sprintf("PG_%d", i), VlanId: int32(100 + i), VswitchName: "vSwitch0"}
			if err = system.AddPortGroup(ctx, spec); err != nil {
				return err
			}
		}
	}
	return nil
}

// shutdownGuest refuses without Tools, which the simulator does not, and lets a guest ignore the wish.
func (s *site) shutdownGuest(_ *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	vm, ok := s.model.Map().Get(m.This).(*simulator.VirtualMachine)
	if !ok || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		return nil, nil
	}
	note := s.machines.of(m.This)
	if !note.tools {
		return nil, new(types.ToolsUnavailable)
	}
	if !note.guest.IgnoresShutdown {
		return nil, nil
	}
	return answerBy(m, func(*simulator.Context, *simulator.Method) soap.HasFault {
		return shutdownAccepted()
	}), nil
}
