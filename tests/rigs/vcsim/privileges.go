package main

import (
	"reflect"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerPrivileges) }

// privileges are those that the account lacks, everywhere. The simulator alone lets everyone do everything.
type privileges struct {
	mu      sync.RWMutex
	lacking map[string]bool
}

// A need is a privilege that a call needs, on an object.
type need struct {
	privilege string
	object    types.ManagedObjectReference
}

// needed are the privileges that a method needs on the called object, as the vSphere API reference lists them. What
// depends on the call's parameters is in needsOf.
var needed = map[string]string{
	"PowerOnVM_Task": "VirtualMachine.Interact.PowerOn", "PowerOffVM_Task": "VirtualMachine.Interact.PowerOff",
	"ShutdownGuest": "VirtualMachine.Interact.PowerOff", "SuspendVM_Task": "VirtualMachine.Interact.Suspend",
	"ResetVM_Task": "VirtualMachine.Interact.Reset", "RebootGuest": "VirtualMachine.Interact.Reset",
	"CreateSnapshot_Task":          "VirtualMachine.State.CreateSnapshot",
	"CreateSnapshotEx_Task":        "VirtualMachine.State.CreateSnapshot",
	"RemoveSnapshot_Task":          "VirtualMachine.State.RemoveSnapshot",
	"RemoveAllSnapshots_Task":      "VirtualMachine.State.RemoveSnapshot",
	"ConsolidateVMDisks_Task":      "VirtualMachine.State.RemoveSnapshot",
	"RevertToSnapshot_Task":        "VirtualMachine.State.RevertToSnapshot",
	"RevertToCurrentSnapshot_Task": "VirtualMachine.State.RevertToSnapshot",
	"RenameSnapshot":               "VirtualMachine.State.RenameSnapshot",
	"CustomizeVM_Task":             "VirtualMachine.Provisioning.Customize",
	"CheckCustomizationSpec":       "VirtualMachine.Provisioning.Customize",
	"GetCustomizationSpec":         "VirtualMachine.Provisioning.ReadCustSpecs",
	"MarkAsTemplate":               "VirtualMachine.Provisioning.MarkAsTemplate",
	"MarkAsVirtualMachine":         "VirtualMachine.Provisioning.MarkAsVM",
	"ExportVm":                     "VApp.Export", "ExportSnapshot": "VApp.Export",
	"CreateDVPortgroup_Task": "DVPortgroup.Create", "AddDVPortgroup_Task": "DVPortgroup.Create",
	"ReconfigureDVPortgroup_Task": "DVPortgroup.Modify",
	"AddPortGroup":                "Host.Config.Network", "UpdatePortGroup": "Host.Config.Network",
	"RemovePortGroup": "Host.Config.Network", "AddVirtualSwitch": "Host.Config.Network",
	"RemoveVirtualSwitch": "Host.Config.Network", "CreateFolder": "Folder.Create",
	"LogUserEvent": "Global.LogEvent", "SetField": "Global.SetCustomField", "SetCustomValue": "Global.SetCustomField",
	"AddCustomFieldDef": "Global.ManageCustomFields", "RemoveCustomFieldDef": "Global.ManageCustomFields",
	"CancelTask": "Global.CancelTask", "DeleteDatastoreFile_Task": "Datastore.FileManagement",
	"SearchDatastore_Task": "Datastore.Browse", "SearchDatastoreSubFolders_Task": "Datastore.Browse",
}

// guestNeeds are the privileges of guest operations, on the machine.
var guestNeeds = map[string]string{
	"StartProgramInGuest": "Execute", "TerminateProcessInGuest": "Execute", "ListProcessesInGuest": "Query",
	"ReadEnvironmentVariableInGuest": "Query", "ValidateCredentialsInGuest": "Query", "ListFilesInGuest": "Query",
	"InitiateFileTransferFromGuest": "Query", "InitiateFileTransferToGuest": "Modify", "DeleteFileInGuest": "Modify",
	"MakeDirectoryInGuest": "Modify", "DeleteDirectoryInGuest": "Modify", "MoveFileInGuest": "Modify",
	"CreateTemporaryFileInGuest": "Modify", "CreateTemporaryDirectoryInGuest": "Modify",
}

