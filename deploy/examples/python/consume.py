#!/usr/bin/env python3
"""Consumes orderwatch's completion events, each once by its id, into an SQLite database.

    pip install nats-py
    NATS_URL=nats://127.0.0.1:4222 ./consume.py completions.db

NATS_CREDS names a credentials file where NATS wants a login, NATS_INBOX_PREFIX where this login may
read answers, NATS_JS_API_PREFIX what JetStream's API is called where its account imports it, DURABLE
the consumer (completions). SIGTERM ends it after the event at hand.
"""

import asyncio
import logging
import os
import signal
import sqlite3
import sys

import nats
import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from completions import decode, handle, open_database

STREAM = "ORDER_EVENTS"
SUBJECT = "orders.completed.>"  # of one project: orders.completed.*.my-project.>
DURABLE = os.environ.get("DURABLE", "completions")  # keeps the place; processes that share it share the events
RETRY_PAUSE = 5  # seconds
API = os.environ.get("NATS_JS_API_PREFIX", "$JS.API")

log = logging.getLogger("completions")


async def settle(message, database):
    """Handles a message and acknowledges it: an event that may be handled later comes again, and what is
    no completion does not."""
    try:
        event_id, data = decode(message.data)
    except ValueError as error:
        log.error("%s: %s", message.subject, error)
        await message.term()
        return
    try:
        new = handle(database, event_id, data)
    except (sqlite3.Error, KeyError, TypeError):
        log.exception("%s is put back", event_id)
        await message.nak(delay=RETRY_PAUSE)
        return
    log.info("%s: %s %s%s", event_id, data["order_name"], data["outcome"], "" if new else " again; it is done")
    await message.ack()


async def bind(stream):
    """Binds to the durable consumer, which it makes where there is none. In production whoever sets up
    NATS makes it, and this program may only use it."""
    try:
        await stream.consumer_info(STREAM, DURABLE)
    except nats.js.errors.NotFoundError:
        await stream.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=DURABLE,
                filter_subject=SUBJECT,
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=60,  # seconds; longer than handling takes
                max_deliver=-1,  # any other number loses events silently
            ),
        )
    return await stream.pull_subscribe_bind(DURABLE, STREAM)


async def consume(stream, database, stopped):
    """Consumes until stopped is set, or something ends it: NATS is away, or the consumer was deleted."""
    subscription = await bind(stream)
    log.info("consuming as %s", DURABLE)
    try:
        while not stopped.is_set():
            try:
                messages = await subscription.fetch(batch=20, timeout=5)
            except nats.errors.TimeoutError:
                continue  # nothing came
            for message in messages:
                await settle(message, database)
    finally:
        await subscription.unsubscribe()


async def say(error):
    log.warning("NATS: %s", error)


async def main(path):
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    database = open_database(path)
    client = await nats.connect(
        os.environ["NATS_URL"],
        name="orderwatch example",
        user_credentials=os.environ.get("NATS_CREDS"),
        inbox_prefix=os.environ.get("NATS_INBOX_PREFIX", "_INBOX"),
        max_reconnect_attempts=-1,  # the default gives up after 60 tries
        error_cb=say,
    )
    while not stopped.is_set():
        try:
            await consume(client.jetstream(prefix=API), database, stopped)
        except (nats.errors.Error, OSError) as error:
            log.warning("%s: %r; trying again", DURABLE, error)
            try:
                await asyncio.wait_for(stopped.wait(), RETRY_PAUSE)
            except asyncio.TimeoutError:
                pass
    await client.drain()
    database.close()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.environ.get("NATS_URL"):
        sys.exit("usage: NATS_URL=nats://127.0.0.1:4222 consume.py DATABASE")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(main(sys.argv[1]))
