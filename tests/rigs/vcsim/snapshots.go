package main

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerSnapshots) }

const (
	maxDepth = 32 // vSphere's limit of a chain
	maxName  = 80
)

// snapshotIDs number the snapshots; vCenter numbers them per machine, from 1 as well.
var snapshotIDs atomic.Int32

func registerSnapshots(s *site) {
	s.hooks.serve("CreateSnapshot_Task", s.createSnapshot)
	s.hooks.serve("CreateSnapshotEx_Task", s.createSnapshotEx)
	s.hooks.serve("RemoveSnapshot_Task", s.removeSnapshot)
	s.hooks.serve("RemoveAllSnapshots_Task", s.removeAllSnapshots)
	s.hooks.serve("RevertToSnapshot_Task", s.revertToSnapshot)
	s.hooks.serve("RevertToCurrentSnapshot_Task", s.revertToCurrent)
	s.hooks.serve("RenameSnapshot", s.renameSnapshot)
	s.hooks.serve("ConsolidateVMDisks_Task", s.consolidate)
	s.hooks.serve("RefreshStorageInfo", s.refreshStorageInfo)
	// Its own work on a raw device mapping would end the process.
	s.hooks.add("Destroy_Task", func(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
		if vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine); ok {
			ctx.WithLock(vm, func() { _ = s.hideRDM(vm) })
		}
		return nil, nil
	})
}

// snapshot returns the managed object of a snapshot.
func (s *site) snapshot(ref types.ManagedObjectReference) *simulator.VirtualMachineSnapshot {
	return s.model.Map().Get(ref).(*simulator.VirtualMachineSnapshot)
}

// snapshotRefs are all snapshots of a machine.
func snapshotRefs(info *types.VirtualMachineSnapshotInfo) []types.ManagedObjectReference {
	if info == nil {
		return nil
	}
	return treeRefs(info.RootSnapshotList)
}

func treeRefs(tree []types.VirtualMachineSnapshotTree) []types.ManagedObjectReference {
	var found []types.ManagedObjectReference
	for _, node := range tree {
		found = append(append(found, node.Snapshot), treeRefs(node.ChildSnapshotList)...)
	}
	return found
}

// findNode returns the tree's entry for a snapshot with its parent's (nil for a root), and how deep it lies.
func findNode(
	tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference, parent *types.VirtualMachineSnapshotTree,
) (node, above *types.VirtualMachineSnapshotTree, depth int) {
	for i := range tree {
		if tree[i].Snapshot == ref {
			return &tree[i], parent, 1
		}
		if node, above, depth = findNode(tree[i].ChildSnapshotList, ref, &tree[i]); node != nil {
			return node, above, depth + 1
		}
	}
	return nil, nil, 0
}

// wish is what a client wants of a new snapshot.
type wish struct {
	name, description string
	memory, quiesce   bool
}

func (s *site) createSnapshot(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.CreateSnapshot_Task)
	task, fault := s.startSnapshot(ctx, m, wish{req.Name, req.Description, req.Memory, req.Quiesce})
	if fault != nil {
		return faultReply(fault)
	}
	return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: task}}
}

func (s *site) createSnapshotEx(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.CreateSnapshotEx_Task)
	task, fault := s.startSnapshot(ctx, m, wish{req.Name, req.Description, req.Memory, req.QuiesceSpec != nil})
	if fault != nil {
		return faultReply(fault)
	}
	return &methods.CreateSnapshotEx_TaskBody{Res: &types.CreateSnapshotEx_TaskResponse{Returnval: task}}
}

func (s *site) startSnapshot(
	ctx *simulator.Context, m *simulator.Method, w wish,
) (types.ManagedObjectReference, types.BaseMethodFault) {
	vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return m.This, &types.ManagedObjectNotFound{Obj: m.This}
	}
	if w.name == "" || len(w.name) > maxName {
		return m.This, &types.InvalidName{Name: w.name}
	}
	return runTask(ctx, vm, taskName(m.Name)+"Task", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if fault := s.refusedSnapshot(vm, w); fault != nil {
			return nil, fault
		}
		return s.takeSnapshot(ctx, vm, w)
	}), nil
}

