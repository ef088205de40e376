package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// An outcome is how the customization of a machine ends, as a test ordered it.
type outcome struct {
	Moref   string `json:"moref"`
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	AfterMS int    `json:"after_ms"`
}

var outcomes = map[string]bool{
	"success": true, "failed": true, "sysprep-failed": true, "network-failed": true, "never": true,
}

// customizer plays the guest's part of a customization: it starts at the first power-on. The specifications, with
// their passwords, are only ever in its memory.
type customizer struct {
	site    *site
	guests  *guests
	mu      sync.Mutex
	pending map[types.ManagedObjectReference]types.CustomizationSpec
	ordered map[string]outcome // by moref, by name, and "" for every other machine
}

func newCustomizer(s *site, g *guests) *customizer {
	c := &customizer{
		site: s, guests: g, pending: map[types.ManagedObjectReference]types.CustomizationSpec{},
		ordered: map[string]outcome{"": {Outcome: "success", AfterMS: 50}},
	}
	s.hooks.serve("CustomizeVM_Task", c.customizeVM)
	s.hooks.serve("CheckCustomizationSpec", func(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
		vm := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
		spec := m.Body.(*types.CheckCustomizationSpec).Spec
		if fault := customizable(spec, vm.Config.GuestId, cards(vm.Config.Hardware.Device)); fault != nil {
			return faultReply(fault)
		}
		return &methods.CheckCustomizationSpecBody{Res: new(types.CheckCustomizationSpecResponse)}
	})
	handle(s, "customization", c.order)
	return c
}

// order is the control call: how customizations end from now on.
func (c *customizer) order(o outcome) (any, error) {
	if !outcomes[o.Outcome] {
		return nil, fmt.Errorf("no such outcome: %q", o.Outcome)
	}
	key := o.Moref
	if key == "" {
		key = o.Name
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ordered[key] = o
	return done()
}

func (c *customizer) outcomeOf(ref types.ManagedObjectReference, name string) outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range []string{ref.Value, name} {
		if o, ok := c.ordered[key]; ok {
			return o
		}
	}
	return c.ordered[""]
}

// customizable is nil if a specification fits a machine with this guest and number of network cards.
func customizable(spec types.CustomizationSpec, guestID string, cards int) types.BaseMethodFault {
	if cards != len(spec.NicSettingMap) {
		return &types.NicSettingMismatch{
			NumberOfNicsInSpec: int32(len(spec.NicSettingMap)), NumberOfNicsInVM: int32(cards),
		}
	}
	sysprep, ok := spec.Identity.(*types.CustomizationSysprep)
	if !ok {
		return nil
	}
	if !strings.HasPrefix(guestID, "win") {
		return &types.UncustomizableGuest{UncustomizableGuestOS: guestID}
	}
	for _, password := range []*types.CustomizationPassword{
		sysprep.GuiUnattended.Password, sysprep.Identification.DomainAdminPassword,
	} {
		if password != nil && !password.PlainText {
			return &types.CannotDecryptPasswords{}
		}
	}
	id := sysprep.Identification
	if id.JoinDomain != "" && (id.DomainAdmin == "" || id.DomainAdminPassword == nil || id.JoinWorkgroup != "") {
		return &types.InvalidArgument{InvalidProperty: "spec.identity.identification"}
	}
	return nil
}

func (c *customizer) customizeVM(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	vm := ctx.Map.Get(m.This).(*simulator.VirtualMachine)
	spec := m.Body.(*types.CustomizeVM_Task).Spec
	ref := runTask(ctx, vm, "customizeVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if state := vm.Runtime.PowerState; state != types.VirtualMachinePowerStatePoweredOff {
			return nil, &types.InvalidPowerState{
				RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: state,
			}
		}
		if c.has(vm.Self) {
			return nil, &types.CustomizationPending{}
		}
		fault := customizable(spec, vm.Config.GuestId, cards(vm.Config.Hardware.Device))
		if fault == nil {
			c.plan(ctx, vm, spec)
		}
		return nil, fault
	})
	return &methods.CustomizeVM_TaskBody{Res: &types.CustomizeVM_TaskResponse{Returnval: ref}}
}

func (c *customizer) has(ref types.ManagedObjectReference) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.pending[ref]
	return ok
}

