package main

import (
	"fmt"
	"maps"

	"github.com/vmware/govmomi/vim25/types"
)

// guestOrder is the control call that makes the guest of a machine what a test needs; what is left out stays.
type guestOrder struct {
	Moref    string                  `json:"moref"`
	Files    map[string]*[]byte      `json:"files"` // null deletes
	Programs map[string]guestProgram `json:"programs"`
	Username *string                 `json:"username"`
	Password *string                 `json:"password"`
	Ready    *bool                   `json:"ready"`
	Outdated *bool                   `json:"outdated"`
}

type guestFile struct {
	Moref string `json:"moref"`
	Path  string `json:"path"`
}

func (g *guests) registerControls() {
	handle(g.site, "guest", g.order)
	handle(g.site, "guest_file", func(r guestFile) (any, error) {
		one := g.find(types.ManagedObjectReference{Type: "VirtualMachine", Value: r.Moref})
		if one == nil {
			return nil, fmt.Errorf("%s has no guest", r.Moref)
		}
		one.mu.Lock()
		defer one.mu.Unlock()
		var content *[]byte
		if entry := one.files.file(r.Path); entry != nil {
			bytes := append([]byte{}, entry.content...)
			content = &bytes
		}
		return map[string]any{"content": content}, nil
	})
	handle(g.site, "guest_files", func(nothing) (any, error) {
		found := map[string][]string{}
		g.mu.Lock()
		all := maps.Clone(g.of)
		g.mu.Unlock()
		for ref, one := range all {
			found[ref.Value] = one.paths()
		}
		return map[string]any{"files": found}, nil
	})
}

// paths are all files of the guest.
func (one *guest) paths() []string {
	one.mu.Lock()
	defer one.mu.Unlock()
	found := []string{}
	for _, entry := range one.files.entries {
		if !entry.folder {
			found = append(found, entry.path)
		}
	}
	return found
}

func (g *guests) order(r guestOrder) (any, error) {
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: r.Moref}
	vm, err := g.site.machine(r.Moref)
	if err != nil {
		return nil, err
	}
	g.make(ref).change(r)
	if r.Ready != nil {
		g.site.showTools(g.site.context(), vm, *r.Ready, func(*guestSpec) {})
	}
	return done()
}

func (one *guest) change(r guestOrder) {
	one.mu.Lock()
	defer one.mu.Unlock()
	for path, content := range r.Files {
		if content == nil {
			one.files.remove(path)
			continue
		}
		one.files.mkdirAll(guestParent(path))
		one.files.write(path, *content)
	}
	for path, program := range r.Programs {
		one.files.mkdirAll(guestParent(path))
		one.files.write(path, []byte("MZ"))
		one.programs[guestKey(path)] = program
	}
	set(&one.username, r.Username)
	set(&one.password, r.Password)
	set(&one.outdated, r.Outdated)
}

// set changes a value if there is a new one.
func set[T any](old *T, fresh *T) {
	if fresh != nil {
		*old = *fresh
	}
}
