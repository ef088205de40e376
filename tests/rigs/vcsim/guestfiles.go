package main

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"log"
	"net/http"
	"net/url"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// transferPath is where files of guests are uploaded and downloaded, as on a real host: /guestFile?id=..&token=..
const transferPath = "/guestFile"

// A transfer is a promised upload into a guest, or download from it; it is good for one request.
type transfer struct {
	guest *guest
	path  string
	put   bool
	size  int64
}

type guestCaller struct {
	vm   types.ManagedObjectReference
	auth types.BaseGuestAuthentication
}

// serveFiles serves a method of the guest file manager; the guest is open and locked while f runs.
func serveFiles[T any](
	g *guests, method string, caller func(*T) guestCaller, f func(*guest, *T) (soap.HasFault, types.BaseMethodFault),
) {
	g.site.hooks.serve(method, func(ctx *simulator.Context, m *simulator.Method) soap.HasFault {
		req := m.Body.(*T)
		who := caller(req)
		one, fault := g.open(ctx, who.vm, who.auth)
		if fault != nil {
			return faultReply(fault)
		}
		one.mu.Lock()
		defer one.mu.Unlock()
		reply, fault := f(one, req)
		if fault != nil {
			return faultReply(fault)
		}
		return reply
	})
}

func (g *guests) registerFiles() {
	g.registerTransfers()
	g.registerFolders()
	serveFiles(g, "ListFilesInGuest",
		func(r *types.ListFilesInGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.ListFilesInGuest) (soap.HasFault, types.BaseMethodFault) {
			found, fault := one.files.list(r)
			return &methods.ListFilesInGuestBody{Res: &types.ListFilesInGuestResponse{Returnval: found}}, fault
		})
	serveFiles(g, "DeleteFileInGuest",
		func(r *types.DeleteFileInGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.DeleteFileInGuest) (soap.HasFault, types.BaseMethodFault) {
			entry := one.files.get(r.FilePath)
			switch {
			case entry == nil:
				return nil, fileNotFound(r.FilePath)
			case entry.folder:
				return nil, &types.NotAFile{FileFault: types.FileFault{File: r.FilePath}}
			}
			one.files.remove(r.FilePath)
			return &methods.DeleteFileInGuestBody{Res: new(types.DeleteFileInGuestResponse)}, nil
		})
	serveFiles(g, "MoveFileInGuest",
		func(r *types.MoveFileInGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.MoveFileInGuest) (soap.HasFault, types.BaseMethodFault) {
			fault := one.files.movable(r.SrcFilePath, r.DstFilePath, r.Overwrite)
			if fault == nil {
				one.files.move(r.SrcFilePath, r.DstFilePath)
			}
			return &methods.MoveFileInGuestBody{Res: new(types.MoveFileInGuestResponse)}, fault
		})
	serveFiles(g, "CreateTemporaryFileInGuest",
		func(r *types.CreateTemporaryFileInGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.CreateTemporaryFileInGuest) (soap.HasFault, types.BaseMethodFault) {
			path, fault := one.temporary(r, false)
			res := &types.CreateTemporaryFileInGuestResponse{Returnval: path}
			return &methods.CreateTemporaryFileInGuestBody{Res: res}, fault
		})
}

func (f *guestFiles) movable(from, to string, over bool) types.BaseMethodFault {
	switch {
	case f.get(from) == nil:
		return fileNotFound(from)
	case !f.isFolder(guestParent(to)):
		return fileNotFound(guestParent(to))
	case f.get(to) != nil && (!over || f.isFolder(to)):
		return fileExists(to)
	}
	return nil
}

func (g *guests) registerFolders() {
	serveFiles(g, "MakeDirectoryInGuest",
		func(r *types.MakeDirectoryInGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.MakeDirectoryInGuest) (soap.HasFault, types.BaseMethodFault) {
			switch {
			case one.files.get(r.DirectoryPath) != nil:
				return nil, fileExists(r.DirectoryPath)
			case !r.CreateParentDirectories && !one.files.isFolder(guestParent(r.DirectoryPath)):
				return nil, fileNotFound(guestParent(r.DirectoryPath))
			}
			one.files.mkdirAll(r.DirectoryPath)
			return &methods.MakeDirectoryInGuestBody{Res: new(types.MakeDirectoryInGuestResponse)}, nil
		})
	serveFiles(g, "DeleteDirectoryInGuest",
		func(r *types.DeleteDirectoryInGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.DeleteDirectoryInGuest) (soap.HasFault, types.BaseMethodFault) {
			entry := one.files.get(r.DirectoryPath)
			switch {
			case entry == nil:
				return nil, fileNotFound(r.DirectoryPath)
			case !entry.folder:
				return nil, &types.NotADirectory{FileFault: types.FileFault{File: r.DirectoryPath}}
			case !r.Recursive && len(one.files.children(r.DirectoryPath)) > 0:
				return nil, &types.DirectoryNotEmpty{FileFault: types.FileFault{File: r.DirectoryPath}}
			}
			one.files.remove(r.DirectoryPath)
			return &methods.DeleteDirectoryInGuestBody{Res: new(types.DeleteDirectoryInGuestResponse)}, nil
		})
	serveFiles(g, "CreateTemporaryDirectoryInGuest",
		func(r *types.CreateTemporaryDirectoryInGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.CreateTemporaryDirectoryInGuest) (soap.HasFault, types.BaseMethodFault) {
			like := types.CreateTemporaryFileInGuest(*r)
			path, fault := one.temporary(&like, true)
			res := &types.CreateTemporaryDirectoryInGuestResponse{Returnval: path}
			return &methods.CreateTemporaryDirectoryInGuestBody{Res: res}, fault
		})
}

