// Command vcsim-ferry is a vCenter for tests: the govmomi simulator, extended where it is not true to vCenter,
// behind a TLS front that counts calls and injects faults. See README.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

// config is the JSON file given with -config.
type config struct {
	Chain     string    `json:"chain"` // PEM files
	Key       string    `json:"key"`
	User      string    `json:"user"`
	Password  string    `json:"password"`
	Work      string    `json:"work"` // an existing folder, for the datastores
	Inventory inventory `json:"inventory"`
	DVS       bool      `json:"dvs"`
	API       string    `json:"api"` // the version of the API that it tells, "6.5" without; "7.0.3.0"
}

type inventory struct {
	Datacenters int `json:"datacenters"`
	Clusters    int `json:"clusters"`
	Hosts       int `json:"hosts"` // per cluster
	Machines    int `json:"machines"`
	Portgroups  int `json:"portgroups"`
	Datastores  int `json:"datastores"`
	Pools       int `json:"pools"`
}

// site is one simulated vCenter with all that the rig adds.
type site struct {
	config   config
	model    *simulator.Model
	hooks    *hooks
	faults   *faults
	counts   *counts
	controls map[string]control
	machines *machines
	disks    *disks
	front    *front
}

func main() {
	path := flag.String("config", "", "JSON file")
	flag.Parse()
	if err := run(*path); err != nil {
		log.Fatal(err)
	}
}

func run(path string) error {
	config, err := readConfig(path)
	if err != nil {
		return err
	}
	s, err := newSite(config)
	if err != nil {
		return err
	}
	server := s.model.Service.NewServer()
	defer server.Close()
	defer s.model.Remove()
	if err = s.front.start(server.URL); err != nil {
		return err
	}
	defer s.front.close()
	control, err := s.serveControls()
	if err != nil {
		return err
	}
	ready, _ := json.Marshal(map[string]any{"url": s.front.url(), "control": control, "pid": os.Getpid()})
	fmt.Println(string(ready))
	waitForEnd()
	return nil
}

func readConfig(path string) (config, error) {
	var c config
	data, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err = json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	c.Work, err = filepath.Abs(c.Work)
	if err != nil {
		return c, err
	}
	// The simulator makes its datastores in the folder for temporary files.
	return c, os.Setenv("TMPDIR", c.Work)
}

func newSite(c config) (*site, error) {
	s := &site{config: c, model: newModel(c), hooks: newHooks(), controls: map[string]control{}}
	s.counts = newCounts()
	s.faults = newFaults(s)
	s.machines = newMachines()
	s.disks = newDisks()
	if err := s.model.Create(); err != nil {
		return nil, err
	}
	s.model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(c.User, c.Password)}
	s.model.Service.RegisterEndpoints = true
	s.front = newFront(s)
	setTaskDelays(map[string]int{})
	registerAll(s)
	s.model.Map().Handler = s.hooks.handle
	if err := s.addStandardPortgroups(); err != nil {
		return nil, err
	}
	return s, nil
}

func newModel(c config) *simulator.Model {
	m := simulator.VPX()
	if c.API != "" {
		m.ServiceContent.About.ApiVersion, m.ServiceContent.About.Version = c.API, c.API
	}
	m.Datacenter = c.Inventory.Datacenters
	m.Cluster = c.Inventory.Clusters
	m.ClusterHost = c.Inventory.Hosts
	m.Host = 0
	m.Machine = c.Inventory.Machines
	m.Datastore = c.Inventory.Datastores
	m.Pool = c.Inventory.Pools
	m.Portgroup = 0
	if c.DVS {
		m.Portgroup = c.Inventory.Portgroups
	}
	return m
}

// waitForEnd returns on SIGTERM, on SIGINT, and when stdin closes: a killed test leaves no server behind.
func waitForEnd() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(closed)
	}()
	select {
	case <-signals:
	case <-closed:
	}
}
