"""kafka-python as a subject of the tests.

kafka_python.py BOOTSTRAP produce TOPIC CODEC COUNT | consume TOPIC GROUP COUNT | admin TOPIC
See tests/clients/subject.rs for what each must do and print.
"""
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic


def produce(bootstrap, topic, codec, count):
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5,
                             compression_type=None if codec == "none" else codec)
    sent = []
    for i in range(int(count)):
        value = None if i % 10 == 9 else ("x" * 100 + str(i)).encode()
        headers = [("client", b"kafka-python"), ("n", b"1"), ("n", b"2")]
        key = f"kafka-python-{codec}-{i}".encode()
        sent.append(producer.send(topic, key=key, value=value, headers=headers))
    for future in sent:
        future.get(timeout=60)
    producer.close()


def consume(bootstrap, topic, group, count):
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group,
                             auto_offset_reset="earliest", enable_auto_commit=False)
    seen = 0
    while seen < int(count):
        for records in consumer.poll(timeout_ms=1000).values():
            for record in records:
                headers = ",".join(f"{name}={value.decode()}" for name, value in record.headers)
                value = "NULL" if record.value is None else record.value.decode()
                print(record.key.decode(), value, headers, sep="\t")
                seen += 1
    consumer.commit()
    consumer.close()


def admin(bootstrap, topic):
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    client.create_topics([NewTopic(topic, 2, 1, topic_configs={"retention.ms": "3600000"})])
    produce(bootstrap, topic, "none", 30)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    partitions = [TopicPartition(topic, partition) for partition in range(2)]
    assert sum(consumer.end_offsets(partitions).values()) == 30
    assert sum(consumer.beginning_offsets(partitions).values()) == 0
    consumer.close()
    assert topic in client.list_topics()
    client.delete_topics([topic])
    client.close()


if __name__ == "__main__":
    {"produce": produce, "consume": consume, "admin": admin}[sys.argv[2]](
        sys.argv[1], *sys.argv[3:])
    print("OK")
