module sightd/testbench/bbolt

go 1.25.0

require (
	go.etcd.io/bbolt v1.4.3
	golang.org/x/sys v0.38.0
	sightd v0.0.0
)

replace sightd => ../..
