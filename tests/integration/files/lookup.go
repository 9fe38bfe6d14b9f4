// SPDX-License-Identifier: GPL-3.0-or-later

// Looks a name up by Go's own resolver: lookup NAME. Prints its addresses, or why there is none.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	found, err := resolver.LookupHost(context.Background(), os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(found)
}
