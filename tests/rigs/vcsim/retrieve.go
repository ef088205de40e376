package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	registrars = append(registrars, func(s *site) { s.hooks.add("RetrievePropertiesEx", separately) })
}

// separately lets every filter specification of a question stand for itself: its property paths are for the
// objects that it selects. The simulator reads the paths of all of them of every object, so that machines of which
// one property is asked for come with all that is asked of others. Answers in pages are left to it.
func separately(_ *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	req := m.Body.(*types.RetrievePropertiesEx)
	if len(req.SpecSet) < 2 || req.Options.MaxObjects > 0 {
		return nil, nil
	}
	return answerBy(m, retrieve), nil
}

func retrieve(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	collector := ctx.Session.Get(m.This).(*simulator.PropertyCollector)
	req := m.Body.(*types.RetrievePropertiesEx)
	found := &types.RetrieveResult{}
	for _, spec := range req.SpecSet {
		one := types.RetrievePropertiesEx{This: req.This, SpecSet: []types.PropertyFilterSpec{spec}}
		reply := collector.RetrievePropertiesEx(ctx, &one)
		if reply.Fault() != nil {
			return reply
		}
		answer := reply.(*methods.RetrievePropertiesExBody).Res.Returnval
		if answer != nil {
			found.Objects = append(found.Objects, answer.Objects...)
		}
	}
	return &methods.RetrievePropertiesExBody{Res: &types.RetrievePropertiesExResponse{Returnval: found}}
}
