package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

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
