"""Reads a topic to its end as somebody does who has only its AsyncAPI document. Judges key, headers
and value of each message by that, and prints what CloudEvents makes of it, a line of JSON each.

Arguments: the broker, the document, the topic.
"""

import json
import pathlib
import sys

import jsonschema
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, KafkaError

broker, document, topic = sys.argv[1:]


def validator(schema):
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


document = pathlib.Path(document)
described = json.loads(document.read_text(encoding="utf-8"))["components"]["messages"]["check"]
payload = document.parent / described["payload"]["schema"]["$ref"]
key = validator(described["bindings"]["kafka"]["key"])
headers = validator(described["headers"])
value = validator(json.loads(payload.read_text(encoding="utf-8")))

consumer = Consumer(
    {
        "bootstrap.servers": broker,
        "group.id": f"{topic}-reader",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
)
consumer.subscribe([topic])
left = len(consumer.list_topics(topic, timeout=60).topics[topic].partitions)
while left > 0:
    message = consumer.poll(60)
    if message is None:
        sys.exit("no message and no end within a minute")
    if message.error():
        if message.error().code() != KafkaError._PARTITION_EOF:
            sys.exit(str(message.error()))
        left -= 1
        continue
    fields = dict(message.headers())
    key.validate(message.key().decode())
    headers.validate({name: field.decode() for name, field in fields.items()})
    value.validate(json.loads(message.value()))
    event = from_binary(KafkaMessage(fields, message.key(), message.value()), JSONFormat())
    print(
        json.dumps(
            {
                "timestamp": message.timestamp()[1],
                "key": message.key().decode(),
                "id": event.get_id(),
                "source": event.get_source(),
                "type": event.get_type(),
                "subject": event.get_subject(),
                "time": event.get_time().timestamp(),
                "schema": event.get_dataschema(),
                "data": event.get_data(),
            }
        )
    )
consumer.close()
