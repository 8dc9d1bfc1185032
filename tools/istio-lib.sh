# Sourced by the scripts of the bed. Decides what the bed is called and where it is: all of it lives in network namespaces,
# of which the first holds the control plane and the pods' bridge; the machine itself sees one end of a cable and two
# routes, in a range that is reserved for test beds (198.18.0.0/15). BED, 0 to 255, numbers beds that stand side by side,
# one a checkout.
# shellcheck shell=bash disable=SC2034

bed=${BED:-0}
state=$root/target/istio
netns=outrigger$bed
cable=bed$bed
bridge=pods
network=198.18.$bed.
host_address=${network}1
address=${network}2
services=198.19.$bed.0/24
registry=registry.outrigger.test
puller=puller:not-a-secret
PATH=$PATH:/usr/sbin:/sbin