// plan lets the next power-on of a machine customize it.
func (c *customizer) plan(ctx *simulator.Context, vm *simulator.VirtualMachine, spec types.CustomizationSpec) {
	c.mu.Lock()
	c.pending[vm.Self] = spec
	c.mu.Unlock()
	changes := []types.PropertyChange{{Name: "config.tools.pendingCustomization", Val: randomHex(8) + ".cab"}}
	pending := types.GuestInfoCustomizationStatusTOOLSDEPLOYPKG_PENDING
	ctx.WithLock(vm, func() { ctx.Update(vm, append(changes, c.status(pending, nil, "")...)) })
}

func (c *customizer) take(ref types.ManagedObjectReference) (types.CustomizationSpec, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spec, ok := c.pending[ref]
	delete(c.pending, ref)
	return spec, ok
}

// status is the change of guest.customizationInfo, which is there from API 7.0.2 on.
func (c *customizer) status(
	status types.GuestInfoCustomizationStatus, started *time.Time, message string,
) []types.PropertyChange {
	version := c.site.model.ServiceContent.About.ApiVersion
	if numbers(version) < numbers("7.0.2") {
		return nil
	}
	info := &types.GuestInfoCustomizationInfo{
		CustomizationStatus: string(status), StartTime: started, ErrorMsg: message,
	}
	if started != nil && status != types.GuestInfoCustomizationStatusTOOLSDEPLOYPKG_RUNNING {
		info.EndTime = types.NewTime(time.Now())
	}
	return []types.PropertyChange{{Name: "guest.customizationInfo", Val: info}}
}

// numbers makes "7.0.2" comparable.
func numbers(version string) int {
	total := 0
	parts := append(strings.Split(version, "."), "0", "0")
	for _, part := range parts[:3] {
		n, _ := strconv.Atoi(part)
		total = total*1000 + n
	}
	return total
}

// run is the customization in the guest, from its first boot to the event that ends it.
func (c *customizer) run(ref types.ManagedObjectReference, spec types.CustomizationSpec) {
	ctx := c.site.context()
	vm := ctx.Map.Get(ref).(*simulator.VirtualMachine)
	started := types.NewTime(time.Now())
	event := types.CustomizationEvent{VmEvent: vmEvent(ctx, vm)}
	name := event.Vm.Name
	postEvent(ctx, &types.CustomizationStartedEvent{CustomizationEvent: event})
	c.update(ctx, vm, types.GuestInfoCustomizationStatusTOOLSDEPLOYPKG_RUNNING, started, "",
		types.PropertyChange{Name: "config.tools.pendingCustomization", Val: ""})
	o := c.outcomeOf(ref, name)
	time.Sleep(time.Duration(o.AfterMS) * time.Millisecond)
	event.LogLocation = `C:\Windows\Temp\vmware-imc\guestcust.log`
	failed := types.CustomizationFailed{CustomizationEvent: event, Reason: "customizationFailed"}
	switch o.Outcome {
	case "never":
		return
	case "success":
		c.succeed(ctx, vm, spec, started)
		postEvent(ctx, &types.CustomizationSucceeded{CustomizationEvent: event})
		return
	case "sysprep-failed":
		postEvent(ctx, &types.CustomizationSysprepFailed{
			CustomizationFailed: failed, SysprepVersion: "10.0.20348.1", SystemVersion: "10.0.20348.1",
		})
	case "network-failed":
		postEvent(ctx, &types.CustomizationNetworkSetupFailed{CustomizationFailed: failed})
	default:
		postEvent(ctx, &failed)
	}
	c.update(ctx, vm, types.GuestInfoCustomizationStatusTOOLSDEPLOYPKG_FAILED, started, "customization failed: "+o.Outcome)
}

func (c *customizer) update(
	ctx *simulator.Context, vm *simulator.VirtualMachine, status types.GuestInfoCustomizationStatus,
	started *time.Time, message string, more ...types.PropertyChange,
) {
	ctx.WithLock(vm, func() { ctx.Update(vm, append(more, c.status(status, started, message)...)) })
}