func registerPrivileges(s *site) {
	p := &privileges{lacking: map[string]bool{}}
	handle(s, "lacking", func(r struct {
		Privileges []string `json:"privileges"`
	}) (any, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lacking = map[string]bool{}
		for _, privilege := range r.Privileges {
			p.lacking[privilege] = true
		}
		return done()
	})
	s.hooks.add("*", p.check)
	s.hooks.serve("HasPrivilegeOnEntities", func(_ *simulator.Context, m *simulator.Method) soap.HasFault {
		req := m.Body.(*types.HasPrivilegeOnEntities)
		res := &types.HasPrivilegeOnEntitiesResponse{Returnval: p.granted(req.Entity, req.PrivId)}
		return &methods.HasPrivilegeOnEntitiesBody{Res: res}
	})
	s.hooks.serve("HasUserPrivilegeOnEntities", func(_ *simulator.Context, m *simulator.Method) soap.HasFault {
		req := m.Body.(*types.HasUserPrivilegeOnEntities)
		res := &types.HasUserPrivilegeOnEntitiesResponse{Returnval: p.granted(req.Entities, req.PrivId)}
		return &methods.HasUserPrivilegeOnEntitiesBody{Res: res}
	})
	s.hooks.serve("HasPrivilegeOnEntity", func(_ *simulator.Context, m *simulator.Method) soap.HasFault {
		res := new(types.HasPrivilegeOnEntityResponse)
		for _, privilege := range m.Body.(*types.HasPrivilegeOnEntity).PrivId {
			res.Returnval = append(res.Returnval, !p.lacks(privilege))
		}
		return &methods.HasPrivilegeOnEntityBody{Res: res}
	})
	s.hooks.serve("FetchUserPrivilegeOnEntities", p.fetch)
}

func (p *privileges) lacks(privilege string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.lacking[privilege]
}

func (p *privileges) granted(entities []types.ManagedObjectReference, ids []string) []types.EntityPrivilege {
	var all []types.EntityPrivilege
	for _, entity := range entities {
		one := types.EntityPrivilege{Entity: entity}
		for _, id := range ids {
			one.PrivAvailability = append(one.PrivAvailability, types.PrivilegeAvailability{
				PrivId: id, IsGranted: !p.lacks(id),
			})
		}
		all = append(all, one)
	}
	return all
}

// fetch takes what is lacking out of the simulator's answer.
func (p *privileges) fetch(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	manager := ctx.Map.Get(m.This).(*simulator.AuthorizationManager)
	reply := manager.FetchUserPrivilegeOnEntities(m.Body.(*types.FetchUserPrivilegeOnEntities))
	body := reply.(*methods.FetchUserPrivilegeOnEntitiesBody)
	for i := range body.Res.Returnval {
		one := &body.Res.Returnval[i]
		var left []string
		for _, privilege := range one.Privileges {
			if !p.lacks(privilege) {
				left = append(left, privilege)
			}
		}
		one.Privileges = left
	}
	return reply
}

// check refuses a call that needs a lacking privilege.
func (p *privileges) check(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	p.mu.RLock()
	all := len(p.lacking) == 0
	p.mu.RUnlock()
	if all {
		return nil, nil
	}
	for _, one := range needsOf(ctx, m) {
		if p.lacks(one.privilege) {
			return nil, &types.NoPermission{Object: &one.object, PrivilegeId: one.privilege}
		}
	}
	return nil, nil
}

// needsOf are the privileges that a call needs.
func needsOf(ctx *simulator.Context, m *simulator.Method) []need {
	if privilege, ok := needed[m.Name]; ok {
		return []need{{privilege, m.This}}
	}
	if kind, ok := guestNeeds[m.Name]; ok {
		return []need{{"VirtualMachine.GuestOperations." + kind, guestOf(m.Body)}}
	}
	switch body := m.Body.(type) {
	case *types.ReconfigVM_Task:
		return reconfigNeeds(ctx, m.This, &body.Spec)
	case *types.CloneVM_Task:
		return cloneNeeds(ctx, m.This, body)
	case *types.Destroy_Task:
		return []need{{deletion(m.This.Type), m.This}}
	case *types.Rename_Task:
		if m.This.Type == "VirtualMachine" {
			return []need{{"VirtualMachine.Config.Rename", m.This}}
		}
	}
	return nil
}

func deletion(kind string) string {
	switch kind {
	case "DistributedVirtualPortgroup":
		return "DVPortgroup.Delete"
	case "Folder":
		return "Folder.Delete"
	case "Network":
		return "Network.Delete"
	}
	return "VirtualMachine.Inventory.Delete"
}

