"""Publishes 1, 2, 3... under a name, each confirmed as stored, and goes on where the log
says that it stopped. Prints each number once it is confirmed.

    durable_publisher.py NAME TOPIC LAST"""

import sys

import fifobus


def main():
    name, topic, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with fifobus.Client(publisher=name, connect_timeout=60) as client:
        number = client.last_sequence
        while number < last:
            number += 1
            stored = client.publish(
                topic, f"{name} {number}", level=fifobus.Level.STORED, timeout=60
            )
            if stored.level is not fifobus.Level.STORED:
                sys.exit(f"{number}: {stored}")
            print(number, flush=True)


if __name__ == "__main__":
    main()