// succeed makes the guest what the specification says: its name, its addresses, its administrator.
func (c *customizer) succeed(
	ctx *simulator.Context, vm *simulator.VirtualMachine, spec types.CustomizationSpec, started *time.Time,
) {
	one := c.guests.make(vm.Self)
	one.mu.Lock()
	if sysprep, ok := spec.Identity.(*types.CustomizationSysprep); ok {
		one.username = "Administrator"
		if password := sysprep.GuiUnattended.Password; password != nil {
			one.password = password.Value
		}
	}
	one.mu.Unlock()
	host := computerName(spec.Identity, vm.Name)
	c.site.showTools(ctx, vm, true, func(g *guestSpec) {
		g.Hostname = host
		g.Addresses = fixedAddresses(spec)
	})
	var net []types.GuestNicInfo
	ctx.WithLock(vm, func() { net = customizedCards(vm.Guest.Net, spec, host) })
	c.update(ctx, vm, types.GuestInfoCustomizationStatusTOOLSDEPLOYPKG_SUCCEEDED, started, "",
		types.PropertyChange{Name: "guest.net", Val: net})
}

// fixedAddresses are those that the specification gives the first network card.
func fixedAddresses(spec types.CustomizationSpec) []string {
	if len(spec.NicSettingMap) > 0 {
		if fixed, ok := spec.NicSettingMap[0].Adapter.Ip.(*types.CustomizationFixedIp); ok {
			return []string{fixed.IpAddress}
		}
	}
	return nil
}

// customizedCards are the network cards as the customized guest tells them.
func customizedCards(old []types.GuestNicInfo, spec types.CustomizationSpec, host string) []types.GuestNicInfo {
	net := append([]types.GuestNicInfo{}, old...)
	for i := range min(len(net), len(spec.NicSettingMap)) {
		adapter := spec.NicSettingMap[i].Adapter
		net[i].DnsConfig = &types.NetDnsConfigInfo{
			HostName: host, DomainName: adapter.DnsDomain, IpAddress: adapter.DnsServerList,
			SearchDomain: spec.GlobalIPSettings.DnsSuffixList,
		}
		if fixed, ok := adapter.Ip.(*types.CustomizationFixedIp); ok {
			net[i].IpAddress = []string{fixed.IpAddress}
			net[i].IpConfig = &types.NetIpConfigInfo{
				IpAddress: []types.NetIpConfigInfoIpAddress{{IpAddress: fixed.IpAddress, State: "preferred"}},
			}
		}
	}
	return net
}

// computerName is the name that the guest gets; Windows cuts it to 15 characters.
func computerName(identity types.BaseCustomizationIdentitySettings, machine string) string {
	var wanted types.BaseCustomizationName
	limit := 63
	switch x := identity.(type) {
	case *types.CustomizationSysprep:
		wanted, limit = x.UserData.ComputerName, 15
	case *types.CustomizationLinuxPrep:
		wanted = x.HostName
	}
	name := machine
	switch x := wanted.(type) {
	case *types.CustomizationFixedName:
		name = x.Name
	case *types.CustomizationPrefixName:
		name = x.Base + "1"
	}
	return name[:min(limit, len(name))]
}

// bootWatch sees machines go on and off, whoever switched them.
type bootWatch struct {
	site   *site
	guests *guests
	custom *customizer
}

// Reference is the watch's own: it is no object that a client could ask for.
func (w *bootWatch) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "FerryBootWatch", Value: "watch"}
}

// PutObject is part of simulator.RegisterObject.
func (w *bootWatch) PutObject(*simulator.Context, mo.Reference) {}

// RemoveObject forgets a machine that is deleted.
func (w *bootWatch) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	w.custom.take(ref)
	w.guests.mu.Lock()
	defer w.guests.mu.Unlock()
	delete(w.guests.of, ref)
}

// UpdateObject is called with the machine's lock held: what follows happens after it.
func (w *bootWatch) UpdateObject(_ *simulator.Context, obj mo.Reference, changes []types.PropertyChange) {
	vm, ok := obj.(*mo.VirtualMachine)
	if !ok {
		return
	}
	for _, change := range changes {
		if change.Name == "runtime.powerState" {
			go w.changed(vm.Self, vm.Runtime.PowerState)
			return
		}
	}
}

func (w *bootWatch) changed(ref types.ManagedObjectReference, state types.VirtualMachinePowerState) {
	defer func() {
		if bug := recover(); bug != nil {
			bugFault("boot watch", bug)
		}
	}()
	if state != types.VirtualMachinePowerStatePoweredOn {
		if one := w.guests.find(ref); one != nil {
			one.halt()
		}
		return
	}
	if spec, pending := w.custom.take(ref); pending {
		w.custom.run(ref, spec)
	}
}
