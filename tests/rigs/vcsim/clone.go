package main

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// cloner serves CloneVM_Task: the simulator's own ignores most of the specification and copies no bytes.
type cloner struct {
	site   *site
	guests *guests
	custom *customizer
}

func newCloner(s *site, g *guests, c *customizer) *cloner {
	cl := &cloner{s, g, c}
	s.hooks.serve("CloneVM_Task", cl.serve)
	return cl
}

func (c *cloner) serve(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	source := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	req := m.Body.(*types.CloneVM_Task)
	ref := runTask(ctx, source, "cloneVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		order := &cloning{cloner: c, ctx: ctx, source: source, req: req}
		return order.run()
	})
	return &methods.CloneVM_TaskBody{Res: &types.CloneVM_TaskResponse{Returnval: ref}}
}

// cloning is one call of CloneVM_Task: what it resolves to. The source's lock is held.
type cloning struct {
	*cloner
	ctx    *simulator.Context
	source *simulator.VirtualMachine
	req    *types.CloneVM_Task

	config *types.VirtualMachineConfigInfo // the source's, or that of the snapshot to clone
	folder *simulator.Folder
	pool   types.ManagedObjectReference
	host   *simulator.HostSystem
	store  *simulator.Datastore
}

func (c *cloning) run() (types.AnyType, types.BaseMethodFault) {
	for _, step := range []func() types.BaseMethodFault{
		c.resolveSource, c.resolveFolder, c.resolvePlace, c.resolveDatastore,
	} {
		if fault := step(); fault != nil {
			return nil, fault
		}
	}
	spec, fault := c.spec()
	if fault != nil {
		return nil, fault
	}
	if custom := c.req.Spec.Customization; custom != nil {
		if fault = customizable(*custom, c.config.GuestId, cards(devicesIn(spec))); fault != nil {
			return nil, fault
		}
	}
	c.announce()
	clone, fault := c.create(spec)
	if fault != nil {
		return nil, fault
	}
	if fault = c.finish(clone); fault != nil {
		return nil, fault
	}
	return clone.Self, nil
}

func (c *cloning) resolveSource() types.BaseMethodFault {
	c.config = c.source.Config
	ref := c.req.Spec.Snapshot
	if ref == nil {
		return nil
	}
	snapshot, ok := c.ctx.Map.Get(*ref).(*simulator.VirtualMachineSnapshot)
	if !ok || snapshot.Vm != c.source.Self {
		return &types.InvalidArgument{InvalidProperty: "spec.snapshot"}
	}
	c.config = &snapshot.Config
	return nil
}

func (c *cloning) resolveFolder() types.BaseMethodFault {
	ref := c.req.Folder
	if c.req.Spec.Location.Folder != nil {
		ref = *c.req.Spec.Location.Folder
	}
	switch folder := c.ctx.Map.Get(ref).(type) {
	case nil:
		return &types.ManagedObjectNotFound{Obj: ref}
	case *simulator.Folder:
		c.folder = folder
	default:
		return &types.InvalidFolder{Target: ref}
	}
	var same mo.Entity
	takes := false
	c.ctx.WithLock(c.folder, func() {
		for _, kind := range c.folder.ChildType {
			takes = takes || kind == "VirtualMachine"
		}
		same = c.ctx.Map.FindByName(c.req.Name, c.folder.ChildEntity)
	})
	switch {
	case !takes:
		return &types.InvalidFolder{Target: ref}
	case c.req.Name == "" || len(c.req.Name) > 80:
		return &types.InvalidName{Name: c.req.Name}
	case same != nil:
		return &types.DuplicateName{Name: c.req.Name, Object: same.Reference()}
	}
	return nil
}

