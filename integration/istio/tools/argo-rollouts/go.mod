module outrigger/integration/istio/tools/argo-rollouts

go 1.26.0

// What it defines is all that is taken, see `files`: no program of it is built.
require github.com/argoproj/argo-rollouts v1.9.2