// reconfigNeeds are the privileges for the parts of a reconfiguration.
func reconfigNeeds(
	ctx *simulator.Context, vm types.ManagedObjectReference, spec *types.VirtualMachineConfigSpec,
) []need {
	var all []need
	add := func(wanted bool, privilege string) {
		if wanted {
			all = append(all, need{"VirtualMachine.Config." + privilege, vm})
		}
	}
	add(spec.Name != "", "Rename")
	add(spec.Annotation != "", "Annotation")
	add(len(spec.ExtraConfig) > 0, "AdvancedConfig")
	add(spec.NumCPUs != 0 || spec.NumCoresPerSocket != 0, "CPUCount")
	add(spec.MemoryMB != 0, "Memory")
	add(spec.BootOptions != nil || spec.Tools != nil || spec.GuestId != "", "Settings")
	for _, change := range spec.DeviceChange {
		one := change.GetVirtualDeviceConfigSpec()
		_, disk := one.Device.(*types.VirtualDisk)
		add(true, devicePrivilege(one, disk))
		old := deviceNow(ctx, vm, one)
		fresh := one.Device.GetVirtualDevice()
		if old != nil && !reflect.DeepEqual(old.Connectable, fresh.Connectable) {
			all = append(all, need{"VirtualMachine.Interact.DeviceConnection", vm})
		}
		network := networkOf(ctx, fresh.Backing)
		if network == nil || old != nil && reflect.DeepEqual(network, networkOf(ctx, old.Backing)) {
			continue
		}
		all = append(all, need{"Network.Assign", *network})
	}
	return all
}

// deviceNow is the device that a change edits, as it is now; nil if there is none.
func deviceNow(
	ctx *simulator.Context, ref types.ManagedObjectReference, change *types.VirtualDeviceConfigSpec,
) (found *types.VirtualDevice) {
	vm, ok := ctx.Map.Get(ref).(*simulator.VirtualMachine)
	if !ok || change.Operation != types.VirtualDeviceConfigSpecOperationEdit {
		return nil
	}
	ctx.WithLock(vm, func() {
		devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
		if device := devices.FindByKey(change.Device.GetVirtualDevice().Key); device != nil {
			copied := *device.GetVirtualDevice()
			found = &copied
		}
	})
	return found
}

func devicePrivilege(change *types.VirtualDeviceConfigSpec, disk bool) string {
	switch {
	case change.Operation == types.VirtualDeviceConfigSpecOperationEdit:
		return "EditDevice"
	case !disk:
		return "AddRemoveDevice"
	case change.Operation == types.VirtualDeviceConfigSpecOperationRemove:
		return "RemoveDisk"
	case change.FileOperation == types.VirtualDeviceConfigSpecFileOperationCreate:
		return "AddNewDisk"
	}
	return "AddExistingDisk"
}

// networkOf is the network that a card's backing names, if there is one.
func networkOf(ctx *simulator.Context, backing types.BaseVirtualDeviceBackingInfo) *types.ManagedObjectReference {
	switch b := backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return &types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}
	case *types.VirtualEthernetCardNetworkBackingInfo:
		for _, obj := range ctx.Map.AllReference("Network") {
			if network, ok := obj.(*mo.Network); ok && network.Name == b.DeviceName {
				return &network.Self
			}
		}
	}
	return nil
}

// cloneNeeds are the privileges for a clone, on the source and on the places where it goes.
func cloneNeeds(ctx *simulator.Context, source types.ManagedObjectReference, req *types.CloneVM_Task) []need {
	first := "VirtualMachine.Provisioning.Clone"
	if vm, ok := ctx.Map.Get(source).(*simulator.VirtualMachine); ok && vm.Config.Template {
		first = "VirtualMachine.Provisioning.DeployTemplate"
		if req.Spec.Template {
			first = "VirtualMachine.Provisioning.CloneTemplate"
		}
	}
	all := []need{{first, source}, {"VirtualMachine.Inventory.CreateFromExisting", req.Folder}}
	if pool := req.Spec.Location.Pool; pool != nil {
		all = append(all, need{"Resource.AssignVMToPool", *pool})
	}
	if store := req.Spec.Location.Datastore; store != nil {
		all = append(all, need{"Datastore.AllocateSpace", *store})
	}
	if req.Spec.Customization != nil {
		all = append(all, need{"VirtualMachine.Provisioning.Customize", source})
	}
	for _, change := range req.Spec.Location.DeviceChange {
		if network := networkOf(ctx, change.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice().Backing); network != nil {
			all = append(all, need{"Network.Assign", *network})
		}
	}
	if req.Spec.Config != nil {
		for _, one := range reconfigNeeds(ctx, source, &types.VirtualMachineConfigSpec{DeviceChange: req.Spec.Config.DeviceChange}) {
			if one.privilege == "Network.Assign" {
				all = append(all, one)
			}
		}
	}
	return all
}
