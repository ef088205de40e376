package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	registrars = append(registrars, func(s *site) {
		s.hooks.add("Destroy_Task", func(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
			if vm, ok := ctx.Map.Get(m.This).(*simulator.VirtualMachine); ok {
				ctx.WithLock(vm, func() { s.keepDetached(vm) })
			}
			return nil, nil
		})
	})
}

// keepDetached lets disks that were taken off a machine outlive it, as on vSphere: the simulator deletes the
// machine's whole folder. The machine's own files go here instead.
func (s *site) keepDetached(vm *simulator.VirtualMachine) {
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		return // the simulator refuses it
	}
	home, err := s.resolve(vm, vm.Config.Files.LogDirectory)
	if err != nil {
		return
	}
	kept := s.detached(vm, home)
	if len(kept) == 0 {
		return
	}
	entries, _ := os.ReadDir(home)
	for _, entry := range entries {
		if path := filepath.Join(home, entry.Name()); !kept[path] {
			_ = os.RemoveAll(path)
		}
	}
	vm.Config.Files.LogDirectory = strings.TrimSuffix(vm.Config.Files.LogDirectory, "/") + "/gone"
}

// detached are the files of disks in a machine's folder that it does not use.
func (s *site) detached(vm *simulator.VirtualMachine, home string) map[string]bool {
	own, kept := s.collector(vm).size, map[string]bool{}
	found, _ := filepath.Glob(filepath.Join(home, "*.vmdk"))
	for _, path := range found {
		_, mine := own[path]
		if mine || strings.HasSuffix(path, "-flat.vmdk") || strings.HasSuffix(path, "-delta.vmdk") {
			continue
		}
		for _, file := range []string{path, flatName(path), deltaName(path)} {
			kept[file] = true
		}
	}
	return kept
}
