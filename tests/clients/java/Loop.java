// The loop of consume, transform, produce and commit in transactions of Apache Kafka's Java client.
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

final class Loop {
    private static final String STRINGS = "org.apache.kafka.common.serialization.String";

    // Runs until it is killed, at most 80 s.
    static void run(String bootstrap, String input, String output, String id) {
        long end = System.nanoTime() + Duration.ofSeconds(80).toNanos();
        try (KafkaProducer<String, String> producer = producer(bootstrap, id);
                KafkaConsumer<String, String> consumer = consumer(bootstrap, id)) {
            producer.initTransactions();
            consumer.subscribe(List.of(input));
            for (int attempt = 1; System.nanoTime() < end;) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                for (ConsumerRecord<String, String> record : records) {
                    producer.send(new ProducerRecord<>(
                            output, record.partition(), record.key(), record.value() + "!"));
                }
                producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
                producer.flush();
                if (attempt++ % 3 == 0) {
                    producer.abortTransaction();
                    for (TopicPartition partition : records.partitions()) {
                        consumer.seek(partition, records.records(partition).get(0).offset());
                    }
                } else {
                    producer.commitTransaction();
                }
            }
        }
    }

    private static KafkaProducer<String, String> producer(String bootstrap, String id) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("transactional.id", id);
        config.put("key.serializer", STRINGS + "Serializer");
        config.put("value.serializer", STRINGS + "Serializer");
        return new KafkaProducer<>(config);
    }

    private static KafkaConsumer<String, String> consumer(String bootstrap, String id) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", id);
        config.put("group.instance.id", id);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        config.put("isolation.level", "read_committed");
        config.put("max.poll.records", "40");
        config.put("key.deserializer", STRINGS + "Deserializer");
        config.put("value.deserializer", STRINGS + "Deserializer");
        return new KafkaConsumer<>(config);
    }
}
