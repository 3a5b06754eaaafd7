// The loop of consume, transform, produce and commit in transactions of franz-go.
package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// process runs until it is killed, at most until the end of ctx.
func process(ctx context.Context, bootstrap, input, output, id string) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap),
		kgo.TransactionalID(id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumerGroup(id),
		kgo.InstanceID(id),
		kgo.ConsumeTopics(input),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	for attempt := 1; ; attempt++ {
		fetches := session.PollRecords(ctx, 40)
		if err := fetches.Err(); err != nil {
			return err
		}
		if err := session.Begin(); err != nil {
			return err
		}
		var failed kgo.FirstErrPromise
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{
				Topic:     output,
				Partition: r.Partition,
				Key:       r.Key,
				Value:     append(r.Value, '!'),
			}, failed.Promise())
		})
		if err := session.Client().Flush(ctx); err != nil {
			return err
		}
		if err := failed.Err(); err != nil {
			return err
		}
		// An abort puts the session back to the offsets of the last commit.
		if _, err := session.End(ctx, attempt%3 != 0); err != nil {
			return err
		}
	}
}
