// Command etcd is the store of the API server.
//
// It exists because `go install` refuses etcd's own main package: its module has replace directives.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
