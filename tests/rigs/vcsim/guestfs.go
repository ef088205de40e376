package main

import (
	"sort"
	"strings"
	"time"
)

// A file or a folder of the simulated Windows guest.
type guestEntry struct {
	path    string // as it was written first
	folder  bool
	content []byte
	changed time.Time
}

// guestFiles is the C: drive of a simulated Windows guest, in memory. Paths are absolute, without regard to case,
// "/" counts as "\". The caller holds the guest's lock.
type guestFiles struct {
	entries map[string]*guestEntry
}

// guestFolders are those of a fresh Windows.
var guestFolders = []string{
	`C:\Windows\System32\WindowsPowerShell\v1.0`, `C:\Windows\Temp`, `C:\ProgramData`, `C:\Program Files`,
	`C:\Tools`, `C:\Temp`, guestTemp,
}

const (
	guestHome = `C:\Users\Administrator`
	guestTemp = guestHome + `\AppData\Local\Temp`
)

func newGuestFiles() *guestFiles {
	f := &guestFiles{entries: map[string]*guestEntry{}}
	for _, folder := range guestFolders {
		f.mkdirAll(folder)
	}
	for path := range builtinPrograms {
		f.write(path, []byte("MZ"))
	}
	return f
}

// copy gives the files of a clone: the contents are never changed in place.
func (f *guestFiles) copy() *guestFiles {
	c := &guestFiles{entries: map[string]*guestEntry{}}
	for key, entry := range f.entries {
		one := *entry
		c.entries[key] = &one
	}
	return c
}

// guestPath makes a path absolute, seen from a folder, without a separator at its end and without . and ..
func guestPath(path, from string) string {
	path = strings.ReplaceAll(path, "/", `\`)
	if len(path) < 2 || path[1] != ':' {
		if strings.HasPrefix(path, `\`) {
			path = "C:" + path
		} else {
			path = from + `\` + path
		}
	}
	var parts []string
	for _, part := range strings.Split(path, `\`) {
		switch {
		case part == "" || part == ".":
		case part == "..":
			if len(parts) > 1 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, `\`)
}

func guestKey(path string) string {
	return strings.ToLower(guestPath(path, "C:"))
}

// guestParent is the folder of a path, "" for a drive.
func guestParent(path string) string {
	path = guestPath(path, "C:")
	return path[:max(strings.LastIndex(path, `\`), 0)]
}

func guestBase(path string) string {
	path = guestPath(path, "C:")
	return path[strings.LastIndex(path, `\`)+1:]
}

func (f *guestFiles) get(path string) *guestEntry {
	return f.entries[guestKey(path)]
}

func (f *guestFiles) isFolder(path string) bool {
	entry := f.get(path)
	return entry != nil && entry.folder
}

// file is the entry of a path that is a file, or nil.
func (f *guestFiles) file(path string) *guestEntry {
	if entry := f.get(path); entry != nil && !entry.folder {
		return entry
	}
	return nil
}

func (f *guestFiles) mkdirAll(path string) {
	if path == "" || f.get(path) != nil {
		return
	}
	f.mkdirAll(guestParent(path))
	f.put(&guestEntry{path: guestPath(path, "C:"), folder: true})
}

// write stores a file, whose folder is there; over an older one of that path.
func (f *guestFiles) write(path string, content []byte) {
	f.put(&guestEntry{path: guestPath(path, "C:"), content: content})
}

func (f *guestFiles) put(entry *guestEntry) {
	entry.changed = time.Now()
	f.entries[guestKey(entry.path)] = entry
}

// remove deletes a file, or a folder with all that is in it.
func (f *guestFiles) remove(path string) {
	key := guestKey(path)
	delete(f.entries, key)
	for other := range f.entries {
		if strings.HasPrefix(other, key+`\`) {
			delete(f.entries, other)
		}
	}
}

// move gives a file, or a folder with all that is in it, another path.
func (f *guestFiles) move(from, to string) {
	old, all := guestPath(from, "C:"), f.entries
	f.entries = map[string]*guestEntry{}
	for key, entry := range all {
		if key == guestKey(from) || strings.HasPrefix(key, guestKey(from)+`\`) {
			moved := *entry
			moved.path = guestPath(to, "C:") + entry.path[len(old):]
			entry = &moved
		}
		f.entries[guestKey(entry.path)] = entry
	}
}

// children are the entries directly in a folder, by name.
func (f *guestFiles) children(path string) []*guestEntry {
	var found []*guestEntry
	for _, entry := range f.entries {
		if parent := guestParent(entry.path); parent != "" && strings.EqualFold(parent, guestPath(path, "C:")) {
			found = append(found, entry)
		}
	}
	sort.Slice(found, func(i, j int) bool { return guestKey(found[i].path) < guestKey(found[j].path) })
	return found
}
