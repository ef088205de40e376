package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerDisks) }

// disks knows the chains of all disks: which descriptor's parent is which. The keys are file paths of this machine,
// as datastores of several datacenters have the same names.
type disks struct {
	mu      sync.Mutex
	parents map[string]string
	locked  map[types.ManagedObjectReference]bool // machines whose disks another process holds
}

func newDisks() *disks {
	return &disks{parents: map[string]string{}, locked: map[types.ManagedObjectReference]bool{}}
}

func (d *disks) parent(descriptor string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.parents[descriptor]
}

// setParent notes the parent; "" makes it a base.
func (d *disks) setParent(descriptor, parent string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if parent == "" {
		delete(d.parents, descriptor)
		return
	}
	d.parents[descriptor] = parent
}

func (d *disks) children(descriptor string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []string
	for child, parent := range d.parents {
		if parent == descriptor {
			found = append(found, child)
		}
	}
	return found
}

func (d *disks) isLocked(vm types.ManagedObjectReference) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.locked[vm]
}

// open opens a disk by its descriptor, with its whole chain.
func (d *disks) open(descriptor string, size int64) (*layer, error) {
	parent := d.parent(descriptor)
	if parent == "" {
		return openBase(descriptor, size)
	}
	below, err := d.open(parent, size)
	if err != nil {
		return nil, err
	}
	top, err := openDelta(descriptor, size, below)
	if err != nil {
		below.close()
		return nil, err
	}
	return top, nil
}

func registerDisks(s *site) {
	type place struct {
		Moref  string
		Disk   int
		Offset int64
		Length int64
		Byte   byte
	}
	handle(s, "fill", func(r place) (any, error) {
		err := s.withDisk(r.Moref, r.Disk, func(l *layer) error {
			_, err := l.WriteAt(bytes.Repeat([]byte{r.Byte}, int(r.Length)), r.Offset)
			return err
		})
		return map[string]any{}, err
	})
	handle(s, "read", func(r place) (any, error) {
		data := make([]byte, r.Length)
		err := s.withDisk(r.Moref, r.Disk, func(l *layer) error {
			_, err := l.ReadAt(data, r.Offset)
			return err
		})
		return map[string]any{"data": data}, err // JSON makes base64 of it
	})
	handle(s, "disk_lock", func(r struct {
		Moref string
		On    bool
	}) (any, error) {
		vm, err := s.machine(r.Moref)
		if err != nil {
			return nil, err
		}
		s.disks.mu.Lock()
		defer s.disks.mu.Unlock()
		s.disks.locked[vm.Self] = r.On
		return done()
	})
}

// withDisk runs f with a machine's disk, numbered from 0 in the order of its devices, as the guest has it now.
func (s *site) withDisk(moref string, number int, f func(*layer) error) error {
	vm, err := s.machine(moref)
	if err != nil {
		return err
	}
	ctx := s.context()
	ctx.WithLock(vm, func() {
		all := disksOf(vm.Config.Hardware.Device)
		if number < 0 || number >= len(all) {
			err = fmt.Errorf("%s has no disk %d", moref, number)
			return
		}
		var top *layer
		if top, err = s.openDisk(vm, all[number]); err == nil {
			err = f(top)
			top.close()
		}
	})
	return err
}

func disksOf(devices []types.BaseVirtualDevice) []*types.VirtualDisk {
	var found []*types.VirtualDisk
	for _, device := range devices {
		if disk, ok := device.(*types.VirtualDisk); ok {
			found = append(found, disk)
		}
	}
	return found
}

// fileOf is a disk's top file as "[datastore] path".
func fileOf(disk *types.VirtualDisk) string {
	return disk.Backing.(types.BaseVirtualDeviceFileBackingInfo).GetVirtualDeviceFileBackingInfo().FileName
}

// openDisk opens a disk of a machine or of one of its snapshots.
func (s *site) openDisk(vm *simulator.VirtualMachine, disk *types.VirtualDisk) (*layer, error) {
	path, err := s.resolve(vm, fileOf(disk))
	if err != nil {
		return nil, err
	}
	return s.disks.open(path, disk.CapacityInBytes)
}

var datastorePath = regexp.MustCompile(`^\[([^\]]+)\] ?(.*)$`)

// resolve turns "[datastore] path" of a machine's datacenter into a path of this machine.
func (s *site) resolve(vm *simulator.VirtualMachine, name string) (string, error) {
	parts := datastorePath.FindStringSubmatch(name)
	if parts == nil {
		return "", fmt.Errorf("not a datastore path: %q", name)
	}
	ds, ok := s.model.Map().FindByName(parts[1], s.datacenterOf(vm).Datastore).(*simulator.Datastore)
	if !ok {
		return "", fmt.Errorf("no datastore %q", parts[1])
	}
	return filepath.Join(ds.Summary.Url, parts[2]), nil
}

// datastoreName turns a path of this machine into "[datastore] path".
func (s *site) datastoreName(vm *simulator.VirtualMachine, path string) string {
	for _, ref := range s.datacenterOf(vm).Datastore {
		ds := s.model.Map().Get(ref).(*simulator.Datastore)
		if relative, ok := strings.CutPrefix(path, ds.Summary.Url+"/"); ok {
			return fmt.Sprintf("[%s] %s", ds.Name, relative)
		}
	}
	panic("a file outside of every datastore: " + path)
}

