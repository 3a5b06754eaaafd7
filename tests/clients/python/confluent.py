"""confluent-kafka (librdkafka) as a subject of the tests.

confluent.py BOOTSTRAP produce TOPIC CODEC COUNT | consume TOPIC GROUP COUNT | admin TOPIC
confluent.py BOOTSTRAP process INPUT OUTPUT ID
See tests/clients/subject.rs for what each must do and print.
"""
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic


def produce(bootstrap, topic, codec, count):
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec,
                         "enable.idempotence": True, "linger.ms": 5})
    failed = []
    for i in range(int(count)):
        value = None if i % 10 == 9 else "x" * 100 + str(i)
        producer.produce(topic, key=f"confluent-{codec}-{i}", value=value,
                         headers=[("client", "confluent"), ("n", "1"), ("n", "2")],
                         on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(60) == 0, "not all was delivered"
    assert not failed, failed


def consume(bootstrap, topic, group, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group,
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    seen = 0
    while seen < int(count):
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        headers = ",".join(f"{name}={value.decode()}" for name, value in message.headers() or [])
        value = "NULL" if message.value() is None else message.value().decode()
        print(message.key().decode(), value, headers, sep="\t")
        seen += 1
    consumer.commit(asynchronous=False)
    consumer.close()


def admin(bootstrap, topic):
    client = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, 2, 1, config={"retention.ms": "3600000"})
    client.create_topics([new])[topic].result(60)
    client.create_partitions([NewPartitions(topic, 3)])[topic].result(60)
    for _ in range(200):
        if len(client.list_topics(topic).topics[topic].partitions) == 3:
            break
        time.sleep(0.02)
    else:
        raise AssertionError("the topic did not grow")
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    configs = client.describe_configs([resource])[resource].result(60)
    assert configs["retention.ms"].value == "3600000", configs["retention.ms"]
    produce(bootstrap, topic, "none", 30)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "confluent-admin"})
    partitions = [TopicPartition(topic, partition) for partition in range(3)]
    ends = [consumer.get_watermark_offsets(partition)[1] for partition in partitions]
    assert sum(ends) == 30, ends
    deleted = client.delete_records([TopicPartition(topic, 0, ends[0])])
    assert all(future.result(60).low_watermark == ends[0] for future in deleted.values())
    consumer.close()
    client.list_consumer_groups().result(60)
    client.describe_cluster().result(60)
    client.delete_topics([topic])[topic].result(60)


def process(bootstrap, source, sink, name):
    """Consumes, transforms, produces and commits in transactions until killed, at most 80 s."""
    end = time.monotonic() + 80
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name,
                         "group.instance.id": name, "isolation.level": "read_committed",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    producer.init_transactions(60)
    consumer.subscribe([source])
    attempt = 0
    while time.monotonic() < end:
        messages = consumer.consume(40, 0.2)
        if not messages:
            continue
        attempt += 1
        first, after = {}, {}
        producer.begin_transaction()
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            partition = message.partition()
            first.setdefault(partition, message.offset())
            after[partition] = message.offset() + 1
            producer.produce(sink, partition=partition, key=message.key(),
                             value=message.value() + b"!")
        offsets = [TopicPartition(source, *place) for place in after.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 60)
        assert producer.flush(60) == 0, "not all was delivered"
        if attempt % 3 == 0:
            producer.abort_transaction(60)
            for place in first.items():
                consumer.seek(TopicPartition(source, *place))
        else:
            producer.commit_transaction(60)


if __name__ == "__main__":
    {"produce": produce, "consume": consume, "admin": admin, "process": process}[sys.argv[2]](
        sys.argv[1], *sys.argv[3:])
    print("OK")
