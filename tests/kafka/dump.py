"""Prints every message of a topic as a line of JSON, read by a client that shares no code with the one that wrote it.

Usage: dump.py BOOTSTRAP TOPIC
"""

import json
import sys

from kafka import KafkaConsumer, TopicPartition

# Far above what is needed. A broker that is silent for so long is an error.
PATIENCE_MS = 30_000


def main(bootstrap: str, topic: str) -> None:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    ends = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        polled = consumer.poll(timeout_ms=PATIENCE_MS)
        if not polled:
            sys.exit(f"nothing came for {PATIENCE_MS} ms")
        for messages in polled.values():
            for message in messages:
                line = {
                    "partition": message.partition,
                    "offset": message.offset,
                    "key": message.key.decode(),
                    "headers": [[name, value.decode()] for name, value in message.headers],
                    "value": message.value.decode(),
                }
                print(json.dumps(line))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
