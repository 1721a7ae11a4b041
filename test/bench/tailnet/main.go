// Tailnet is what two tailscaled need to find each other on a network without an outside: a control server that lets everybody
// in, a DERP relay and a STUN server, in memory and in one process. It carries none of the measured packets. The servers are
// those that tailscale tests itself with.
//
//	tailnet ADDRESS   # control on 8080 (plain HTTP), DERP on 443 (TLS, self-signed), STUN on 3478; says "ready"
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

const (
	controlPort = "8080"
	relayPort   = "443"
	stunPort    = "3478"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: tailnet ADDRESS")
	}
	address := os.Args[1]
	serveRelay(address)
	serveStun(address)
	listener := listen(address, controlPort)
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, &testcontrol.Server{
		ExplicitBaseURL:  "http://" + listener.Addr().String(),
		Logf:             logger.Discard,
		DERPMap:          mapOf(address),
		AllNodesSameUser: true,
		AllOnline:        true,
	}))
}

func listen(address, port string) net.Listener {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, port))
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// serveRelay borrows the certificate that net/http/httptest brings along: the nodes are told to believe any.
func serveRelay(address string) {
	relay := derpserver.New(key.NewNode(), logger.Discard)
	server := httptest.NewUnstartedServer(derpserver.Handler(relay))
	server.Listener.Close()
	server.Listener = listen(address, relayPort)
	server.Config.ErrorLog = log.New(os.Stderr, "relay: ", 0)
	// DERP takes the connection over, which HTTP/2 does not allow.
	server.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	server.StartTLS()
}

func serveStun(address string) {
	server := stunserver.New(context.Background())
	if err := server.Listen(net.JoinHostPort(address, stunPort)); err != nil {
		log.Fatal(err)
	}
	go server.Serve()
}

func mapOf(address string) *tailcfg.DERPMap {
	node := &tailcfg.DERPNode{
		Name:             "one",
		RegionID:         1,
		HostName:         address,
		IPv4:             address,
		IPv6:             "none",
		InsecureForTests: true,
	}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", RegionName: "lab", Nodes: []*tailcfg.DERPNode{node}}
	return &tailcfg.DERPMap{
		OmitDefaultRegions: true,
		Regions:            map[tailcfg.DERPRegionID]*tailcfg.DERPRegion{1: region},
	}
}
