package main

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// guest is the operating system in one machine. The rig's notes on machines say whether its Tools answer.
type guest struct {
	mu        sync.Mutex
	files     *guestFiles
	programs  map[string]guestProgram // by guestKey of the path
	username  string
	password  string
	outdated  bool // Tools too old for guest operations
	processes []*guestProcess
	pids      int64
}

type guestProcess struct {
	info types.GuestProcessInfo
	stop context.CancelFunc
}

// guests are all machines with an operating system.
type guests struct {
	site      *site
	mu        sync.Mutex
	of        map[types.ManagedObjectReference]*guest
	transfers map[string]transfer // by token
}

func init() {
	registrars = append(registrars, func(s *site) {
		g := &guests{
			site: s, of: map[types.ManagedObjectReference]*guest{}, transfers: map[string]transfer{},
		}
		g.register()
		c := newCustomizer(s, g)
		newCloner(s, g, c)
		s.model.Map().AddHandler(&bootWatch{s, g, c})
	})
}

// make returns the guest of a machine, a new one if there is none.
func (g *guests) make(vm types.ManagedObjectReference) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of[vm] == nil {
		g.of[vm] = &guest{files: newGuestFiles(), programs: map[string]guestProgram{}, pids: 1000}
	}
	return g.of[vm]
}

// find returns the guest of a machine, or nil.
func (g *guests) find(vm types.ManagedObjectReference) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of[vm]
}

// copy gives a clone the guest of its source: files and accounts, no processes.
func (g *guests) copy(from, to types.ManagedObjectReference) {
	source := g.find(from)
	if source == nil {
		return
	}
	source.mu.Lock()
	defer source.mu.Unlock()
	clone := &guest{
		files: source.files.copy(), programs: map[string]guestProgram{}, pids: 1000,
		username: source.username, password: source.password, outdated: source.outdated,
	}
	for key, program := range source.programs {
		clone.programs[key] = program
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of[to] = clone
}

// showTools lets the machine's Tools answer from now on whenever it runs, or not.
func (s *site) showTools(ctx *simulator.Context, vm *simulator.VirtualMachine, ready bool, change func(*guestSpec)) {
	ctx.WithLock(vm, func() {
		note := s.machines.of(vm.Self)
		note.tools = note.tools || ready
		note.guest.NotReady = !ready
		change(&note.guest)
		s.machines.note(vm.Self, note)
		ctx.Update(vm, s.guestChanges(vm, vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn))
	})
}

// open checks that guest operations are possible in a machine, and for this account.
func (g *guests) open(
	ctx *simulator.Context, ref types.ManagedObjectReference, auth types.BaseGuestAuthentication,
) (*guest, types.BaseMethodFault) {
	vm, ok := ctx.Map.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: ref}
	}
	var fault types.BaseMethodFault
	ctx.WithLock(vm, func() { fault = toolsFault(vm) })
	if fault != nil {
		return nil, fault
	}
	one := g.make(ref)
	one.mu.Lock()
	defer one.mu.Unlock()
	account, ok := auth.(*types.NamePasswordAuthentication)
	switch {
	case one.outdated:
		return nil, &types.GuestComponentsOutOfDate{}
	case !ok || !strings.EqualFold(account.Username, one.username) || account.Password != one.password || one.username == "":
		return nil, &types.InvalidGuestLogin{}
	}
	return one, nil
}

func toolsFault(vm *simulator.VirtualMachine) types.BaseMethodFault {
	if state := vm.Runtime.PowerState; state != types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: state}
	}
	running := string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	ready := vm.Guest.GuestOperationsReady
	if vm.Guest.ToolsRunningStatus != running || ready == nil || !*ready {
		return &types.GuestOperationsUnavailable{}
	}
	return nil
}

func (g *guests) register() {
	g.addManagers()
	h := g.site.hooks
	h.serve("ValidateCredentialsInGuest", func(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
		req := m.Body.(*types.ValidateCredentialsInGuest)
		if _, fault := g.open(ctx, req.Vm, req.Auth); fault != nil {
			return faultReply(fault)
		}
		return &methods.ValidateCredentialsInGuestBody{Res: new(types.ValidateCredentialsInGuestResponse)}
	})
	h.serve("StartProgramInGuest", g.startProgram)
	h.serve("ListProcessesInGuest", g.listProcesses)
	h.serve("TerminateProcessInGuest", g.terminateProcess)
	h.serve("ReadEnvironmentVariableInGuest", g.readEnvironment)
	g.registerFiles()
	g.registerControls()
}

