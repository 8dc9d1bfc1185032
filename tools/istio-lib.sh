# Sourced by the scripts of the bed. Decides what the bed is called and where it is: all of it lives in network namespaces,
# of which the first holds the control plane and the pods' bridge; the machine itself sees one end of a cable and two
# routes, in a range that is reserved for test beds (198.18.0.0/15). Beds are numbered, 0 to 255, and stand side by side, one
# a checkout: each takes the first number that is free when it goes up, or BED, and the checkout remembers it.
# shellcheck shell=bash disable=SC2034

state=$root/target/istio
bridge=pods
registry=registry.outrigger.test
puller=puller:not-a-secret
PATH=$PATH:/usr/sbin:/sbin

# number_bed NUMBER: names what is called after it.
number_bed() {
    bed=$1
    netns=outrigger$bed
    cable=bed$bed
    network=198.18.$bed.
    host_address=${network}1
    address=${network}2
    services=198.19.$bed.0/24
}

# bed_number: that of this checkout's bed, if there is one.
bed_number() { cat "$state/bed" 2>/dev/null; }

# bed_is_up: whether it runs. One that was killed left its files behind.
bed_is_up() {
    local number
    [ -f "$state/environment" ] && number=$(bed_number) && [ -n "$(ip netns pids "outrigger$number" 2>/dev/null)" ]
}
