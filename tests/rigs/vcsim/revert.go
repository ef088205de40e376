package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (s *site) revertToSnapshot(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.RevertToSnapshot_Task)
	snapshot, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	vm := ctx.Map.Get(snapshot.Vm).(*simulator.VirtualMachine)
	ref := m.This
	task := runTask(ctx, vm, "revertToSnapshotTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, s.revert(ctx, vm, ref, req.SuppressPowerOn)
	})
	return &methods.RevertToSnapshot_TaskBody{Res: &types.RevertToSnapshot_TaskResponse{Returnval: task}}
}

func (s *site) revertToCurrent(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.RevertToCurrentSnapshot_Task)
	vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	if vm.Snapshot == nil || vm.Snapshot.CurrentSnapshot == nil {
		return faultReply(&types.NotFound{})
	}
	ref := *vm.Snapshot.CurrentSnapshot
	task := runTask(ctx, vm, "revertToCurrentSnapshotTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, s.revert(ctx, vm, ref, req.SuppressPowerOn)
	})
	return &methods.RevertToCurrentSnapshot_TaskBody{Res: &types.RevertToCurrentSnapshot_TaskResponse{Returnval: task}}
}

// revert brings back configuration, disks and power of a snapshot. The state since then is lost; independent disks
// and raw device mappings stay as they are.
func (s *site) revert(
	ctx *simulator.Context, vm *simulator.VirtualMachine, ref types.ManagedObjectReference, suppress *bool,
) types.BaseMethodFault {
	if vm.Snapshot == nil {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	tree := deepCopy(*vm.Snapshot)
	node, _, _ := findNode(tree.RootSnapshotList, ref, nil)
	if node == nil {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	if fault := s.lockedFault(vm); fault != nil {
		return fault
	}
	config := deepCopy(s.snapshot(ref).Config)
	devices, err := s.onDeltas(vm, config.Hardware.Device)
	if err != nil {
		return &types.SystemError{Reason: err.Error()}
	}
	on := node.State == types.VirtualMachinePowerStatePoweredOn && (suppress == nil || !*suppress)
	config.Hardware.Device = connected(devices, on)
	config.Name = vm.Config.Name // the name in the inventory is not part of a snapshot
	config.ExtraConfig = append([]types.BaseOptionValue{}, config.ExtraConfig...)
	s.setPower(ctx, vm, on)
	s.setConfig(ctx, vm, &config)
	tree.CurrentSnapshot = &ref
	s.setTree(ctx, vm, &tree)
	return s.merge(ctx, vm)
}

// connected sets the cards' and drives' connection as the power state has it.
func connected(devices []types.BaseVirtualDevice, on bool) []types.BaseVirtualDevice {
	for _, device := range devices {
		if link := device.GetVirtualDevice().Connectable; link != nil {
			link.Connected = on && link.StartConnected
		}
	}
	return devices
}

func (s *site) setPower(ctx *simulator.Context, vm *simulator.VirtualMachine, on bool) {
	state, boot := types.VirtualMachinePowerStatePoweredOff, types.AnyType(nil)
	if on {
		state, boot = types.VirtualMachinePowerStatePoweredOn, time.Now()
	}
	if vm.Runtime.PowerState == state {
		return
	}
	ctx.Update(vm, []types.PropertyChange{
		{Name: "runtime.powerState", Val: state}, {Name: "summary.runtime.powerState", Val: state},
		{Name: "summary.runtime.bootTime", Val: boot},
	})
}

// setConfig publishes a whole configuration and what the machine tells of it elsewhere.
func (s *site) setConfig(ctx *simulator.Context, vm *simulator.VirtualMachine, config *types.VirtualMachineConfigInfo) {
	ctx.Update(vm, []types.PropertyChange{
		{Name: "config", Val: config},
		{Name: "network", Val: s.networksOf(vm, config.Hardware.Device)},
		{Name: "summary.config.annotation", Val: config.Annotation},
		{Name: "summary.config.memorySizeMB", Val: config.Hardware.MemoryMB},
		{Name: "summary.config.numCpu", Val: config.Hardware.NumCPU},
		{Name: "summary.config.guestId", Val: config.GuestId},
		{Name: "summary.config.guestFullName", Val: config.GuestFullName},
		{Name: "summary.config.numVirtualDisks", Val: int32(len(disksOf(config.Hardware.Device)))},
	})
}

// networksOf are the networks that the cards are on.
func (s *site) networksOf(
	vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice,
) []types.ManagedObjectReference {
	found := []types.ManagedObjectReference{}
	add := func(ref types.ManagedObjectReference) {
		if simulator.FindReference(found, ref) == nil {
			found = append(found, ref)
		}
	}
	for _, device := range devices {
		switch b := device.GetVirtualDevice().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			if network := s.model.Map().FindByName(b.DeviceName, s.datacenterOf(vm).Network); network != nil {
				add(network.Reference())
			}
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			add(types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey})
		}
	}
	return found
}
