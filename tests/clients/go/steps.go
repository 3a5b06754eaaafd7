// Transactional producers that take the steps which they are told on standard input, and tell on
// standard output how each went. See tests/transactions/remote.rs.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// steps runs until standard input ends.
func steps(bootstrap string) {
	var out sync.Mutex
	all := map[string]chan []string{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Split(lines.Text(), "\t")
		told, known := all[words[0]]
		if !known {
			told = make(chan []string, 1024)
			all[words[0]] = told
			go func() {
				one := stepper{bootstrap: bootstrap}
				for words := range told {
					answer := one.take(words[1:])
					out.Lock()
					fmt.Printf("%s\t%s\n", words[0], answer)
					out.Unlock()
				}
			}()
		}
		told <- words
		if words[1] == "close" {
			close(told)
			delete(all, words[0])
		}
	}
	os.Exit(0)
}

type stepper struct {
	bootstrap string
	client    *kgo.Client
	failed    *kgo.FirstErrPromise
}

// take takes one step: its outcome.
func (s *stepper) take(words []string) string {
	ctx := context.Background()
	switch words[0] {
	case "init":
		return s.init(ctx, words[1], words[2])
	case "begin":
		s.failed = &kgo.FirstErrPromise{}
		return outcome(s.client.BeginTransaction(), "over")
	case "send":
		record := &kgo.Record{Topic: words[1], Partition: int32(number(words[2])), Value: []byte(words[3])}
		s.client.Produce(ctx, record, s.failed.Promise())
		return "done"
	case "flush":
		return outcome(s.client.Flush(ctx), "abort")
	case "commit":
		if err := s.client.Flush(ctx); err != nil {
			return outcome(err, "abort")
		}
		if err := s.failed.Err(); err != nil {
			return outcome(err, "abort")
		}
		err := s.client.EndTransaction(ctx, kgo.TryCommit)
		if errors.Is(err, kerr.OperationNotAttempted) || errors.Is(err, kerr.TransactionAbortable) {
			return outcome(err, "abort")
		}
		return outcome(err, "over")
	case "abort":
		if err := s.client.AbortBufferedRecords(ctx); err != nil {
			return outcome(err, "over")
		}
		return outcome(s.client.EndTransaction(ctx, kgo.TryAbort), "over")
	case "close":
		if s.client != nil {
			s.client.Close()
		}
		return "done"
	}
	return "over\tno such step"
}

func (s *stepper) init(ctx context.Context, id, timeoutMs string) string {
	if s.client == nil {
		client, err := kgo.NewClient(
			kgo.SeedBrokers(s.bootstrap),
			kgo.TransactionalID(id),
			kgo.TransactionTimeout(time.Duration(number(timeoutMs))*time.Millisecond),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerLinger(0),
			kgo.MetadataMinAge(20*time.Millisecond),
			kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		)
		if err != nil {
			return outcome(err, "over")
		}
		s.client = client
	}
	_, _, err := s.client.ProducerID(ctx)
	return outcome(err, "again")
}

// outcome is "done", or what an error means for the producer, with a name of it.
func outcome(err error, meaning string) string {
	if err == nil {
		return "done"
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return meaning + "\t" + known.Message
	}
	return meaning + "\t" + fmt.Sprintf("%T", err)
}
