"""aiokafka as a subject of the tests.

aio.py BOOTSTRAP produce TOPIC CODEC COUNT | consume TOPIC GROUP COUNT | admin TOPIC
See tests/clients/subject.rs for what each must do and print.
"""
import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def produce(bootstrap, topic, codec, count):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5,
                                compression_type=None if codec == "none" else codec)
    await producer.start()
    try:
        sent = []
        for i in range(int(count)):
            value = None if i % 10 == 9 else ("x" * 100 + str(i)).encode()
            headers = [("client", b"aiokafka"), ("n", b"1"), ("n", b"2")]
            key = f"aiokafka-{codec}-{i}".encode()
            sent.append(await producer.send(topic, key=key, value=value, headers=headers))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def consume(bootstrap, topic, group, count):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group,
                                auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        for _ in range(int(count)):
            record = await consumer.getone()
            headers = ",".join(f"{name}={value.decode()}" for name, value in record.headers)
            value = "NULL" if record.value is None else record.value.decode()
            print(record.key.decode(), value, headers, sep="\t")
        await consumer.commit()
    finally:
        await consumer.stop()


async def admin(bootstrap, topic):
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        new = NewTopic(topic, 2, 1, topic_configs={"retention.ms": "3600000"})
        await client.create_topics([new])
        assert topic in await client.list_topics()
        described = await client.describe_topics([topic])
        assert len(described[0]["partitions"]) == 2, described
        await client.delete_topics([topic])
    finally:
        await client.close()


if __name__ == "__main__":
    command = {"produce": produce, "consume": consume, "admin": admin}[sys.argv[2]]
    asyncio.run(command(sys.argv[1], *sys.argv[3:]))
    print("OK")