// writeDisks gives a new machine's disks their images and makes raw device mappings of those that are to be some.
func (s *site) writeDisks(ctx *simulator.Context, vm *simulator.VirtualMachine, spec *machineSpec) error {
	devices := append([]types.BaseVirtualDevice{}, vm.Config.Hardware.Device...)
	number := 0
	for i, device := range devices {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		want := spec.Disks[number]
		number++
		if err := s.writeDisk(vm, disk, want.Image); err != nil {
			return err
		}
		if want.RDM != "" {
			devices[i] = rdm(disk, want.RDM)
		}
	}
	ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
	s.refreshLayout(ctx, vm)
	return nil
}

func (s *site) writeDisk(vm *simulator.VirtualMachine, disk *types.VirtualDisk, image string) error {
	top, err := s.openDisk(vm, disk)
	if err != nil {
		return err
	}
	defer top.close()
	if image == "" {
		return nil
	}
	return top.fillFrom(image)
}

// rdm makes a raw device mapping of a disk. Its bytes stay in a file of the datastore.
func rdm(disk *types.VirtualDisk, mode string) *types.VirtualDisk {
	mapped := *disk
	flat := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	mapped.Backing = &types.VirtualDiskRawDiskMappingVer1BackingInfo{
		VirtualDeviceFileBackingInfo: flat.VirtualDeviceFileBackingInfo, CompatibilityMode: mode, DiskMode: flat.DiskMode,
		LunUuid: "0200000000600508b1001c4e8f0000000000000000", DeviceName: "vml.0200000000600508b1001c4e8f", Uuid: flat.Uuid,
	}
	return &mapped
}

// snapshotted tells whether a snapshot takes a disk in: not an independent one, and no raw device mapping (real
// ones in virtual compatibility mode are taken in; the rig leaves out both modes).
func snapshotted(disk *types.VirtualDisk) bool {
	flat, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	return ok && !strings.HasPrefix(flat.DiskMode, "independent")
}

var deltaSuffix = regexp.MustCompile(`-\d{6}\.vmdk$`)

// newDelta makes a delta over a disk's file and returns its descriptor's path.
func (s *site) newDelta(parent string, size int64) (string, error) {
	stem := deltaSuffix.ReplaceAllString(strings.TrimSuffix(parent, ".vmdk")+".vmdk", ".vmdk")
	stem = strings.TrimSuffix(stem, ".vmdk")
	for i := 1; ; i++ {
		path := fmt.Sprintf("%s-%06d.vmdk", stem, i)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, deltaDescriptor(path, parent, size), 0o600); err != nil {
			return "", err
		}
		if err := createDelta(path, size); err != nil {
			return "", err
		}
		s.disks.setParent(path, parent)
		return path, nil
	}
}

// deltaDescriptor is the text that a host writes for a delta (its extent's type is the rig's own).
func deltaDescriptor(path, parent string, size int64) []byte {
	return []byte(fmt.Sprintf(`# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=fffffffe
parentCID=fffffffe
createType="vmfsSparse"
parentFileNameHint="%s"
# Extent description
RW %d VMFSSPARSE "%s"
`, filepath.Base(parent), size/512, filepath.Base(deltaName(path))))
}

// drop deletes a disk's files.
func (s *site) drop(descriptor string) {
	s.disks.setParent(descriptor, "")
	for _, path := range []string{descriptor, flatName(descriptor), deltaName(descriptor)} {
		_ = os.Remove(path)
	}
}

// backing is what a device shows of a file and its chain; everything else is as in the template.
func (s *site) backing(
	vm *simulator.VirtualMachine, path string, template *types.VirtualDiskFlatVer2BackingInfo,
) *types.VirtualDiskFlatVer2BackingInfo {
	b := *template
	b.FileName = s.datastoreName(vm, path)
	b.Parent, b.DeltaDiskFormat = nil, ""
	if parent := s.disks.parent(path); parent != "" {
		b.Parent = s.backing(vm, parent, template)
		b.DeltaDiskFormat = "redoLogFormat"
	}
	return &b
}

// withBacking is a copy of a disk on another file.
func (s *site) withBacking(vm *simulator.VirtualMachine, disk *types.VirtualDisk, path string) *types.VirtualDisk {
	moved := *disk
	moved.Backing = s.backing(vm, path, disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo))
	return &moved
}

// copyDisk copies a disk with its whole chain to a new base, for a clone. The target's descriptor exists.
func (s *site) copyDisk(source *simulator.VirtualMachine, disk *types.VirtualDisk, descriptor string) error {
	from, err := s.openDisk(source, disk)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := openBase(descriptor, disk.CapacityInBytes)
	if err != nil {
		return err
	}
	defer to.close()
	return copyData(from, to)
}

// hideRDM lets the simulator work on a machine with raw device mappings, which it takes for flat disks (and panics):
// it puts flat ones in their place until restore is called. The caller holds the machine's lock.
func (s *site) hideRDM(vm *simulator.VirtualMachine) (restore func()) {
	hidden := map[int32]types.BaseVirtualDeviceBackingInfo{}
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		if raw, ok := disk.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo); ok {
			hidden[disk.Key] = raw
			disk.Backing = &types.VirtualDiskFlatVer2BackingInfo{
				VirtualDeviceFileBackingInfo: raw.VirtualDeviceFileBackingInfo, DiskMode: raw.DiskMode, Uuid: raw.Uuid,
			}
		}
	}
	return func() {
		for _, disk := range disksOf(vm.Config.Hardware.Device) {
			if raw, ok := hidden[disk.Key]; ok {
				disk.Backing = raw
			}
		}
	}
}
