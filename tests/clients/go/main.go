package main
import ("github.com/twmb/franz-go/pkg/kgo"; "github.com/twmb/franz-go/pkg/kadm")
var _ = kgo.NewClient
var _ = kadm.NewClient
func main(){}
