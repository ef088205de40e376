package main

import (
	"context"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (g *guests) startProgram(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.StartProgramInGuest)
	one, fault := g.open(ctx, req.Vm, req.Auth)
	if fault != nil {
		return faultReply(fault)
	}
	spec := req.Spec.GetGuestProgramSpec()
	from := spec.WorkingDirectory
	if from == "" {
		from = guestHome
	}
	limit, stop := context.WithCancel(context.Background())
	run := &guestRun{
		ctx: limit, guest: one, from: from, env: one.environment(spec.EnvVariables), print: func([]byte) {},
	}
	path := run.find(strings.Trim(spec.ProgramPath, `"`))
	if path == "" {
		stop()
		return faultReply(fileNotFound(spec.ProgramPath))
	}
	pid := one.start(run, path, spec, stop)
	return &methods.StartProgramInGuestBody{Res: &types.StartProgramInGuestResponse{Returnval: pid}}
}

// start runs the program in the background and enters it in the list of processes.
func (one *guest) start(run *guestRun, path string, spec *types.GuestProgramSpec, stop context.CancelFunc) int64 {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.pids += 4
	process := &guestProcess{stop: stop, info: types.GuestProcessInfo{
		Name: guestBase(path), Pid: one.pids, Owner: one.username, StartTime: time.Now(),
		CmdLine: `"` + spec.ProgramPath + `" ` + spec.Arguments,
	}}
	one.processes = append(one.processes, process)
	go func() {
		code := run.safely(path, spec.Arguments)
		one.mu.Lock()
		defer one.mu.Unlock()
		process.end(code)
	}()
	return process.info.Pid
}

// safely turns a panic of the rig into an exit code.
func (r *guestRun) safely(path, arguments string) (code int32) {
	defer func() {
		if bug := recover(); bug != nil {
			bugFault(path, bug)
			code = -1
		}
	}()
	return r.program(path, arguments)
}

// end marks a process as ended, once.
func (p *guestProcess) end(code int32) {
	if p.info.EndTime == nil {
		p.info.EndTime, p.info.ExitCode = types.NewTime(time.Now()), code
	}
	p.stop()
}

// halt ends all processes: the machine went off.
func (one *guest) halt() {
	one.mu.Lock()
	defer one.mu.Unlock()
	for _, process := range one.processes {
		process.stop()
	}
	one.processes = nil
}

func (g *guests) listProcesses(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.ListProcessesInGuest)
	one, fault := g.open(ctx, req.Vm, req.Auth)
	if fault != nil {
		return faultReply(fault)
	}
	wanted := map[int64]bool{}
	for _, pid := range req.Pids {
		wanted[pid] = true
	}
	res := new(ListProcessesInGuestResponse)
	one.mu.Lock()
	defer one.mu.Unlock()
	for _, process := range one.processes {
		if len(wanted) == 0 || wanted[process.info.Pid] {
			res.Returnval = append(res.Returnval, listed(process.info))
		}
	}
	return &processesBody{Res: res}
}

// ListProcessesInGuestResponse is govmomi's type but for one thing: an exit code of 0 is sent. The simulator names the
// element of the reply after the type.
type ListProcessesInGuestResponse struct {
	Returnval []listedProcess `xml:"returnval,omitempty"`
}

type listedProcess struct {
	Name      string     `xml:"name"`
	Pid       int64      `xml:"pid"`
	Owner     string     `xml:"owner"`
	CmdLine   string     `xml:"cmdLine"`
	StartTime time.Time  `xml:"startTime"`
	EndTime   *time.Time `xml:"endTime,omitempty"`
	ExitCode  *int32     `xml:"exitCode,omitempty"`
}

type processesBody struct {
	Res    *ListProcessesInGuestResponse `xml:"ListProcessesInGuestResponse,omitempty"`
	Fault_ *soap.Fault
}

// Fault is part of soap.HasFault.
func (b *processesBody) Fault() *soap.Fault { return b.Fault_ }

func listed(p types.GuestProcessInfo) listedProcess {
	one := listedProcess{p.Name, p.Pid, p.Owner, p.CmdLine, p.StartTime, p.EndTime, nil}
	if p.EndTime != nil {
		one.ExitCode = &p.ExitCode
	}
	return one
}

func (g *guests) terminateProcess(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.TerminateProcessInGuest)
	one, fault := g.open(ctx, req.Vm, req.Auth)
	if fault != nil {
		return faultReply(fault)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	for _, process := range one.processes {
		if process.info.Pid == req.Pid && process.info.EndTime == nil {
			process.end(-1)
			return &methods.TerminateProcessInGuestBody{Res: new(types.TerminateProcessInGuestResponse)}
		}
	}
	return faultReply(&types.GuestProcessNotFound{Pid: req.Pid})
}
