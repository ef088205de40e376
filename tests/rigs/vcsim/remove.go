package main

import (
	"fmt"
	"os"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	registrars = append(registrars, func(s *site) {
		handle(s, "consolidation", func(r struct {
			Moref  string
			Needed bool
		}) (any, error) {
			vm, err := s.machine(r.Moref)
			if err != nil {
				return nil, err
			}
			ctx := s.context()
			ctx.WithLock(vm, func() { setNeeded(ctx, vm, r.Needed) })
			return done()
		})
	})
}

func (s *site) removeSnapshot(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.RemoveSnapshot_Task)
	snapshot, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	vm := ctx.Map.Get(snapshot.Vm).(*simulator.VirtualMachine)
	ref := m.This
	task := runTask(ctx, vm, "removeSnapshotTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if vm.Snapshot == nil {
			return nil, &types.ManagedObjectNotFound{Obj: ref}
		}
		fresh := deepCopy(*vm.Snapshot)
		node, parent, _ := findNode(fresh.RootSnapshotList, ref, nil)
		if node == nil {
			return nil, &types.ManagedObjectNotFound{Obj: ref} // another task was quicker
		}
		gone := []types.ManagedObjectReference{ref}
		if req.RemoveChildren {
			gone = append(gone, treeRefs(node.ChildSnapshotList)...)
		}
		fresh.CurrentSnapshot = currentWithout(fresh.CurrentSnapshot, gone, parent)
		fresh.RootSnapshotList = treeWithout(fresh.RootSnapshotList, ref, req.RemoveChildren)
		return nil, s.forget(ctx, vm, &fresh, gone, req.Consolidate)
	})
	return &methods.RemoveSnapshot_TaskBody{Res: &types.RemoveSnapshot_TaskResponse{Returnval: task}}
}

func (s *site) removeAllSnapshots(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.RemoveAllSnapshots_Task)
	vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	task := runTask(ctx, vm, "removeAllSnapshotsTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, s.forget(ctx, vm, nil, snapshotRefs(vm.Snapshot), req.Consolidate)
	})
	return &methods.RemoveAllSnapshots_TaskBody{Res: &types.RemoveAllSnapshots_TaskResponse{Returnval: task}}
}

// currentWithout is the current snapshot after a removal: the parent of what was removed if it was that.
func currentWithout(
	current *types.ManagedObjectReference, gone []types.ManagedObjectReference, parent *types.VirtualMachineSnapshotTree,
) *types.ManagedObjectReference {
	if current == nil || simulator.FindReference(gone, *current) == nil {
		return current
	}
	if parent == nil {
		return nil
	}
	return &parent.Snapshot
}

// treeWithout is a tree without one snapshot; its children take its place unless they go as well.
func treeWithout(
	tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference, children bool,
) []types.VirtualMachineSnapshotTree {
	var kept []types.VirtualMachineSnapshotTree
	for _, node := range tree {
		if node.Snapshot != ref {
			node.ChildSnapshotList = treeWithout(node.ChildSnapshotList, ref, children)
			kept = append(kept, node)
		} else if !children {
			kept = append(kept, node.ChildSnapshotList...)
		}
	}
	return kept
}

// forget removes snapshots from the tree and merges the disks that nobody needs any more. If it cannot merge, the
// snapshots are gone all the same and the machine needs consolidation: so it happens on vSphere.
func (s *site) forget(
	ctx *simulator.Context, vm *simulator.VirtualMachine, tree *types.VirtualMachineSnapshotInfo,
	gone []types.ManagedObjectReference, consolidate *bool,
) types.BaseMethodFault {
	for _, ref := range gone {
		if path, err := s.resolve(vm, stateFile(s.snapshot(ref))); err == nil {
			_ = os.Remove(path)
		}
		ctx.Map.Remove(ctx, ref)
	}
	s.setTree(ctx, vm, tree)
	if consolidate != nil && !*consolidate {
		setNeeded(ctx, vm, s.collector(vm).next() != "")
		s.refreshLayout(ctx, vm)
		return nil
	}
	return s.merge(ctx, vm)
}

// merge merges what can be merged and says by consolidationNeeded whether it did.
func (s *site) merge(ctx *simulator.Context, vm *simulator.VirtualMachine) types.BaseMethodFault {
	c := s.collector(vm)
	if fault := s.lockedFault(vm); fault != nil {
		setNeeded(ctx, vm, c.next() != "" || isNeeded(vm))
		return fault
	}
	for path := c.next(); path != ""; path = c.next() {
		if err := c.collect(path); err != nil {
			setNeeded(ctx, vm, true)
			return &types.SystemError{Reason: err.Error()}
		}
	}
	s.followMerges(ctx, vm, c)
	setNeeded(ctx, vm, false)
	s.refreshLayout(ctx, vm)
	return nil
}

