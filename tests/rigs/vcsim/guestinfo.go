package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// fullNames are the texts that vCenter shows for guest ids of interest; the simulator shows the id itself.
var fullNames = map[string]string{
	"winLonghornGuest":           "Microsoft Windows Server 2008 (32-bit)",
	"winLonghorn64Guest":         "Microsoft Windows Server 2008 (64-bit)",
	"windows7Server64Guest":      "Microsoft Windows Server 2008 R2 (64-bit)",
	"windows8Server64Guest":      "Microsoft Windows Server 2012 (64-bit)",
	"windows9Server64Guest":      "Microsoft Windows Server 2016 (64-bit)",
	"windows2019srv_64Guest":     "Microsoft Windows Server 2019 (64-bit)",
	"windows2019srvNext_64Guest": "Microsoft Windows Server 2022 (64-bit)",
	"windows2022srvNext_64Guest": "Microsoft Windows Server 2025 (64-bit)",
	"otherLinux64Guest":          "Other Linux (64-bit)",
}

func fullName(guestID string) string {
	return orDefault(fullNames[guestID], guestID)
}

func shutdownAccepted() soap.HasFault {
	return &methods.ShutdownGuestBody{Res: new(types.ShutdownGuestResponse)}
}

// guestChanges are the properties by which vCenter shows a guest with or without running Tools.
func (s *site) guestChanges(vm *simulator.VirtualMachine, on bool) []types.PropertyChange {
	note := s.machines.of(vm.Self)
	set := func(name string, val any) types.PropertyChange { return types.PropertyChange{Name: name, Val: val} }
	running, status, state := "guestToolsNotRunning", "toolsNotRunning", "notRunning"
	version := "guestToolsNotInstalled"
	switch {
	case !note.tools:
		status = "toolsNotInstalled"
	case on:
		running, status, state = "guestToolsRunning", "toolsOk", "running"
	}
	if note.tools {
		version = "guestToolsCurrent"
	}
	ready := running == "guestToolsRunning" && !note.guest.NotReady
	changes := []types.PropertyChange{
		set("guest.toolsRunningStatus", running), set("guest.toolsStatus", types.VirtualMachineToolsStatus(status)),
		set("guest.toolsVersionStatus2", version), set("guest.toolsVersionStatus", version), set("guest.guestState", state),
		set("guest.guestOperationsReady", ready), set("guest.interactiveGuestOperationsReady", false),
		set("summary.guest.toolsRunningStatus", running), set("summary.guest.toolsVersionStatus2", version),
		set("summary.guest.toolsStatus", types.VirtualMachineToolsStatus(status)),
	}
	if note.tools {
		changes = append(changes, s.reported(vm, note.guest, on)...)
	}
	return changes
}

// reported is what Tools tell of the guest; vCenter keeps the names when the guest has stopped, not the addresses.
func (s *site) reported(vm *simulator.VirtualMachine, guest guestSpec, on bool) []types.PropertyChange {
	id := orDefault(guest.ID, vm.Config.GuestId)
	full := orDefault(guest.FullName, fullName(id))
	var changes []types.PropertyChange
	both := func(name, value string) {
		changes = append(changes, types.PropertyChange{Name: "guest." + name, Val: value})
		changes = append(changes, types.PropertyChange{Name: "summary.guest." + name, Val: value})
	}
	both("hostName", guest.Hostname)
	both("guestId", id)
	both("guestFullName", full)
	changes = append(changes, types.PropertyChange{Name: "guest.guestFamily", Val: "windowsGuest"})
	address := ""
	if on && len(guest.Addresses) > 0 {
		address = guest.Addresses[0]
	}
	both("ipAddress", address)
	changes = append(changes, types.PropertyChange{Name: "guest.net", Val: s.guestNICs(vm, guest, on)})
	if guest.Build != "" {
		changes = append(changes, types.PropertyChange{Name: "config.extraConfig", Val: withDetail(vm, full, guest.Build)})
	}
	return changes
}

// guestNICs are the cards as the guest tells them; without the running guest there are none.
func (s *site) guestNICs(vm *simulator.VirtualMachine, guest guestSpec, on bool) []types.GuestNicInfo {
	nics := []types.GuestNicInfo{}
	for _, device := range vm.Config.Hardware.Device {
		card, ok := device.(types.BaseVirtualEthernetCard)
		if !ok || !on {
			continue
		}
		nic := types.GuestNicInfo{
			MacAddress: card.GetVirtualEthernetCard().MacAddress, DeviceConfigId: card.GetVirtualEthernetCard().Key,
			Connected: true,
		}
		if len(nics) == 0 {
			nic.IpAddress = guest.Addresses
		}
		nics = append(nics, nic)
	}
	return nics
}

// withDetail is extraConfig with the line that Tools from 10.2 on write about the guest.
func withDetail(vm *simulator.VirtualMachine, full, build string) []types.BaseOptionValue {
	const key = "guestInfo.detailed.data"
	kept := []types.BaseOptionValue{}
	for _, option := range vm.Config.ExtraConfig {
		if option.GetOptionValue().Key != key {
			kept = append(kept, option)
		}
	}
	line := fmt.Sprintf("architecture='X86' bitness='64' buildNumber='%s' distroName='%s' familyName='Windows' prettyName='%s'",
		build, full, full)
	return append(kept, &types.OptionValue{Key: key, Value: line})
}

// guestWatch keeps a machine's guest properties true to its power state, whoever changes that.
type guestWatch struct {
	site *site
}

// Reference is an id that no object has.
func (p *guestWatch) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "FerryGuestWatch", Value: "watch"}
}

// PutObject sees new machines: on vCenter each tells whether it needs consolidation.
func (p *guestWatch) PutObject(_ *simulator.Context, obj mo.Reference) {
	if vm, ok := obj.(*simulator.VirtualMachine); ok && vm.Runtime.ConsolidationNeeded == nil {
		vm.Runtime.ConsolidationNeeded = ptr(false)
	}
}

// RemoveObject is part of the interface of a watcher.
func (p *guestWatch) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

// UpdateObject follows changes of the power state.
func (p *guestWatch) UpdateObject(ctx *simulator.Context, obj mo.Reference, changes []types.PropertyChange) {
	for _, change := range changes {
		if change.Name != "runtime.powerState" {
			continue
		}
		vm, ok := p.site.model.Map().Get(obj.Reference()).(*simulator.VirtualMachine)
		if !ok {
			return
		}
		on := change.Val == types.VirtualMachinePowerStatePoweredOn
		ctx.Update(vm, p.site.guestChanges(vm, on))
	}
}
