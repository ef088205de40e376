package main

import (
	"reflect"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
)

func init() {
	registrars = append(registrars, func(s *site) { s.hooks.serve("Fetch", s.fetch) })
}

// fetchBody is the reply to Fetch, which pyvmomi sends for a property that is read as an attribute. govmomi's own
// type is internal.
type fetchBody struct {
	Res *FetchResponse `xml:"urn:vim25 FetchResponse"`
}

// FetchResponse has nothing in it. The simulator writes its name as the element's.
type FetchResponse struct{}

func (b *fetchBody) Fault() *soap.Fault { return nil }

// fetch answers with nothing where the property is unset, as vCenter does. The simulator answers that with the
// response of another method, which pyvmomi cannot read (AttributeError).
func (s *site) fetch(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	collector := reflect.ValueOf(s.model.Map().Get(m.This))
	args := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(m.Body)}
	reply := collector.MethodByName("Fetch").Call(args)[0].Interface().(soap.HasFault)
	if _, other := reply.(*methods.RetrievePropertiesExBody); other && reply.Fault() == nil {
		return &fetchBody{Res: &FetchResponse{}}
	}
	return reply
}
