// Command coredns answers for a cluster's names, with the few plugins that this takes.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func init() {
	// The order in which a question passes: the cluster first, then the no for all the rest.
	dnsserver.Directives = []string{"errors", "health", "ready", "kubernetes", "template"}
}

func main() {
	coremain.Run()
}
