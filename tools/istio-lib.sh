# Sourced by tools/istio-up and tools/istio-down. Decides what the bed is called and where it is: all of it lives in
# network namespaces, of which `outrigger` holds the control plane and the pods' bridge; the machine itself sees one end
# of a cable and two routes, in a range that is reserved for test beds (198.18.0.0/15).
# shellcheck shell=bash disable=SC2034

state=$root/target/istio
netns=outrigger
cable=outrigger0
bridge=pods
network=198.18.0.
host_address=${network}1
address=${network}2
services=198.19.0.0/16
registry=registry.outrigger.test
PATH=$PATH:/usr/sbin:/sbin
