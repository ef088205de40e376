package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	scsiKey  = int32(1000)
	nicKey   = int32(4000)
	diskKey  = int32(2000)
	cdromKey = int32(3002)
)

// devicesOf makes the devices of a new machine; IDE controllers 200 and 201 are there already.
func (s *site) devicesOf(dc *simulator.Datacenter, spec *machineSpec, home string) (object.VirtualDeviceList, error) {
	scsi := &types.VirtualLsiLogicSASController{}
	scsi.Key, scsi.ControllerKey, scsi.UnitNumber = scsiKey, 100, ptr(int32(3))
	scsi.SharedBus, scsi.HotAddRemove = types.VirtualSCSISharingNoSharing, ptr(true)
	devices := object.VirtualDeviceList{scsi}
	places := map[string]int32{}
	for i, d := range spec.Disks {
		if strings.HasSuffix(d.Sharing, "physicalSharing") || strings.HasSuffix(d.Sharing, "virtualSharing") {
			scsi.SharedBus = types.VirtualSCSISharing(d.Sharing)
		}
		disk, err := diskOf(d, places)
		if err != nil {
			return nil, err
		}
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("_%d", i)
		}
		disk.Key = diskKey + int32(i)
		disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).FileName = fmt.Sprintf("%s/%s%s.vmdk", home, spec.Name, suffix)
		devices = append(devices, disk)
	}
	if spec.CDROM {
		devices = append(devices, cdrom())
	}
	if spec.Floppy {
		floppy, err := object.VirtualDeviceList{&types.VirtualSIOController{
			VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: 400}},
		}}.CreateFloppy()
		if err != nil {
			return nil, err
		}
		devices = append(devices, floppy)
	}
	for i, network := range spec.NICs {
		nic, err := s.nic(dc, network, i)
		if err != nil {
			return nil, err
		}
		devices = append(devices, nic)
	}
	return devices, nil
}

// diskOf makes one disk; places counts the units used on each bus.
func diskOf(d diskSpec, places map[string]int32) (*types.VirtualDisk, error) {
	if d.Image != "" {
		info, err := os.Stat(d.Image)
		if err != nil {
			return nil, err
		}
		d.Size = max(d.Size, info.Size())
	}
	if d.Size <= 0 {
		return nil, fmt.Errorf("a disk needs a size or an image")
	}
	d.Size = (d.Size + 1023) / 1024 * 1024
	backing := &types.VirtualDiskFlatVer2BackingInfo{
		DiskMode: orDefault(d.Mode, "persistent"), ThinProvisioned: ptr(true), EagerlyScrub: ptr(false), WriteThrough: ptr(false),
	}
	if d.Sharing == "sharingMultiWriter" {
		backing.Sharing = d.Sharing
	}
	disk := &types.VirtualDisk{CapacityInBytes: d.Size, CapacityInKB: d.Size / 1024}
	disk.Backing = backing
	unit := places[d.Bus]
	places[d.Bus]++
	switch d.Bus {
	case "ide":
		if unit > 1 {
			return nil, fmt.Errorf("more than two disks on IDE")
		}
		disk.ControllerKey = 200
	case "", "scsi":
		disk.ControllerKey = scsiKey
		if unit >= 7 {
			unit++ // the controller itself
		}
	default:
		return nil, fmt.Errorf("no such bus: %q", d.Bus)
	}
	disk.UnitNumber = &unit
	return disk, nil
}

func cdrom() *types.VirtualCdrom {
	device := &types.VirtualCdrom{}
	device.Key, device.ControllerKey, device.UnitNumber = cdromKey, 201, ptr(int32(0))
	device.Backing = &types.VirtualCdromRemotePassthroughBackingInfo{Exclusive: false}
	device.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true, Status: "untried"}
	return device
}

// nic makes a card on a network, with the fields that a real machine's card has.
func (s *site) nic(dc *simulator.Datacenter, network string, index int) (types.BaseVirtualDevice, error) {
	backing, err := s.networkBacking(dc, network)
	if err != nil {
		return nil, err
	}
	nic := &types.VirtualVmxnet3{}
	nic.Key, nic.ControllerKey, nic.UnitNumber = nicKey+int32(index), 100, ptr(int32(7+index))
	nic.Backing = backing
	nic.AddressType, nic.MacAddress = string(types.VirtualEthernetCardMacTypeAssigned), s.machines.newMAC()
	nic.WakeOnLanEnabled, nic.UptCompatibilityEnabled = ptr(true), ptr(false)
	nic.Connectable = &types.VirtualDeviceConnectInfo{
		MigrateConnect: "unset", StartConnected: true, AllowGuestControl: true, Connected: true, Status: "untried",
	}
	return nic, nil
}

// networkBacking returns what connects a card to a network of the datacenter.
func (s *site) networkBacking(dc *simulator.Datacenter, name string) (types.BaseVirtualDeviceBackingInfo, error) {
	switch network := s.model.Map().FindByName(name, dc.Network).(type) {
	case *simulator.DistributedVirtualPortgroup:
		dvs := s.model.Map().Get(*network.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
		return &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
			Port: types.DistributedVirtualSwitchPortConnection{PortgroupKey: network.Key, SwitchUuid: dvs.Uuid},
		}, nil
	case nil:
		return nil, fmt.Errorf("no network %q", name)
	default:
		backing := &types.VirtualEthernetCardNetworkBackingInfo{}
		backing.DeviceName = name
		return backing, nil
	}
}
