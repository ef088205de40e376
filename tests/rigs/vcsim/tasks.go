package main

import (
	"fmt"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerTasks) }

// busyMode is how a machine with a running task answers a second one.
type busyMode struct {
	mode atomic.Value // a key of busyModes
}

// busyModes: "task" lets the second task fail, "call" refuses the call, "off" queues it, as the simulator does.
var busyModes = map[string]bool{"task": true, "call": true, "off": true}

func registerTasks(s *site) {
	busy := &busyMode{}
	busy.mode.Store("task")
	handle(s, "task_in_progress", func(r struct {
		Mode string `json:"mode"`
	}) (any, error) {
		if !busyModes[r.Mode] {
			return nil, fmt.Errorf("no such mode: %q", r.Mode)
		}
		busy.mode.Store(r.Mode)
		return done()
	})
	s.hooks.add("*", busy.check)
	s.model.Map().AddHandler(&taskWatch{s})
	s.hooks.serve("CancelTask", cancelTask)
	s.hooks.serve("LogUserEvent", logUserEvent)
	s.hooks.add("QueryEvents", func(_ *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
		// The simulator answers 10 events if the client names no number, vCenter its most.
		if filter := &m.Body.(*types.QueryEvents).Filter; filter.MaxCount == 0 {
			filter.MaxCount = 1000
		}
		return nil, nil
	})
}

// exclusive are the methods that need a machine for themselves, with the reply that carries their task.
var exclusive = map[string]func(types.ManagedObjectReference) soap.HasFault{
	"CreateSnapshot_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: t}}
	},
	"CreateSnapshotEx_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.CreateSnapshotEx_TaskBody{Res: &types.CreateSnapshotEx_TaskResponse{Returnval: t}}
	},
	"RemoveSnapshot_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.RemoveSnapshot_TaskBody{Res: &types.RemoveSnapshot_TaskResponse{Returnval: t}}
	},
	"RemoveAllSnapshots_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.RemoveAllSnapshots_TaskBody{Res: &types.RemoveAllSnapshots_TaskResponse{Returnval: t}}
	},
	"RevertToSnapshot_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.RevertToSnapshot_TaskBody{Res: &types.RevertToSnapshot_TaskResponse{Returnval: t}}
	},
	"RevertToCurrentSnapshot_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.RevertToCurrentSnapshot_TaskBody{Res: &types.RevertToCurrentSnapshot_TaskResponse{Returnval: t}}
	},
	"ConsolidateVMDisks_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.ConsolidateVMDisks_TaskBody{Res: &types.ConsolidateVMDisks_TaskResponse{Returnval: t}}
	},
	"ReconfigVM_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: t}}
	},
	"Destroy_Task": func(t types.ManagedObjectReference) soap.HasFault {
		return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: t}}
	},
}

// check refuses a call if another exclusive task of the machine is queued or running.
func (b *busyMode) check(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	mode := b.mode.Load().(string)
	if exclusive[m.Name] == nil || mode == "off" {
		return nil, nil
	}
	vm := machineOf(ctx, m.This)
	if vm == nil {
		return nil, nil
	}
	other := runningTask(ctx, vm)
	if other == nil {
		return nil, nil
	}
	fault := &types.TaskInProgress{Task: *other}
	if mode == "call" {
		return nil, fault
	}
	return answerBy(m, func(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
		task := simulator.CreateTask(vm, taskName(m.Name)+"Task",
			func(*simulator.Task) (types.AnyType, types.BaseMethodFault) { return nil, fault })
		return exclusive[m.Name](task.Run(ctx))
	}), nil
}

// machineOf is the machine that a call on it, or on one of its snapshots, is about; nil for other objects.
func machineOf(ctx *simulator.Context, ref types.ManagedObjectReference) *simulator.VirtualMachine {
	switch x := ctx.Map.Get(ref).(type) {
	case *simulator.VirtualMachine:
		return x
	case *simulator.VirtualMachineSnapshot:
		vm, _ := ctx.Map.Get(x.Vm).(*simulator.VirtualMachine)
		return vm
	}
	return nil
}

// runningTask is a task of an exclusive method on the machine that has not ended.
func runningTask(ctx *simulator.Context, vm *simulator.VirtualMachine) *types.ManagedObjectReference {
	var recent []types.ManagedObjectReference
	ctx.WithLock(vm, func() { recent = append(recent, vm.RecentTask...) })
	for _, ref := range recent {
		task, ok := ctx.Map.Get(ref).(*simulator.Task)
		if !ok {
			continue
		}
		found := false
		ctx.WithLock(task, func() {
			busy := task.Info.State == types.TaskInfoStateQueued || task.Info.State == types.TaskInfoStateRunning
			found = busy && exclusiveTasks[task.Info.DescriptionId]
		})
		if found {
			return &ref
		}
	}
	return nil
}

// exclusiveTasks are the tasks of the exclusive methods, as vCenter describes them.
var exclusiveTasks = map[string]bool{
	"VirtualMachine.createSnapshot": true, "vm.Snapshot.remove": true, "vm.Snapshot.revert": true,
	"VirtualMachine.createSnapshotEx":   true,
	"VirtualMachine.removeAllSnapshots": true, "VirtualMachine.revertToCurrentSnapshot": true,
	"VirtualMachine.consolidateDisks": true, "VirtualMachine.reconfigure": true, "VirtualMachine.destroy": true,
}

