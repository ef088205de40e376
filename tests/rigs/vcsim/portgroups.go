package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerPortgroups) }

// registerPortgroups makes standard portgroups a matter of each host, as on vCenter, where one network object stands
// for the portgroups of one name on all hosts of a datacenter. The simulator refuses the second host's.
func registerPortgroups(s *site) {
	for _, entity := range s.model.Map().All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		network := deepCopy(*host.Config.Network)
		host.Config.Network = &network
		s.model.Map().Get(*host.ConfigManager.NetworkSystem).(*simulator.HostNetworkSystem).NetworkInfo = &network
	}
	s.hooks.serve("AddPortGroup", s.addPortgroup)
	s.hooks.serve("RemovePortGroup", s.removePortgroup)
	s.hooks.serve("AddVirtualSwitch", s.addSwitch)
}

func portgroupKey(name string) string { return "key-vim.host.PortGroup-" + name }

func switchKey(name string) string { return "key-vim.host.VirtualSwitch-" + name }

// switchNamed is one of the host's switches, or nil.
func switchNamed(network *types.HostNetworkInfo, name string) *types.HostVirtualSwitch {
	for i := range network.Vswitch {
		if network.Vswitch[i].Name == name {
			return &network.Vswitch[i]
		}
	}
	return nil
}

func portgroupNamed(network *types.HostNetworkInfo, name string) int {
	for i, group := range network.Portgroup {
		if group.Spec.Name == name {
			return i
		}
	}
	return -1
}

func (s *site) addSwitch(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	system := ctx.Map.Get(m.This).(*simulator.HostNetworkSystem)
	req := m.Body.(*types.AddVirtualSwitch)
	if switchNamed(system.NetworkInfo, req.VswitchName) != nil {
		return faultReply(&types.AlreadyExists{Name: req.VswitchName})
	}
	fresh := types.HostVirtualSwitch{
		Name: req.VswitchName, Key: switchKey(req.VswitchName), NumPorts: 128, NumPortsAvailable: 128, Mtu: 1500,
		Spec: types.HostVirtualSwitchSpec{NumPorts: 128},
	}
	if req.Spec != nil {
		fresh.Spec = *req.Spec
		if bond, ok := req.Spec.Bridge.(*types.HostVirtualSwitchBondBridge); ok {
			for _, nic := range bond.NicDevice {
				fresh.Pnic = append(fresh.Pnic, "key-vim.host.PhysicalNic-"+nic)
			}
		}
	}
	system.NetworkInfo.Vswitch = append(system.NetworkInfo.Vswitch, fresh)
	return &methods.AddVirtualSwitchBody{Res: new(types.AddVirtualSwitchResponse)}
}

func (s *site) addPortgroup(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	system := ctx.Map.Get(m.This).(*simulator.HostNetworkSystem)
	spec := m.Body.(*types.AddPortGroup).Portgrp
	on := switchNamed(system.NetworkInfo, spec.VswitchName)
	switch {
	case spec.Name == "":
		return faultReply(&types.InvalidArgument{InvalidProperty: "name"})
	case spec.VlanId < 0 || spec.VlanId > 4095:
		return faultReply(&types.InvalidArgument{InvalidProperty: "vlanId"})
	case on == nil:
		return faultReply(&types.NotFound{})
	case portgroupNamed(system.NetworkInfo, spec.Name) >= 0:
		return faultReply(&types.AlreadyExists{Name: spec.Name})
	}
	on.Portgroup = append(on.Portgroup, portgroupKey(spec.Name))
	system.NetworkInfo.Portgroup = append(system.NetworkInfo.Portgroup, types.HostPortGroup{
		Key: portgroupKey(spec.Name), Vswitch: on.Key, Spec: spec, ComputedPolicy: spec.Policy,
	})
	s.joinNetwork(ctx, system.Host.Self, spec.Name)
	return &methods.AddPortGroupBody{Res: new(types.AddPortGroupResponse)}
}

