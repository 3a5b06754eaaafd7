// franz-go as a subject of the tests.
//
//	franz BOOTSTRAP produce TOPIC CODEC COUNT | consume TOPIC GROUP COUNT | admin TOPIC
//	franz BOOTSTRAP process INPUT OUTPUT ID | steps
//
// See tests/clients/subject.rs for what each must do and print.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 80*time.Second)
	defer cancel()
	args := os.Args[1:]
	var err error
	switch args[1] {
	case "produce":
		err = produce(ctx, args[0], args[2], args[3], number(args[4]))
	case "consume":
		err = consume(ctx, args[0], args[2], args[3], number(args[4]))
	case "admin":
		err = admin(ctx, args[0], args[2])
	case "process":
		err = process(ctx, args[0], args[2], args[3], args[4])
	case "steps":
		steps(args[0])
	default:
		err = fmt.Errorf("no command %q", args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("OK")
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func produce(ctx context.Context, bootstrap, topic, codec string, count int) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ProducerBatchCompression(codecs[codec]),
		kgo.ProducerLinger(5*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for i := range count {
		record := &kgo.Record{
			Topic: topic,
			Key:   fmt.Appendf(nil, "franz-%s-%d", codec, i),
			Value: []byte(strings.Repeat("x", 100) + strconv.Itoa(i)),
			Headers: []kgo.RecordHeader{
				{Key: "client", Value: []byte("franz")},
				{Key: "n", Value: []byte("1")},
				{Key: "n", Value: []byte("2")},
			},
		}
		if i%10 == 9 {
			record.Value = nil
		}
		records = append(records, record)
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

func consume(ctx context.Context, bootstrap, topic, group string, count int) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for seen := 0; seen < count; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			value := "NULL"
			if r.Value != nil {
				value = string(r.Value)
			}
			var headers []string
			for _, h := range r.Headers {
				headers = append(headers, h.Key+"="+string(h.Value))
			}
			fmt.Printf("%s\t%s\t%s\n", r.Key, value, strings.Join(headers, ","))
			seen++
		})
	}
	return client.CommitUncommittedOffsets(ctx)
}

func admin(ctx context.Context, bootstrap, topic string) error {
	client, err := kadm.NewOptClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer client.Close()
	retention := "3600000"
	configs := map[string]*string{"retention.ms": &retention}
	if _, err := client.CreateTopic(ctx, 2, 1, configs, topic); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if grown, err := client.UpdatePartitions(ctx, 3, topic); err != nil || grown.Error() != nil {
		return fmt.Errorf("partitions: %w %w", err, grown.Error())
	}
	details, err := client.ListTopics(ctx, topic)
	if err != nil || len(details[topic].Partitions) != 3 {
		return fmt.Errorf("list: %w %v", err, details)
	}
	described, err := client.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return fmt.Errorf("configs: %w", err)
	}
	found := ""
	for _, config := range described[0].Configs {
		if config.Key == "retention.ms" {
			found = config.MaybeValue()
		}
	}
	if found != retention {
		return fmt.Errorf("retention.ms is %q", found)
	}
	if err := produce(ctx, bootstrap, topic, "none", 30); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	ends, err := client.ListEndOffsets(ctx, topic)
	if err != nil || ends.Error() != nil {
		return fmt.Errorf("end offsets: %w %w", err, ends.Error())
	}
	deleted, err := client.DeleteRecords(ctx, ends.Offsets())
	if err != nil || deleted.Error() != nil {
		return fmt.Errorf("delete records: %w %w", err, deleted.Error())
	}
	starts, err := client.ListStartOffsets(ctx, topic)
	if err != nil || starts.Error() != nil {
		return fmt.Errorf("start offsets: %w %w", err, starts.Error())
	}
	for partition, end := range ends[topic] {
		if start := starts[topic][partition]; start.Offset != end.Offset {
			return fmt.Errorf("partition %d starts at %d, not %d", partition, start.Offset, end.Offset)
		}
	}
	if _, err := client.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}
