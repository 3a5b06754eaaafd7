// Apache Kafka's own Java client as a subject of the tests.
//   Client BOOTSTRAP produce TOPIC CODEC COUNT | consume TOPIC GROUP COUNT | admin TOPIC
//   Client BOOTSTRAP process INPUT OUTPUT ID | steps
// See tests/clients/subject.rs for what each must do and print.
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

public final class Client {
    private static final String STRINGS = "org.apache.kafka.common.serialization.String";

    public static void main(String[] args) throws Exception {
        switch (args[1]) {
            case "produce" -> produce(args[0], args[2], args[3], Integer.parseInt(args[4]));
            case "consume" -> consume(args[0], args[2], args[3], Integer.parseInt(args[4]));
            case "admin" -> admin(args[0], args[2]);
            case "process" -> Loop.run(args[0], args[2], args[3], args[4]);
            case "steps" -> Steps.run(args[0]);
            default -> throw new IllegalArgumentException(args[1]);
        }
        System.out.println("OK");
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void produce(String bootstrap, String topic, String codec, int count)
            throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("compression.type", codec);
        config.put("enable.idempotence", "true");
        config.put("linger.ms", "5");
        config.put("key.serializer", STRINGS + "Serializer");
        config.put("value.serializer", STRINGS + "Serializer");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                String value = i % 10 == 9 ? null : "x".repeat(100) + i;
                ProducerRecord<String, String> record =
                        new ProducerRecord<>(topic, "java-" + codec + "-" + i, value);
                record.headers().add("client", bytes("java")).add("n", bytes("1"))
                        .add("n", bytes("2"));
                sent.add(producer.send(record));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private static void consume(String bootstrap, String topic, String group, int count) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", group);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        config.put("key.deserializer", STRINGS + "Deserializer");
        config.put("value.deserializer", STRINGS + "Deserializer");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config)) {
            consumer.subscribe(List.of(topic));
            int seen = 0;
            while (seen < count) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    String headers = StreamSupport.stream(record.headers().spliterator(), false)
                            .map(h -> h.key() + "=" + new String(h.value(), StandardCharsets.UTF_8))
                            .collect(Collectors.joining(","));
                    String value = record.value() == null ? "NULL" : record.value();
                    System.out.println(record.key() + "\t" + value + "\t" + headers);
                    seen++;
                }
            }
            consumer.commitSync();
        }
    }

    private static void admin(String bootstrap, String topic) throws Exception {
        try (Admin admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
            Map<String, String> configs = Map.of("retention.ms", "3600000");
            admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(configs)))
                    .all().get();
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
            TopicDescription description =
                    admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            check(description.partitions().size() == 3, "partitions: " + description);
            check(description.partitions().get(0).leader() != null, "leader: " + description);
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            ConfigEntry entry = config(admin, resource, "retention.ms");
            check(entry.value().equals("3600000"), "retention.ms: " + entry);
            check(entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "" + entry);
            check(config(admin, resource, "segment.ms").isDefault(), "segment.ms is not default");
            Collection<AlterConfigOp> ops = List.of(new AlterConfigOp(
                    new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET));
            admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
            produce(bootstrap, topic, "none", 30);
            TopicPartition first = null;
            long latest = 0;
            for (int partition = 0; partition < 3 && latest < 2; partition++) {
                first = new TopicPartition(topic, partition);
                latest = admin.listOffsets(Map.of(first, OffsetSpec.latest()))
                        .partitionResult(first).get().offset();
            }
            long low = admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(latest - 1)))
                    .lowWatermarks().get(first).get().lowWatermark();
            check(low == latest - 1, "low watermark " + low + " of " + latest);
            long earliest = admin.listOffsets(Map.of(first, OffsetSpec.earliest()))
                    .partitionResult(first).get().offset();
            check(earliest == low, "earliest is " + earliest);
            check(admin.describeCluster().nodes().get().size() == 1, "one node");
            check(admin.listTopics().names().get().contains(topic), "the topic is not listed");
            check(!admin.describeLogDirs(List.of(1)).allDescriptions().get().isEmpty(), "log dirs");
            check(config(admin, resource, "retention.ms").value().equals("7200000"), "altered");
            admin.deleteTopics(List.of(topic)).all().get();
            for (int i = 0; i < 200 && admin.listTopics().names().get().contains(topic); i++) {
                Thread.sleep(20);
            }
            check(!admin.listTopics().names().get().contains(topic), "the topic is still there");
        }
    }

    private static ConfigEntry config(Admin admin, ConfigResource resource, String name)
            throws Exception {
        Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        return config.get(name);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }
}
