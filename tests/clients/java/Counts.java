// A Kafka Streams application, exactly once: counts the values of the input by way of a repartition
// topic and a store with a changelog. Each new count goes to both outputs.
//   Counts BOOTSTRAP APPLICATION_ID INPUT UPDATES TABLE STATE_FOLDER
// It runs until it is killed or told to stop, at most 150 s.
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;

public final class Counts {
    public static void main(String[] args) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> counts = builder.<String, String>stream(args[2])
                .groupBy((key, word) -> word, Grouped.as("by-word"))
                .count(Materialized.as("counts"))
                .toStream()
                .mapValues(count -> Long.toString(count));
        counts.to(args[3]);
        counts.to(args[4]);
        KafkaStreams streams =
                new KafkaStreams(builder.build(), config(args[0], args[1], args[5]));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        CountDownLatch told = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(30));
            told.countDown();
        }));
        streams.start();
        if (!told.await(150, TimeUnit.SECONDS)) {
            System.exit(1);
        }
    }

    private static Properties config(String bootstrap, String id, String folder) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("application.id", id);
        config.put("state.dir", folder);
        config.put("processing.guarantee", "exactly_once_v2");
        config.put("group.protocol", "classic");
        config.put("num.stream.threads", "2");
        // A kill finds a transaction open whose records are in the log already.
        config.put("commit.interval.ms", "500");
        config.put(StreamsConfig.producerPrefix("linger.ms"), "5");
        // Each update is sent on, none replaced by the next in a cache.
        config.put("statestore.cache.max.bytes", "0");
        config.put("repartition.purge.interval.ms", "500");
        config.put(StreamsConfig.topicPrefix("segment.ms"), "1000");
        config.put(StreamsConfig.topicPrefix("min.cleanable.dirty.ratio"), "0.01");
        config.put(StreamsConfig.consumerPrefix("session.timeout.ms"), "3000");
        config.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), "500");
        config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        config.put("default.key.serde", Serdes.StringSerde.class);
        config.put("default.value.serde", Serdes.StringSerde.class);
        return config;
    }
}