// resolvePlace finds the pool and the host. A template is in no pool: for it one must be given.
func (c *cloning) resolvePlace() types.BaseMethodFault {
	pool := c.req.Spec.Location.Pool
	if pool == nil && !c.config.Template {
		pool = c.source.ResourcePool
	}
	if pool == nil {
		return &types.InvalidArgument{InvalidProperty: "spec.location.pool"}
	}
	entity, ok := c.ctx.Map.Get(*pool).(mo.Entity)
	if !ok || pool.Type != "ResourcePool" {
		return &types.ManagedObjectNotFound{Obj: *pool}
	}
	c.pool = *pool
	hosts := c.hostsOf(entity)
	wanted := c.req.Spec.Location.Host
	if wanted == nil {
		wanted = simulator.FindReference(hosts, *c.source.Runtime.Host)
	}
	if wanted == nil && len(hosts) > 0 {
		wanted = &hosts[0]
	}
	if wanted == nil || simulator.FindReference(hosts, *wanted) == nil {
		return &types.InvalidArgument{InvalidProperty: "spec.location.host"}
	}
	c.host = c.ctx.Map.Get(*wanted).(*simulator.HostSystem)
	return nil
}

// hostsOf are the hosts of the cluster that a pool belongs to.
func (c *cloning) hostsOf(entity mo.Entity) []types.ManagedObjectReference {
	for entity != nil && entity.Entity().Parent != nil {
		entity, _ = c.ctx.Map.Get(*entity.Entity().Parent).(mo.Entity)
		switch x := entity.(type) {
		case *simulator.ClusterComputeResource:
			return x.Host
		case *mo.ComputeResource:
			return x.Host
		}
	}
	return nil
}

func (c *cloning) resolveDatastore() types.BaseMethodFault {
	ref := c.req.Spec.Location.Datastore
	if ref == nil {
		ref = &c.source.Datastore[0]
	}
	store, ok := c.ctx.Map.Get(*ref).(*simulator.Datastore)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: *ref}
	}
	if simulator.FindReference(c.host.Datastore, *ref) == nil || !store.Summary.Accessible {
		return &types.InvalidDatastore{Datastore: ref, Name: store.Name}
	}
	c.store = store
	return nil
}

// spec is the configuration of the clone: the source's, changed as the call says.
func (c *cloning) spec() (*types.VirtualMachineConfigSpec, types.BaseMethodFault) {
	hardware, wish := c.config.Hardware, c.req.Spec.Config
	if wish == nil {
		wish = &types.VirtualMachineConfigSpec{}
	}
	wish = ptr(deepCopy(*wish))
	spec := &types.VirtualMachineConfigSpec{
		Name: c.req.Name, Version: c.config.Version, Firmware: orDefault(wish.Firmware, c.config.Firmware),
		GuestId: orDefault(wish.GuestId, c.config.GuestId), Annotation: orDefault(wish.Annotation, c.config.Annotation),
		Uuid: orDefault(wish.Uuid, uuid.NewString()), InstanceUuid: orDefault(wish.InstanceUuid, uuid.NewString()),
		NumCPUs: orDefault(wish.NumCPUs, hardware.NumCPU), MemoryMB: orDefault(wish.MemoryMB, int64(hardware.MemoryMB)),
		NumCoresPerSocket: orDefault(wish.NumCoresPerSocket, hardware.NumCoresPerSocket),
		BootOptions:       orDefault(wish.BootOptions, c.config.BootOptions),
		ExtraConfig:       mergedOptions(c.config.ExtraConfig, wish.ExtraConfig),
		Files: &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s] %s", c.store.Name,
			freeFolder(c.store.Summary.Url, c.req.Name))},
	}
	devices := c.devices()
	changes := append(append([]types.BaseVirtualDeviceConfigSpec{}, c.req.Spec.Location.DeviceChange...), wish.DeviceChange...)
	for i, change := range changes {
		var fault types.BaseMethodFault
		if devices, fault = c.changed(devices, change.GetVirtualDeviceConfigSpec(), int32(i)); fault != nil {
			return nil, fault
		}
	}
	for i, change := range devices {
		if _, ok := change.Device.(types.BaseVirtualEthernetCard); ok {
			if fault := backingFault(c.ctx, c.host.Self, change.Device.GetVirtualDevice().Backing, int32(i)); fault != nil {
				return nil, fault
			}
		}
		spec.DeviceChange = append(spec.DeviceChange, change)
	}
	return spec, nil
}