// refusedSnapshot is the reason why vSphere takes no snapshot of the machine, or nil.
func (s *site) refusedSnapshot(vm *simulator.VirtualMachine, w wish) types.BaseMethodFault {
	if vm.Config.Template {
		return &types.NotSupported{}
	}
	if fault := s.lockedFault(vm); fault != nil {
		return fault
	}
	for _, device := range vm.Config.Hardware.Device {
		if fault := refusedDevice(device, w.memory && isOn(vm)); fault != nil {
			return fault
		}
	}
	if vm.Snapshot != nil && vm.Snapshot.CurrentSnapshot != nil {
		_, _, depth := findNode(vm.Snapshot.RootSnapshotList, *vm.Snapshot.CurrentSnapshot, nil)
		if depth >= maxDepth {
			return &types.TooManySnapshotLevels{}
		}
	}
	return nil
}

// refusedDevice is the fault for a device that allows no snapshot; with memory an independent disk is one.
func refusedDevice(device types.BaseVirtualDevice, memory bool) types.BaseMethodFault {
	switch d := device.(type) {
	case types.BaseVirtualSCSIController:
		if bus := d.GetVirtualSCSIController().SharedBus; bus != "" && bus != types.VirtualSCSISharingNoSharing {
			return &types.SnapshotFault{}
		}
	case *types.VirtualDisk:
		if flat, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok && flat.Sharing == "sharingMultiWriter" {
			return &types.SnapshotFault{}
		}
		if memory && !snapshotted(d) {
			return &types.SnapshotIncompatibleDeviceInVm{
				Fault: types.LocalizedMethodFault{Fault: &types.NotSupported{}, LocalizedMessage: "an independent disk"},
			}
		}
	}
	return nil
}

// lockedFault is the fault for a machine whose disk another process holds, or nil.
func (s *site) lockedFault(vm *simulator.VirtualMachine) types.BaseMethodFault {
	if !s.disks.isLocked(vm.Self) {
		return nil
	}
	file := vm.Config.Files.VmPathName
	if all := disksOf(vm.Config.Hardware.Device); len(all) > 0 {
		file = fileOf(all[0])
	}
	return &types.FileLocked{FileFault: types.FileFault{File: file}}
}

func isOn(vm *simulator.VirtualMachine) bool {
	return vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
}

// takeSnapshot freezes the machine as it is: its configuration is kept, and its disks go on in new deltas.
func (s *site) takeSnapshot(
	ctx *simulator.Context, vm *simulator.VirtualMachine, w wish,
) (types.AnyType, types.BaseMethodFault) {
	snapshot := &simulator.VirtualMachineSnapshot{}
	snapshot.Vm, snapshot.Config = vm.Self, deepCopy(*vm.Config)
	devices, err := s.onDeltas(vm, vm.Config.Hardware.Device)
	if err != nil {
		return nil, &types.SystemError{Reason: err.Error()}
	}
	ctx.Map.Put(snapshot)
	if path, err := s.resolve(vm, stateFile(snapshot)); err == nil {
		_ = os.WriteFile(path, nil, 0o600)
	}
	tools := vm.Guest.ToolsRunningStatus == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	node := types.VirtualMachineSnapshotTree{
		Snapshot: snapshot.Self, Vm: vm.Self, Name: w.name, Description: w.description, Id: snapshotIDs.Add(1),
		CreateTime: time.Now(), State: types.VirtualMachinePowerStatePoweredOff, ReplaySupported: ptr(false),
		// As on vCenter the wish is ignored without a word when it cannot be met; memory wins over it.
		Quiesced: w.quiesce && !w.memory && isOn(vm) && tools,
	}
	if w.memory {
		node.State = vm.Runtime.PowerState
	}
	s.setDevices(ctx, vm, devices)
	s.setTree(ctx, vm, withNode(vm.Snapshot, node))
	s.refreshLayout(ctx, vm)
	return snapshot.Self, nil
}

