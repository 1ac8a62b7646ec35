module foresail.dev/testbed/pause

go 1.26