// mergedOptions are the options of the clone: those of the source, changed; an empty value removes one.
func mergedOptions(old, fresh []types.BaseOptionValue) []types.BaseOptionValue {
	replaced := map[string]bool{"govcsim": true}
	for _, option := range fresh {
		replaced[option.GetOptionValue().Key] = true
	}
	var merged []types.BaseOptionValue
	for _, option := range old {
		if !replaced[option.GetOptionValue().Key] {
			merged = append(merged, ptr(*option.GetOptionValue()))
		}
	}
	for _, option := range fresh {
		if option.GetOptionValue().Value != "" {
			merged = append(merged, option)
		}
	}
	return merged
}

// devices are copies of the source's devices, to be added to the clone, which has the default ones already. A
// network card gets a new address unless the administrator chose the old one by hand; a disk gets a new file.
func (c *cloning) devices() []*types.VirtualDeviceConfigSpec {
	source := deepCopy(types.ArrayOfVirtualDevice{VirtualDevice: c.config.Hardware.Device}).VirtualDevice
	defaults := object.VirtualDeviceList(esx.VirtualDevice)
	var specs []*types.VirtualDeviceConfigSpec
	for _, device := range source {
		if defaults.FindByKey(device.GetVirtualDevice().Key) != nil {
			continue
		}
		spec := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: device}
		switch x := device.(type) {
		case *types.VirtualDisk:
			spec.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
			x.Backing = freshBacking(x.Backing)
		case types.BaseVirtualEthernetCard:
			card := x.GetVirtualEthernetCard()
			if card.AddressType != string(types.VirtualEthernetCardMacTypeManual) {
				card.MacAddress, card.AddressType = c.site.machines.newMAC(), string(types.VirtualEthernetCardMacTypeAssigned)
			}
		}
		specs = append(specs, spec)
	}
	return specs
}

// freshBacking lets the simulator choose a name for a copy of a disk, which has no parent; also for a raw device
// mapping, whose copy is a file.
func freshBacking(old types.BaseVirtualDeviceBackingInfo) types.BaseVirtualDeviceBackingInfo {
	fresh := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: string(types.VirtualDiskModePersistent), ThinProvisioned: ptr(true)}
	if flat, ok := old.(*types.VirtualDiskFlatVer2BackingInfo); ok {
		fresh.DiskMode, fresh.ThinProvisioned, fresh.EagerlyScrub = flat.DiskMode, flat.ThinProvisioned, flat.EagerlyScrub
	}
	return fresh
}

// changed applies one change to the list of devices to be added.
func (c *cloning) changed(
	specs []*types.VirtualDeviceConfigSpec, change *types.VirtualDeviceConfigSpec, index int32,
) ([]*types.VirtualDeviceConfigSpec, types.BaseMethodFault) {
	var devices object.VirtualDeviceList
	at := -1
	for i, spec := range specs {
		devices = append(devices, spec.Device)
		if spec.Device.GetVirtualDevice().Key == change.Device.GetVirtualDevice().Key {
			at = i
		}
	}
	switch change.Operation {
	case types.VirtualDeviceConfigSpecOperationRemove:
		if at < 0 {
			return nil, invalidDevice("virtualDeviceSpec.device.key", index)
		}
		return append(specs[:at], specs[at+1:]...), nil
	case types.VirtualDeviceConfigSpecOperationEdit:
		if card, ok := change.Device.(types.BaseVirtualEthernetCard); ok {
			one := card.GetVirtualEthernetCard()
			if one.AddressType != "" && one.AddressType != string(types.VirtualEthernetCardMacTypeManual) {
				one.MacAddress = "" // the source's, which no second machine gets
			}
		}
		if fault := c.site.prepareDevice(c.ctx, c.host.Self, devices, change, index); fault != nil {
			return nil, fault
		}
		if disk, ok := change.Device.(*types.VirtualDisk); ok {
			disk.Backing = freshBacking(disk.Backing)
		}
		specs[at].Device = change.Device
		return specs, nil
	}
	if fault := c.site.prepareDevice(c.ctx, c.host.Self, devices, change, index); fault != nil {
		return nil, fault
	}
	return append(specs, change), nil
}

