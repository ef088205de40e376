package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// texts collects every text that an administrator can read: a secret must be in none of them.
func (s *site) texts() []string {
	found := []string{}
	for _, entity := range s.model.Map().All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		ctx := s.context()
		ctx.WithLock(vm, func() { found = append(found, machineTexts(vm)...) })
	}
	for _, ref := range s.model.Map().AllReference("Task") {
		if task, ok := ref.(*simulator.Task); ok {
			found = append(found, xmlText(task.Info))
		}
	}
	for _, ref := range s.model.Map().AllReference("CustomizationSpecManager") {
		found = append(found, xmlText(ref))
	}
	return append(found, s.eventTexts()...)
}

func machineTexts(vm *simulator.VirtualMachine) []string {
	found := []string{vm.Name, vm.Config.Annotation}
	for _, option := range vm.Config.ExtraConfig {
		value := option.GetOptionValue()
		found = append(found, fmt.Sprintf("%s=%v", value.Key, value.Value))
	}
	for _, value := range vm.CustomValue {
		found = append(found, xmlText(value))
	}
	if vm.Snapshot != nil {
		found = append(found, treeTexts(vm.Snapshot.RootSnapshotList)...)
	}
	return found
}

func treeTexts(tree []types.VirtualMachineSnapshotTree) []string {
	var found []string
	for _, node := range tree {
		found = append(append(found, node.Name, node.Description), treeTexts(node.ChildSnapshotList)...)
	}
	return found
}

func (s *site) eventTexts() []string {
	manager := s.model.Map().EventManager()
	ctx := s.context()
	var found []string
	ctx.WithLock(manager, func() {
		reply := manager.QueryEvents(ctx, &types.QueryEvents{This: manager.Self})
		body, ok := reply.(*methods.QueryEventsBody)
		if !ok || body.Res == nil {
			return
		}
		for _, event := range body.Res.Returnval {
			found = append(found, event.GetEvent().FullFormattedMessage, xmlText(event))
		}
	})
	return found
}

// xmlText is everything that a value holds, as XML.
func xmlText(value any) string {
	data, err := xml.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%+v", value)
	}
	return string(data)
}
