package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// layout collects a machine's files for its layoutEx.
type layout struct {
	site  *site
	vm    *simulator.VirtualMachine
	files []types.VirtualMachineFileLayoutExFileInfo
	keys  map[string]int32
}

// refreshLayout writes anew which files a machine has: the simulator does not know of deltas.
func (s *site) refreshLayout(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	l := &layout{site: s, vm: vm, keys: map[string]int32{}}
	if vmx, err := s.resolve(vm, vm.Config.Files.VmPathName); err == nil {
		l.file(vmx, "config")
	}
	ex := &types.VirtualMachineFileLayoutEx{Timestamp: time.Now(), Disk: l.disks(vm.Config.Hardware.Device)}
	for _, ref := range snapshotRefs(vm.Snapshot) {
		snapshot := s.snapshot(ref)
		ex.Snapshot = append(ex.Snapshot, types.VirtualMachineFileLayoutExSnapshotLayout{
			Key: ref, DataKey: l.state(snapshot), MemoryKey: -1, Disk: l.disks(snapshot.Config.Hardware.Device),
		})
	}
	ex.File = l.files
	var committed int64
	for _, file := range l.files {
		committed += file.Size
	}
	changes := []types.PropertyChange{
		{Name: "layoutEx", Val: ex}, {Name: "summary.storage.committed", Val: committed},
		{Name: "summary.storage.timestamp", Val: time.Now()},
	}
	ctx.Update(vm, changes)
}

func (l *layout) disks(devices []types.BaseVirtualDevice) []types.VirtualMachineFileLayoutExDiskLayout {
	var found []types.VirtualMachineFileLayoutExDiskLayout
	for _, disk := range disksOf(devices) {
		path, err := l.site.resolve(l.vm, fileOf(disk))
		if err != nil {
			continue
		}
		entry := types.VirtualMachineFileLayoutExDiskLayout{Key: disk.Key}
		for ; path != ""; path = l.site.disks.parent(path) {
			data := flatName(path)
			if l.site.disks.parent(path) != "" {
				data = deltaName(path)
			}
			entry.Chain = append(entry.Chain, types.VirtualMachineFileLayoutExDiskUnit{
				FileKey: []int32{l.file(path, "diskDescriptor"), l.file(data, "diskExtent")},
			})
		}
		found = append(found, entry)
	}
	return found
}

// state is the key of a snapshot's state file.
func (l *layout) state(snapshot *simulator.VirtualMachineSnapshot) int32 {
	path, err := l.site.resolve(l.vm, stateFile(snapshot))
	if err != nil {
		return -1
	}
	return l.file(path, "snapshotData")
}

// file returns the key of a file and adds it when it is new.
func (l *layout) file(path, kind string) int32 {
	if key, ok := l.keys[path]; ok {
		return key
	}
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	key := int32(len(l.files))
	l.keys[path] = key
	size := info.Size()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		size = stat.Blocks * 512 // what a thin disk really takes
	}
	l.files = append(l.files, types.VirtualMachineFileLayoutExFileInfo{
		Key: key, Name: l.site.datastoreName(l.vm, path), Type: kind, Size: size, UniqueSize: size, Accessible: ptr(true),
	})
	return key
}

// stateFile is a snapshot's state file as "[datastore] path".
func stateFile(snapshot *simulator.VirtualMachineSnapshot) string {
	folder, _, _ := strings.Cut(snapshot.Config.Files.VmPathName, filepath.Base(snapshot.Config.Files.VmPathName))
	return folder + snapshot.Config.Name + "-" + snapshot.Self.Value + ".vmsn"
}
