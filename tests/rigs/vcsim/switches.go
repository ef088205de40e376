package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerSwitches) }

// registerSwitches removes a standard switch with its portgroups, as a host does, and lets each network tell which
// machines and templates are on it: the simulator keeps that only the other way round.
func registerSwitches(s *site) {
	s.hooks.serve("RemoveVirtualSwitch", s.removeSwitch)
	s.model.Map().AddHandler(&networkWatch{})
	ctx := s.context()
	for _, entity := range s.model.Map().All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		noteUser(ctx, vm.Self, references(vm.Network))
	}
}

func (s *site) removeSwitch(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	system := ctx.Map.Get(m.This).(*simulator.HostNetworkSystem)
	name := m.Body.(*types.RemoveVirtualSwitch).VswitchName
	if switchNamed(system.NetworkInfo, name) == nil {
		return faultReply(&types.NotFound{})
	}
	host := ctx.Map.Get(system.Host.Self).(*simulator.HostSystem)
	var left, gone []types.HostPortGroup
	for _, group := range system.NetworkInfo.Portgroup {
		if group.Spec.VswitchName == name {
			gone = append(gone, group)
		} else {
			left = append(left, group)
		}
	}
	for _, group := range gone {
		if s.usesPortgroup(ctx, host, group.Spec.Name) || hasAdapter(system.NetworkInfo, group.Spec.Name) {
			return faultReply(&types.ResourceInUse{Type: "VirtualSwitch", Name: name})
		}
	}
	system.NetworkInfo.Portgroup = left
	var switches []types.HostVirtualSwitch
	for _, one := range system.NetworkInfo.Vswitch {
		if one.Name != name {
			switches = append(switches, one)
		}
	}
	system.NetworkInfo.Vswitch = switches
	for _, group := range gone {
		s.leaveNetwork(ctx, host, group.Spec.Name)
	}
	return &methods.RemoveVirtualSwitchBody{Res: new(types.RemoveVirtualSwitchResponse)}
}

// hasAdapter tells whether the host itself has an address on a standard portgroup.
func hasAdapter(network *types.HostNetworkInfo, portgroup string) bool {
	for _, nic := range network.Vnic {
		if nic.Portgroup == portgroup {
			return true
		}
	}
	return false
}

// networkWatch keeps the networks' lists of machines.
type networkWatch struct{}

// Reference is an id that no object has.
func (*networkWatch) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "FerryNetworkWatch", Value: "watch"}
}

// PutObject is part of the interface of a watcher.
func (*networkWatch) PutObject(*simulator.Context, mo.Reference) {}

// UpdateObject follows a machine's list of networks.
func (*networkWatch) UpdateObject(ctx *simulator.Context, obj mo.Reference, changes []types.PropertyChange) {
	vm, ok := obj.(*mo.VirtualMachine)
	if !ok {
		return
	}
	for _, change := range changes {
		if change.Name == "network" {
			noteUser(ctx, vm.Self, references(vm.Network))
			return
		}
	}
}

// RemoveObject sees machines go.
func (*networkWatch) RemoveObject(ctx *simulator.Context, ref types.ManagedObjectReference) {
	if ref.Type == "VirtualMachine" {
		noteUser(ctx, ref, nil)
	}
}

// noteUser puts a machine into the lists of its networks, and out of all others.
func noteUser(ctx *simulator.Context, vm types.ManagedObjectReference, on []types.ManagedObjectReference) {
	for _, kind := range []string{"Network", "DistributedVirtualPortgroup", "OpaqueNetwork"} {
		for _, entity := range ctx.Map.All(kind) {
			ref := entity.Reference()
			users := usersOf(entity)
			if users == nil {
				continue
			}
			ctx.WithLock(entity, func() {
				if simulator.FindReference(on, ref) != nil {
					*users = with(*users, vm)
				} else {
					*users = without(*users, vm)
				}
			})
		}
	}
}

func usersOf(entity mo.Entity) *[]types.ManagedObjectReference {
	switch network := entity.(type) {
	case *mo.Network:
		return &network.Vm
	case *mo.OpaqueNetwork:
		return &network.Vm
	case *simulator.DistributedVirtualPortgroup:
		return &network.Vm
	}
	return nil
}