// descriptions are vCenter's descriptionIds for those that the simulator makes of its own names.
var descriptions = map[string]string{
	"VirtualMachine.reconfigVm": "VirtualMachine.reconfigure", "VirtualMachine.cloneVm": "VirtualMachine.clone",
	"VirtualMachine.customizeVm": "VirtualMachine.customize", "VirtualMachine.relocateVm": "VirtualMachine.relocate",
	"VirtualMachine.removeSnapshot": "vm.Snapshot.remove", "VirtualMachine.revertToSnapshot": "vm.Snapshot.revert",
	"VirtualMachineSnapshot.removeSnapshot":   "vm.Snapshot.remove",
	"VirtualMachineSnapshot.revertToSnapshot": "vm.Snapshot.revert",
	"VirtualMachine.consolidateVMDisks":       "VirtualMachine.consolidateDisks",
}

// taskWatch gives every new task the description and the names that vCenter gives it.
type taskWatch struct {
	site *site
}

// Reference is an id that no object has.
func (w *taskWatch) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "FerryTaskWatch", Value: "watch"}
}

// PutObject sees new tasks.
func (w *taskWatch) PutObject(ctx *simulator.Context, obj mo.Reference) {
	task, ok := obj.(*simulator.Task)
	if !ok {
		return
	}
	ctx.WithLock(task, func() {
		info := &task.Info
		if id, ok := descriptions[info.DescriptionId]; ok {
			info.DescriptionId = id
		}
		info.Cancelable = true
		info.Reason = &types.TaskReasonUser{UserName: w.site.config.User}
		if entity, ok := ctx.Map.Get(*info.Entity).(mo.Entity); ok && entity.Entity().Name != "" {
			info.EntityName = entity.Entity().Name
		}
	})
}

// UpdateObject is part of the interface of a watcher.
func (w *taskWatch) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) {}

// RemoveObject is part of the interface of a watcher.
func (w *taskWatch) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

// cancelTask ends a task that has not begun its work: the simulator would do the work all the same.
func cancelTask(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	task, ok := ctx.Map.Get(m.This).(*simulator.Task)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: m.This})
	}
	reply := task.CancelTask(ctx, m.Body.(*types.CancelTask))
	if reply.Fault() == nil {
		task.Execute = func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
			return nil, &types.RequestCanceled{}
		}
	}
	return reply
}

// logUserEvent is EventManager.LogUserEvent, which the simulator does not have.
func logUserEvent(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.LogUserEvent)
	entity, ok := ctx.Map.Get(req.Entity).(mo.Entity)
	if !ok {
		return faultReply(&types.ManagedObjectNotFound{Obj: req.Entity})
	}
	event := &types.GeneralUserEvent{GeneralEvent: types.GeneralEvent{Message: req.Msg}}
	event.Entity = &types.ManagedEntityEventArgument{
		Entity: req.Entity, EntityEventArgument: types.EntityEventArgument{Name: nameOf(entity)},
	}
	event.Event = eventOf(ctx, entity)
	event.FullFormattedMessage = "User logged event: " + req.Msg
	postEvent(ctx, event)
	return &methods.LogUserEventBody{Res: new(types.LogUserEventResponse)}
}

// nameOf is the name of an entity; networks and switches have a field of their own for it.
func nameOf(entity mo.Entity) string {
	switch x := entity.(type) {
	case *mo.Network:
		return x.Name
	case *simulator.DistributedVirtualPortgroup:
		return x.Name
	case *simulator.DistributedVirtualSwitch:
		return x.Name
	}
	return entity.Entity().Name
}

// eventOf says in an event which entity it is about, so that a filter finds it.
func eventOf(ctx *simulator.Context, entity mo.Entity) (event types.Event) {
	name := types.EntityEventArgument{Name: nameOf(entity)}
	switch x := entity.(type) {
	case *simulator.VirtualMachine:
		return vmEvent(ctx, x).Event
	case *simulator.HostSystem:
		event.Host = &types.HostEventArgument{EntityEventArgument: name, Host: x.Self}
	case *simulator.Datacenter:
		event.Datacenter = &types.DatacenterEventArgument{EntityEventArgument: name, Datacenter: x.Self}
	case *simulator.ClusterComputeResource:
		event.ComputeResource = &types.ComputeResourceEventArgument{EntityEventArgument: name, ComputeResource: x.Self}
	case *mo.Network, *simulator.DistributedVirtualPortgroup:
		event.Net = &types.NetworkEventArgument{EntityEventArgument: name, Network: entity.Reference()}
	}
	return event
}

// vmEvent is the part of an event that says which machine it is about, and where that is.
func vmEvent(ctx *simulator.Context, vm *simulator.VirtualMachine) types.VmEvent {
	var event types.Event
	event.Vm = &types.VmEventArgument{EntityEventArgument: types.EntityEventArgument{Name: vm.Name}, Vm: vm.Self}
	for ref := vm.Runtime.Host; ref != nil; {
		entity, ok := ctx.Map.Get(*ref).(mo.Entity)
		if !ok {
			break
		}
		name := types.EntityEventArgument{Name: nameOf(entity)}
		switch entity.(type) {
		case *simulator.HostSystem:
			event.Host = &types.HostEventArgument{EntityEventArgument: name, Host: *ref}
		case *simulator.ClusterComputeResource, *mo.ComputeResource:
			event.ComputeResource = &types.ComputeResourceEventArgument{EntityEventArgument: name, ComputeResource: *ref}
		case *simulator.Datacenter:
			event.Datacenter = &types.DatacenterEventArgument{EntityEventArgument: name, Datacenter: *ref}
		}
		ref = entity.Entity().Parent
	}
	return types.VmEvent{Event: event}
}

// postEvent puts an event into vCenter's history.
func postEvent(ctx *simulator.Context, event types.BaseEvent) {
	manager := ctx.Map.EventManager()
	ctx.WithLock(manager, func() { manager.PostEvent(ctx, &types.PostEvent{EventToPost: event}) })
}
