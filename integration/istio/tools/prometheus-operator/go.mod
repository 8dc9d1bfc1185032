module outrigger/integration/istio/tools/prometheus-operator

go 1.25.0

// What it defines is all that is taken, see `files`: no program of it is built.
require github.com/prometheus-operator/prometheus-operator v0.85.0
