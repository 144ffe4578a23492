package main

import (
	"fmt"
	"net/http"
)

func main() {
	client := &http.Transport{MaxIdleConns: 0, MaxConnsPerHost: 0}
	fmt.Println(client)
}