func (g *guests) registerTransfers() {
	g.site.front.handle(transferPath, g.serveTransfer)
	serveFiles(g, "InitiateFileTransferToGuest",
		func(r *types.InitiateFileTransferToGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.InitiateFileTransferToGuest) (soap.HasFault, types.BaseMethodFault) {
			path := r.GuestFilePath
			switch {
			case !one.files.isFolder(guestParent(path)):
				return nil, fileNotFound(guestParent(path))
			case one.files.isFolder(path), one.files.get(path) != nil && !r.Overwrite:
				return nil, fileExists(path)
			}
			url := g.promise(transfer{one, path, true, r.FileSize})
			res := &types.InitiateFileTransferToGuestResponse{Returnval: url}
			return &methods.InitiateFileTransferToGuestBody{Res: res}, nil
		})
	serveFiles(g, "InitiateFileTransferFromGuest",
		func(r *types.InitiateFileTransferFromGuest) guestCaller { return guestCaller{r.Vm, r.Auth} },
		func(one *guest, r *types.InitiateFileTransferFromGuest) (soap.HasFault, types.BaseMethodFault) {
			entry := one.files.get(r.GuestFilePath)
			switch {
			case entry == nil:
				return nil, fileNotFound(r.GuestFilePath)
			case entry.folder:
				return nil, &types.NotAFile{FileFault: types.FileFault{File: r.GuestFilePath}}
			}
			res := &types.InitiateFileTransferFromGuestResponse{Returnval: types.FileTransferInformation{
				Attributes: entry.attributes(), Size: int64(len(entry.content)),
				Url: g.promise(transfer{one, r.GuestFilePath, false, 0}),
			}}
			return &methods.InitiateFileTransferFromGuestBody{Res: res}, nil
		})
}

// promise returns the address for one transfer. Its host is "*": the client puts there the one it is connected to.
func (g *guests) promise(t transfer) string {
	token := randomHex(16)
	g.mu.Lock()
	g.transfers[token] = t
	g.mu.Unlock()
	query := url.Values{"id": {"1"}, "token": {token}}
	return (&url.URL{Scheme: "https", Host: "*", Path: transferPath, RawQuery: query.Encode()}).String()
}

func randomHex(bytes int) string {
	data := make([]byte, bytes)
	_, _ = rand.Read(data)
	return hex.EncodeToString(data)
}

// serveTransfer serves a promised upload (PUT) or download (GET), once.
func (g *guests) serveTransfer(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	// A refused upload is read as well: else its client sees a cut connection, not the refusal.
	defer func() { _, _ = io.Copy(io.Discard, r.Body) }()
	g.mu.Lock()
	t, ok := g.transfers[token]
	delete(g.transfers, token)
	g.mu.Unlock()
	switch {
	case !ok:
		http.Error(w, "no such transfer", http.StatusNotFound)
	case t.put && r.Method == http.MethodPut:
		t.receive(w, r)
	case !t.put && r.Method == http.MethodGet:
		t.guest.mu.Lock()
		entry := t.guest.files.file(t.path)
		t.guest.mu.Unlock()
		if entry == nil {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(entry.content)
	default:
		http.Error(w, "not this way", http.StatusMethodNotAllowed)
	}
}

func (t transfer) receive(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil || int64(len(content)) != t.size {
		log.Printf("upload of %s: %d bytes of %d: %v", t.path, len(content), t.size, err)
		http.Error(w, "not as long as promised", http.StatusInternalServerError)
		return
	}
	t.guest.mu.Lock()
	defer t.guest.mu.Unlock()
	t.guest.files.write(t.path, content)
}
