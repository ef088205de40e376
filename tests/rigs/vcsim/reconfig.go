package main

import (
	"reflect"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	registrars = append(registrars, func(s *site) { s.hooks.serve("ReconfigVM_Task", s.reconfigure) })
}

// reconfigure lets the simulator make its task, and puts vCenter's checks before what the task executes.
func (s *site) reconfigure(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	req := m.Body.(*types.ReconfigVM_Task)
	// The task works on behalf of another context: it waits for the machine's lock, which this call holds, so
	// that its function can still be exchanged.
	theirs := *ctx
	reply := vm.ReconfigVMTask(&theirs, req)
	body, ok := reply.(*methods.ReconfigVM_TaskBody)
	if !ok || body.Res == nil {
		return reply
	}
	task := ctx.Map.Get(body.Res.Returnval).(*simulator.Task)
	execute := task.Execute
	task.Execute = func(t *simulator.Task) (result types.AnyType, fault types.BaseMethodFault) {
		defer func() {
			if bug := recover(); bug != nil {
				result, fault = nil, bugFault("ReconfigVM_Task", bug)
			}
		}()
		if fault = s.prepareChange(&theirs, vm, &req.Spec); fault != nil {
			return nil, fault
		}
		restore := s.hideRDM(vm)
		defer restore()
		result, fault = execute(t)
		s.refreshLayout(&theirs, vm)
		return result, fault
	}
	return reply
}

// prepareChange refuses what vCenter refuses, and makes of the specification what vCenter makes of it.
func (s *site) prepareChange(
	ctx *simulator.Context, vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec,
) types.BaseMethodFault {
	if spec.ChangeVersion != "" && spec.ChangeVersion != vm.Config.ChangeVersion {
		return &types.ConcurrentAccess{}
	}
	spec.ChangeVersion = ""
	devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
	for i, change := range spec.DeviceChange {
		one := change.GetVirtualDeviceConfigSpec()
		if fault := s.prepareDevice(ctx, *vm.Runtime.Host, devices, one, int32(i)); fault != nil {
			return fault
		}
	}
	return nil
}

// prepareDevice checks one change of a device against the devices that are there, and completes it.
func (s *site) prepareDevice(
	ctx *simulator.Context, host types.ManagedObjectReference, devices object.VirtualDeviceList,
	change *types.VirtualDeviceConfigSpec, index int32,
) types.BaseMethodFault {
	device := change.Device.GetVirtualDevice()
	if change.Operation == types.VirtualDeviceConfigSpecOperationEdit {
		old := devices.FindByKey(device.Key)
		if old == nil || reflect.TypeOf(old) != reflect.TypeOf(change.Device) {
			return invalidDevice("virtualDeviceSpec.device", index)
		}
		if card, ok := change.Device.(types.BaseVirtualEthernetCard); ok {
			editCard(old.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard(), card.GetVirtualEthernetCard())
		}
	}
	card, ok := change.Device.(types.BaseVirtualEthernetCard)
	if !ok || change.Operation == types.VirtualDeviceConfigSpecOperationRemove {
		return nil
	}
	if one := card.GetVirtualEthernetCard(); one.MacAddress == "" {
		one.MacAddress, one.AddressType = s.machines.newMAC(), string(types.VirtualEthernetCardMacTypeAssigned)
	}
	return backingFault(ctx, host, device.Backing, index)
}

// editCard completes the new description of a network card as vCenter does: where it sits and what it is connected
// to stay if they are left out; its MAC does not (the caller makes a new one), nor does its connection.
func editCard(old, fresh *types.VirtualEthernetCard) {
	if fresh.UnitNumber == nil {
		fresh.UnitNumber = old.UnitNumber
	}
	if fresh.ControllerKey == 0 {
		fresh.ControllerKey = old.ControllerKey
	}
	if fresh.Backing == nil {
		fresh.Backing = old.Backing
	}
	if fresh.Connectable == nil {
		fresh.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true}
	} else if fresh.Connectable.MigrateConnect == "" && old.Connectable != nil {
		// A client that speaks 6.5, as the simulator's API does, cannot send it: what is unset stays.
		fresh.Connectable.MigrateConnect = old.Connectable.MigrateConnect
	}
	if fresh.AddressType == "" && fresh.MacAddress != "" {
		fresh.AddressType = string(types.VirtualEthernetCardMacTypeManual)
		if fresh.MacAddress == old.MacAddress {
			fresh.AddressType = old.AddressType
		}
	}
}

func invalidDevice(property string, index int32) types.BaseMethodFault {
	return &types.InvalidDeviceSpec{
		InvalidVmConfig: types.InvalidVmConfig{Property: property}, DeviceIndex: index,
	}
}

// backingFault is nil if a network card of a machine on this host can be connected to the backing.
func backingFault(
	ctx *simulator.Context, host types.ManagedObjectReference, backing types.BaseVirtualDeviceBackingInfo, index int32,
) types.BaseMethodFault {
	switch b := backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		var networks []types.ManagedObjectReference
		on := ctx.Map.Get(host).(*simulator.HostSystem)
		ctx.WithLock(on, func() { networks = references(on.Network) })
		for _, ref := range networks {
			if network, ok := ctx.Map.Get(ref).(*mo.Network); ok && network.Name == b.DeviceName {
				return nil
			}
		}
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return portFault(ctx, host, b.Port)
	case *types.VirtualEthernetCardOpaqueNetworkBackingInfo:
		return nil
	}
	invalid := invalidDevice("virtualDeviceSpec.device.backing", index).(*types.InvalidDeviceSpec)
	return &types.InvalidDeviceBacking{InvalidDeviceSpec: *invalid}
}

// portFault is nil if the distributed portgroup is there, and its switch reaches the host.
func portFault(
	ctx *simulator.Context, host types.ManagedObjectReference, port types.DistributedVirtualSwitchPortConnection,
) types.BaseMethodFault {
	ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: port.PortgroupKey}
	group, ok := ctx.Map.Get(ref).(*simulator.DistributedVirtualPortgroup)
	if !ok {
		return &types.NotFound{}
	}
	wrong := &types.InvalidArgument{InvalidProperty: "spec.deviceChange.device.port.switchUuid"}
	if group.Config.DistributedVirtualSwitch == nil {
		return wrong
	}
	dvs, ok := ctx.Map.Get(*group.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
	if !ok || dvs.Uuid != port.SwitchUuid || simulator.FindReference(dvs.Summary.HostMember, host) == nil {
		return wrong
	}
	return nil
}

// cards counts the network cards among devices.
func cards(devices []types.BaseVirtualDevice) int {
	return len(object.VirtualDeviceList(devices).SelectByType((*types.VirtualEthernetCard)(nil)))
}