// addManagers adds the manager of guest accounts, which the simulator does not have.
func (g *guests) addManagers() {
	registry := g.site.model.Map()
	auth := &mo.GuestAuthManager{
		Self: types.ManagedObjectReference{Type: "GuestAuthManager", Value: "guestOperationsAuthManager"},
	}
	registry.Put(auth)
	for _, obj := range registry.AllReference("GuestOperationsManager") {
		obj.(*simulator.GuestOperationsManager).AuthManager = &auth.Self
	}
}

func (one *guest) environment(extra []string) map[string]string {
	env := map[string]string{
		"SYSTEMROOT": `C:\Windows`, "WINDIR": `C:\Windows`, "SYSTEMDRIVE": "C:", "TEMP": guestTemp, "TMP": guestTemp,
		"COMSPEC": `C:\Windows\System32\cmd.exe`, "USERPROFILE": guestHome, "PROGRAMDATA": `C:\ProgramData`,
		"OS": "Windows_NT", "USERNAME": one.username,
	}
	for _, pair := range extra {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[strings.ToUpper(name)] = value
		}
	}
	return env
}

func (g *guests) readEnvironment(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
	req := m.Body.(*types.ReadEnvironmentVariableInGuest)
	one, fault := g.open(ctx, req.Vm, req.Auth)
	if fault != nil {
		return faultReply(fault)
	}
	res := new(types.ReadEnvironmentVariableInGuestResponse)
	env := one.environment(nil)
	names := req.Names
	if len(names) == 0 {
		for name := range env {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if value, ok := env[strings.ToUpper(name)]; ok {
			res.Returnval = append(res.Returnval, name+"="+value)
		}
	}
	return &methods.ReadEnvironmentVariableInGuestBody{Res: res}
}

func fileNotFound(path string) types.BaseMethodFault {
	return &types.FileNotFound{FileFault: types.FileFault{File: path}}
}

func fileExists(path string) types.BaseMethodFault {
	return &types.FileAlreadyExists{FileFault: types.FileFault{File: path}}
}

func (entry *guestEntry) info(path string) types.GuestFileInfo {
	kind := types.GuestFileTypeFile
	if entry.folder {
		kind = types.GuestFileTypeDirectory
	}
	return types.GuestFileInfo{
		Path: path, Type: string(kind), Size: int64(len(entry.content)), Attributes: entry.attributes(),
	}
}

func (entry *guestEntry) attributes() *types.GuestWindowsFileAttributes {
	return &types.GuestWindowsFileAttributes{
		GuestFileAttributes: types.GuestFileAttributes{ModificationTime: &entry.changed, AccessTime: &entry.changed},
		Hidden:              types.NewBool(false), ReadOnly: types.NewBool(false), CreateTime: &entry.changed,
	}
}

// list is what ListFilesInGuest answers: one file, or what is in a folder, which match the pattern.
func (f *guestFiles) list(req *types.ListFilesInGuest) (types.GuestListFileInfo, types.BaseMethodFault) {
	var found types.GuestListFileInfo
	pattern, err := regexp.Compile(req.MatchPattern)
	if err != nil {
		return found, &types.InvalidArgument{InvalidProperty: "matchPattern"}
	}
	entry := f.get(req.FilePath)
	if entry == nil {
		return found, fileNotFound(req.FilePath)
	}
	if !entry.folder {
		found.Files = []types.GuestFileInfo{entry.info(req.FilePath)}
		return found, nil
	}
	all := []types.GuestFileInfo{entry.info("."), entry.info("..")}
	for _, child := range f.children(req.FilePath) {
		all = append(all, child.info(guestBase(child.path)))
	}
	for _, one := range all {
		if pattern.MatchString(one.Path) {
			found.Files = append(found.Files, one)
		}
	}
	limit := req.MaxResults
	if limit == 0 {
		limit = 50
	}
	found.Files = found.Files[min(int(req.Index), len(found.Files)):]
	if left := len(found.Files) - int(limit); left > 0 {
		found.Remaining, found.Files = int32(left), found.Files[:limit]
	}
	return found, nil
}

// temporary makes a file or a folder with a name of its own.
func (one *guest) temporary(req *types.CreateTemporaryFileInGuest, folder bool) (string, types.BaseMethodFault) {
	parent := req.DirectoryPath
	if parent == "" {
		parent = guestTemp
	}
	if !one.files.isFolder(parent) {
		return "", fileNotFound(parent)
	}
	one.pids++
	path := fmt.Sprintf(`%s\%svmware%d%s`, guestPath(parent, "C:"), req.Prefix, one.pids, req.Suffix)
	one.files.put(&guestEntry{path: path, folder: folder})
	return path, nil
}

// guestOf is the machine that a guest operation is about.
func guestOf(body types.AnyType) types.ManagedObjectReference {
	return reflect.ValueOf(body).Elem().FieldByName("Vm").Interface().(types.ManagedObjectReference)
}