// joinNetwork makes a host's portgroup part of the datacenter's network of that name, a new one if there is none.
func (s *site) joinNetwork(ctx *simulator.Context, ref types.ManagedObjectReference, name string) {
	host := ctx.Map.Get(ref).(*simulator.HostSystem)
	dc := s.datacenterOf(host)
	network, ok := ctx.Map.FindByName(name, dc.Network).(*mo.Network)
	if !ok {
		network = &mo.Network{}
		network.Name = name
		network.Entity().Name = name
		folder := ctx.Map.Get(dc.NetworkFolder).(*simulator.Folder)
		ctx.WithLock(folder, func() {
			ctx.Map.PutEntity(folder, ctx.Map.NewEntity(network))
			network.Summary = &types.NetworkSummary{Network: &network.Self, Name: name, Accessible: true}
			ctx.Update(folder, []types.PropertyChange{
				{Name: "childEntity", Val: append(references(folder.ChildEntity), network.Self)},
			})
		})
		ctx.WithLock(dc, func() { dc.Network = append(references(dc.Network), network.Self) })
	}
	ctx.WithLock(network, func() { network.Host = with(network.Host, ref) })
	ctx.WithLock(host, func() { host.Network = with(host.Network, network.Self) })
	if cluster, ok := ctx.Map.Get(*host.Parent).(*simulator.ClusterComputeResource); ok {
		ctx.WithLock(cluster, func() { cluster.Network = with(cluster.Network, network.Self) })
	}
}

// references copies a list, whose array several objects of the simulator may share.
func references(list []types.ManagedObjectReference) []types.ManagedObjectReference {
	return append([]types.ManagedObjectReference{}, list...)
}

func with(list []types.ManagedObjectReference, ref types.ManagedObjectReference) []types.ManagedObjectReference {
	if simulator.FindReference(list, ref) != nil {
		return list
	}
	return append(references(list), ref)
}

func without(list []types.ManagedObjectReference, ref types.ManagedObjectReference) []types.ManagedObjectReference {
	left := references(list)
	simulator.RemoveReference(&left, ref)
	return left
}

func (s *site) removePortgroup(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	system := ctx.Map.Get(m.This).(*simulator.HostNetworkSystem)
	name := m.Body.(*types.RemovePortGroup).PgName
	at := portgroupNamed(system.NetworkInfo, name)
	if at < 0 {
		return faultReply(&types.NotFound{})
	}
	host := ctx.Map.Get(system.Host.Self).(*simulator.HostSystem)
	if s.usesPortgroup(ctx, host, name) {
		return faultReply(&types.ResourceInUse{Type: "PortGroup", Name: name})
	}
	if on := switchNamed(system.NetworkInfo, system.NetworkInfo.Portgroup[at].Spec.VswitchName); on != nil {
		var left []string
		for _, group := range on.Portgroup {
			if group != portgroupKey(name) && group != name {
				left = append(left, group)
			}
		}
		on.Portgroup = left
	}
	groups := append([]types.HostPortGroup{}, system.NetworkInfo.Portgroup[:at]...)
	system.NetworkInfo.Portgroup = append(groups, system.NetworkInfo.Portgroup[at+1:]...)
	s.leaveNetwork(ctx, host, name)
	return &methods.RemovePortGroupBody{Res: new(types.RemovePortGroupResponse)}
}

// usesPortgroup tells whether a machine on the host has a card on the standard portgroup.
func (s *site) usesPortgroup(ctx *simulator.Context, host *simulator.HostSystem, name string) bool {
	for _, ref := range references(host.Vm) {
		vm, ok := ctx.Map.Get(ref).(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		used := false
		ctx.WithLock(vm, func() {
			for _, device := range vm.Config.Hardware.Device {
				b, ok := device.GetVirtualDevice().Backing.(*types.VirtualEthernetCardNetworkBackingInfo)
				used = used || ok && b.DeviceName == name
			}
		})
		if used {
			return true
		}
	}
	return false
}

// leaveNetwork takes a host out of a network, and the network away when it was its last host.
func (s *site) leaveNetwork(ctx *simulator.Context, host *simulator.HostSystem, name string) {
	dc := s.datacenterOf(host)
	network, ok := ctx.Map.FindByName(name, dc.Network).(*mo.Network)
	if !ok {
		return
	}
	ref := network.Self
	ctx.WithLock(network, func() { network.Host = without(network.Host, host.Self) })
	ctx.WithLock(host, func() { host.Network = without(host.Network, ref) })
	if len(network.Host) > 0 {
		return
	}
	if cluster, ok := ctx.Map.Get(*host.Parent).(*simulator.ClusterComputeResource); ok {
		ctx.WithLock(cluster, func() { cluster.Network = without(cluster.Network, ref) })
	}
	ctx.WithLock(dc, func() { dc.Network = without(dc.Network, ref) })
	folder := ctx.Map.Get(dc.NetworkFolder).(*simulator.Folder)
	ctx.WithLock(folder, func() {
		ctx.Map.Remove(ctx, ref)
		ctx.Update(folder, []types.PropertyChange{{Name: "childEntity", Val: without(folder.ChildEntity, ref)}})
	})
}
