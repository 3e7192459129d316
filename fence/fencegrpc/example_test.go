package fencegrpc_test

import (
	"context"
	"errors"
	"log"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/conchlock/conch/fence"
	"github.com/conchlock/conch/fence/fencegrpc"
)

func Example_client() {
	const token fence.Token = 33 // fence.Token(hold.Token())

	conn, err := grpc.NewClient("127.0.0.1:7500", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(fencegrpc.UnaryClient), grpc.WithStreamInterceptor(fencegrpc.StreamClient))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn) // or any other

	ctx := fence.NewContext(context.Background(), "ledger", token)
	_, err = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if errors.Is(err, fence.ErrStale) {
		log.Print("the hold has ended: lock again")
	}
}

func Example_server() {
	store, err := fence.OpenDirectory("/var/lib/ledger/fences")
	if err != nil {
		log.Fatal(err)
	}

	guard := &fencegrpc.Server{Store: store, Lock: func(_ context.Context, call fencegrpc.Call) (lock string, guarded bool) {
		return "ledger", strings.HasPrefix(call.Method, "/ledger.Ledger/Write")
	}}
	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary), grpc.StreamInterceptor(guard.Stream))
	_ = server
}
