package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
)

// A stream-optimised VMDK as a host exports it, after the "Virtual Disk Format 5.0" specification: a header, then
// compressed grains that carry their place, each grain table after its grains, at the end the grain directory, a
// footer (the header once more, now knowing where the directory is) and an end marker. It is written forward only.

const (
	sector       = 512
	grainSectors = 128
	grainBytes   = grainSectors * sector
	tableEntries = 512
	overhead     = 128 // sectors before the first grain
	atEnd        = ^uint64(0)

	markerTable     = 1
	markerDirectory = 2
	markerFooter    = 3
)

// vmdkStream writes one disk.
type vmdkStream struct {
	out       *bufferedOut
	disk      *layer
	capacity  uint64 // sectors
	directory []uint32
	table     []uint32
	packed    bytes.Buffer
	zip       *zlib.Writer
}

// bufferedOut counts the sectors that were written.
type bufferedOut struct {
	w  io.Writer
	at uint64
}

func (o *bufferedOut) write(p []byte) error {
	if rest := len(p) % sector; rest != 0 {
		p = append(p, make([]byte, sector-rest)...)
	}
	o.at += uint64(len(p) / sector)
	_, err := o.w.Write(p)
	return err
}

// writeVMDK writes a disk as a stream-optimised VMDK.
func writeVMDK(w io.Writer, disk *layer, name string) error {
	s := &vmdkStream{out: &bufferedOut{w: w}, disk: disk, capacity: uint64((disk.size + sector - 1) / sector)}
	s.zip, _ = zlib.NewWriterLevel(io.Discard, zlib.BestSpeed)
	if err := s.begin(name); err != nil {
		return err
	}
	if err := s.grains(); err != nil {
		return err
	}
	return s.end()
}

// header is the sparse extent header; the one at the end knows the directory's sector.
func (s *vmdkStream) header(directory uint64) []byte {
	h := make([]byte, sector)
	copy(h, "KDMV")
	le := binary.LittleEndian
	le.PutUint32(h[4:], 3)             // version
	le.PutUint32(h[8:], 1|1<<16|1<<17) // valid newline test, compressed grains, markers
	le.PutUint64(h[12:], s.capacity)
	le.PutUint64(h[20:], grainSectors)
	le.PutUint64(h[28:], 1)  // the descriptor's sector
	le.PutUint64(h[36:], 20) // and its length
	le.PutUint32(h[44:], tableEntries)
	le.PutUint64(h[56:], directory)
	le.PutUint64(h[64:], overhead)
	copy(h[73:], "\n \r\n")
	le.PutUint16(h[77:], 1) // deflate
	return h
}

func (s *vmdkStream) begin(name string) error {
	if err := s.out.write(s.header(atEnd)); err != nil {
		return err
	}
	text := fmt.Sprintf(`# Disk DescriptorFile
version=1
CID=7b3c1d42
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW %d SPARSE "%s"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "%d"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.virtualHWVersion = "13"
`, s.capacity, name, s.capacity/(255*63))
	front := make([]byte, (overhead-1)*sector)
	copy(front, text)
	return s.out.write(front)
}

// grains writes all grains that are not zero and the tables between them.
func (s *vmdkStream) grains() error {
	span := int64(tableEntries * grainBytes)
	for start := int64(0); start < s.disk.size; start += span {
		s.table = make([]uint32, tableEntries)
		if err := s.span(start, min(start+span, s.disk.size)); err != nil {
			return err
		}
		if err := s.endTable(); err != nil {
			return err
		}
	}
	return nil
}

// span writes the grains of one table.
func (s *vmdkStream) span(start, end int64) error {
	grain := make([]byte, grainBytes)
	for at := s.disk.next(start); at < end; at = s.disk.next(at) {
		at -= at % grainBytes
		part := grain[:min(grainBytes, s.disk.size-at)]
		if _, err := s.disk.ReadAt(part, at); err != nil {
			return err
		}
		clear(grain[len(part):])
		if !zero(part) {
			s.table[(at-start)/grainBytes] = uint32(s.out.at)
			if err := s.grain(uint64(at/sector), grain); err != nil {
				return err
			}
		}
		at += grainBytes
	}
	return nil
}

func (s *vmdkStream) grain(lba uint64, content []byte) error {
	s.packed.Reset()
	s.packed.Write(make([]byte, 12))
	s.zip.Reset(&s.packed)
	if _, err := s.zip.Write(content); err != nil {
		return err
	}
	if err := s.zip.Close(); err != nil {
		return err
	}
	record := s.packed.Bytes()
	binary.LittleEndian.PutUint64(record, lba)
	binary.LittleEndian.PutUint32(record[8:], uint32(len(record)-12))
	return s.out.write(bytes.Clone(record))
}

// endTable writes the table of the last span unless nothing was in it.
func (s *vmdkStream) endTable() error {
	for _, entry := range s.table {
		if entry == 0 {
			continue
		}
		if err := s.marker(markerTable, tableEntries*4/sector); err != nil {
			return err
		}
		s.directory = append(s.directory, uint32(s.out.at))
		return s.out.write(words(s.table))
	}
	s.directory = append(s.directory, 0)
	return nil
}

func (s *vmdkStream) marker(kind uint32, sectors uint64) error {
	m := make([]byte, sector)
	binary.LittleEndian.PutUint64(m, sectors)
	binary.LittleEndian.PutUint32(m[12:], kind)
	return s.out.write(m)
}

func (s *vmdkStream) end() error {
	directory := words(s.directory)
	if err := s.marker(markerDirectory, uint64((len(directory)+sector-1)/sector)); err != nil {
		return err
	}
	at := s.out.at
	if err := s.out.write(directory); err != nil {
		return err
	}
	if err := s.marker(markerFooter, 1); err != nil {
		return err
	}
	if err := s.out.write(s.header(at)); err != nil {
		return err
	}
	return s.out.write(make([]byte, sector))
}

func words(values []uint32) []byte {
	out := make([]byte, 0, len(values)*4)
	for _, value := range values {
		out = binary.LittleEndian.AppendUint32(out, value)
	}
	return out
}
