package main

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func init() { registrars = append(registrars, registerUplinks) }

// registerUplinks says of a distributed switch's own portgroup for its physical cards that it is one, as vCenter does.
func registerUplinks(s *site) {
	watch := &uplinkWatch{site: s}
	for _, entity := range s.model.Map().All("DistributedVirtualSwitch") {
		watch.mark(s.context(), entity.(*simulator.DistributedVirtualSwitch))
	}
	s.model.Map().AddHandler(watch)
}

type uplinkWatch struct {
	site *site
}

// Reference is an id that no object has.
func (w *uplinkWatch) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "FerryUplinkWatch", Value: "watch"}
}

// PutObject is too early: the portgroup's configuration comes later.
func (w *uplinkWatch) PutObject(*simulator.Context, mo.Reference) {}

// RemoveObject is part of the interface of a watcher.
func (w *uplinkWatch) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

// UpdateObject sees that a switch has got portgroups.
func (w *uplinkWatch) UpdateObject(ctx *simulator.Context, obj mo.Reference, changes []types.PropertyChange) {
	for _, change := range changes {
		if change.Name == "portgroup" {
			if dvs, ok := w.site.model.Map().Get(obj.Reference()).(*simulator.DistributedVirtualSwitch); ok {
				w.mark(ctx, dvs)
			}
		}
	}
}

func (w *uplinkWatch) mark(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch) {
	for _, ref := range dvs.Portgroup {
		group, ok := w.site.model.Map().Get(ref).(*simulator.DistributedVirtualPortgroup)
		if ok && strings.HasPrefix(group.Name, dvs.Name+"-DVUplinks-") {
			ctx.WithLock(group, func() { group.Config.Uplink = ptr(true) })
		}
	}
}