func isNeeded(vm *simulator.VirtualMachine) bool {
	return vm.Runtime.ConsolidationNeeded != nil && *vm.Runtime.ConsolidationNeeded
}

func setNeeded(ctx *simulator.Context, vm *simulator.VirtualMachine, needed bool) {
	ctx.Update(vm, []types.PropertyChange{
		{Name: "runtime.consolidationNeeded", Val: needed}, {Name: "summary.runtime.consolidationNeeded", Val: needed},
	})
}

func (s *site) consolidate(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	task := runTask(ctx, vm, "consolidateVMDisksTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, s.merge(ctx, vm)
	})
	return &methods.ConsolidateVMDisks_TaskBody{Res: &types.ConsolidateVMDisks_TaskResponse{Returnval: task}}
}

// collector finds the layers of a machine's disks that neither the machine nor a snapshot stands on.
type collector struct {
	site   *site
	size   map[string]int64 // of the disk, by every file of its tree
	needed map[string]bool  // files that the machine or a snapshot stands on
	merged map[string]string
}

func (s *site) collector(vm *simulator.VirtualMachine) *collector {
	c := &collector{site: s, size: map[string]int64{}, needed: map[string]bool{}, merged: map[string]string{}}
	c.stand(vm, vm.Config.Hardware.Device)
	for _, ref := range snapshotRefs(vm.Snapshot) {
		c.stand(vm, s.snapshot(ref).Config.Hardware.Device)
	}
	return c
}

func (c *collector) stand(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) {
	for _, disk := range disksOf(devices) {
		path, err := c.site.resolve(vm, fileOf(disk))
		if err != nil {
			continue
		}
		c.needed[path] = true
		for parent := c.site.disks.parent(path); parent != ""; parent = c.site.disks.parent(path) {
			path = parent
		}
		c.spread(path, disk.CapacityInBytes)
	}
}

// spread notes a file and all that lies over it. What is over it but has no file is a deleted machine's.
func (c *collector) spread(path string, size int64) {
	c.size[path] = size
	for _, child := range c.site.disks.children(path) {
		if _, err := os.Stat(child); err != nil {
			c.site.disks.setParent(child, "")
			continue
		}
		c.spread(child, size)
	}
}

// next returns a file that can be merged with the one over it, or be deleted because there is none; or "".
func (c *collector) next() string {
	for path := range c.size {
		children := len(c.site.disks.children(path))
		abandoned := children == 0 && c.site.disks.parent(path) != ""
		if !c.needed[path] && (children == 1 || abandoned) {
			return path
		}
	}
	return ""
}

// collect merges the file over this one into it, or deletes it.
func (c *collector) collect(path string) error {
	children := c.site.disks.children(path)
	if len(children) == 0 {
		c.site.drop(path)
		delete(c.size, path)
		return nil
	}
	child := children[0]
	top, err := c.site.disks.open(child, c.size[child])
	if err != nil {
		return err
	}
	err = top.merge()
	top.close()
	if err != nil {
		return fmt.Errorf("merging %s: %w", child, err)
	}
	for _, grandchild := range c.site.disks.children(child) {
		c.site.disks.setParent(grandchild, path)
	}
	c.site.drop(child)
	c.merged[child] = path
	c.needed[path] = c.needed[child]
	delete(c.size, child)
	delete(c.needed, child)
	return nil
}

// place is where a file's content is now.
func (c *collector) place(path string) string {
	for c.merged[path] != "" {
		path = c.merged[path]
	}
	return path
}

// followMerges writes the changed files and chains into the devices of the machine and of its snapshots.
func (s *site) followMerges(ctx *simulator.Context, vm *simulator.VirtualMachine, c *collector) {
	s.setDevices(ctx, vm, s.placed(vm, vm.Config.Hardware.Device, c))
	for _, ref := range snapshotRefs(vm.Snapshot) {
		snapshot := s.snapshot(ref)
		devices := s.placed(vm, snapshot.Config.Hardware.Device, c)
		ctx.WithLock(snapshot, func() {
			ctx.Update(snapshot, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
		})
	}
}

func (s *site) placed(
	vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice, c *collector,
) []types.BaseVirtualDevice {
	moved := append([]types.BaseVirtualDevice{}, devices...)
	for i, device := range moved {
		disk, ok := device.(*types.VirtualDisk)
		if !ok || !snapshotted(disk) {
			continue
		}
		if path, err := s.resolve(vm, fileOf(disk)); err == nil {
			moved[i] = s.withBacking(vm, disk, c.place(path))
		}
	}
	return moved
}
