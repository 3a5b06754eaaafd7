// Transactional producers that take the steps which they are told on standard input, and tell on
// standard output how each went. See tests/transactions/remote.rs.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ApplicationRecoverableException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.TimeoutException;

final class Steps {
    private static final String STRINGS = "org.apache.kafka.common.serialization.StringSerializer";

    private final ExecutorService thread = Executors.newSingleThreadExecutor();
    private KafkaProducer<String, String> producer;

    // Runs until standard input ends.
    static void run(String bootstrap) throws Exception {
        BufferedReader input = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Map<String, Steps> all = new HashMap<>();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split("\t");
            Steps one = all.computeIfAbsent(words[0], number -> new Steps());
            one.thread.execute(() -> {
                String answer = words[0] + "\t" + one.take(bootstrap, words) + "\n";
                synchronized (System.out) {
                    System.out.print(answer);
                    System.out.flush();
                }
            });
            if (words[1].equals("close")) {
                all.remove(words[0]).thread.shutdown();
            }
        }
        System.exit(0);
    }

    private String take(String bootstrap, String[] words) {
        try {
            step(bootstrap, words);
            return "done";
        } catch (TimeoutException e) {
            return "again\t" + e.getClass().getSimpleName();
        } catch (ApplicationRecoverableException | AuthorizationException e) {
            return "over\t" + e.getClass().getSimpleName();
        } catch (KafkaException e) {
            return "abort\t" + e.getClass().getSimpleName();
        } catch (RuntimeException e) {
            return "over\t" + e.getClass().getSimpleName();
        }
    }

    @SuppressWarnings("removal") // of the only way to name a group without a consumer
    private void step(String bootstrap, String[] words) {
        switch (words[1]) {
            case "init" -> {
                if (producer == null) {
                    producer = producer(bootstrap, words[2], words[3]);
                }
                producer.initTransactions();
            }
            case "begin" -> producer.beginTransaction();
            case "send" -> producer.send(new ProducerRecord<>(
                    words[2], Integer.parseInt(words[3]), null, words[4]));
            case "offsets" -> {
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (int at = 4; at < words.length; at += 2) {
                    offsets.put(new TopicPartition(words[3], Integer.parseInt(words[at])),
                            new OffsetAndMetadata(Long.parseLong(words[at + 1])));
                }
                producer.sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata(words[2]));
            }
            case "flush" -> producer.flush();
            case "commit" -> producer.commitTransaction();
            case "abort" -> producer.abortTransaction();
            case "close" -> {
                if (producer != null) {
                    producer.close(Duration.ZERO);
                }
            }
            default -> throw new IllegalArgumentException(words[1]);
        }
    }

    private static KafkaProducer<String, String> producer(
            String bootstrap, String id, String timeoutMs) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("transactional.id", id);
        config.put("transaction.timeout.ms", timeoutMs);
        config.put("max.block.ms", "20000");
        config.put("linger.ms", "0");
        config.put("retry.backoff.ms", "20");
        config.put("reconnect.backoff.ms", "20");
        config.put("reconnect.backoff.max.ms", "200");
        config.put("buffer.memory", "1048576");
        config.put("key.serializer", STRINGS);
        config.put("value.serializer", STRINGS);
        return new KafkaProducer<>(config);
    }
}
