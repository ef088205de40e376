module ferry.example/tests/rigs/vcsim

go 1.23.0

require github.com/vmware/govmomi v0.52.0
