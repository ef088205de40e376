package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// A disk is a chain of layers: a base with raw bytes (NAME-flat.vmdk) and deltas over it (NAME-delta.vmdk).
//
// The delta is the rig's own format, as simple as can be; real ones are VMFSsparse or SEsparse:
//
//	0     8 bytes "FERRYDLT", then the block size (4 bytes) and the number of blocks (8 bytes), little endian
//	4096  one byte per block: 1 if the block is here, 0 if the parent has it
//	data  from the next multiple of 4096 on, block number n at n times the block size; the file has holes

const (
	deltaMagic = "FERRYDLT"
	deltaBlock = 64 << 10
	deltaMap   = 4096
	seekData   = 3 // of lseek(2)
)

// layer is one open file of a chain. Offsets are those of the disk.
type layer struct {
	file   *os.File
	parent *layer // nil for a base
	size   int64
	here   []byte // of a delta: its map
	data   int64  // of a delta: where the blocks begin
}

// flatName and deltaName are the names of the data files beside a descriptor.
func flatName(descriptor string) string {
	return strings.TrimSuffix(descriptor, ".vmdk") + "-flat.vmdk"
}
func deltaName(descriptor string) string {
	return strings.TrimSuffix(descriptor, ".vmdk") + "-delta.vmdk"
}

// openBase opens a base disk. The simulator makes them empty: they get their size here, as a hole.
func openBase(descriptor string, size int64) (*layer, error) {
	file, err := os.OpenFile(flatName(descriptor), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() < size {
		err = file.Truncate(size)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &layer{file: file, size: size}, nil
}

func deltaGeometry(size int64) (blocks, data int64) {
	blocks = (size + deltaBlock - 1) / deltaBlock
	return blocks, deltaMap + (blocks+4095)/4096*4096
}

// createDelta makes an empty delta file.
func createDelta(descriptor string, size int64) error {
	blocks, data := deltaGeometry(size)
	header := make([]byte, deltaMap)
	copy(header, deltaMagic)
	binary.LittleEndian.PutUint32(header[8:], deltaBlock)
	binary.LittleEndian.PutUint64(header[12:], uint64(blocks))
	if err := os.WriteFile(deltaName(descriptor), header, 0o600); err != nil {
		return err
	}
	return os.Truncate(deltaName(descriptor), data)
}

func openDelta(descriptor string, size int64, parent *layer) (*layer, error) {
	file, err := os.OpenFile(deltaName(descriptor), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	blocks, data := deltaGeometry(size)
	l := &layer{file: file, parent: parent, size: size, here: make([]byte, blocks), data: data}
	if _, err = file.ReadAt(l.here, deltaMap); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

func (l *layer) close() {
	if l == nil {
		return
	}
	_ = l.file.Close()
	l.parent.close()
}

// ReadAt reads what a guest reads.
func (l *layer) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > l.size {
		return 0, fmt.Errorf("a read of %d bytes at %d is outside of the disk", len(p), off)
	}
	if l.here == nil {
		return l.readBase(p, off)
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		n := min(len(p)-done, int(deltaBlock-at%deltaBlock))
		part := p[done : done+n]
		var err error
		if l.here[at/deltaBlock] == 1 {
			err = readFull(l.file, part, l.data+at)
		} else {
			_, err = l.parent.ReadAt(part, at)
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

func (l *layer) readBase(p []byte, off int64) (int, error) {
	return len(p), readFull(l.file, p, off)
}

// readFull reads; what lies behind the end of the file is zero.
func readFull(file *os.File, p []byte, off int64) error {
	n, err := file.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(p[n:])
	return nil
}

// WriteAt writes what a guest writes; a block of a delta is copied from the parent before its first change.
func (l *layer) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > l.size {
		return 0, fmt.Errorf("a write of %d bytes at %d is outside of the disk", len(p), off)
	}
	if l.here == nil {
		return l.file.WriteAt(p, off)
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		n := min(len(p)-done, int(deltaBlock-at%deltaBlock))
		if err := l.claim(at / deltaBlock); err != nil {
			return done, err
		}
		if _, err := l.file.WriteAt(p[done:done+n], l.data+at); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// claim makes a block present.
func (l *layer) claim(block int64) error {
	if l.here[block] == 1 {
		return nil
	}
	start := block * deltaBlock
	content := make([]byte, min(deltaBlock, l.size-start))
	if _, err := l.parent.ReadAt(content, start); err != nil {
		return err
	}
	if _, err := l.file.WriteAt(content, l.data+start); err != nil {
		return err
	}
	l.here[block] = 1
	_, err := l.file.WriteAt([]byte{1}, deltaMap+block)
	return err
}

// next returns the first offset from off on that may hold anything but zeros, or the size of the disk.
func (l *layer) next(off int64) int64 {
	if off >= l.size {
		return l.size
	}
	if l.here == nil {
		at, err := syscall.Seek(int(l.file.Fd()), off, seekData)
		if err != nil || at > l.size {
			return l.size // ENXIO: only holes from here on
		}
		return at
	}
	parent := l.parent.next(off)
	for block := off / deltaBlock; block*deltaBlock < parent; block++ {
		if l.here[block] == 1 {
			return max(off, block*deltaBlock)
		}
	}
	return parent
}

// merge writes a delta's blocks into its parent.
func (l *layer) merge() error {
	content := make([]byte, deltaBlock)
	for block, present := range l.here {
		if present != 1 {
			continue
		}
		start := int64(block) * deltaBlock
		part := content[:min(deltaBlock, l.size-start)]
		if err := readFull(l.file, part, l.data+start); err != nil {
			return err
		}
		if _, err := l.parent.WriteAt(part, start); err != nil {
			return err
		}
	}
	return nil
}

// fillFrom copies a RAW file to the beginning of a layer and leaves its zeros as holes.
func (l *layer) fillFrom(path string) error {
	source, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	return copyData(&layer{file: source, size: info.Size()}, l)
}

// copyData copies what is not zero.
func copyData(source, target *layer) error {
	buffer := make([]byte, deltaBlock)
	for at := source.next(0); at < source.size; at = source.next(at) {
		part := buffer[:min(deltaBlock, source.size-at)]
		if _, err := source.ReadAt(part, at); err != nil {
			return err
		}
		if !zero(part) {
			if _, err := target.WriteAt(part, at); err != nil {
				return err
			}
		}
		at += int64(len(part))
	}
	return nil
}

func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