// onDeltas are devices with every disk that takes part in snapshots on a new delta over its file.
func (s *site) onDeltas(
	vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice,
) ([]types.BaseVirtualDevice, error) {
	moved := append([]types.BaseVirtualDevice{}, devices...)
	for i, device := range moved {
		disk, ok := device.(*types.VirtualDisk)
		if !ok || !snapshotted(disk) {
			continue
		}
		path, err := s.resolve(vm, fileOf(disk))
		if err != nil {
			return nil, err
		}
		// A base that nobody has opened yet has no size.
		top, err := s.openDisk(vm, disk)
		if err != nil {
			return nil, err
		}
		top.close()
		delta, err := s.newDelta(path, disk.CapacityInBytes)
		if err != nil {
			return nil, err
		}
		moved[i] = s.withBacking(vm, disk, delta)
	}
	return moved, nil
}

// withNode is the tree with a new snapshot below the current one, which it becomes.
func withNode(
	info *types.VirtualMachineSnapshotInfo, node types.VirtualMachineSnapshotTree,
) *types.VirtualMachineSnapshotInfo {
	if info == nil {
		info = &types.VirtualMachineSnapshotInfo{}
	}
	fresh := deepCopy(*info)
	var current *types.VirtualMachineSnapshotTree
	if fresh.CurrentSnapshot != nil {
		current, _, _ = findNode(fresh.RootSnapshotList, *fresh.CurrentSnapshot, nil)
	}
	if current != nil {
		current.ChildSnapshotList = append(current.ChildSnapshotList, node)
	} else {
		fresh.RootSnapshotList = append(fresh.RootSnapshotList, node)
	}
	fresh.CurrentSnapshot = &node.Snapshot
	return &fresh
}

// setTree publishes a machine's snapshots. Without any the property is unset, as on vCenter.
func (s *site) setTree(ctx *simulator.Context, vm *simulator.VirtualMachine, info *types.VirtualMachineSnapshotInfo) {
	if info == nil || len(info.RootSnapshotList) == 0 {
		ctx.Update(vm, []types.PropertyChange{{Name: "snapshot", Val: nil}, {Name: "rootSnapshot", Val: nil}})
		return
	}
	var roots []types.ManagedObjectReference
	for _, node := range info.RootSnapshotList {
		roots = append(roots, node.Snapshot)
	}
	s.setChildren(ctx, info.RootSnapshotList)
	ctx.Update(vm, []types.PropertyChange{{Name: "snapshot", Val: info}, {Name: "rootSnapshot", Val: roots}})
}

func (s *site) setChildren(ctx *simulator.Context, tree []types.VirtualMachineSnapshotTree) {
	for _, node := range tree {
		snapshot := s.snapshot(node.Snapshot)
		children := []types.ManagedObjectReference{}
		for _, child := range node.ChildSnapshotList {
			children = append(children, child.Snapshot)
		}
		ctx.WithLock(snapshot, func() {
			ctx.Update(snapshot, []types.PropertyChange{{Name: "childSnapshot", Val: children}})
		})
		s.setChildren(ctx, node.ChildSnapshotList)
	}
}

// setDevices publishes a machine's devices, with a new changeVersion.
func (s *site) setDevices(ctx *simulator.Context, vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) {
	now := time.Now()
	ctx.Update(vm, []types.PropertyChange{
		{Name: "config.hardware.device", Val: devices},
		{Name: "config.changeVersion", Val: now.UTC().Format("2006-01-02T15:04:05.000000000Z")},
		{Name: "config.modified", Val: now},
	})
}

func (s *site) renameSnapshot(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.RenameSnapshot)
	snapshot, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	vm := ctx.Map.Get(snapshot.Vm).(*simulator.VirtualMachine)
	ctx.WithLock(vm, func() {
		fresh := deepCopy(*vm.Snapshot)
		node, _, _ := findNode(fresh.RootSnapshotList, m.This, nil)
		node.Name = orDefault(req.Name, node.Name)
		node.Description = orDefault(req.Description, node.Description)
		s.setTree(ctx, vm, &fresh)
	})
	return &methods.RenameSnapshotBody{Res: new(types.RenameSnapshotResponse)}
}

func (s *site) refreshStorageInfo(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	s.refreshLayout(ctx, vm)
	return &methods.RefreshStorageInfoBody{Res: new(types.RefreshStorageInfoResponse)}
}