func devicesIn(spec *types.VirtualMachineConfigSpec) []types.BaseVirtualDevice {
	var devices []types.BaseVirtualDevice
	for _, change := range spec.DeviceChange {
		devices = append(devices, change.GetVirtualDeviceConfigSpec().Device)
	}
	return devices
}

// create lets the simulator make the machine.
func (c *cloning) create(spec *types.VirtualMachineConfigSpec) (*simulator.VirtualMachine, types.BaseMethodFault) {
	reply := c.folder.CreateVMTask(c.ctx, &types.CreateVM_Task{
		This: c.folder.Self, Config: *spec, Pool: c.pool, Host: &c.host.Self,
	})
	task := c.ctx.Map.Get(reply.(*methods.CreateVM_TaskBody).Res.Returnval).(*simulator.Task)
	task.Wait()
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return c.ctx.Map.Get(task.Info.Result.(types.ManagedObjectReference)).(*simulator.VirtualMachine), nil
}

// finish gives the clone the source's bytes and guest, its customization, and its state.
func (c *cloning) finish(clone *simulator.VirtualMachine) types.BaseMethodFault {
	if err := c.copyDisks(clone); err != nil {
		return &types.SystemError{Reason: err.Error()}
	}
	note := c.site.machines.of(c.source.Self)
	c.site.machines.note(clone.Self, note)
	c.guests.copy(c.source.Self, clone.Self)
	c.ctx.WithLock(clone, func() {
		full := fullName(clone.Config.GuestId)
		c.ctx.Update(clone, append(c.site.guestChanges(clone, false),
			types.PropertyChange{Name: "config.guestFullName", Val: full},
			types.PropertyChange{Name: "summary.config.guestFullName", Val: full}))
		c.site.refreshLayout(c.ctx, clone)
	})
	if c.req.Spec.Template {
		clone.MarkAsTemplate(&types.MarkAsTemplate{This: clone.Self})
	}
	if custom := c.req.Spec.Customization; custom != nil {
		c.custom.plan(c.ctx, clone, *custom)
	}
	c.report(clone)
	if c.req.Spec.PowerOn && !c.req.Spec.Template {
		own := c.site.context()
		reply := clone.PowerOnVMTask(own, &types.PowerOnVM_Task{This: clone.Self})
		task := c.ctx.Map.Get(reply.(*methods.PowerOnVM_TaskBody).Res.Returnval).(*simulator.Task)
		task.Wait()
		if task.Info.Error != nil {
			return task.Info.Error.Fault
		}
	}
	return nil
}

// copyDisks copies the bytes of the source's disks to those of the clone with the same keys.
func (c *cloning) copyDisks(clone *simulator.VirtualMachine) error {
	sources := disksOf(c.config.Hardware.Device)
	for _, target := range disksOf(clone.Config.Hardware.Device) {
		for _, disk := range sources {
			if disk.Key != target.Key {
				continue
			}
			path, err := c.site.resolve(clone, fileOf(target))
			if err != nil {
				return err
			}
			if err = c.site.copyDisk(c.source, disk, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce posts the event of the beginning.
func (c *cloning) announce() {
	about := vmEvent(c.ctx, c.source)
	if c.config.Template {
		postEvent(c.ctx, &types.VmBeingDeployedEvent{VmEvent: about, SrcTemplate: *about.Vm})
		return
	}
	postEvent(c.ctx, &types.VmBeingClonedEvent{
		VmCloneEvent: types.VmCloneEvent{VmEvent: about}, DestName: c.req.Name, DestHost: *about.Host,
		DestFolder: types.FolderEventArgument{
			EntityEventArgument: types.EntityEventArgument{Name: c.folder.Name}, Folder: c.folder.Self,
		},
	})
}

// report posts the event of the end, which is about the clone.
func (c *cloning) report(clone *simulator.VirtualMachine) {
	source := *vmEvent(c.ctx, c.source).Vm
	about := vmEvent(c.ctx, clone)
	if c.config.Template {
		postEvent(c.ctx, &types.VmDeployedEvent{VmEvent: about, SrcTemplate: source})
		return
	}
	postEvent(c.ctx, &types.VmClonedEvent{VmCloneEvent: types.VmCloneEvent{VmEvent: about}, SourceVm: source})
}
